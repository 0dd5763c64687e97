package node

import (
	"time"
	"unsafe"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is the way of a program that waits in its place, in the node's process: what is
// over at once is done in the shard by its own goroutine, and no Op is made for it.

// LockHere asks for a new lock, for who waits in his place. q is for lockspace.Shard.Lock, with User an
// Owner; ID, Name and Hash are set here. wait is how long the request may wait; 0: for ever. The lock's
// id is in *id before anybody else knows of the lock. The outcome goes to Owner.Complete, perhaps before
// LockHere returns, which does not block; whatever is wrong is said there, too. done says that it is granted already, as *q.Here says, and that
// Owner.Complete is not called for that; no method of the owner is, before *q.Here is written.
// asked is the node that the request waits for, if that is known; see Node.WatchPeer.
func (s *Space) LockHere(q *lockspace.Request, name string, wait time.Duration, id *uint64) (done bool, asked uint16) {
	q.Name = bytesOf(name)
	q.Hash = lockspace.Hash(q.Name)
	r := s.runnerOf(q.Name, q.Hash)
	if !r.spinEnter() {
		*id = r.newID()
		r.post(lockOp(q, wait, *id), nil)
		return false, 0
	}
	r.drain() // what came before goes first
	start := r.begin()
	now := r.rough()
	st := r.space.refuses()
	if st == wire.OK {
		r.sketch.request(now, q.Hash, q.Name)
		*id, st = r.shard.Lock(now, q)
	}
	if !q.Granted {
		r.settle(lockOp(q, wait, *id), st)
		asked = r.shard.Asked(*id)
	}
	r.end(start)
	r.leave(nil)
	return q.Granted, asked
}

// lockOp makes an operation of a request that is not over at once.
func lockOp(q *lockspace.Request, wait time.Duration, id uint64) *Op {
	return &Op{
		kind: opLock, mode: q.Mode, flags: q.Flags, id: id, tag: q.Tag, xid: q.Owner, wait: int64(wait), hash: q.Hash,
		owner: q.User.(Owner), name: q.Name,
	}
}

// UnlockHere is Unlock for who waits in his place. done says that the lock is unlocked
// already, and that owner.Complete is not called.
func (s *Space) UnlockHere(owner Owner, id uint64, flags uint32, value []byte, tag uint64) (done bool) {
	n := lockspace.ShardOfLock(id)
	if n >= len(s.runners) || flags&lockspace.Retire != 0 {
		s.Unlock(owner, id, flags, value, tag)
		return false
	}
	r := s.runners[n]
	if !r.spinEnter() {
		r.post(unlockOp(owner, id, flags, value, tag), nil)
		return false
	}
	r.drain()
	start := r.begin()
	st := r.shard.Unlock(r.rough(), id, flags, value)
	if st != wire.OK {
		r.refuse(unlockOp(owner, id, flags, value, tag), st)
	}
	r.end(start)
	r.leave(nil)
	return st == wire.OK
}

func unlockOp(owner Owner, id uint64, flags uint32, value []byte, tag uint64) *Op {
	return &Op{kind: opUnlock, flags: flags, id: id, tag: tag, owner: owner, value: value}
}

// bytesOf views a string as bytes that nobody writes to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
