package sim

import (
	"fmt"

	"github.com/lockify-dlm/lockify/cluster"
)

// This file lets the nodes agree on views themselves: each runs a member of package
// cluster, and those with a store a server, as cluster/doc.go asks it to.
//
//	faults ---> process: up, stopped, dead          clients
//	               |                                  ^  until when they may
//	            server, member  ---- lease ----->  seat.told   believe in what they hold
//	               |                                  |
//	     views, one after the other               checkers
//	               v
//	            shards
//
// Messages of package cluster get lost, come twice and overtake each other; those of
// the shards are kept by their links, as ever.

// Council says how the members of a profile agree on views.
type Council struct {
	Stores int            // nodes with a store, the first ones; the others never vote
	Want   int            // voters
	Bound  int64          // parts per million that clocks may be wrong by, as agreed; Profile.Drift says what they are
	Others bool           // another lockspace is opened and closed: epochs are skipped
	Agents bool           // fence agents end silent members before their lease has ended
	Faults map[string]int // weights of the faults in councilFaults; none: not at all
}

// Times of the council, in ns: the least that package cluster takes.
const (
	councilLease  = 160 * ms
	councilTick   = 8 * ms
	councilRetry  = 20 * ms
	councilMargin = 1 * ms
	// councilRest is how long the members may take to come to rest.
	councilRest = 10_000 * ms
)

// theSpace is the lockspace of the shards, otherSpace one that has no shards.
const (
	theSpace   = "sim"
	otherSpace = "other"
)

// council is what a run has of it.
type council struct {
	r       *run
	p       *Council
	parcels []parcel // under way, by number
	unused  []int    // numbers
	stores  uint64   // made so far
	wiped   uint64   // a store that is lost and still has a vote; 0: none
	calm    bool     // nobody does anything new
	members *members
}

// seat is a node's part in the council.
type seat struct {
	server  *cluster.Server // nil: no store, or the process is dead
	member  *cluster.Member // nil: the process is dead
	disk    *cluster.Memory // nil: no store
	store   uint64
	told    int64 // until when clients may believe in their locks, by the node's clock
	busy    bool  // a command is under way
	leaving bool  // it gives everything up
	asked   bool  // and has asked to be let go
	closing bool  // it leaves the lockspace only, and opens it again as the same instance
	sent    []uint64
	stopped bool     // nothing is read
	inbox   []parcel // what has come meanwhile
	parked  []*lane  // and this
	stale   int64    // the last reading of the clock before the stop
	staleTo int64    // real time until which it is used by mistake
}

func newCouncil(r *run) *council {
	c := &council{r: r, p: r.p.Council}
	c.members = newMembers(c)
	for i, n := range r.nodes {
		n.seat, n.down = &seat{sent: make([]uint64, len(r.nodes)+1)}, true
		if i < c.p.Stores {
			c.newDisk(n)
		}
		r.timer0(timerBoot, i, 1+r.env.Int64N(20*ms))
		r.timer0(timerSeat, i, 1+r.env.Int64N(councilTick))
	}
	first := r.nodes[0].seat
	birth := cluster.Birth{
		Cluster: 7, Want: c.p.Want, Store: first.store, Addr: addr(r.nodes[0]),
		Terms: cluster.Terms{Lease: councilLease, DriftPPM: uint32(c.p.Bound), Margin: councilMargin},
	}
	if err := cluster.Found(first.disk, birth); err != nil {
		r.fail(inPanic, nil, "%v", err)
	}
	return c
}

// newDisk gives a node an empty store, which is another voter.
func (c *council) newDisk(n *node) {
	n.seat.disk = cluster.NewMemory()
	if c.r.bug == bugSameStore && n.seat.store != 0 {
		return
	}
	c.stores++
	n.seat.store = c.stores<<16 | uint64(n.id)
}

func addr(n *node) string { return fmt.Sprintf("n%d", n.id) }

// begin lets the cluster come together, before the programs begin.
func (c *council) begin() {
	c.settle()
	c.calm, c.r.steps = false, 0
}

// boot starts a node's process.
func (c *council) boot(n *node) {
	s := n.seat
	if s.member != nil {
		return
	}
	c.r.tracef(nil, "node %d boots", n.id)
	if s.disk != nil {
		server, err := cluster.NewServer(cluster.ServerConfig{
			Store: s.store, Seed: mix(c.r.cfg.Seed ^ s.store), Tick: councilTick, Elections: 3, FenceLate: c.fenceLate(),
			Without: c.r.rules, Applied: func(st *cluster.State) { c.members.state("server", n, st) },
		}, s.disk)
		if err != nil {
			c.r.fail(inPanic, nil, "node %d: %v", n.id, err)
			return
		}
		s.server = server
	}
	c.join(n)
}

func (c *council) fenceLate() int64 {
	if c.p.Agents {
		return councilLease * 35 / 100
	}
	return 0
}

