package node

import "time"

// A lease is what lets a node act between two views: as long as it lasts, the others
// do not go on without the node. It is looked at whenever a shard is entered, before
// anything is done there: a process that was stopped for longer finds itself fenced
// before it grants anything.

// SetLease says until when this node may act; it can only be called with times that
// rise. A node starts without an end, which is right where the membership is fixed.
func (n *Node) SetLease(until time.Time) { n.lease.Store(int64(until.Sub(n.base))) }

// now is the time for the shard. It fences the shard whose node's lease has run out.
func (r *runner) now() int64 {
	now := r.node.now()
	if now >= r.node.lease.Load() && !r.shard.Fenced() {
		r.shard.Fence(now)
		go r.node.leaseOver()
	}
	return now
}

func (n *Node) leaseOver() { n.Fence(ErrFenced) }
