package node

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/wire"
)

// How a node lets go of a lockspace, where the membership is agreed
//
//	programs   the last one closes it, and none opens it for Config.CloseAfter; whoever does from
//	           here on waits
//	shards     give back what they have for the node (lockspace.Shard.Leave), as at its end; if
//	           something is left, all goes on, until the node looks again
//	cluster    is asked for a view without the node
//	Agreed     brings a state in which the node has it open no more: the shards are fenced and forgotten
//
// It is not done at once: each view of a lockspace concerns all who have it open, and programs
// such as lockctl open one for a moment.

// Close says that who has opened the lockspace has given up all in it, and uses it no more.
func (s *Space) Close() {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	s.users--
	s.usedAt = n.now()
}

// closeUnused begins to close the lockspaces that have been unused for so long.
func (n *Node) closeUnused(stay time.Duration) {
	m := n.Membership()
	if m == nil {
		return
	}
	if state := m.State(); state == nil || state.Features()&wire.FeatureClose == 0 {
		return // a member of an older version would take what this node has said before for new
	}
	for _, s := range n.Spaces() {
		switch {
		case !n.beginClose(s, stay):
		case s.giveBack():
			go n.askClose(s.name, func() bool { return n.has(s) })
		default:
			n.goOn(s)
		}
	}
}

// beginClose lets nobody use a lockspace from here on, if nobody does, nor has for so long: whoever opens
// it waits.
func (n *Node) beginClose(s *Space, stay time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.fenced != nil || s.users > 0 || s.closing != nil || n.closing >= maxClosing || !s.isOpen() || n.now()-s.usedAt < int64(stay) {
		return false
	}
	n.closing++
	s.closing = make(chan struct{})
	s.barred.Store(uint32(wire.ShuttingDown))
	return true
}

// maxClosing bounds the lockspaces that are being closed at the same time: the cluster carries out what a
// node asks for one after the other, and a program that opens one is not to wait for hundreds.
const maxClosing = 8

// goOn ends what beginClose has begun: the lockspace stays.
func (n *Node) goOn(s *Space) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s.barred.Store(0)
	n.endClosing(s)
	s.closing = nil
}

// maxServed bounds the locks of others at names that this node masters in a lockspace that it
// leaves. They find new masters, which holds up those who want them: for some ms so many.
const maxServed = 10_000

// giveBack gives back what this node has for itself in the lockspace, and says whether it has left.
// All stays as it is where many are served, or a view is being worked on; orphans stay in any
// case, which are somebody's.
func (s *Space) giveBack() bool {
	served, left := 0, 0
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			served += r.shard.Stats().Locks
			if r.shard.Working() || r.shard.Recovering() {
				left++
			}
		})
	}
	if left > 0 || served > maxServed {
		return false
	}
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			if orphans := r.shard.Orphans(); orphans > 0 {
				left += orphans
				return
			}
			left += r.shard.Leave(r.now())
			r.flushAll()
		})
	}
	return left == 0
}

// askClose asks for a view of a lockspace without this node, until there is one, as long as it is still
// to be left.
func (n *Node) askClose(name string, still func() bool) {
	for still() {
		err := n.provider.Do(context.Background(), cluster.Command{Kind: cluster.Close, Space: name})
		if err == nil {
			return
		}
		select {
		case <-n.over:
			return
		case <-time.After(time.Second):
			n.cfg.Logger.Warn("a lockspace cannot be closed yet", "lockspace", name, "err", err)
		}
	}
}

// has says that s is a lockspace of this node, and not one that was closed.
func (n *Node) has(s *Space) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.spaces[s.id] == s
}

// forgetClosed forgets the lockspaces that have been closed by what is agreed now.
func (n *Node) forgetClosed(now *cluster.State) {
	n.installs.Lock()
	defer n.installs.Unlock()
	closed := n.closedBy(now)
	for _, s := range closed {
		n.forget(s)
		n.cfg.Logger.Info("lockspace is closed on this node, where nobody has had it open", "event", eventLockspaceClose, "lockspace", s.name)
	}
	if closed != nil {
		go n.closeUnused(n.cfg.CloseAfter) // the next ones
	}
}

