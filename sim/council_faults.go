package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
)

// councilFaults is what happens to the nodes of a council.
var councilFaults = []struct {
	name string
	do   func(c *council, n *node, fate *rand.Rand)
}{
	{"crash", (*council).crash},
	{"stop", (*council).stop},
	{"cut", (*council).cutOff},
	{"split", (*council).split},
	{"leave", func(c *council, n *node, _ *rand.Rand) { n.seat.leaving = n.takesPart() }},
	{"close", func(c *council, n *node, _ *rand.Rand) {
		if !n.seat.leaving {
			n.seat.leaving, n.seat.closing = n.takesPart(), n.takesPart()
		}
	}},
	{"remove", func(c *council, n *node, fate *rand.Rand) {
		c.operator(n, cluster.Command{Kind: cluster.Remove, ID: uint16(1 + fate.IntN(len(c.r.nodes)))})
	}},
	{"promote", func(c *council, n *node, fate *rand.Rand) {
		c.operator(n, cluster.Command{Kind: cluster.Promote, ID: uint16(1 + fate.IntN(c.p.Stores))})
	}},
	{"resign", (*council).resign},
	{"view", func(c *council, n *node, _ *rand.Rand) {
		c.operator(n, cluster.Command{Kind: cluster.NewView, Space: theSpace})
	}},
}

// change is one random fault.
func (c *council) change(fate *rand.Rand) {
	n := c.r.nodes[fate.IntN(len(c.r.nodes))]
	if fate.IntN(3) == 0 {
		n = c.leader(n)
	}
	total := 0
	for _, f := range councilFaults {
		total += c.p.Faults[f.name]
	}
	k := fate.IntN(total)
	for _, f := range councilFaults {
		if k -= c.p.Faults[f.name]; k < 0 {
			if n.seat.member != nil && !n.seat.stopped {
				f.do(c, n, fate)
			}
			return
		}
	}
}

// leader gives the node that leads, or n.
func (c *council) leader(n *node) *node {
	for _, o := range c.r.nodes {
		if o.seat.server != nil {
			if _, self := o.seat.server.Leader(); self {
				return o
			}
		}
	}
	return n
}

// crash ends a process; it comes back, now and then without its store. Its clients go
// on believing in their locks for as long as they were told, or die with it.
func (c *council) crash(n *node, fate *rand.Rand) {
	wipe := fate.IntN(3) == 0 && c.mayWipe(n)
	lose, machine := fate.IntN(2) == 0, fate.IntN(3) == 0
	c.r.stats.Crashes++
	c.r.tracef(nil, "node %d dies, with its store: %v, with its clients: %v", n.id, wipe, machine)
	c.end(n, lose, machine)
	if wipe {
		c.r.stats.Wiped++
		c.wiped = n.seat.store
		c.newDisk(n)
	}
	c.r.timer0(timerBoot, int(n.id)-1, 1+fate.Int64N(3*councilLease))
}

// end ends a process.
func (c *council) end(n *node, lose, machine bool) {
	s := n.seat
	if !n.down {
		c.members.died(n, machine)
		c.r.die(n, lose)
	}
	s.server, s.member, s.stopped, s.inbox, s.leaving = nil, nil, false, nil, false
	c.unread(n)
}

// unread lets the frames that a stopped process has not read go on.
func (c *council) unread(n *node) {
	for _, l := range n.seat.parked {
		c.r.coming(l)
	}
	n.seat.parked = n.seat.parked[:0]
}

// mayWipe says that the cluster can do without a node's store: all voters have theirs,
// they are three or more, and nobody is giving up a vote.
func (c *council) mayWipe(n *node) bool {
	if n.seat.disk == nil || c.hurt() {
		return false
	}
	for _, o := range c.r.nodes {
		switch {
		case o.seat.member == nil || o.seat.busy:
			return false // what it knows, or waits for, is not known
		case o.seat.server == nil:
			continue
		}
		voters := o.seat.server.Voters()
		if len(voters) > 0 && (len(voters) < 3 || len(voters) != len(c.members.last.Voters)) {
			return false
		}
		for _, v := range voters {
			if c.r.nodes[cluster.NodeOf(v)-1].seat.store != v {
				return false
			}
		}
	}
	return true
}

// hurt says that a store is lost and may still have a vote.
func (c *council) hurt() bool {
	for _, o := range c.r.nodes {
		if o.seat.server != nil && slices.Contains(o.seat.server.Voters(), c.wiped) {
			return true
		}
	}
	return false
}

// stop stops a process, as SIGSTOP does: its clock goes on.
func (c *council) stop(n *node, fate *rand.Rand) {
	s := n.seat
	ns := 1 + fate.Int64N(2*councilLease)
	if fate.IntN(2) == 0 {
		ns = 1 + fate.Int64N(councilLease) // it may come back with its lease
	}
	c.r.stats.Stops++
	c.r.tracef(nil, "node %d stops for %.3f ms", n.id, float64(ns)/1e6)
	s.stopped, s.stale = true, n.now()
	c.r.timer0(timerWake, int(n.id)-1, ns)
}

