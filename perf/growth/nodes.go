package growth

import (
	"container/heap"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/wire"
)

// Nodes simulates clusters whose nodes create names, with the lookups of a classic lock
// manager and with claims.
func Nodes(ctx context.Context, o *Options) (*Chart, error) {
	title := fmt.Sprintf("Creations, simulated: round trip %v, %.0f/s at each node, %v for each step", o.RTT, o.Rate, o.Service)
	c := &Chart{Title: title, Unit: "nodes", Log: true, Panels: []Panel{
		{Unit: "acquire, us", Log: true, Lines: []Line{{Label: "lookup, p50"}, {Label: "lookup, p99"}, {Label: "claim, p50"}, {Label: "claim, p99"}}},
		{Unit: "messages for each", Lines: []Line{{Label: "lookup"}, {Label: "claim"}, {Label: "claim, waited for"}}},
	}}
	for _, n := range o.upTo(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		o.Progress(fmt.Sprintf("%.0f nodes", n))
		lookup, err := simulate(int(n), false, o)
		if err != nil {
			return nil, err
		}
		claim, err := simulate(int(n), true, o)
		if err != nil {
			return nil, err
		}
		c.X = append(c.X, n)
		for i, r := range []*simulated{lookup, claim} {
			c.add(0, 2*i, r.acquire.QuantileUS(0.5))
			c.add(0, 2*i+1, r.acquire.QuantileUS(0.99))
			c.add(1, i, r.per(r.sent))
		}
		c.add(1, 2, claim.per(claim.hops))
	}
	return c, nil
}

// creations that are simulated: so many at least, and so many at each node.
const (
	leastCreations = 20_000
	eachCreations  = 50
)

// simulated is what a simulated cluster has done.
type simulated struct {
	creations, sent, hops uint64
	acquire               *perf.Histogram
}

func (s *simulated) per(n uint64) float64 { return float64(n) / float64(s.creations) }

// cluster is a simulated one.
type cluster struct {
	*simulated
	o     *Options
	view  *lockspace.View
	nodes []*simNode
	queue events
	seq   uint64
	now   int64 // ns: when what happens now is done
	err   error
}

// simNode is one of its nodes. It is the Host and the Common of its shard.
type simNode struct {
	c      *cluster
	id     uint16
	shard  *lockspace.Shard
	busy   int64 // until then
	names  int
	last   uint64 // claims begun
	closed uint64 // all up to this one are closed
	done   map[uint64]bool
	clock  uint64
}

// creation is a lock of a new name.
type creation struct {
	node  *simNode
	due   int64
	id    uint64
	flags uint32
}

// event is something that a node has to do.
type event struct {
	at, seq uint64
	node    *simNode
	create  *creation
	unlock  *creation
	message []byte
	from    lockspace.Origin
}

type events []*event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(*event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

func instanceOf(id uint16) uint64 { return 1<<16 | uint64(id) }

// simulate runs a cluster until all its creations are through.
func simulate(n int, claim bool, o *Options) (*simulated, error) {
	c := &cluster{simulated: &simulated{acquire: perf.NewHistogram()}, o: o}
	var members []lockspace.Member
	for i := range n {
		members = append(members, lockspace.Member{ID: uint16(i + 1), Instance: instanceOf(uint16(i + 1))})
	}
	var err error
	if c.view, err = lockspace.NewView(1, members); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	var flags uint32
	if claim {
		flags = lockspace.NewName
	}
	for _, m := range members {
		node := &simNode{c: c, id: m.ID, done: map[uint64]bool{}}
		node.shard, err = lockspace.New(lockspace.Config{
			Self: m.Instance, Shards: 1, ValueLen: 32, View: c.view, Host: node, Common: node, IdleAfter: int64(time.Hour),
		})
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, node)
		at := 0.0
		for range max(leastCreations/n, eachCreations) {
			at += random.ExpFloat64() / o.Rate * 1e9
			c.push(&event{at: uint64(at), node: node, create: &creation{node: node, due: int64(at), flags: flags}})
		}
	}
	for len(c.queue) > 0 && c.err == nil {
		c.step(heap.Pop(&c.queue).(*event))
	}
	if c.err == nil && uint64(c.acquire.Count()) != c.creations {
		c.err = fmt.Errorf("growth: %d of %d simulated creations have come to an end", c.acquire.Count(), c.creations)
	}
	return c.simulated, c.err
}

