package node

import (
	"context"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
)

// SpaceStats is what a lockspace has done on this node.
type SpaceStats struct {
	Name      string
	ID        uint32
	Epoch     uint64 // of its view, 0: none yet
	ValueLen  int
	Range     lockspace.RangeRule
	Shards    []lockspace.Stats
	Sent      [256]uint64                         // messages to other nodes by type
	Received  [256]uint64                         // messages from other nodes by type
	Grants    [lockspace.Ways]lockspace.Histogram // times from request to grant of this node's locks
	Done      []uint64                            // by shard: operations of programs and messages that it has taken
	LongWaits int                                 // requests of clients that have waited for Config.LongWait, when last looked for, once a second
	Conflicts uint64                              // wrong claims
	Traced    int                                 // traced operations that are not over
}

// Stats is what the node has done.
type Stats struct {
	ID       uint16
	Instance uint64
	Epoch    uint64
	Sessions int
	Spaces   []SpaceStats
	Links    map[uint16]engine.PeerStats
}

// Spaces gives the lockspaces of this node.
func (n *Node) Spaces() []*Space {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*Space, 0, len(n.spaces))
	for _, s := range n.spaces {
		out = append(out, s)
	}
	return out
}

// Name gives the lockspace's name.
func (s *Space) Name() string { return s.name }

// Space gives an open lockspace by name, nil if there is none.
func (n *Node) Space(name string) *Space {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byName(name)
}

// Stats collects the counters. It enters each shard for a moment.
func (n *Node) Stats() Stats {
	st := Stats{ID: n.cfg.ID, Instance: n.cfg.Instance, Epoch: n.epoch.Load(), Links: n.links.Stats()}
	n.mu.Lock()
	st.Sessions = len(n.sessions)
	n.mu.Unlock()
	for _, s := range n.Spaces() {
		st.Spaces = append(st.Spaces, s.Stats())
	}
	return st
}

// Stats collects the counters of one lockspace.
func (s *Space) Stats() SpaceStats {
	st := SpaceStats{Name: s.name, ID: s.id, ValueLen: s.props.ValueLen, Range: s.props.Range, LongWaits: int(s.longWaits.Load())}
	if v := s.view.Load(); v != nil {
		st.Epoch = v.Epoch
	}
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			sh := r.shard.Stats()
			st.Shards = append(st.Shards, sh)
			st.Done = append(st.Done, r.done)
			st.Conflicts += r.wrong
			st.Traced += len(r.traces)
			for way, times := range r.grants(&sh) {
				st.Grants[way].Add(&times)
			}
			for t := range r.sent {
				st.Sent[t] += r.sent[t]
				st.Received[t] += r.received[t]
			}
		})
	}
	return st
}

// Inspect calls f for the resources of the lockspace that this node knows,
// until f returns false or ctx ends. It holds up one shard at a time.
func (s *Space) Inspect(ctx context.Context, f func(lockspace.ResourceInfo) bool) error {
	goOn := true
	for _, r := range s.runners {
		if !goOn {
			break
		}
		r.wait(func(r *runner) {
			r.shard.Inspect(func(i lockspace.ResourceInfo) bool {
				goOn = f(i) && ctx.Err() == nil
				return goOn
			})
		})
	}
	return ctx.Err()
}
