package node

import (
	"fmt"
	"math"

	"github.com/lockify-dlm/lockify/engine"
)

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
		if n.now() >= old {
			return
		}
		if n.lease.CompareAndSwap(old, at) {
			n.until.Store(until)
			return
		}
	}
}

// rough is now for the operations of programs. Where this node is the only one for ever,
// and without a lease, nobody compares when a lock was held: while nobody waits, the time of the last tick will do.
func (r *runner) rough() int64 {
	if r.node.alone && r.node.lease.Load() == math.MaxInt64 && r.shard.Pending() == 0 {
		return r.last
	}
	return r.now()
}

// now is the time for the shard. It fences the shard whose node's lease has run out.
func (r *runner) now() int64 {
	now := r.node.now()
	r.last = now
	if now >= r.node.lease.Load() && !r.shard.Fenced() {
		r.shard.Fence(now)
		go r.node.leaseOver()
	}
	return now
}

func (n *Node) leaseOver() { n.Fence(n.withFailure(errLease)) }

// withFailure adds to the end of a lease why this node votes no more: it may be for that.
func (n *Node) withFailure(why error) error {
	if n.cfg.Failure == nil {
		return why
	}
	if err := n.cfg.Failure(); err != nil {
		return fmt.Errorf("%w; this node's own vote has failed: %w", why, err)
	}
	return why
}

var errLease = fmt.Errorf("%w: its lease has ended", ErrFenced)

// LeaseLeft gives for how long this node may act from now, in ns on CLOCK_BOOTTIME: 0
// if not or no more, math.MaxInt64 if there is no end. That is only so where the
// membership is fixed: who has not joined yet will get a lease that he may not exceed.
func (n *Node) LeaseLeft() int64 {
	if n.endless() {
		return math.MaxInt64
	}
	lease := n.lease.Load()
	until, now := n.until.Load(), n.now()
	if lease == math.MaxInt64 || now >= lease {
		return 0
	}
	return max(min(lease-now, until-engine.BootTime()), 0)
}

func (n *Node) leaseEnded() bool {
	return n.now() >= n.lease.Load() || engine.BootTime() >= n.until.Load()
}

// Holds says that the lease of this node has not ended, so that its locks count.
func (n *Node) Holds() bool { return n.endless() || n.LeaseLeft() > 0 }

// endless says that there is no lease.
func (n *Node) endless() bool { return n.fixed != nil && n.lease.Load() == math.MaxInt64 }