// join begins a membership, of another instance.
func (c *council) join(n *node) {
	s := n.seat
	c.r.restart(n)
	cfg := cluster.MemberConfig{
		Instance: n.instance, Store: s.store, Addr: addr(n), Cluster: 7, Retry: councilRetry,
		Without: c.r.rules, Applied: func(st *cluster.State) { c.members.state("member", n, st) },
	}
	for _, o := range c.r.nodes[:c.p.Stores] {
		cfg.Contacts = append(cfg.Contacts, cluster.Contact{ID: o.id, Addr: addr(o)})
	}
	m, err := cluster.NewMember(cfg)
	if err != nil {
		c.r.fail(inPanic, nil, "node %d: %v", n.id, err)
		return
	}
	c.r.stats.Joins++
	s.member, s.busy, s.leaving, s.asked, s.closing, s.told = m, false, false, false, false, 0
}

// reading is what the node's process takes its clock to show.
func (n *node) reading() int64 {
	if s := n.seat; s.staleTo > n.r.now {
		return s.stale
	}
	return n.now()
}

// tick is a tick of a node's server and member.
func (c *council) tick(n *node) {
	s := n.seat
	c.r.timer0(timerSeat, int(n.id)-1, councilTick)
	if s.member == nil || s.stopped {
		return
	}
	if s.server != nil {
		c.fromServer(n, s.server.Tick)
	}
	if s.member != nil && !n.down {
		c.fromMember(n, s.member.Tick(n.reading()))
		c.program(n)
	}
}

// program opens lockspaces, and ends memberships.
func (c *council) program(n *node) {
	s := n.seat
	if phase, _ := s.member.Phase(); n.down || phase != cluster.Active || s.busy {
		return
	}
	st := s.member.State()
	switch {
	case !st.HasOpen(theSpace, n.id):
		c.ask(n, cluster.Command{Kind: cluster.Open, Space: theSpace})
	case s.leaving:
		c.leave(n)
	case c.p.Others && !c.calm && n.id&1 == 0 && mix(uint64(c.r.now/(10*councilTick))^uint64(n.id)<<32)%8 == 0:
		kind := cluster.Open
		if st.HasOpen(otherSpace, n.id) {
			kind = cluster.Close
		}
		c.ask(n, cluster.Command{Kind: kind, Space: otherSpace})
	}
}

// ask asks the cluster for something.
func (c *council) ask(n *node, cmd cluster.Command) {
	_, out, err := n.seat.member.Ask(n.reading(), cmd)
	if err != nil {
		return
	}
	n.seat.busy = true
	c.fromMember(n, out)
}

// fromServer calls a server, and carries out what it wants.
func (c *council) fromServer(n *node, call func(now int64) (cluster.Output, error)) {
	out, err := call(n.reading())
	if err != nil {
		c.r.fail(inMembers, nil, "node %d: %v", n.id, err)
		return
	}
	for _, instance := range out.Fence {
		i := c.park(parcel{from: int(n.id), to: int(cluster.NodeOf(instance)), instance: instance})
		c.r.timer0(timerAgent, i, 1+int64(mix(instance)%uint64(10*ms)))
	}
	c.send(n, out.Messages)
}

// fromMember carries out what a member wants, and looks at what it says.
func (c *council) fromMember(n *node, out cluster.Output) {
	s := n.seat
	c.send(n, out.Messages)
	phase, why := s.member.Phase()
	if phase == cluster.Ended {
		c.r.tracef(nil, "node %d: its membership has ended: %v", n.id, why)
		c.fall(n)
		return
	}
	s.told = s.member.Lease()
	for _, a := range s.member.Answers() {
		s.busy = false
		if a.Err != nil {
			c.r.tracef(nil, "node %d: %v", n.id, a.Err)
		}
	}
	for _, v := range s.member.Views() {
		if v.Space == theSpace {
			n.due = append(n.due, c.members.views[v.Epoch])
			c.members.given(n, &v)
			c.r.timer0(timerInstall, int(n.id)-1, c.patience(v.Epoch^n.instance))
		}
	}
	c.closed(n)
}

// patience is the time until a view is installed: a short one, as a rule.
func (c *council) patience(seed uint64) int64 {
	h := mix(seed)
	if h%8 == 0 {
		return 1 + int64(h>>8%uint64(councilLease/4))
	}
	return 1 + int64(h>>8%uint64(2*ms))
}

// mayAct says that the node's lease lasts; whoever enters a shard asks first. When it
// has ended, the node is fenced before anything else.
func (n *node) mayAct() bool {
	s := n.seat
	switch {
	case s == nil:
		return true
	case s.member == nil || s.stopped || n.down:
		return false
	case n.r.bug == bugNoLook || s.member.Valid(n.reading()):
		return true
	}
	if phase, _ := s.member.Phase(); phase == cluster.Active {
		n.r.council.fromMember(n, s.member.Tick(n.reading()))
		n.r.stepped()
	}
	return false
}

