package node

import "github.com/lockify-dlm/lockify/engine"

// A lease is what lets a node act between two views: as long as it lasts, the others
// do not go on without the node. It is looked at whenever a shard is entered, before
// anything is done there: a process that was stopped for longer finds itself fenced
// before it grants anything.
//
// Leases are told in CLOCK_BOOTTIME, which goes on while the machine sleeps. Shards
// look at CLOCK_MONOTONIC, which costs a third of that; on Linux the two differ only
// by suspends. After one, the shards see the end of the lease when whoever runs the
// membership has noticed it (Fence).

// SetLease says until when this node may act, as engine.BootTime. A node starts without an
// end, which is right where the membership is fixed. A lease that has ended stays so.
func (n *Node) SetLease(until int64) {
	at := n.now() // first: a pause between the two readings makes the lease shorter
	at += until - engine.BootTime()
	for {
		old := n.lease.Load()
		if n.now() >= old || n.lease.CompareAndSwap(old, at) {
			return
		}
	}
}

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
