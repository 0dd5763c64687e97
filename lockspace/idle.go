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
}

// idleList holds them, the one unused for longest first. A place is a number, as each name
// has room for one and most names are in use.
type idleList struct {
	head, tail, free uint32
	n                int
	places           slab[idleName] // the first is nobody's
}

// IdleShare says how long an unused name stays cached when there are too many of them: for
// so great a part of Config.IdleAfter, 1/32. The idle test of an adoption counts on it.
const IdleShare = 32

// cachedAlone is what all shards of a node alone have for Config.Cached, but each at most half of it: what
// a second-level cache of 1 MiB holds. There the idle test has nothing to ask, as a node that joins
// makes its first claim later, and a name costs nothing to make again.
const cachedAlone = 1 << 11

// first gives the name unused for longest, nil: there is none.
func (q *idleList) first() *idleName {
	if q.head == 0 {
		return nil
	}
	return q.places.at(q.head)
}

// after gives the one behind n, nil: n is the last one.
func (q *idleList) after(n *idleName) *idleName {
	if n.next == 0 {
		return nil
	}
	return q.places.at(n.next)
}

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
	at := q.place()
	n := q.places.at(at)
	n.name, n.since, n.fence, n.prev, n.next = r.at, now, fence, q.tail, 0
	r.idle = at
	if q.tail != 0 {
		q.places.at(q.tail).next = at
	} else {
		q.head = at
	}
	q.tail = at
	q.n++
}

func (q *idleList) remove(r *resource) {
	at := r.idle
	if at == 0 {
		return
	}
	r.idle = 0
	n := q.places.at(at)
	if n.prev != 0 {
		q.places.at(n.prev).next = n.next
	} else {
		q.head = n.next
	}
	if n.next != 0 {
		q.places.at(n.next).prev = n.prev
	} else {
		q.tail = n.prev
	}
	n.next, q.free = q.free, at
	q.n--
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
	for n := s.idle.first(); n != nil && s.now-n.since >= s.cfg.IdleAfter; n = s.idle.first() {
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

// trimIdle removes the names unused for longest, when there are too many. One with a value
// has all its time.
func (s *Shard) trimIdle() {
	most, least := s.cfg.Cached, s.cfg.IdleAfter/IdleShare
	if len(s.members) == 0 {
		most, least = min(most, cachedAlone/2, cachedAlone/s.cfg.Shards), 0
	}
	for s.idle.n > most {
		n := s.idle.first()
		r := s.idleAt(n)
		if s.now-n.since < least || r.valueOK || r.turn != s.turn || s.registering(r) {
			return
		}
		s.forget(r)
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
	return s.idle.head == 0 && s.claims.head == nil && s.outbox.head == nil && len(s.timers) == 0 && s.deadlocks.n == 0
}
