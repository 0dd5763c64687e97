package lockspace

import (
	"github.com/lockify-dlm/lockify/wire"
)

// Fence ends this shard's part in the cluster, for good: the node is no member
// any more, or cannot be sure to be one. All its locks are lost, nothing is
// granted, and what the outbox holds back is discarded, not sent: others may
// hold by now what it would give away. Claims stay open, so that no Barrier
// succeeds.
func (s *Shard) Fence(now int64) {
	if s.fenced {
		return
	}
	s.now = now
	if s.errs(FlushAtFence) {
		for h := s.outbox.head; h != nil; h = h.next {
			for i := range h.msgs {
				s.host.Send(h.to, &h.msgs[i])
			}
		}
	}
	s.fenced, s.lastFrom = true, noInstance
	var own []*Lock
	s.locks.each(func(l *Lock) {
		if s.local(l) {
			own = append(own, l)
		}
	})
	s.names, s.locks = resTable{}, lockTable{}
	s.outbox, s.idle, s.claims = outbox{}, idleList{}, claimList{}
	s.recs, s.futures, s.members, s.doomed = nil, nil, nil, nil
	s.kept, s.reported, s.keptBytes, s.recovering, s.work = 0, 0, 0, false, work{}
	for _, lock := range s.retirements() {
		t := s.retires[lock]
		if o, ok := t.user.(renamed); ok {
			t.user, lock = o.user, o.id
		}
		s.ast = Completion{Status: wire.Cancelled, Mode: NoMode}
		s.host.Complete(t.user, lock, t.tag, &s.ast)
	}
	s.retires = nil
	s.wills, s.timers, s.timerOf = nil, nil, nil
	s.pending = 0
	s.fenceRanges()
	for _, l := range own {
		s.fenceBytes(l)
		if l.orphan && l.wanted == NoMode {
			continue // nobody's
		}
		if l.wanted != NoMode {
			s.ast = Completion{Status: wire.LostLock, Mode: NoMode}
			s.host.Complete(l.user, s.handle(l), l.tag, &s.ast)
		}
		if l.granted != NoMode {
			s.stats.LocksLost++
			s.host.Lost(l.user, s.handle(l))
		}
	}
	s.orphans, s.handles, s.byHandle = nil, nil, nil
	s.deadlocks = deadlocks{}
}

// Fenced says that this shard takes no part any more.
func (s *Shard) Fenced() bool { return s.fenced }
