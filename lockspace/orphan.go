package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is locks without a program. A PERSISTENT lock whose program goes
// becomes an orphan of its node: granted as before, with nobody to hear of it.
// A request with ORPHAN takes it over (dlm_user_adopt_orphan), Purge ends it
// (do_purge). To everybody else on this node an orphan's id means nothing.
//
// To take a lock over is a conversion to the mode that it has, so that every
// state of the resource, every message and every overlap is one that exists
// already; and so the master gives the new holder a token of his own.

// Abandon is the end of the program that has lock id. The lock goes, with what
// it waits for (ForceUnlock); if its last request was PERSISTENT it stays, in
// the mode that is granted when its running operation has been withdrawn.
// owner names the program to Purge. Returns OK or NoLock.
func (s *Shard) Abandon(now int64, id, owner uint64) Status {
	s.now = now
	l := s.own(id)
	switch {
	case l == nil:
		return wire.NoLock
	case l.flags&Persistent == 0, l.hasBytes(): // byte ranges end with their program
		s.reclaim(l)
		s.forceUnlock(l, 0, nil)
	default:
		s.orphan(l, owner)
	}
	s.finish()
	return wire.OK
}

// orphan leaves l to nobody.
func (s *Shard) orphan(l *Lock, owner uint64) {
	if s.orphans == nil {
		s.orphans = map[uint64]uint64{}
	}
	s.orphans[l.id] = owner
	l.orphan, l.wantBast = true, false
	l.flags &^= Orphan // should it be that of a takeover, that is off
	if l.wanted != NoMode {
		s.withdraw(l)
		return
	}
	s.disown(l)
}

// disown takes the user off an orphan, once nothing is left to tell him. It may be the one who
// wanted to take it over.
func (s *Shard) disown(l *Lock) {
	l.user, l.wantBast = nil, false
	s.dropHandle(l)
}

// reclaim makes an ordinary lock of an orphan.
func (s *Shard) reclaim(l *Lock) {
	if l.orphan {
		l.orphan = false
		delete(s.orphans, l.id)
	}
}

// takenOver says that somebody is just taking the orphan l over.
func (l *Lock) takenOver() bool { return l.wanted != NoMode && l.flags&Orphan != 0 }

// takeOver gives an orphan of q's name and mode to q's user. The lock keeps its
// id towards other nodes; its new user knows it by q's. It has no owner for
// deadlock detection any more, at the master neither (onCopy).
func (s *Shard) takeOver(q *Request) (uint64, Status) {
	l, st := s.findOrphan(q)
	if st != wire.OK {
		return 0, st
	}
	id := l.id
	if q.ID != 0 {
		id = q.ID
		s.setHandle(l, id)
	}
	l.user, l.tag = q.User, q.Tag
	l.setXID(0)
	l.listens(q.Flags&WantBast != 0)
	s.beginConvert(l, l.granted, q.Flags&^(ValBlk|NoQueue), nil)
	s.finish()
	return id, wire.OK
}

// findOrphan finds the orphan that q asks for: NoOrphan if the name has none
// on this node, OrphanMode if only in another mode, Busy if its last operation
// is being withdrawn still, or somebody else is taking it over.
func (s *Shard) findOrphan(q *Request) (*Lock, Status) {
	st := wire.NoOrphan
	r := s.find(q.Hash, q.Name)
	if r == nil || len(s.orphans) == 0 {
		return nil, st
	}
	for _, queue := range []*queue{&r.granted, &r.convert} {
		for l := queue.head; l != nil; l = l.next {
			switch {
			case !l.orphan:
			case l.granted != q.Mode:
				if st == wire.NoOrphan {
					st = wire.OrphanMode
				}
			case l.wanted != NoMode:
				st = wire.Busy
			default:
				return l, wire.OK
			}
		}
	}
	return nil, st
}

