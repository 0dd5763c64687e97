package sim

import (
	"hash/fnv"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
)

// members is what must be true of agreed membership: all agree on each version of what
// was decided; who is out holds nothing any more, as far as anybody can tell; each
// member is given each view, in order; and nothing is granted or sent without a lease.
type members struct {
	c      *council
	last   *cluster.State             // of the newest version that anybody has applied
	hashes map[uint64]uint64          // of the states, by version
	views  map[uint64]*lockspace.View // of the lockspace, by epoch
	epochs []uint64                   // of them, rising
	newest map[uint64]uint64          // instance: the last view that it was given
	until  map[uint64]int64           // dead instance: until when its clients believe, by its node's clock
	left   map[uint64]bool            // instances that have asked to go
}

func newMembers(c *council) *members {
	return &members{
		c: c, last: &cluster.State{}, hashes: map[uint64]uint64{}, views: map[uint64]*lockspace.View{},
		newest: map[uint64]uint64{}, until: map[uint64]int64{}, left: map[uint64]bool{},
	}
}

// state looks at a version that a server or member has applied.
func (m *members) state(who string, n *node, s *cluster.State) {
	r := m.c.r
	r.evals[inMembers]++
	h := fnv.New64a()
	_, _ = h.Write(s.Append(nil))
	sum := h.Sum64()
	if known, ok := m.hashes[s.Version]; ok {
		if known != sum {
			r.fail(inMembers, nil, "%s %d has another state of version %d", who, n.id, s.Version)
		}
		return
	}
	m.hashes[s.Version] = sum
	if s.Version <= m.last.Version {
		return
	}
	for i := range m.last.Nodes {
		if gone := m.last.Nodes[i].Instance; s.Member(gone) == nil {
			m.out(gone, s.Version)
		}
	}
	if sp := s.Space(theSpace); sp != nil && (len(m.epochs) == 0 || sp.Epoch > m.epochs[len(m.epochs)-1]) {
		m.newView(s, sp)
	}
	m.last = s.Clone()
}

// out looks at an instance that is not a member any more.
func (m *members) out(gone uint64, version uint64) {
	r := m.c.r
	n := r.nodes[cluster.NodeOf(gone)-1]
	until := m.until[gone]
	if n.instance == gone && !n.down {
		until = n.seat.told
	}
	r.tracef(nil, "version %d: instance %#x of node %d is out", version, gone, n.id)
	if n.now() < until && !m.left[gone] {
		r.fail(inMembers, nil, "instance %#x is out, its clients may believe in its lease for %.3f ms more", gone, float64(until-n.now())/1e6)
	}
}

func (m *members) newView(s *cluster.State, sp *cluster.Space) {
	r := m.c.r
	v, err := s.View(theSpace)
	if err != nil {
		r.fail(inMembers, nil, "view %d: %v", sp.Epoch, err)
		return
	}
	m.views[sp.Epoch] = v
	m.epochs = append(m.epochs, sp.Epoch)
	r.view = v
	r.excl.decided()
	r.stats.Views++
	r.tracef(nil, "view %d of %d nodes", v.Epoch, len(v.Members))
}

// given looks at a view that a member is given.
func (m *members) given(n *node, v *cluster.SpaceView) {
	r := m.c.r
	r.evals[inMembers]++
	last := m.newest[n.instance]
	m.newest[n.instance] = v.Epoch
	known := m.views[v.Epoch]
	if known == nil || len(known.Members) != len(v.Members) || !known.HasInstance(n.instance) {
		r.fail(inMembers, nil, "node %d is given view %d, which is none, or not its", n.id, v.Epoch)
		return
	}
	for _, e := range m.epochs {
		if last != 0 && e > last && e < v.Epoch && m.views[e].HasInstance(n.instance) {
			r.fail(inMembers, nil, "node %d is given view %d after %d: view %d is skipped", n.id, v.Epoch, last, e)
		}
	}
}

// died notes until when the clients of a process that dies believe in their locks.
func (m *members) died(n *node, machine bool) {
	if machine || n.seat.told == 0 {
		return
	}
	m.until[n.instance] = n.seat.told
	for _, l := range n.live {
		if !l.gone {
			l.haunt(n.seat.told)
		}
	}
}

// fallen notes that clients have been told that their locks are lost.
func (m *members) fallen(n *node) { delete(m.until, n.instance) }

// ended notes that a fence agent has ended an instance with its clients.
func (m *members) ended(instance uint64) {
	delete(m.until, instance)
	for _, nm := range m.c.r.order {
		for _, g := range nm.ghosts {
			if g.instance == instance {
				g.until = 0
			}
		}
	}
}

// leased says that a node's lease lasts by true time: only then may it grant or send.
func (r *run) leased(n *node, nm *name, what string) {
	if n.seat == nil {
		return
	}
	r.evals[inLease]++
	if over := n.now() - n.seat.told; over >= 0 {
		r.fail(inLease, nm, "node %d %s, %.3f ms after its lease", n.id, what, float64(over)/1e6)
	}
}
