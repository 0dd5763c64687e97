package lockspace

import "github.com/lockify-dlm/lockify/lockspace/byterange"

// This file lets people look at a shard in small pieces, so that it is not held up. The
// shard must not be entered while one of its methods runs.

// Find describes one name; ok is false where this node knows nothing of it.
func (s *Shard) Find(hash uint64, name []byte) (i ResourceInfo, ok bool) {
	r := s.names.find(hash, name)
	if r == nil {
		return ResourceInfo{}, false
	}
	return s.info(r), true
}

// Page calls f for the names at places from at on, until it returns false or n places
// have been looked at, and gives where to go on, 0: nowhere. A name keeps its place as
// long as the shard knows it, so whoever goes through all places, from 0 on, meets each
// name once that was there all the time.
func (s *Shard) Page(at uint32, n int, f func(ResourceInfo) bool) (next uint32) {
	slab := &s.names.slab
	for ; at < slab.n && n > 0; n-- {
		r := slab.at(at)
		at++
		if r.state != freed && !f(s.info(r)) {
			break
		}
	}
	if at >= slab.n {
		return 0
	}
	return at
}

// OwnLock is a lock that somebody has, or wants, through this node.
type OwnLock struct {
	ID      uint64
	Handle  uint64 // what its user calls it
	User    any    // Request.User
	Owner   uint64 // Request.Owner
	Orphan  bool   // its program is gone
	Granted Mode
	Wanted  Mode   // NoMode: nothing is waited for
	Since   int64  // when the running operation began, else when it was granted; this node's ns
	Name    []byte // points into the shard
}

// ownLock describes l, a lock of this node.
func (s *Shard) ownLock(l *Lock) OwnLock {
	return OwnLock{
		ID: l.id, Handle: s.handle(l), User: l.user, Owner: l.xid(), Orphan: l.orphan && !l.takenOver(),
		Granted: l.granted, Wanted: l.wanted, Since: l.since, Name: l.res.name(),
	}
}

// FindOwn gives a lock of this node by the id that LockInfo has; ok is false where
// there is none.
func (s *Shard) FindOwn(id uint64) (o OwnLock, ok bool) {
	l := s.locks.find(s.cfg.Self, id)
	if l == nil || l.res == nil {
		return OwnLock{}, false
	}
	return s.ownLock(l), true
}

// PageOwn is Page for the locks of this node. f may keep nothing of what it is given.
func (s *Shard) PageOwn(at uint32, n int, f func(OwnLock) bool) (next uint32) {
	slab := &s.locks.slab
	for ; at < slab.n && n > 0; n-- {
		l := slab.at(at)
		at++
		if l.res != nil && s.local(l) && !l.dying && !f(s.ownLock(l)) {
			break
		}
	}
	if at >= slab.n {
		return 0
	}
	return at
}

// ByteWaits calls f for each byte range of a name that the owner of a request, on this
// node, waits for.
func (s *Shard) ByteWaits(owner uint64, f func(name []byte, q *byterange.Request)) {
	for w := s.deadlocks.owners[owner]; w != nil; w = w.mate {
		if w.bytes != nil {
			f(w.lock.res.name(), w.bytes)
		}
	}
}

// Waiting says that an operation of a lock of this node is running; id is what its user
// calls it.
func (s *Shard) Waiting(id uint64) bool {
	l := s.called(id)
	return l != nil && l.wanted != NoMode
}

// Asked gives the node that the running operation of a lock of this node waits for, if it is
// known; 0: none. id is what the lock's user calls it.
func (s *Shard) Asked(id uint64) uint16 {
	l := s.called(id)
	if l == nil || l.wanted == NoMode || l.res.state != remote {
		return 0
	}
	return l.res.life.Node()
}

// FindHandle is FindOwn by what its user calls a lock, if somebody has it.
func (s *Shard) FindHandle(id uint64) (o OwnLock, ok bool) {
	l := s.called(id)
	if l == nil {
		return OwnLock{}, false
	}
	return s.ownLock(l), true
}
