package node

import (
	"context"
	"fmt"
	"time"
)

// leave releases all locks, gives back what this node has for itself, and waits until
// it has left: until no claim is open, so that releases held behind the fence are
// gone, and what was withdrawn is settled. What waits for a node that is gone is not
// waited for. The error says that something is left.
func (n *Node) leave(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	moved, last := time.Now(), -1
	for {
		left := int(n.common.issued.Load() - n.common.closed.Load())
		for _, s := range n.Spaces() {
			s.ReleaseAll(func(Owner) bool { return true })
		}
		for _, r := range n.allRunners() {
			r.wait(func(r *runner) { left += r.shard.Leave(r.now()) })
		}
		switch {
		case left == 0:
			return nil
		case left != last:
			moved, last = time.Now(), left
		case n.peerDown() && time.Since(moved) > leavePatience:
			return fmt.Errorf("%w with %d claims, locks, names or messages left, a peer is not connected", ErrClosed, left)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w with %d claims, locks, names or messages left: %w", ErrClosed, left, ctx.Err())
		case <-tick.C:
		}
	}
}

// leavePatience is how long the end of a node waits for what does not move while a
// peer is not connected.
const leavePatience = 100 * time.Millisecond

func (n *Node) peerDown() bool {
	for _, p := range n.peers.members() {
		if !p.claims.Load() {
			return true
		}
	}
	return false
}