// closedBy gives the lockspaces that are being closed, and are by what is agreed now.
func (n *Node) closedBy(now *cluster.State) (list []*Space) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.spaces {
		if s.closing != nil && !now.HasOpen(s.name, n.cfg.ID) {
			list = append(list, s)
		}
	}
	return list
}

// forget forgets a closed lockspace. New shards of its name begin after the last life of the old ones.
func (n *Node) forget(s *Space) {
	lives := s.end()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lives = max(n.lives, lives)
	delete(n.spaces, s.id)
	n.publish()
	n.endClosing(s)
}

// endClosing lets those go on who wait for a lockspace, or for room for another one. mu is held.
func (n *Node) endClosing(s *Space) {
	n.closing--
	close(s.closing)
	close(n.room)
	n.room = make(chan struct{})
}

// end fences the shards of a closed lockspace: whoever still reaches one is refused. It gives the
// greatest counter of their lives.
func (s *Space) end() (lives uint64) {
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			r.shard.Fence(r.now())
			r.forgetTraces("the lockspace is closed on this node", func(traceKey, *traced) bool { return true })
			if r.recovers {
				r.endRecovery()
			}
			lives = max(lives, r.shard.Lives())
		})
	}
	return lives
}

// leaveStray closes a lockspace that this node is in by what is agreed, but has not opened, or with other
// properties: the cluster has refused that, and then carried out a copy of the question which came late.
func (n *Node) leaveStray(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.strays[name] != nil {
		return
	}
	left := make(chan struct{})
	n.strays[name] = left
	go func() {
		n.askClose(name, func() bool { return true })
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.strays, name)
		close(left)
	}()
}

// awaits says whether the node has, or waits for, a lockspace of which a view has come, and not one of
// this name that was asked for before, with other properties. It is not taken away from here on.
func (n *Node) awaits(agreed *cluster.Space) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.byName(agreed.Name)
	if s == nil || !bytes.Equal(agreed.Config, s.props.config()) {
		return false
	}
	s.viewed = true
	return true
}

// checkOpen says whether this node has still open by what is agreed what is open here, unless it is being
// closed.
func (n *Node) checkOpen(now *cluster.State) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.spaces {
		if s.isOpen() && s.closing == nil && !now.HasOpen(s.name, n.cfg.ID) {
			return fmt.Errorf("%w: lockspace %q was closed on this node, which did not ask for that", ErrInvalid, s.name)
		}
	}
	return nil
}

// lockToOpen locks n.mu when no lockspace of this name is being closed, which is to be made anew, and
// there is room for another one, or none will come: those that nobody uses make room at once.
func (n *Node) lockToOpen(ctx context.Context, name string) error {
	for cleared := false; ; {
		n.mu.Lock()
		closing, full := n.closingFor(name)
		switch {
		case n.closed || n.fenced != nil || closing == nil && (!full || cleared):
			return nil
		case closing == nil:
			n.mu.Unlock()
			n.closeUnused(0)
			cleared = true
			continue
		}
		n.mu.Unlock()
		select {
		case <-closing:
			cleared = false
		case <-n.over:
		case <-ctx.Done():
			return fmt.Errorf("lockspace %q, while one is being closed: %w", name, ctx.Err())
		}
	}
}

// closingFor gives what is closed with the lockspace that is in the way of one of this name, nil: none is
// being closed. full: there is no room for it. mu is held.
func (n *Node) closingFor(name string) (closing chan struct{}, full bool) {
	if left := n.strays[name]; left != nil {
		return left, false
	}
	if s := n.spaces[wire.SpaceID(name)]; s != nil {
		return s.closing, false
	}
	if len(n.spaces) < n.maxSpaces {
		return nil, false
	}
	for _, s := range n.spaces {
		if s.closing != nil {
			return n.room, true
		}
	}
	return nil, true
}
