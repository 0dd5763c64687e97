package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/lockspace"
)

// opener is the part of a cluster.Provider that opens lockspaces. Their views come by
// Install.
type opener interface {
	Open(ctx context.Context, space string, config []byte) error
}

// memberSide is the node as its provider of membership sees it (cluster.Handler).
type memberSide Node

// Agreed installs what has been agreed. A node that cannot follow must not go on.
func (h *memberSide) Agreed(s *cluster.State, views []cluster.SpaceView) {
	n := (*Node)(h)
	err := n.follow(s, views)
	if err != nil {
		n.Fence(fmt.Errorf("%w: %w", ErrFenced, err))
		return
	}
	n.joinOnce.Do(func() {
		n.mu.Lock()
		n.members = n.provider
		n.mu.Unlock()
		close(n.joined)
		n.cfg.Logger.Info("joined the cluster", "event", eventJoined, "cluster", n.cfg.Cluster, "members", len(s.Nodes), "voters", len(s.Voters))
	})
}

func (n *Node) follow(s *cluster.State, views []cluster.SpaceView) error {
	<-n.begun
	var peers []Peer
	for i := range s.Nodes {
		if m := &s.Nodes[i]; m.ID != n.cfg.ID {
			peers = append(peers, Peer{ID: m.ID, Addr: m.Addr, Instance: m.Instance})
		}
	}
	var next []SpaceView
	for i := range views {
		switch {
		case !s.HasOpen(views[i].Space, n.cfg.ID):
			continue // closed meanwhile; others may have gone since
		case !n.awaits(s.Space(views[i].Space)):
			n.leaveStray(views[i].Space)
			continue
		}
		v, err := lockspace.NewView(views[i].Epoch, views[i].Members)
		if err != nil {
			return err
		}
		next = append(next, SpaceView{views[i].Space, v})
	}
	if err := n.checkOpen(s); err != nil {
		return err
	}
	was := n.peers.members()
	if err := n.Install(peers, next); err != nil {
		return err
	}
	n.membersChanged(was, peers)
	n.forgetClosed(s)
	return nil
}

func (h *memberSide) Lease(until int64) { (*Node)(h).SetLease(until) }

func (h *memberSide) Ended(reason error) {
	n := (*Node)(h)
	if errors.Is(reason, cluster.ErrNoQuorum) {
		reason = n.withFailure(reason)
	}
	n.Fence(fmt.Errorf("%w: %w", ErrFenced, reason))
}

// join begins the membership.
func (n *Node) join() error {
	defer close(n.begun)
	if n.fixed != nil {
		close(n.joined)
	}
	if n.cfg.Join == nil {
		return nil
	}
	p, err := n.cfg.Join(n.cfg.Instance, (*memberSide)(n))
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.provider = p
	return nil
}

// Joined is closed when the node is a member, which it always is where the membership
// is fixed.
func (n *Node) Joined() <-chan struct{} { return n.joined }

// Over is closed when the node takes no part any more: fenced, or closed.
func (n *Node) Over() <-chan struct{} { return n.over }

// Why says why the node takes no part any more, nil: it does.
func (n *Node) Why() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fenced == nil && n.closed {
		return ErrClosed
	}
	return n.fenced
}

// Membership gives where the node's membership runs, nil: it is fixed, or begins.
func (n *Node) Membership() cluster.Provider {
	select {
	case <-n.begun:
		return n.provider
	default: // it is being set
		return nil
	}
}

// LeaveForGood lets Close give up the node's vote as well.
func (n *Node) LeaveForGood() { n.forGood.Store(true) }

// quit ends the membership. If nothing is left of this node at others, they need not
// wait for its lease.
func (n *Node) quit(ctx context.Context, clean bool) (left bool, err error) {
	if n.provider == nil {
		return false, nil
	}
	if clean {
		err = n.provider.Leave(ctx, n.forGood.Load())
		if err == nil {
			return true, nil
		}
		n.cfg.Logger.Warn("the others wait for the end of this node's lease: it could not leave", "err", err)
	}
	return false, n.provider.Close()
}

// Mailer carries mail to addresses as they are configured.
type Mailer struct{ *engine.Mailer }

// Send sends payload to "host:port" or "unix:///path"; see engine.Mailer.
func (m Mailer) Send(addr string, payload []byte) {
	network, rest := address.Split(addr)
	m.Mailer.Send(network, rest, payload)
}

// Trouble says what is wrong with such an address; see engine.Mailer.
func (m Mailer) Trouble(addr string) string {
	network, rest := address.Split(addr)
	return m.Mailer.Trouble(network, rest)
}
