package node

import (
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Since when a client holds a lock, or waits, is kept by its session, in ticks: shards
// have no room for it, and nobody reads a clock for it.

// changes notes that conversion req waits. It is called inside the shard.
func (sp *sessionSpace) changes(id, req uint64) {
	s := sp.session
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := sp.locks[id]
	if !ok || l.waiting || l.changes {
		return
	}
	l.req, l.at, l.changes = req, s.node.ticks.Load(), true
	sp.locks[id] = l
	sp.waiting[req] = id
}

// granted notes that request tag for lock id has ended, and the lock is there. session.mu
// is held.
func (sp *sessionSpace) granted(id, tag uint64, l clientLock, c *lockspace.Completion) {
	now := sp.session.node.ticks.Load()
	switch {
	case l.changes && l.req != tag: // another one was refused at once
	case l.waiting, l.changes, c.Status == wire.OK && l.at != now:
		sp.locks[id] = clientLock{at: now}
	}
}

// since gives for how long a lock has been as it is, ok: if that is known.
func (sp *sessionSpace) since(id uint64) (d time.Duration, ok bool) {
	s := sp.session
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := sp.locks[id]
	return s.node.ticksAgo(l.at), ok
}

// ticksAgo gives the time since a tick.
func (n *Node) ticksAgo(at uint32) time.Duration {
	return time.Duration(n.ticks.Load()-at) * tickTime
}
