package lockspace

import "github.com/lockify-dlm/lockify/wire"

// A resource that nobody uses through this node stays cached for a while, so
// that the next lock on it costs nothing, and is then removed: invariant 6 of
// the design, no leaks.

// idleName is a name in the list of those that nobody uses.
type idleName struct {
	since      int64
	fence      uint64 // the last claim that had begun by then: see forget
	name       uint32 // resource.at
	prev, next uint32 // places, 0: none; of free ones: only next
	kept       bool   // it is in that chain
}

// idleList holds them. A place is a number, as each name has room for one and most names are
// in use.
type idleList struct {
	unused chain // all others
	kept   chain // names with a value that trimIdle has passed by
	free   uint32
	places slab[idleName] // the first is nobody's
}

// chain is some of them, the one unused for longest first.
type chain struct {
	head, tail uint32
	n          int
}

// IdleShare says how long an unused name stays cached when there are too many of them: for
// so great a part of Config.IdleAfter, 1/32. The idle test of an adoption counts on it.
const IdleShare = 32

// cachedAlone is what all shards of a node alone have for Config.Cached, but each at most half of it: what
// a second-level cache of 1 MiB holds. There the idle test has nothing to ask, as a node that joins
// makes its first claim later, and a name costs nothing to make again.
const cachedAlone = 1 << 11

// trimMany is how many names trimIdle removes at once, at most. With more, who comes to the shard
// meanwhile would wait for longer than he tries to get in.
const trimMany = 4

// at gives what is in a place, nil: it is nobody's.
func (q *idleList) at(place uint32) *idleName {
	if place == 0 {
		return nil
	}
	return q.places.at(place)
}

// after gives the one behind n in its chain, nil: n is the last one.
func (q *idleList) after(n *idleName) *idleName { return q.at(n.next) }

// len is how many names are unused.
func (q *idleList) len() int { return q.unused.n + q.kept.n }

// place gives an empty place.
func (q *idleList) place() uint32 {
	if at := q.free; at != 0 {
		q.free = q.places.at(at).next
		return at
	}
	if q.places.n == 0 {
		q.places.add()
	}
	q.places.add()
	return q.places.n - 1
}

func (q *idleList) push(r *resource, now int64, fence uint64) {
	r.idle = q.place()
	n := q.places.at(r.idle)
	n.name, n.since, n.fence = r.at, now, fence
	q.link(&q.unused, r.idle)
}

// link puts a place at the end of a chain.
func (q *idleList) link(c *chain, at uint32) {
	n := q.places.at(at)
	n.prev, n.next = c.tail, 0
	if c.tail != 0 {
		q.places.at(c.tail).next = at
	} else {
		c.head = at
	}
	c.tail = at
	c.n++
}

// unlink takes a place out of its chain.
func (q *idleList) unlink(at uint32) {
	n, c := q.places.at(at), &q.unused
	if n.kept {
		c = &q.kept
	}
	if n.prev != 0 {
		q.places.at(n.prev).next = n.next
	} else {
		c.head = n.next
	}
	if n.next != 0 {
		q.places.at(n.next).prev = n.prev
	} else {
		c.tail = n.prev
	}
	c.n--
}

// keep has r pass by those that trimIdle may remove. Who is kept later is not unused for longer.
func (q *idleList) keep(r *resource) {
	q.unlink(r.idle)
	q.places.at(r.idle).kept = true
	q.link(&q.kept, r.idle)
}

func (q *idleList) remove(r *resource) {
	at := r.idle
	if at == 0 {
		return
	}
	r.idle = 0
	q.unlink(at)
	*q.places.at(at) = idleName{next: q.free}
	q.free = at
}

// idleAt gives the name of a place in the list.
func (s *Shard) idleAt(n *idleName) *resource { return s.names.slab.at(n.name) }

// maybeIdle starts the idle time of a resource whose last lock has gone.
func (s *Shard) maybeIdle(r *resource) {
	if r.idle != 0 || r.removal != nil || (r.state != master && r.state != remote) || !r.noLocks() && !s.errs(RemoveInUse) {
		return
	}
	s.idle.push(r, s.now, s.common.LastClaim())
}

// reused is called when requests have been let in one by one: while they were in no
// queue, the end of one may have started the idle time.
func (s *Shard) reused(r *resource) {
	s.idle.remove(r)
	s.maybeIdle(r)
}

// expireIdle removes what has been unused for long enough.
func (s *Shard) expireIdle() {
	s.expireChain(&s.idle.unused)
	s.expireChain(&s.idle.kept)
}

func (s *Shard) expireChain(c *chain) {
	for n := s.idle.at(c.head); n != nil && s.now-n.since >= s.cfg.IdleAfter; n = s.idle.at(c.head) {
		r := s.idleAt(n)
		if r.turn != s.turn {
			s.touch(r) // which may end its being idle
			continue
		}
		if s.registering(r) {
			return // with all behind it; it is not for long
		}
		s.forget(r)
	}
}