func (c *cluster) push(e *event) {
	c.seq++
	e.seq = c.seq
	heap.Push(&c.queue, e)
}

// step has a node do what it has to, behind all that came before.
func (c *cluster) step(e *event) {
	n := e.node
	n.busy = max(n.busy, int64(e.at)) + c.o.Service.Nanoseconds()
	c.now = n.busy
	switch {
	case e.create != nil:
		c.creations++
		n.names++
		name := append(strconv.AppendInt(nil, int64(n.id), 10), '/')
		name = strconv.AppendInt(name, int64(n.names), 10)
		id, st := n.shard.Lock(c.now, &lockspace.Request{
			Name: name, Hash: lockspace.Hash(name), Mode: lockspace.EX, Flags: e.create.flags, User: e.create,
		})
		if st != wire.OK {
			c.err = fmt.Errorf("growth: simulated lock of %q: %v", name, st)
		}
		e.create.id = id
	case e.unlock != nil:
		if st := n.shard.Unlock(c.now, e.unlock.id, 0, nil); st != wire.OK {
			c.err = fmt.Errorf("growth: simulated unlock: %v", st)
		}
	default:
		var m wire.Msg
		if _, err := m.Decode(e.message); err != nil {
			c.err = err
			return
		}
		n.shard.Deliver(c.now, e.from, lockspace.Hash(m.Name), &m)
	}
}

// Send is part of lockspace.Host.
func (n *simNode) Send(to uint16, m *wire.Msg) {
	c := n.c
	c.sent++
	c.push(&event{
		at: uint64(c.now + c.o.RTT.Nanoseconds()/2), node: c.nodes[to-1], message: m.Append(nil),
		from: lockspace.Origin{Instance: instanceOf(n.id), Epoch: 1, Clock: n.clock},
	})
}

// Complete is part of lockspace.Host: what is granted is unlocked.
func (n *simNode) Complete(user any, id, _ uint64, x *lockspace.Completion) {
	c := n.c
	k := user.(*creation)
	if x.Mode != lockspace.EX { // the end of its unlock
		return
	}
	k.id = id
	c.hops += uint64(x.Hops)
	c.acquire.Record(time.Duration(c.now - k.due))
	c.push(&event{at: uint64(c.now), node: n, unlock: k})
}

// Blocking is part of lockspace.Host: nobody else wants these names.
func (n *simNode) Blocking(any, uint64, lockspace.Mode) {}

// Confirmed is part of lockspace.Host.
func (n *simNode) Confirmed(any, uint64) {}

// Lost is part of lockspace.Host: no claim is wrong.
func (n *simNode) Lost(any, uint64) { n.c.err = fmt.Errorf("growth: node %d has lost a lock", n.id) }

// Bytes is part of lockspace.Host.
func (n *simNode) Bytes(any, uint64, uint64, *lockspace.ByteOutcome) {}

// Conflict is part of lockspace.Host.
func (n *simNode) Conflict(name []byte, _ wire.Life) {
	n.c.err = fmt.Errorf("growth: conflict about %q", name)
}

// MayClaim is part of lockspace.Host.
func (n *simNode) MayClaim(uint16) bool { return true }

// OpenClaim is part of lockspace.Common.
func (n *simNode) OpenClaim() (uint64, bool) {
	n.last++
	return n.last, true
}

// CloseClaim is part of lockspace.Common.
func (n *simNode) CloseClaim(claim uint64) {
	n.done[claim] = true
	for n.done[n.closed+1] {
		n.closed++
		delete(n.done, n.closed)
	}
}

// LastClaim is part of lockspace.Common.
func (n *simNode) LastClaim() uint64 { return n.last }

// ClosedTo is part of lockspace.Common.
func (n *simNode) ClosedTo() uint64 { return n.closed }

// Clock is part of lockspace.Common.
func (n *simNode) Clock() uint64 { return n.clock }

// Advance is part of lockspace.Common.
func (n *simNode) Advance(token uint64) { n.clock = max(n.clock, token) }
