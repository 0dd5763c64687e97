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
	sentAt     int64  // when NOTIFY or ADOPT was last sent
	token      uint64 // the claim's own
	gone       wire.Life
	tries      uint8
	since      uint8 // set of modes granted since the start, 1<<mode
	written    bool  // the value was written since the start
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
	if r.held != nil || !s.host.MayClaim(dir) {
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
		s.freeClaim = c.next
		*c = claim{}
	} else {
		c = &claim{}
	}
	s.becomeMaster(r, s.newLife())
	// The claim's token stands above all this node has seen, whatever shard
	// saw it: what freed the name may have come through another one.
	s.clock = max(s.clock, s.common.Clock())
	c.res, c.num, c.start, c.token = r, num, s.now, s.nextToken(r)
	r.state, r.claim = claimed, c
	s.stats.ClaimsMade++
	s.claims.push(c)
	s.notify(c)
	return true
}

func (s *Shard) notify(c *claim) {
	c.sentAt = s.now
	r := c.res
	s.send(r, s.view.Directory(r.hash), &wire.Msg{
		Type: wire.Notify, Claim: c.num, Life: r.life, Other: c.gone,
	}, ungated)
}

// closeClaim ends a claim; what waited only for it may leave.
func (s *Shard) closeClaim(r *resource) {
	c := r.claim
	r.claim = nil
	s.claims.remove(c)
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
	s.stats.ClaimsConfirmed++
	r.state = master
	for l := r.granted.head; l != nil; l = l.next {
		s.host.Confirmed(l.user, l.id)
	}
	for l := r.convert.head; l != nil; l = l.next {
		s.host.Confirmed(l.user, l.id)
	}
	s.closeClaim(r)
	s.runDeferred(r)
	s.maybeIdle(r)
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
// is harmless.
func (s *Shard) resendClaims() {
	for c := s.claims.head; c != nil; c = s.claims.head {
		wait := min(max(resendFloor, 3*s.srtt)<<min(c.tries, 7), resendCeil)
		if s.now-c.sentAt < wait {
			return
		}
		s.claims.remove(c)
		s.claims.push(c)
		if c.res.state == claimed {
			c.tries++
			s.stats.NotifyResent++
			s.notify(c)
		} else {
			c.sentAt = s.now // adopting: the master's answer is on its way
		}
	}
}

func (s *Shard) onConfirm(from uint64, hash uint64, m *wire.Msg) {
	r := s.names.find(hash, m.Name)
	switch {
	case r != nil && r.state == claimed && r.life == m.Life:
		s.confirm(r)
	case r != nil && (r.mastered() || r.state == adopting) && r.life == m.Life:
		s.stats.Ignored++ // confirmed by other means, or the adoption will tell
	default: // the directory has recorded a life that ended meanwhile
		s.sendBare(wire.NodeOf(from), &wire.Msg{Type: wire.Remove, Name: m.Name, Life: m.Life})
	}
}

// onReject: somebody else is on record. The usual reason is a re-used name
// whose old master holds nothing any more, so that is asked first.
func (s *Shard) onReject(hash uint64, m *wire.Msg) {
	r := s.names.find(hash, m.Name)
	if r == nil || r.state != claimed || r.life != m.Life || r.claim.num != m.Claim {
		s.stats.Ignored++
		return
	}
	c := r.claim
	r.other = m.Other
	if r.noLocks() && c.since == 0 {
		s.stats.ClaimsConfirmed++
		r.state, r.life = remote, r.other
		s.closeClaim(r)
		s.maybeIdle(r)
		return
	}
	r.state = adopting
	c.sentAt = s.now
	a := wire.Msg{
		Type: wire.Adopt, Claim: c.num, Life: r.other, Other: r.life,
		Token: r.lastToken, Since: c.since, Locks: r.lockList(),
	}
	if c.written && r.valueOK {
		a.Bits, a.Value, a.Seq = wire.BitWritten|wire.BitValue, r.value, r.valueSeq
	} else if c.written {
		a.Bits = wire.BitWritten | wire.BitInvalidate
	}
	s.send(r, r.other.Node(), &a, s.never())
	if s.off(CloseAtReject) {
		s.common.CloseClaim(c.num)
		s.releaseHeld()
	}
}

// lockList encodes the locks of a claimed resource, holders first.
func (r *resource) lockList() wire.LockList {
	var list wire.LockList
	for _, q := range []*queue{&r.granted, &r.convert, &r.waiting} {
		for l := q.head; l != nil; l = l.next {
			list = list.Append(wire.LockRec{
				Lock: l.id, Op: l.op, Flags: l.flags, Granted: uint8(l.granted), Wanted: uint8(l.wanted),
			})
		}
	}
	return list
}

// adoptionAnswer finds the resource whose adoption m answers.
func (s *Shard) adoptionAnswer(hash uint64, m *wire.Msg) *resource {
	r := s.names.find(hash, m.Name)
	if r == nil || r.state != adopting || r.other != m.Life || r.claim.num != m.Claim {
		s.stats.Ignored++
		return nil
	}
	return r
}

// onAdopted: the master has our locks. It ends well only if the master has
// been idle ever since the claim (finding 2) and our token is the newer one.
// Its idle time began no later than our now minus Idle, so no clock offset is
// needed; Drift allows for clocks that run at different speeds.
func (s *Shard) onAdopted(hash uint64, m *wire.Msg) {
	r := s.adoptionAnswer(hash, m)
	if r == nil {
		return
	}
	c := r.claim
	clean := int64(min(m.Idle, 1<<62)) >= s.now-c.start+s.cfg.Drift && r.lastToken > m.Token
	if s.off(NoIdleTest) {
		clean = true
	}
	s.endAdoption(r)
	if clean {
		s.stats.ClaimsAdopted++
		for _, q := range []*queue{&r.granted, &r.convert} {
			for l := q.head; l != nil; l = l.next {
				s.host.Confirmed(l.user, l.id)
			}
		}
	} else {
		s.stats.ClaimsLost++
		s.host.Conflict(r.name(), r.life)
		s.loseHolders(r, true)
	}
	s.runDeferred(r)
	s.deliverEarly(r)
	s.maybeIdle(r)
}

// onConflict: the master could not take our locks.
func (s *Shard) onConflict(hash uint64, m *wire.Msg) {
	r := s.adoptionAnswer(hash, m)
	if r == nil {
		return
	}
	s.endAdoption(r)
	s.stats.ClaimsLost++
	s.host.Conflict(r.name(), r.life)
	s.loseHolders(r, false)
	for l := r.waiting.head; l != nil; {
		next := l.next
		if l.cancel {
			s.denied(l, wire.Cancelled)
		} else {
			l.op++
			s.sendRequest(r, l)
		}
		l = next
	}
	s.runDeferred(r)
	s.deliverEarly(r)
	s.maybeIdle(r)
}

// onAdoptNotMaster: the life on record has ended. The claim stands; NOTIFY
// tells the directory which life is gone.
func (s *Shard) onAdoptNotMaster(r *resource) {
	r.state = claimed
	c := r.claim
	c.gone = r.other
	r.other = wire.Life{}
	s.notify(c)
	for _, q := range []*queue{&r.convert, &r.waiting} {
		for l := q.head; l != nil; {
			next := l.next
			if l.cancel {
				l.unqueue()
				s.denied(l, wire.Cancelled)
			}
			l = next
		}
	}
	s.grantPending(r)
	s.runDeferred(r)
	s.deliverEarly(r)
}

func (s *Shard) endAdoption(r *resource) {
	r.state, r.life, r.other = remote, r.other, wire.Life{}
	r.valueOK = false
	if s.off(CloseAtReject) {
		c := r.claim
		r.claim = nil
		s.claims.remove(c)
		return
	}
	s.closeClaim(r)
}

// loseHolders takes granted locks back from local holders. adopted says that
// the master has copies of them, which go too and leave no valid value.
func (s *Shard) loseHolders(r *resource, adopted bool) {
	for _, q := range []*queue{&r.granted, &r.convert} {
		for l := q.head; l != nil; l = q.head {
			if adopted {
				s.send(r, r.life.Node(), &wire.Msg{
					Type: wire.Unlock, Life: r.life, Lock: l.id, Op: l.op + 1,
					Flags: IvValBlk, Bits: wire.BitInvalidate,
				}, gated)
			}
			s.loseLock(l)
		}
	}
	keep := r.deferred[:0]
	for _, l := range r.deferred {
		if l.id != 0 {
			keep = append(keep, l)
		}
	}
	r.deferred = keep
}

// loseLock ends a granted lock, and the operation that was running on it.
func (s *Shard) loseLock(l *Lock) {
	user, id, tag, busy := l.user, l.id, l.tag, l.wanted != NoMode
	s.freeLockOf(l)
	l.id = 0 // a deferred conversion of it is dropped by loseHolders
	s.stats.LocksLost++
	if busy {
		s.host.Complete(user, id, tag, &Completion{Status: wire.LostLock, Mode: NoMode})
	}
	s.host.Lost(user, id)
}

// runDeferred carries on with what was begun during the adoption, in order.
func (s *Shard) runDeferred(r *resource) {
	list := r.deferred
	r.deferred = nil
	for _, l := range list {
		if l.granted == NoMode {
			s.start(r, l)
			continue
		}
		if r.state == remote {
			s.convertRemote(r, l, l.value)
		} else {
			s.convertHere(r, l, l.value)
		}
	}
}

// onAdopt is the master's side: take over all of a claimant's locks on the
// name, or none.
func (s *Shard) onAdopt(from uint64, hash uint64, m *wire.Msg) {
	r := s.names.find(hash, m.Name)
	if s.notYet(r, from, m) {
		return
	}
	node := wire.NodeOf(from)
	if !s.serves(r, m.Life) {
		s.notMaster(r, node, m)
		return
	}
	answer := wire.Msg{
		Type: wire.Adopted, Claim: m.Claim, Life: r.life, Other: m.Other,
		Token: r.lastToken, Idle: uint64(max(0, s.now-r.busyUntil)),
	}
	if !r.canAdopt(m) {
		answer.Type = wire.Conflict
		s.send(r, node, &answer, s.never())
		s.maybeIdle(r)
		return
	}
	s.idle.remove(r)
	r.lastToken = max(r.lastToken, m.Token)
	if m.Bits&wire.BitWritten != 0 {
		s.writeAdopted(r, m)
	}
	s.send(r, node, &answer, s.never())
	for i := range m.Locks.Len() {
		s.adoptLock(r, from, m.Locks.At(i))
	}
	s.grantPending(r)
	s.maybeIdle(r)
}

func (s *Shard) writeAdopted(r *resource, m *wire.Msg) {
	if m.Bits&wire.BitInvalidate != 0 {
		r.valueOK = false
		return
	}
	s.writeValue(r, ValBlk, m.Value)
}

// canAdopt says whether what the claimant has granted since its claim
// excludes nothing that is held here.
func (r *resource) canAdopt(m *wire.Msg) bool {
	modes := m.Since
	for i := range m.Locks.Len() {
		if g := m.Locks.At(i).Granted; Mode(g).Valid() {
			modes |= 1 << g
		}
	}
	for _, q := range []*queue{&r.granted, &r.convert} {
		for l := q.head; l != nil; l = l.next {
			if modes&^compatible[l.granted] != 0 {
				return false
			}
		}
	}
	return true
}

func (s *Shard) adoptLock(r *resource, owner uint64, rec wire.LockRec) {
	if rec.Granted == wire.NoMode && rec.Wanted == wire.NoMode || s.locks.find(owner, rec.Lock) != nil {
		s.stats.Ignored++
		return
	}
	l := s.newLock(r, owner, rec.Lock)
	l.op, l.flags, l.wantBast = rec.Op, rec.Flags&^bitSilent, rec.Flags&WantBast != 0
	l.granted, l.wanted = Mode(rec.Granted), Mode(rec.Wanted)
	l.token = r.lastToken
	switch {
	case l.granted == NoMode:
		r.waiting.push(l)
	case l.wanted == NoMode:
		r.granted.push(l)
	default:
		r.convert.push(l)
	}
}
