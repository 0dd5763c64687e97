package cluster

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
)

// checks is what must be true at each step.
type checks struct {
	states map[uint64]uint64    // version: hash of the state
	last   *State               // of the newest version that anybody has applied
	gone   map[uint64]bool      // instances that have been removed
	barred map[uint64]bool      // and from the disk
	epochs map[string][]simView // of each lockspace, rising
}

// simView is a view of a lockspace.
type simView struct {
	epoch  uint64
	joined []uint16
}

func newChecks() checks {
	return checks{states: map[uint64]uint64{}, last: &State{}, gone: map[uint64]bool{}, barred: map[uint64]bool{}, epochs: map[string][]simView{}}
}

func hashState(s *State) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(s.Append(nil))
	return h.Sum64()
}

// server looks at what a server has applied.
func (c *checks) server(m *machine) {
	if m.server != nil && m.server.state.Cluster != 0 {
		c.state(m, "server", m.server.state)
	}
}

// state checks that all agree on each version, and what was removed in it.
func (c *checks) state(m *machine, who string, s *State) {
	if len(m.w.machines) > 20 && m.id%250 != 1 && s.Version <= c.last.Version {
		return // some of a thousand will do
	}
	if s.Version < c.last.Version {
		if known, ok := c.states[s.Version]; ok && known != hashState(s) {
			m.w.fail("%s %d has another state of version %d", who, m.id, s.Version)
		}
		return
	}
	h := hashState(s)
	if known, ok := c.states[s.Version]; ok {
		if known != h {
			m.w.fail("%s %d has another state of version %d", who, m.id, s.Version)
		}
		return
	}
	c.states[s.Version] = h
	m.w.stats.versions++
	c.removed(m.w, s)
	for i := range s.Nodes {
		if c.gone[s.Nodes[i].Instance] && c.last.Member(s.Nodes[i].Instance) == nil {
			m.w.fail("version %d: instance %#x is back", s.Version, s.Nodes[i].Instance)
		}
	}
	for i := range s.Spaces {
		sp := &s.Spaces[i]
		if l := c.epochs[sp.Name]; len(l) == 0 || l[len(l)-1].epoch < sp.Epoch {
			c.epochs[sp.Name] = append(l, simView{sp.Epoch, slices.Clone(sp.Joined)})
			m.w.stats.epochs++
		}
	}
	c.last = s.Clone()
}

// removed checks that whoever is not a member any more does not believe in its
// lease, alive or dead: its clients might.
func (c *checks) removed(w *world, s *State) {
	for i := range c.last.Nodes {
		n := &c.last.Nodes[i]
		if s.Member(n.Instance) != nil {
			continue
		}
		w.tracef("version %d: instance %#x is out", s.Version, n.Instance)
		w.stats.expired++
		if w.p.bars && !c.barred[n.Instance] && !w.machines[n.ID-1].left(n.Instance) {
			w.fail("instance %#x is out, and can still reach the disk", n.Instance)
		}
		if c.gone[n.Instance] {
			continue // fenced
		}
		c.gone[n.Instance] = true
		m := w.machines[n.ID-1]
		for _, l := range m.lives {
			if l.instance == n.Instance && m.clock() < l.until && !m.left(l.instance) {
				w.fail("instance %#x is out, its lease lasts %.3f ms more", n.Instance, float64(l.until-m.clock())/1e6)
			}
		}
	}
}

// left says that a member has asked to go.
func (m *machine) left(instance uint64) bool { return slices.Contains(m.leaves, instance) }

// member looks at what a member believes.
func (c *checks) member(m *machine, l *simLease) {
	until := m.member.until
	if c.gone[l.instance] && m.clock() < until && !m.left(l.instance) {
		m.w.fail("instance %#x is out and believes in its lease", l.instance)
	}
	l.until = until
	if m.member.Valid(m.clock()) && m.clock() >= until {
		m.w.fail("instance %#x goes on %.3f ms after its lease", l.instance, float64(m.clock()-until)/1e6)
	}
	if m.member.state != nil {
		c.state(m, "member", m.member.state)
	}
	for _, v := range m.member.Views() {
		c.installs(m, l, &v)
	}
}

// installs checks that a member is given each view of a lockspace that it has
// open, in order.
func (c *checks) installs(m *machine, l *simLease, v *SpaceView) {
	last, found := l.epochs[v.Space], false
	l.epochs[v.Space] = v.Epoch
	all := c.epochs[v.Space]
	from, _ := slices.BinarySearchFunc(all, last, func(e simView, epoch uint64) int { return cmp.Compare(e.epoch, epoch) })
	for _, e := range all[from:] {
		if e.epoch > v.Epoch {
			break
		}
		switch {
		case e.epoch == v.Epoch:
			found = len(e.joined) == len(v.Members)
		case last != 0 && e.epoch > last && e.epoch < v.Epoch && slices.Contains(e.joined, m.id):
			m.w.fail("member %d skips view %d of %s", m.id, e.epoch, v.Space)
		}
	}
	if !found {
		m.w.fail("member %d installs view %d of %s, which is none", m.id, v.Epoch, v.Space)
	}
}

// settled says what keeps the cluster from being at rest, "": nothing.
func (c *checks) settled(w *world) string {
	leaders := 0
	for _, m := range w.machines {
		switch {
		case m.member.phase != Active || !m.member.Valid(m.clock()):
			return fmt.Sprintf("machine %d is no member: phase %d, %v", m.id, m.member.phase, m.member.reason)
		case m.member.state.Version != c.last.Version:
			return fmt.Sprintf("member %d is at version %d of %d", m.id, m.member.state.Version, c.last.Version)
		case len(m.member.asks) > 0:
			return fmt.Sprintf("machine %d waits for an answer", m.id)
		}
		for k, want := range m.want {
			sp := c.last.Space(fmt.Sprintf("space%d", k))
			if joined := sp != nil && slices.Contains(sp.Joined, m.id); joined != want {
				return fmt.Sprintf("machine %d has space%d open: %v", m.id, k, joined)
			}
		}
		if m.server == nil {
			continue
		}
		if _, self := m.server.Leader(); self {
			leaders++
			var voters []uint64
			for _, v := range c.last.Voters {
				voters = append(voters, v.Raft)
			}
			now := slices.Sorted(slices.Values(m.server.conf.GetVoters()))
			if slices.Sort(voters); !slices.Equal(now, voters) || len(m.server.conf.GetLearners()) > 0 {
				return fmt.Sprintf("voters are %x, wanted are %x", now, voters)
			}
		}
	}
	if leaders != 1 || len(c.last.Voters) < min(w.p.want, w.p.stores) {
		return fmt.Sprintf("%d leaders, %d voters", leaders, len(c.last.Voters))
	}
	return ""
}