// fall fences a node whose membership has ended: its clients are told, then it begins
// anew as another instance.
func (c *council) fall(n *node) {
	r, s := c.r, n.seat
	r.stats.Fenced++
	if r.bug == bugReleaseFirst {
		for _, l := range n.live {
			if l.idle() {
				_ = n.shardOf(l.name).Unlock(n.now(), l.id, 0, nil)
				l.gone = true
			}
		}
	}
	if r.bug != bugQuietEnd {
		for _, sh := range n.shards {
			sh.Fence(n.now())
		}
	}
	for _, l := range n.live {
		if !l.gone {
			r.fail(inOnce, l.name, "lock %d of node %d was not told that it is lost", l.num, n.id)
		}
	}
	c.members.fallen(n)
	r.die(n, mix(n.instance)%2 == 0)
	s.leaving = false
	r.timer0(timerJoin, int(n.id)-1, 1+int64(mix(n.instance)%uint64(councilLease/2)))
}

// rejoin begins anew after a fall, if the process still runs.
func (c *council) rejoin(n *node) {
	if s := n.seat; s.member != nil && n.down {
		if s.stopped {
			c.r.timer0(timerJoin, int(n.id)-1, councilTick)
			return
		}
		c.join(n)
	}
}

// leave ends a membership in order: all is given up first.
func (c *council) leave(n *node) {
	s := n.seat
	if s.asked || !n.takesPart() {
		return
	}
	left := 0
	if c.r.bug != bugLeaveHolding {
		closed := n.closed
		for _, sh := range n.shards {
			left += sh.Leave(n.now())
		}
		n.after(closed)
		for _, l := range n.live {
			if !l.gone {
				left++
			}
		}
	}
	if left == 0 {
		c.r.stats.Leaves++
		s.asked = true
		if s.closing {
			c.r.tracef(nil, "node %d asks to close the lockspace", n.id)
			c.ask(n, cluster.Command{Kind: cluster.Close, Space: theSpace})
			return
		}
		c.r.tracef(nil, "node %d asks to leave", n.id)
		c.members.left[n.instance] = true
		c.ask(n, cluster.Command{Kind: cluster.Leave, KeepVote: mix(n.instance)%2 == 0})
	}
}

// closed makes new shards of a node that has closed the lockspace, once that is agreed. What is
// under way to the old ones comes to them.
func (c *council) closed(n *node) {
	s := n.seat
	if !s.closing || !s.asked || s.member.State() == nil {
		return
	}
	if s.member.State().HasOpen(theSpace, n.id) {
		return
	}
	c.r.tracef(nil, "node %d has closed the lockspace", n.id)
	s.leaving, s.asked, s.closing, n.due = false, false, false, nil
	for _, sh := range n.shards {
		n.lives = max(n.lives, sh.Lives())
	}
	if err := n.start(nil); err != nil {
		c.r.fail(inPanic, nil, "node %d: %v", n.id, err)
	}
}

// giveUp lets the programs of a node that leaves unlock something.
func (r *run) giveUp(n *node) bool {
	if r.bug == bugLeaveHolding {
		return false
	}
	for _, l := range n.live {
		if l.gone || l.dying {
			continue
		}
		a := action{at: r.now, node: int(n.id) - 1, lock: l.num, op: opOf("unlock")}
		if !l.idle() {
			a.op = opOf("force")
		}
		return r.do(&a)
	}
	return false
}

// quiet says that nobody does anything new.
func (r *run) quiet() bool { return r.council != nil && r.council.calm }

// councilDrift gives a node's clock a drift; the bound itself shows most.
func (r *run) councilDrift() int64 {
	bound := r.p.Drift
	if r.bug == bugFarDrift {
		bound = 3 * r.p.Council.Bound
	}
	switch r.env.IntN(4) {
	case 0:
		return bound
	case 1:
		return -bound
	}
	return r.env.Int64N(2*bound+1) - bound
}

// timer is what happens by itself. It is a step if a shard has to do with it.
func (c *council) timer(kind timerKind, i int) (happened bool) {
	switch kind {
	case timerSeat:
		c.tick(c.r.nodes[i])
	case timerBoot:
		c.boot(c.r.nodes[i])
	case timerJoin:
		c.rejoin(c.r.nodes[i])
	case timerWake:
		c.wake(c.r.nodes[i])
	case timerParcel:
		p := c.unpark(i)
		c.arrives(&p)
	case timerAgent:
		p := c.unpark(i)
		c.agent(&p)
	}
	return len(c.r.touched) > 0
}

// deliverAll delivers all messages of the shards, and what they cause. A lease that
// was not renewed before the faults ended may yet end meanwhile.
func (c *council) deliverAll() {
	for c.r.failed == nil {
		for i := 0; c.r.busy() && c.r.failed == nil; i++ {
			if i == maxDeliveries {
				c.r.fail(inWork, nil, "messages without end")
			}
			c.r.step()
		}
		if c.unrest() == "" {
			return
		}
		c.settle()
	}
}

// oldFrame is the mistake of taking a frame of another start of either node for one of
// the present ones.
func (r *run) oldFrame(n *node, p *packet) {
	if r.bug != bugOldFrames || n.down || n.views[0] == nil {
		return
	}
	p.to = n.instance
	if now := n.views[0].Instance(cluster.NodeOf(p.instance)); now != 0 {
		p.instance = now
	}
}
