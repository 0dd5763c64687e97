package lockspace

import (
	"maps"
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the end of a name by the word of who deletes what it stands for
// (finding 2). Its master forgets the name at once, not when it has been idle
// for long enough, and the directory node acknowledges that. Until then a number
// of the claim sequence is open at the deleter's node. So whatever it lets go
// afterwards, such as the lock of an allocator, waits for the acknowledgement,
// and whoever is handed the name to use it again finds it fresh.
//
//	deleter                  master                    directory
//	   |  UNLOCK, Retire flag  |  RETIRE (as REMOVE)      |
//	   |---------------------->|------------------------->|
//	   |<--------------------- RETIRED -------------------|
//
// RETIRED comes from the master itself if it is the directory, or if the name
// is in use. Which of the three are one node does not matter.

// retirement is what the deleter's node remembers.
type retirement struct {
	user    any
	tag     uint64
	num     uint64    // in the claim sequence
	fence   uint64    // what is sent for it waits for claims up to this one, not for num itself
	life    wire.Life // of the name; who answers for another one is late
	pending *resource // the claim of the name is open; it must be settled first
}

// Retire gives up a lock held in EX, as Unlock, and ends its name unless others
// hold or want locks on it: the lock is gone in any case. The outcome goes to
// Host.Complete with the lock's id: Unlocked, InUse, or Cancelled if the members
// changed meanwhile, so that it is not known. Until then all that this node
// lets go is held back. Returned at once, with nothing changed: NoLock, BadFlags
// (another mode, or flags besides Retire, ValBlk and IvValBlk), BadValue, Busy,
// Limit (too many claims are open).
func (s *Shard) Retire(now int64, id uint64, flags uint32, value []byte, user any, tag uint64) Status {
	s.now = now
	l := s.own(id)
	switch {
	case l == nil:
		return wire.NoLock
	case flags&^(Retire|ValBlk|IvValBlk) != 0:
		return wire.BadFlags
	case len(value) > s.cfg.ValueLen:
		return wire.BadValue
	case l.wanted != NoMode:
		return wire.Busy
	case l.granted != EX:
		return wire.BadFlags
	}
	fence := s.common.LastClaim()
	num, ok := s.common.OpenClaim()
	if !ok {
		return wire.Limit
	}
	t := &retirement{user: user, tag: tag, num: num, fence: fence, life: l.res.life}
	if s.retires == nil {
		s.retires = map[uint64]*retirement{}
	}
	s.retires[id] = t
	s.retireOwn(l, id, t, flags|Retire, value)
	s.finish()
	return wire.OK
}

// retireOwn begins a retirement by what this node is to the name.
func (s *Shard) retireOwn(l *Lock, id uint64, t *retirement, flags uint32, value []byte) {
	r := l.res
	s.reclaim(l)
	if id != l.id { // RETIRED names the lock as other nodes know it
		delete(s.retires, id)
		s.retires[l.id] = t
		t.user = renamed{t.user, id}
		id = l.id
	}
	switch r.state {
	case master, claimed:
		if r.state == claimed {
			s.awaitClaim(t, id, r)
		}
		s.unlock(l, flags&^Retire, value)
		if t.pending == nil {
			s.retireHere(r, s.cfg.Self, id, t)
		} else if !r.noLocks() {
			s.endRetirement(id, wire.InUse)
		}
	case adopting:
		s.awaitClaim(t, id, r)
		s.before = fenceBefore(t.fence)
		s.unlock(l, flags&^Retire, value)
		s.before = 0
		if !r.noLocks() {
			s.endRetirement(id, wire.InUse)
		}
	case remote:
		s.before = fenceBefore(t.fence)
		s.unlock(l, flags, value)
		s.before = 0
		if s.off(RetireBlind) {
			s.endRetirement(id, wire.Unlocked)
		}
	default: // the master is gone, and who knows what others hold
		s.unlock(l, flags&^Retire, value)
		s.endRetirement(id, wire.Cancelled)
	}
}

// awaitClaim lets a retirement wait until the claim of its name is settled.
func (s *Shard) awaitClaim(t *retirement, lock uint64, r *resource) {
	s.failRetirements(r) // an earlier one: the name has been used since
	t.pending = r
	r.traits.set(ending, true)
	s.unsettled = append(s.unsettled, lock)
}

// renamed is the user of a lock that he knows by another id than the nodes do.
type renamed struct {
	user any
	id   uint64
}

// fenceBefore makes a bound on the fence of what is sent: 0 is none.
func fenceBefore(fence uint64) uint64 { return fence + 1 }

// retireHere is the master's part: it ends the name if nobody uses it. t is nil
// if the deleter is another node. Then nothing of this node has been let go
// since the deleter's lock was granted, which had waited for the fence, and the
// end needs no fence of its own: with one, two nodes that delete what the other
// masters would wait for each other (finding 6).
func (s *Shard) retireHere(r *resource, deleter, lock uint64, t *retirement) {
	dir, life := s.dirOf(r), r.life
	k := s.rangeOf(r.name())
	switch {
	case !r.noLocks() || len(r.early) != 0:
		s.answerRetire(r, deleter, lock, life, wire.InUse)
		return
	case r.state != master || r.removal != nil || s.registering(r) || r.rec != nil || k != nil && k.leaving():
		s.answerRetire(r, deleter, lock, life, wire.Cancelled)
		return
	case dir == s.self:
		if s.sameLife(r.dirLife, life) {
			r.dirLife = wire.Life{}
		}
		s.answerRetire(r, deleter, lock, life, wire.Unlocked)
		s.idle.remove(r)
		s.removed(r)
		return
	}
	s.idle.remove(r)
	gate := ungated
	if t != nil {
		gate, s.before = s.unless(NoGateRemove), fenceBefore(t.fence)
	}
	s.send(r, dir, &wire.Msg{Type: wire.Retire, Life: life, Lock: lock, Instance: deleter}, gate)
	s.before = 0
	if h := r.lastHeld(dir); h != nil && h.msgs[len(h.msgs)-1].Type == wire.Retire {
		s.rarely(r).removal = h // it can still be taken back
	} else {
		s.removed(r)
	}
	if t != nil && s.off(RetireBlind) {
		s.endRetirement(lock, wire.Unlocked)
	}
}

// answerRetire tells the deleter how it ended.
func (s *Shard) answerRetire(r *resource, deleter, lock uint64, life wire.Life, st Status) {
	if deleter == s.cfg.Self {
		s.endRetirement(lock, st)
		return
	}
	s.sendBare(wire.NodeOf(deleter), &wire.Msg{Type: wire.Retired, Name: r.name(), Life: life, Lock: lock, Status: st})
}

// retireCopy is an UNLOCK of another node that retires the name.
func (s *Shard) retireCopy(r *resource, owner uint64, m *wire.Msg) {
	if m.Flags&Retire != 0 {
		s.retireHere(r, owner, m.Lock, nil)
	}
}

// refuseRetire answers such an UNLOCK that meets no lock: the deleter's claim was
// wrong, or the view has changed.
func (s *Shard) refuseRetire(owner uint64, m *wire.Msg) {
	if m.Type == wire.Unlock && m.Flags&Retire != 0 {
		s.sendBare(wire.NodeOf(owner), &wire.Msg{
			Type: wire.Retired, Name: m.Name, Life: m.Life, Lock: m.Lock, Status: wire.Cancelled,
		})
	}
}

// onRetire is the directory node's part: REMOVE with an acknowledgement. If
// another life is on record the retired one has ended before, which is as good.
func (s *Shard) onRetire(hash uint64, m *wire.Msg) {
	if s.cfg.Range != 0 {
		if dir := s.dirOfName(hash, m.Name); dir != s.self {
			c := relayOf(m.Life.Instance, m)
			c.Other.Instance = m.Instance
			s.stats.Relayed++
			s.sendBare(dir, &c)
			return
		}
	}
	if r := s.find(hash, m.Name); r != nil && s.sameLife(r.dirLife, m.Life) {
		r.dirLife = wire.Life{}
		s.release(r)
	}
	if m.Instance == s.cfg.Self {
		s.onRetired(&wire.Msg{Life: m.Life, Lock: m.Lock, Status: wire.Unlocked})
		return
	}
	s.sendBare(wire.NodeOf(m.Instance), &wire.Msg{
		Type: wire.Retired, Name: m.Name, Life: m.Life, Lock: m.Lock, Status: wire.Unlocked,
	})
}

func (s *Shard) onRetired(m *wire.Msg) {
	if t := s.retires[m.Lock]; t == nil || t.pending != nil || t.life != m.Life {
		s.stats.Ignored++
		return
	}
	s.endRetirement(m.Lock, m.Status)
}

// endRetirement reports the outcome and lets go what has waited for it.
func (s *Shard) endRetirement(lock uint64, st Status) {
	t := s.retires[lock]
	if t == nil {
		return // a test does not wait for the acknowledgement
	}
	delete(s.retires, lock)
	if st == wire.Unlocked {
		s.stats.Retired++
	}
	s.common.CloseClaim(t.num)
	user := t.user
	if o, ok := user.(renamed); ok {
		user, lock = o.user, o.id
	}
	s.ast = Completion{Status: st, Mode: NoMode}
	s.host.Complete(user, lock, t.tag, &s.ast)
	s.releaseHeld()
}

// endingBefore bounds the fence of what stands before the RETIRE of a name whose claim has
// just been settled: that waits for the retirement itself otherwise. 0: there is none.
func (s *Shard) endingBefore(r *resource) uint64 {
	for _, lock := range s.unsettled {
		if t := s.retires[lock]; t != nil && t.pending == r && r.traits.has(ending) {
			return fenceBefore(t.fence)
		}
	}
	return 0
}

// failRetirements ends those that have waited for a claim that was wrong.
func (s *Shard) failRetirements(r *resource) {
	for _, lock := range s.unsettled {
		if t := s.retires[lock]; t != nil && t.pending == r {
			s.endRetirement(lock, wire.InUse)
		}
	}
}

// settleRetirements goes on with those whose claim is settled. It ends each
// entry point, so that nobody is in the middle of something with the name.
func (s *Shard) settleRetirements() {
	list := s.unsettled
	s.unsettled = s.unsettled[:0]
	for _, lock := range list {
		t := s.retires[lock]
		if t == nil {
			continue
		}
		switch r := t.pending; {
		case r.state == claimed, r.state == adopting:
			s.unsettled = append(s.unsettled, lock)
		case !r.traits.has(ending): // what has been let go of it since waits for more than the retirement may
			s.endRetirement(lock, wire.InUse)
		case r.state == master:
			t.pending, t.life = nil, r.life
			s.retireHere(r, s.cfg.Self, lock, t)
		case r.state == remote && r.noLocks(): // adopted, and given up behind that
			t.pending, t.life = nil, r.life
			s.before = fenceBefore(t.fence)
			s.send(r, r.life.Node(), &wire.Msg{
				Type: wire.Retire, Life: r.life, Lock: lock, Instance: s.cfg.Self,
			}, gated)
			s.before = 0
		default:
			s.endRetirement(lock, wire.InUse)
		}
	}
}

// retirements gives the locks of all retirements, in a fixed order.
func (s *Shard) retirements() []uint64 {
	if len(s.retires) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(s.retires))
}

// retireAdopted is the master's part for a name whose deleter it has adopted. Its
// own locks may have come and gone since. That would need a fence.
func (s *Shard) retireAdopted(from, hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	if !s.serves(r, m.Life) || s.common.ClosedTo() < s.common.LastClaim() {
		s.sendBare(wire.NodeOf(from), &wire.Msg{
			Type: wire.Retired, Name: m.Name, Life: m.Life, Lock: m.Lock, Status: wire.Cancelled,
		})
		return
	}
	s.retireHere(r, from, m.Lock, nil)
}

// dropRetirements ends all: the members have changed, and nobody can tell what
// has become of them.
func (s *Shard) dropRetirements() {
	for _, lock := range s.retirements() {
		s.endRetirement(lock, wire.Cancelled)
	}
}

// takeBack answers a retirement whose RETIRE has not left the outbox: somebody
// has come who wants the name.
func (s *Shard) takeBack(r *resource, m *wire.Msg) {
	s.answerRetire(r, m.Instance, m.Lock, m.Life, wire.InUse)
}