// trimIdle removes the names unused for longest, when there are too many: some at a time. One
// with a value has all its time. One that others may only hear of when a claim is closed stays where
// it is: the message would have to wait, and all hurry for it.
func (s *Shard) trimIdle() {
	most, least := s.cfg.Cached, s.cfg.IdleAfter/IdleShare
	if len(s.members) == 0 {
		most, least = min(most, cachedAlone/2, cachedAlone/s.cfg.Shards), 0
	}
	many := min(trimMany, most)
	if s.idle.unused.n < most+many {
		return
	}
	fetched := false
	for range many {
		n := s.idle.at(s.idle.unused.head)
		r := s.idleAt(n)
		switch {
		case s.now-n.since < least || s.common.ClosedTo() < n.fence || r.turn != s.turn || s.registering(r):
			return
		case r.valueOK:
			s.idle.keep(r)
			continue
		}
		if !fetched {
			s.fetchIdle()
			fetched = true
		}
		s.forget(r)
	}
}

// fetchIdle reads what it takes to forget the first names, which lies in no cache any more: so
// all of it is waited for together, as in Expect.
func (s *Shard) fetchIdle() {
	var hashes [trimMany]uint64
	var names [trimMany]uint32
	for i, n := 0, s.idle.at(s.idle.unused.head); i < trimMany && n != nil; i, n = i+1, s.idle.after(n) {
		names[i] = n.name
	}
	for i, at := range names {
		r := s.names.slab.at(at)
		hashes[i] = r.hash
		s.fetched += r.read()
	}
	mask := uint32(len(s.names.slots) - 1)
	for _, h := range hashes {
		s.fetched += uint64(s.names.slots[slotHash(h)&mask].at)
	}
}

// forget removes r, which is in the list. What others can learn by that was made under a
// lock of r, so before the last one went: the claims of then are what its REMOVE waits for.
// They have mostly been closed since.
func (s *Shard) forget(r *resource) {
	s.before = fenceBefore(s.idle.places.at(r.idle).fence)
	s.idle.remove(r)
	s.remove(r)
	s.before = 0
}

// registering says that r's directory node is not known to have recorded this
// node as master. r must not be removed before: who hears of that from here
// could ask the directory node before the REG arrives there, which then finds
// another master.
func (s *Shard) registering(r *resource) bool {
	if r.state != master || !r.traits.has(ackDue) || s.off(RemoveUnrecorded) {
		return false
	}
	r.traits.set(ackDue, s.openTo(r.ack) < s.view.Epoch)
	return r.traits.has(ackDue)
}

// remove ends this node's part in an unused resource.
func (s *Shard) remove(r *resource) {
	dir := s.dirOf(r)
	switch {
	case r.state == remote:
		s.removed(r)
	case dir == s.self:
		if k := s.rangeOf(r.name()); k != nil && k.leaving() && !s.off(RemoveLeaving) {
			return // its entry moves first: see handover.go
		}
		if s.sameLife(r.dirLife, r.life) {
			r.dirLife = wire.Life{}
		}
		s.removed(r)
	default:
		m := s.newMsg(wire.Remove)
		m.Life = r.life
		s.send(r, dir, m, s.unless(NoGateRemove))
		if h := r.lastHeld(dir); h != nil && h.msgs[len(h.msgs)-1].Type == wire.Remove {
			s.rarely(r).removal = h // it can still be cancelled
			return
		}
		s.removed(r)
	}
}

func (s *Shard) removed(r *resource) {
	r.state, r.life, r.other = unused, wire.Life{}, wire.Life{}
	if r.removal != nil {
		r.removal = nil
	}
	r.valueOK = false
	s.release(r)
}

// cancelRemoval takes back a REMOVE that has not left: the master serves on.
func (s *Shard) cancelRemoval(r *resource) {
	h := r.removal
	if h == nil || s.errs(StickyRemove) {
		return
	}
	r.removal = nil
	for i := len(h.msgs) - 1; i >= 0; i-- {
		if m := h.msgs[i]; m.Type == wire.Remove || m.Type == wire.Retire {
			h.msgs = append(h.msgs[:i], h.msgs[i+1:]...)
			s.outbox.n--
			if m.Type == wire.Retire {
				s.takeBack(r, &m)
			}
			return
		}
	}
}

// Tick lets time pass: unused resources are removed, unanswered claims are
// sent again. The host calls it every few ms.
func (s *Shard) Tick(now int64) {
	s.now = now
	s.releaseHeld()
	s.expireIdle()
	s.resendClaims()
	s.expire()
	s.startProbes()
	s.finish()
}

// Quiet says that Tick has nothing to wait for.
func (s *Shard) Quiet() bool {
	return s.idle.len() == 0 && s.claims.head == nil && s.outbox.head == nil && len(s.timers) == 0 && s.deadlocks.n == 0
}
