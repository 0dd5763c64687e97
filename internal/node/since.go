package node

import "time"

// Which requests of a client wait, and since when in ticks, is kept by its session, so
// that those that wait for long are found without looking into shards.

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
func (sp *sessionSpace) granted(id, tag uint64, l clientLock) {
	switch {
	case l.changes && l.req != tag: // another one was refused at once
	case l.waiting, l.changes:
		sp.locks[id] = clientLock{}
	}
}

// ticksAgo gives the time since a tick.
func (n *Node) ticksAgo(at uint32) time.Duration {
	return time.Duration(n.ticks.Load()-at) * tickTime
}