// wake lets a process go on. What it was sent is there at once.
func (c *council) wake(n *node) {
	s, r := n.seat, c.r
	if !s.stopped {
		return
	}
	r.tracef(nil, "node %d goes on", n.id)
	s.stopped = false
	if r.bug == bugStaleClock {
		s.staleTo = r.now + councilTick
	}
	c.unread(n)
	for i := range s.inbox {
		r.timer0(timerParcel, c.park(s.inbox[i]), int64(i+1)*us)
	}
	s.inbox = nil
	for range n.due {
		r.timer0(timerInstall, int(n.id)-1, 1+int64(mix(n.instance)%uint64(ms)))
	}
}

// cutOff breaks links for a time: one, or all of a node, one way or both.
func (c *council) cutOff(n *node, fate *rand.Rand) {
	r := c.r
	whole, both, ns := fate.IntN(3) == 0, fate.IntN(2) == 0, 1+fate.Int64N(3*councilLease)
	o := 1 + fate.IntN(len(r.nodes))
	r.stats.Cuts++
	r.tracef(nil, "node %d is cut off from %d for %.3f ms, from all: %v, both ways: %v", n.id, o, float64(ns)/1e6, whole, both)
	for i := range r.nodes {
		if i+1 != int(n.id) && (whole || i+1 == o) {
			r.cut(int(n.id), i+1, ns, both)
		}
	}
}

// split parts the nodes in two for a time.
func (c *council) split(_ *node, fate *rand.Rand) {
	r := c.r
	side, ns := fate.Uint64(), 1+fate.Int64N(3*councilLease)
	r.stats.Splits++
	r.tracef(nil, "the nodes are split for %.3f ms: %b", float64(ns)/1e6, side&(1<<len(r.nodes)-1))
	for i := range r.nodes {
		for k := range i {
			if side>>i&1 != side>>k&1 {
				r.cut(i+1, k+1, ns, true)
			}
		}
	}
}

// operator asks for something at a node, unless a vote is lost: the cluster may need
// those that are left.
func (c *council) operator(n *node, cmd cluster.Command) {
	phase, _ := n.seat.member.Phase()
	if n.down || n.seat.busy || phase != cluster.Active || c.hurt() {
		return
	}
	c.r.tracef(nil, "node %d asks: %v %d", n.id, cmd.Kind, cmd.ID)
	c.ask(n, cmd)
}

func (c *council) resign(n *node, _ *rand.Rand) {
	if n.seat.server != nil {
		c.r.tracef(nil, "node %d resigns", n.id)
		c.fromServer(n, n.seat.server.Resign)
	}
}

// agent is a fence agent: it ends a node with its clients, and confirms.
func (c *council) agent(p *parcel) {
	n, by := c.r.nodes[p.to-1], c.r.nodes[p.from-1]
	if n.seat.member != nil && n.instance == p.instance {
		c.r.tracef(nil, "node %d is ended by a fence agent", n.id)
		c.end(n, true, true)
		c.r.timer0(timerBoot, int(n.id)-1, 1+int64(mix(p.instance)%uint64(2*councilLease)))
	}
	c.r.stats.Ended++
	c.members.ended(p.instance)
	if s := by.seat; s.server != nil && !s.stopped {
		c.fromServer(by, func(now int64) (cluster.Output, error) { return s.server.FenceDone(now, p.instance) })
	}
}

// --- rest ---

// settle ends all faults and lets the members come to rest: all are in, and have the
// same view.
func (c *council) settle() {
	r := c.r
	c.calm = true
	for _, n := range r.nodes {
		c.wake(n)
		c.boot(n)
		n.seat.leaving = n.seat.asked
	}
	r.heal()
	for end := r.now + councilRest; r.failed == nil; {
		why := c.unrest()
		if why == "" {
			return
		}
		if r.now >= end {
			c.traceSeats()
			r.fail(inMembers, nil, "no rest %d ms after the last fault: %s", councilRest/ms, why)
		}
		c.pass(councilTick)
	}
}

// pass lets time pass.
func (c *council) pass(ns int64) {
	r := c.r
	for end := r.now + ns; r.failed == nil && r.now < end && r.step(); {
	}
}

// unrest says what keeps the members from being at rest, "": nothing.
func (c *council) unrest() string {
	last := c.members.last
	sp := last.Space(theSpace)
	if sp == nil || len(last.Nodes) != len(c.r.nodes) {
		return "not all are members"
	}
	for _, n := range c.r.nodes {
		switch m := n.seat.member; {
		case m == nil || n.down || !m.Valid(n.now()):
			return "a node is no member"
		case m.State() == nil || m.State().Version != last.Version || n.seat.busy:
			return "a member does not know what has been decided"
		case n.shards[0].Epoch() != sp.Epoch || len(n.due) > 0 || slices.ContainsFunc(n.shards, (*lockspace.Shard).Working) || last.Member(n.instance) == nil:
			return "a view is not installed"
		}
	}
	return ""
}

// traceSeats notes how each node stands.
func (c *council) traceSeats() {
	for _, n := range c.r.nodes {
		s := n.seat
		text := "no server"
		if s.server != nil {
			id, self := s.server.Leader()
			st := s.server.State()
			text = fmt.Sprintf("store %#x, version %d, leader %d, itself: %v, voters %+v", s.store, st.Version, id, self, st.Voters)
		}
		if s.member != nil {
			phase, why := s.member.Phase()
			text += fmt.Sprintf("; phase %d, %v", phase, why)
		}
		c.r.tracef(nil, "node %d, instance %#x, down %v: %s", n.id, n.instance, n.down, text)
	}
}
