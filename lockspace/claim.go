package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file is self-owner notification from the claimant's side: a node that
// has created what a name stands for makes itself master at once and tells
// the directory behind the caller's back.

// claim is a NOTIFY not yet closed. It hangs on the resource, not on a lock:
// locks are converted, unlocked and cancelled meanwhile as always.
type claim struct {
	res        *resource
	prev, next *claim
	num        uint64 // node-wide number
	start      int64  // when the claim was made
	epoch      uint64 // and in which view
	sentAt     int64  // when NOTIFY or ADOPT was last sent
	token      uint64 // the claim's own
	gone       wire.Life
	tries      uint8
	since      uint8 // set of modes granted since the start, 1<<mode
	written    bool  // the value was written since the start
	recorded   bool  // the directory node has confirmed it while the adoption was under way
	lost       bool  // a conflict was reported; the claim is open for what came later
}

// claimList holds open claims, the one sent longest ago first.
type claimList struct {
	head, tail *claim
	n          int
}

func (q *claimList) push(c *claim) {
	c.prev, c.next = q.tail, nil
	if q.tail != nil {
		q.tail.next = c
	} else {
		q.head = c
	}
	q.tail = c
	q.n++
}

func (q *claimList) remove(c *claim) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.tail = c.prev
	}
	c.prev, c.next = nil, nil
	q.n--
}

// tryClaim makes this node master of an unused name by its own word, unless
// it may not now; the caller then asks the directory as usual.
func (s *Shard) tryClaim(r *resource, dir uint16) bool {
	// A message about this name that has not left yet is a use of it.
	// And the claim's token must stand above all that this node has seen,
	// whatever shard saw it: what freed the name may have come through another.
	s.clock = max(s.clock, s.common.Clock())
	if r.held != nil || s.tokensOut() || !s.host.MayClaim(dir) {
		s.stats.ClaimsRefused++
		return false
	}
	num, ok := s.common.OpenClaim()
	if !ok {
		s.stats.ClaimsRefused++
		return false
	}
	c := s.freeClaim
	if c != nil {
		if s.freeClaim = c.next; c.next != nil {
			s.fetched += c.next.num // it was put down long ago: the next claim need not wait for memory
		}
		*c = claim{}
	} else {
		c = &claim{}
	}
	s.becomeMaster(r, s.newLife())
	c.res, c.num, c.start, c.epoch, c.token = r, num, s.now, s.view.Epoch, s.nextToken(r)
	r.state, r.claim = claimed, c
	s.stats.ClaimsMade++
	s.claims.push(c)
	s.notify(c)
	return true
}

func (s *Shard) notify(c *claim) {
	c.sentAt = s.now
	r := c.res
	if s.dirOf(r) == s.self {
		s.claimHere(r)
		return
	}
	m := s.newMsg(wire.Notify)
	m.Claim, m.Life, m.Other = c.num, r.life, c.gone
	s.send(r, s.dirOf(r), m, ungated)
}

// claimHere decides on a claim of this node as the directory that it has
// become.
func (s *Shard) claimHere(r *resource) {
	if s.mustWait(r) {
		s.record(r) // openName comes back to it
		return
	}
	untold := s.untold(r) // as the owner of a range, to whom it has come with the claim open
	if untold != nil {
		r.dirLife = wire.Life{}
	}
	switch {
	case r.dirLife.IsZero(), r.dirLife == r.claim.gone, r.dirLife.Instance == s.cfg.Self:
		r.dirLife = r.life
		s.confirm(r)
	default:
		s.rejected(r, r.dirLife)
	}
	for i := range untold {
		s.reassign(r, s.self, &untold[i])
	}
}

// closeClaim ends a claim; what waited only for it may leave.
func (s *Shard) closeClaim(r *resource) {
	c := r.claim
	r.claim = nil
	s.answeredAt = s.now
	s.claims.remove(c)
	s.stats.ClaimTimes.Observe(s.now-c.start, 1)
	s.common.CloseClaim(c.num)
	c.res = nil
	c.next, s.freeClaim = s.freeClaim, c
	s.releaseHeld()
}

// confirm turns a claimed resource into an ordinary mastered one.
func (s *Shard) confirm(r *resource) {
	if c := r.claim; c.tries == 0 {
		s.observeRTT(s.now - c.start)
	}
	if r.claim.lost {
		s.stats.ClaimsLost++
	} else {
		s.stats.ClaimsConfirmed++
	}
	r.state = master
	r.ack = s.dirOf(r)
	r.traits.set(ackDue, false)
	r.lastToken = max(r.lastToken, s.clock) // an older master's tokens have come with the answer
	s.confirmHolders(r)
	s.closeClaim(r)
	s.runDeferred(r)
	s.deliverEarly(r)
	s.maybeIdle(r)
}

// confirmHolders tells all that hold something here that it is ordinary now.
func (s *Shard) confirmHolders(r *resource) {
	for l := r.granted.head; l != nil; l = l.next {
		s.confirmHolder(l)
	}
	for l := r.convert.head; l != nil; l = l.next {
		s.confirmHolder(l)
	}
}

func (s *Shard) confirmHolder(l *Lock) {
	if !l.orphan && !s.errs(HideConfirm) {
		s.host.Confirmed(l.user, s.handle(l))
	}
}

// observeRTT smooths the answer time of claims as TCP does (RFC 6298).
func (s *Shard) observeRTT(d int64) {
	if s.srtt == 0 {
		s.srtt = d
		return
	}
	s.srtt += (d - s.srtt) / 8
}

const (
	resendFloor = int64(10e6) // ns
	resendCeil  = int64(1e9)
)

// resendClaims is the watchdog: over a transport that resumes, an answer is
// late only because the other end is. NOTIFY is idempotent, so asking again
// is harmless; but a burst of claims is best left alone while answers come, so
// then a claim is not asked about again before resendCeil.
func (s *Shard) resendClaims() {
	for c := s.claims.head; c != nil; c = s.claims.head {
		wait := min(max(resendFloor, 3*s.srtt)<<min(c.tries, 7), resendCeil)
		silent := min(s.now-c.sentAt, s.now-s.answeredAt)
		if silent < wait && s.now-c.sentAt < resendCeil {
			return
		}
		s.claims.remove(c)
		s.claims.push(c)
		if c.res.state == claimed {
			c.tries = min(c.tries, 254) + 1
			s.stats.NotifyResent++
			s.notify(c)
		} else {
			c.sentAt = s.now // adopting: the master's answer is on its way
		}
	}
}

func (s *Shard) onConfirm(hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	switch {
	case r != nil && r.state == claimed && (r.life == m.Life || s.errs(AnyAnswer)):
		s.confirm(r)
	case r != nil && r.state == adopting && r.life == m.Life:
		r.claim.recorded = true // of a NOTIFY that was sent twice; the adoption will tell
	case r != nil && r.mastered() && r.life == m.Life:
		s.stats.Ignored++ // confirmed by other means
	default: // the directory has recorded a life that ended meanwhile
		s.sendBare(s.dirOfName(hash, m.Name), &wire.Msg{Type: wire.Remove, Name: m.Name, Life: m.Life})
	}
}