// completeOrphan reports the operation that ran when its program went, or the
// outcome of a takeover, which alone can end well for its user.
func (s *Shard) completeOrphan(l *Lock) {
	over := l.flags&Orphan != 0
	if over && s.ast.Status == wire.OK {
		s.reclaim(l)
		s.host.Complete(l.user, s.handle(l), l.tag, &s.ast)
		return
	}
	if over { // whatever it was, the lock is not his
		s.ast.Mode, s.ast.Token = NoMode, 0
		l.flags &^= Orphan
	}
	s.host.Complete(l.user, s.handle(l), l.tag, &s.ast)
	s.disown(l)
}

// Orphans says how many locks here, or asked for from here, are nobody's.
func (s *Shard) Orphans() int { return len(s.orphans) }

// Purge unlocks this shard's orphans that owner has left; 0: all.
func (s *Shard) Purge(now int64, owner uint64) {
	s.now = now
	s.purge(owner)
	s.finish()
}

func (s *Shard) purge(owner uint64) {
	var ids []uint64
	for id, o := range s.orphans {
		if owner == 0 || owner == o {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids) // runs are reproducible
	for _, id := range ids {
		if l := s.lock(s.cfg.Self, id); l != nil && !l.takenOver() {
			s.forceUnlock(l, 0, nil)
		}
	}
}

// SendPurge has all shards of a node purge, this node's too. Returns OK, or
// NoNode if there is none of that number.
func (s *Shard) SendPurge(now int64, node uint16, owner uint64) Status {
	s.now = now
	if !s.view.Has(node) {
		return wire.NoNode
	}
	s.msg = wire.Msg{Type: wire.Purge, Instance: owner}
	s.host.Send(node, &s.msg) // for all shards, so that the host has to bring it home, too
	return wire.OK
}

// own finds a lock of this node by the id that its user knows. A lock that is
// on its way out is not his any more, and an orphan is nobody's.
func (s *Shard) own(id uint64) *Lock {
	l := s.locks.find(s.cfg.Self, id)
	if l == nil || l.renamed || l.dying || l.orphan || l.res.turn != s.turn {
		return s.ownStrange(id)
	}
	return l
}

// ownStrange is own for what is not found at once, or not as in most cases.
func (s *Shard) ownStrange(id uint64) *Lock {
	l := s.called(id)
	if l != nil && l.res.turn != s.turn {
		s.touch(l.res)
		l = s.called(id)
	}
	return l
}

// called is own, for a look only.
func (s *Shard) called(id uint64) *Lock {
	l := s.locks.find(s.cfg.Self, id)
	switch {
	case l == nil:
		l = s.byHandle[id]
	case l.renamed:
		return nil // that is not its user's name for it
	}
	if l == nil || l.dying || l.orphan && !l.takenOver() {
		return nil
	}
	return l
}

// User gives the user of a lock of this node; ok is false where there is no
// such lock, or nobody has it.
func (s *Shard) User(id uint64) (user any, ok bool) {
	l := s.called(id)
	if l == nil {
		return nil, false
	}
	return l.user, true
}

// NameOf gives the name that lock id of this node is of, nil if there is no such lock. It is
// not to be kept.
func (s *Shard) NameOf(id uint64) []byte {
	if l := s.called(id); l != nil {
		return l.res.name()
	}
	return nil
}

// handle gives the id by which its user knows a lock.
func (s *Shard) handle(l *Lock) uint64 {
	if l.renamed {
		return s.handles[l.id]
	}
	return l.id
}

func (s *Shard) setHandle(l *Lock, id uint64) {
	if s.handles == nil {
		s.handles, s.byHandle = map[uint64]uint64{}, map[uint64]*Lock{}
	}
	l.renamed = true
	s.handles[l.id], s.byHandle[id] = id, l
}

func (s *Shard) dropHandle(l *Lock) {
	if l.renamed {
		delete(s.byHandle, s.handles[l.id])
		delete(s.handles, l.id)
		l.renamed = false
	}
}
