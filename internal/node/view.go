package node

import (
	"errors"
	"fmt"
	"math"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// How views are installed
//
//	shards     what they have said leaves, and they are muted towards those who go
//	links      those of who goes end, those of who comes begin
//	shards     what they have said since leaves, too; they install their views,
//	           muted towards those of a view who have gone meanwhile
//
// So nothing of an older view reaches the next start of a node.

// ErrFenced: this node takes no part any more; its locks are lost.
var ErrFenced = errors.New("node: fenced")

// SpaceView is the next view of a lockspace, which this node has open.
type SpaceView struct {
	Space string
	View  *lockspace.View
}

// Install makes peers the other members, with their addresses and instances, and puts
// views in force, in their order. Views of a lockspace come with epochs that rise by
// one, the first one with any; one that is not newer changes nothing. peers are those
// that have been agreed together with the last view; who is in an earlier one and not
// among them has gone since. It must not be called from a method of an Owner.
func (n *Node) Install(peers []Peer, views []SpaceView) error {
	if n.fixed != nil {
		return fmt.Errorf("%w: the membership of this node is fixed", ErrInvalid)
	}
	n.installs.Lock()
	defer n.installs.Unlock()
	now := instances(peers, n.cfg.Instance)
	if err := n.checkViews(now, views); err != nil {
		return err
	}
	n.muteLeaving(now)
	n.peers.add(peers)
	if err := n.links.SetPeers(enginePeers(peers)); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.peers.set(peers)
	for _, v := range views { // without mu: this may take long, and who connects must not wait
		(*n.byID.Load())[wire.SpaceID(v.Space)].install(v.View)
	}
	for _, r := range n.allRunners() {
		r.wait(func(r *runner) { r.unmute(now) })
	}
	return nil
}

// instances gives the starts that are members, by node id.
func instances(peers []Peer, self uint64) map[uint16]uint64 {
	all := map[uint16]uint64{cluster.NodeOf(self): self}
	for _, p := range peers {
		all[p.ID] = p.Instance
	}
	return all
}

// checkViews says what is wrong with views, before anything is changed.
func (n *Node) checkViews(now map[uint16]uint64, views []SpaceView) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	last := map[string]*lockspace.View{}
	for _, v := range views {
		s := n.byName(v.Space)
		if s == nil {
			return fmt.Errorf("%w: a view of lockspace %q, which is not open", ErrInvalid, v.Space)
		}
		if last[v.Space] == nil {
			last[v.Space] = s.view.Load()
		}
		old := last[v.Space]
		switch {
		case !v.View.HasInstance(n.cfg.Instance):
			return fmt.Errorf("%w: view %d of lockspace %q is without this node", ErrInvalid, v.View.Epoch, v.Space)
		case old != nil && v.View.Epoch > old.Epoch+1:
			return fmt.Errorf("%w: view %d of lockspace %q follows view %d", ErrInvalid, v.View.Epoch, v.Space, old.Epoch)
		case old == nil || v.View.Epoch > old.Epoch:
			last[v.Space] = v.View
		}
	}
	for space, v := range last {
		for _, m := range v.Members {
			if now[m.ID] != m.Instance {
				return fmt.Errorf("%w: node %d, instance %#x, of view %d of lockspace %q, is no member", ErrInvalid, m.ID, m.Instance, v.Epoch, space)
			}
		}
	}
	return nil
}

// byName gives a lockspace of this node, nil: it is not open.
func (n *Node) byName(name string) *Space {
	if s := n.spaces[wire.SpaceID(name)]; s != nil && s.name == name {
		return s
	}
	return nil
}

// muteLeaving lets go of what was said in the old views, and of nothing more towards
// those who have gone.
func (n *Node) muteLeaving(now map[uint16]uint64) {
	n.present = now
	for _, r := range n.allRunners() {
		r.wait(func(r *runner) {
			r.flushAll()
			r.mute(r.space.view.Load(), now)
		})
	}
}

// install makes v the view of all shards.
func (s *Space) install(v *lockspace.View) {
	old := s.view.Load()
	if old != nil && v.Epoch <= old.Epoch {
		return
	}
	s.view.Store(v)
	if old != nil {
		s.node.cfg.Logger.Info("recovery begins", "event", eventRecoveryBegin, "lockspace", s.name, "epoch", v.Epoch, "members", len(v.Members), "before", len(old.Members))
	}
	s.node.epoch.Store(max(s.node.epoch.Load(), v.Epoch))
	for _, r := range s.runners { // before any of them takes up the token clock of the next view
		r.work()
	}
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			for r.shard.Work(r.now(), workNames) { // if something has come meanwhile
			}
			r.flushAll() // with the old view's number: the new one would make it valid
			r.unmute(r.node.present)
			r.mute(v, r.node.present)
			r.shard.Install(r.now(), v)
			r.traceView(v)
			if old != nil {
				r.beginRecovery()
			}
		})
	}
	if old == nil {
		close(s.opened)
	}
	s.node.cfg.Logger.Info("view installed", "event", eventView, "lockspace", s.name, "epoch", v.Epoch, "members", len(v.Members))
}

// mute drops what is for members of v that are not present, until they are unmuted.
func (r *runner) mute(v *lockspace.View, present map[uint16]uint64) {
	if v == nil {
		return
	}
	for _, m := range v.Members {
		slot := r.node.peers.slot(m.ID)
		if present[m.ID] == m.Instance || slot < 0 {
			continue
		}
		f := r.slot(slot)
		if f.buf != nil {
			engine.PutBuf(f.buf)
		}
		*f = openFrame{muted: true}
	}
}

// unmute lets messages leave again for whom there is a link.
func (r *runner) unmute(present map[uint16]uint64) {
	for id := range present {
		if slot := r.node.peers.slot(id); slot >= 0 && slot < len(r.open) {
			r.open[slot].muted = false
		}
	}
}

// Fence ends this node's part in the cluster for good: all locks are lost, and their
// owners hear of it; nothing is granted and no lockspace opened any more. why says
// so to whoever tries.
func (n *Node) Fence(why error) {
	n.mu.Lock()
	first := n.fenced == nil
	if first {
		n.fenced = why
	}
	n.mu.Unlock()
	n.lease.Store(math.MinInt64)
	n.tellFenced(why)
	if first { // a log may make its writer wait, or ask the node: shards find out by the lease
		n.cfg.Logger.Error("this node is fenced: all its locks are lost", "event", eventFenced, "err", why)
	}
	for _, r := range n.allRunners() {
		r.wait(func(r *runner) {
			r.shard.Fence(r.node.now())
			r.forgetTraces("this node is fenced", func(traceKey, *traced) bool { return true })
		})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if first && !n.closed {
		close(n.over)
	}
}
