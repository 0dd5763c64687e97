package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/wire"
)

// How a node lets go of a lockspace, where the membership is agreed
//
//	programs   the last one closes it, and none opens it for Config.CloseAfter
//	shards     give back what they have for the node (lockspace.Shard.Leave), as at its end
//	cluster    is asked for a view without the node; whoever opens the lockspace waits from here
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

// closeUnused begins to close the lockspaces that have been unused for long.
func (n *Node) closeUnused() {
	m := n.Membership()
	if m == nil {
		return
	}
	if state := m.State(); state == nil || state.Features()&wire.FeatureClose == 0 {
		return // a member of an older version would take what this node has said before for new
	}
	for _, s := range n.unused() {
		if !s.stays() && s.giveBack() {
			n.beginClose(s, m)
		}
	}
}

// unused gives the lockspaces that can be closed. Where there are very many, few of them stay.
func (n *Node) unused() (list []*Space) {
	n.mu.Lock()
	defer n.mu.Unlock()
	stay := n.cfg.CloseAfter
	if len(n.spaces) > maxSpaces/2 {
		stay /= 32
	}
	for _, s := range n.spaces {
		if s.isOpen() && s.closable() && n.now()-s.usedAt >= int64(stay) {
			list = append(list, s)
		}
	}
	return list
}

// closable says that no program has it open, and it is not being closed. Node.mu is held.
func (s *Space) closable() bool { return s.users == 0 && s.closing == nil }

// maxServed bounds the locks of others at names that this node masters in a lockspace that it
// leaves. They find new masters, which holds up those who want them: for some ms so many.
const maxServed = 10_000

// stays says that the lockspace is to stay as it is: there are orphans, which are somebody's, or too
// many locks of others, or a view is still being worked on.
func (s *Space) stays() bool {
	served, stays := 0, false
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			served += r.shard.Stats().Locks
			stays = stays || r.shard.Orphans() > 0 || r.shard.Working() || r.shard.Recovering()
		})
	}
	return stays || served > maxServed
}

// giveBack gives back what this node has for itself in the lockspace, and says whether it has left.
func (s *Space) giveBack() bool {
	left := 0
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			left += r.shard.Leave(r.now())
			r.flushAll()
		})
	}
	return left == 0
}

// beginClose asks for a view without this node, unless a program has come.
func (n *Node) beginClose(s *Space, m cluster.Provider) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.fenced != nil || !s.closable() {
		return
	}
	s.closing = make(chan struct{})
	go n.askClose(s, m)
}

// askClose asks until it is agreed, or this node is over: it must not be left open whether.
func (n *Node) askClose(s *Space, m cluster.Provider) {
	for {
		err := m.Do(context.Background(), cluster.Command{Kind: cluster.Close, Space: s.name})
		if err == nil {
			return
		}
		select {
		case <-n.over:
			return
		case <-time.After(time.Second):
			n.cfg.Logger.Warn("a lockspace cannot be closed yet", "lockspace", s.name, "err", err)
		}
	}
}

// forgetClosed forgets the lockspaces that have been closed by what is agreed now.
func (n *Node) forgetClosed(now *cluster.State) {
	n.installs.Lock()
	defer n.installs.Unlock()
	n.mu.Lock()
	var gone []*Space
	for id, s := range n.spaces {
		if s.closing != nil && !hasOpen(now, n.cfg.ID, s.name) {
			gone = append(gone, s)
			delete(n.spaces, id)
		}
	}
	if gone != nil {
		n.publish()
	}
	n.mu.Unlock()
	for _, s := range gone {
		lives := s.end()
		n.mu.Lock()
		n.lives = max(n.lives, lives)
		n.mu.Unlock()
		close(s.closing)
		n.cfg.Logger.Info("lockspace is closed on this node, where nobody has had it open", "event", eventLockspaceClose, "lockspace", s.name)
	}
}

// hasOpen says whether a node takes part in a lockspace.
func hasOpen(state *cluster.State, id uint16, name string) bool {
	s := state.Space(name)
	return s != nil && slices.Contains(s.Joined, id)
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

// lockToOpen locks n.mu when no lockspace of this name is being closed: to open that is to make it
// anew.
func (n *Node) lockToOpen(ctx context.Context, name string) error {
	for {
		n.mu.Lock()
		s := n.spaces[wire.SpaceID(name)]
		if s == nil || s.closing == nil || n.closed || n.fenced != nil {
			return nil
		}
		n.mu.Unlock()
		select {
		case <-s.closing:
		case <-n.over:
		case <-ctx.Done():
			return fmt.Errorf("lockspace %q, which is being closed: %w", name, ctx.Err())
		}
	}
}
