package node

import (
	"errors"
	"fmt"
	"math"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
)

// How a view is installed
//
//	shards     what they have said leaves, and they are muted towards those who go
//	links      those of who goes end, those of who comes begin
//	peers      who comes hears of all lockspaces
//	shards     what they have said since leaves, too; they install the view
//
// So nothing of an older view reaches the next start of a node, and a peer knows a
// lockspace before its first message.

// ErrFenced: this node takes no part any more; its locks are lost.
var ErrFenced = errors.New("node: fenced")

// Install puts a view in force. Views come with rising epochs, none skipped; one that
// is not newer changes nothing. peers are its other members, with their addresses
// and instances. A view without this node fences it. It must not be called from a
// method of an Owner.
func (n *Node) Install(v *lockspace.View, peers []Peer) error {
	if n.fixed {
		return fmt.Errorf("%w: the membership of this node is fixed", ErrInvalid)
	}
	if err := n.checkView(v, peers); err != nil {
		return err
	}
	n.installs.Lock()
	defer n.installs.Unlock()
	old := n.view.Load()
	switch {
	case old != nil && v.Epoch <= old.Epoch:
		return nil
	case old != nil && v.Epoch != old.Epoch+1:
		return fmt.Errorf("%w: view %d follows view %d", ErrInvalid, v.Epoch, old.Epoch)
	case !v.HasInstance(n.cfg.Instance):
		n.Fence(fmt.Errorf("%w: removed by view %d", ErrFenced, v.Epoch))
		return nil
	}
	if err := n.muteLeaving(v); err != nil {
		return err
	}
	n.peers.add(peers)
	if err := n.links.SetPeers(enginePeers(peers)); err != nil {
		return fmt.Errorf("node: view %d: %w", v.Epoch, err)
	}
	n.enter(old, v, peers)
	n.cfg.Logger.Info("view installed", "epoch", v.Epoch, "members", len(v.Members))
	return nil
}

func (n *Node) checkView(v *lockspace.View, peers []Peer) error {
	if v.HasInstance(n.cfg.Instance) && len(peers) != len(v.Members)-1 {
		return fmt.Errorf("%w: view %d of %d members comes with %d peers", ErrInvalid, v.Epoch, len(v.Members), len(peers))
	}
	for _, p := range peers {
		if p.Instance == 0 || v.Instance(p.ID) != p.Instance {
			return fmt.Errorf("%w: peer %d, instance %#x, is not in view %d", ErrInvalid, p.ID, p.Instance, v.Epoch)
		}
	}
	return nil
}

// muteLeaving lets go of what was said in the old view, and of nothing more towards
// those whom v ends.
func (n *Node) muteLeaving(v *lockspace.View) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	n.leaving = map[uint16]bool{}
	if old := n.view.Load(); old != nil {
		for _, m := range old.Members {
			if !v.HasInstance(m.Instance) {
				n.leaving[m.ID] = true
			}
		}
	}
	for _, r := range n.allRunners() {
		r.wait(func(r *runner) {
			r.flushAll()
			r.mute(n.leaving)
		})
	}
	return nil
}

// enter makes v the view of all shards, after telling the new members of the
// lockspaces.
func (n *Node) enter(old, v *lockspace.View, peers []Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.peers.set(peers)
	n.leaving = nil
	n.view.Store(v)
	var came []*peer
	for _, p := range peers {
		if old == nil || !old.HasInstance(p.Instance) {
			came = append(came, n.peers.of(p.ID))
		}
	}
	for _, s := range n.spaces {
		n.announce(s, came)
	}
	for _, s := range n.spaces {
		s.install(v)
	}
}

func (s *Space) install(v *lockspace.View) {
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			r.flushAll() // with the old view's number: the new one would make it valid
			for i := range r.open {
				r.open[i].muted = false
			}
			r.shard.Install(r.now(), v)
		})
	}
}

// mute drops what is for these nodes, now and until the next view.
func (r *runner) mute(nodes map[uint16]bool) {
	for id := range nodes {
		slot := r.node.peers.slot(id)
		if slot >= len(r.open) {
			r.open = append(r.open, make([]openFrame, slot+1-len(r.open))...)
		}
		if buf := r.open[slot].buf; buf != nil {
			engine.PutBuf(buf)
		}
		r.open[slot] = openFrame{muted: true}
	}
}

// epoch gives the number of the view in force, 0: none yet.
func (n *Node) epoch() uint64 {
	if v := n.view.Load(); v != nil {
		return v.Epoch
	}
	return 0
}

// fixedView is the view of a new shard that needs no Install.
func (n *Node) fixedView() *lockspace.View {
	if !n.fixed {
		return nil
	}
	return n.view.Load()
}

// Fence ends this node's part in the cluster for good: all locks are lost, and their
// owners hear of it; nothing is granted and no lockspace opened any more. why says
// so to whoever tries.
func (n *Node) Fence(why error) {
	n.mu.Lock()
	if n.fenced == nil {
		n.fenced = why
		n.cfg.Logger.Error("this node is fenced: all its locks are lost", "err", why)
	}
	n.mu.Unlock()
	n.lease.Store(math.MinInt64)
	for _, r := range n.allRunners() {
		r.wait(func(r *runner) { r.shard.Fence(r.node.now()) })
	}
}
