package cluster

import (
	"context"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Provider is a node's membership, running: package cluster/agent has one on Raft,
// package cluster/etcd one on an etcd cluster. Whoever starts it gives it a Handler.
// Its methods may be called at any time, by several goroutines, but by no Handler.
// All that wait end with ctx, and when the membership does.
type Provider interface {
	// Open lets the node take part in a lockspace, 1 to 64 bytes, with a
	// configuration of at most 256 bytes; that of the first to open it counts. It
	// returns when that is agreed; Handler.Agreed brings the view, perhaps before.
	// Errors: ErrConfig, ErrLimit, ErrInvalid, and why the membership has ended.
	Open(ctx context.Context, space string, config []byte) error

	// Do carries out Close, Remove, Promote or NewView. Errors: those of the command. That
	// Close is carried out, Handler.Agreed brings.
	Do(ctx context.Context, c Command) error

	// State gives what is agreed as far as this node knows, nil: nothing yet. It
	// is not changed any more.
	State() *State

	// Leave ends the membership: the others need not wait for the lease. It is for a
	// node that holds nothing any more; Handler.Ended is not called. forGood: the node
	// does not come back, so its vote goes, too, if another one has one.
	Leave(ctx context.Context, forGood bool) error

	// Close ends all work here. The membership goes on for the others until the
	// lease has ended, unless Leave came before. No Handler runs when it returns.
	Close() error
}

// Handler hears what becomes of a membership, in order; but for Lease, never twice at
// the same time. Its methods should return soon: the lease may not be renewed meanwhile.
type Handler interface {
	// Agreed brings a state and the views that lead to it of lockspaces which this
	// node has open: in order, none skipped. The first comes with the membership.
	Agreed(s *State, views []SpaceView)

	// Lease says until when the node may act: a reading of CLOCK_BOOTTIME in ns.
	// It comes before the first Agreed, and then again and again, with later times, also
	// while Agreed runs. It must not wait.
	Lease(until int64)

	// Ended says that the membership has ended, and why: ErrNoQuorum, removed, ...
	// It is the last call.
	Ended(reason error)
}

// Static gives the view, epoch 1, of a fixed membership of the nodes with these ids
// (1 to 65535, each once): nobody can tell there whether a node is dead or slow.
func Static(ids ...uint16) (*lockspace.View, error) {
	members := make([]lockspace.Member, len(ids))
	for i, id := range ids {
		members[i].ID = id
	}
	return lockspace.NewView(1, members)
}
