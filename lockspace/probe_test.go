package lockspace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is what can happen to probes on their way; deadlock_test.go says
// what they find.

// ring lets owner i of n, on the nodes in turn, hold name i in EX and ask for
// name i+1; the locks are those held, then those asked for.
func (c *cluster) ring(n int) (held, asked []*tlock) {
	c.t.Helper()
	names := c.ringNames(n)
	for i := range n {
		held = append(held, c.node(1+i%len(c.nodes)).lockFor(uint64(i+1), names[i], EX, 0))
	}
	for i := range n {
		asked = append(asked, c.node(1+i%len(c.nodes)).lockFor(uint64(i+1), names[(i+1)%n], EX, 0))
	}
	return held, asked
}

func (c *cluster) ringNames(n int) (names []string) {
	for i := range n {
		names = append(names, c.name(fmt.Sprintf("ring%d-", i), 1+i%len(c.nodes), 0))
	}
	return names
}

// probe lets ms pass on all nodes at once, and delivers nothing.
func (c *cluster) probe(ms int) {
	c.now += int64(ms) * 1e6
	for _, n := range c.nodes {
		if !n.down {
			n.tick()
		}
	}
}

// but delivers everything except messages of type typ from one node to another.
func (c *cluster) but(from, to int, typ wire.Type) {
	c.t.Helper()
	held := func(l *link) bool { return int(l.from) == from && int(l.to) == to && l.packets[0].typ == typ }
	for range 100_000 {
		i := slices.IndexFunc(c.busy, func(l *link) bool { return c.ready(l) && !held(l) })
		if i < 0 {
			if !slices.ContainsFunc(c.busy, held) {
				c.t.Fatalf("no %v on its way from %d to %d", typ, from, to)
			}
			return
		}
		c.deliver(c.busy[i])
	}
	c.t.Fatal("messages without end")
}

// deadlocked gives those that have ended in a deadlock.
func deadlocked(locks []*tlock) (out []*tlock) {
	for _, l := range locks {
		if l.last.Status == wire.Deadlock {
			out = append(out, l)
		}
	}
	return out
}

func (c *cluster) phantoms() (n uint64) {
	for _, node := range c.nodes {
		for _, s := range node.shards {
			n += s.stats.Phantoms
		}
	}
	return n
}

// A path is put together from edges of which the first is gone when the last
// comes into being: there is no moment at which anybody waits in a circle. It
// takes the second look to see that.
func TestPhantom(t *testing.T) {
	for _, rules := range []Rules{0, NoVerify} {
		c := newCluster(t, 3, 1, rules)
		names := c.ringNames(3)
		x, y, z := names[0], names[1], names[2]
		c.node(1).lockFor(1, x, EX, 0)
		held := c.node(2).lockFor(2, y, EX, 0)
		c.node(3).lockFor(3, z, EX, 0)
		granted := c.node(1).lockFor(1, y, EX, 0)
		first := c.node(3).lockFor(3, x, EX, 0)
		c.probe(300)
		c.but(2, 2, wire.Chase) // 3 waits for 1, who waits for 2
		held.unlock(0, nil)
		c.about(y)
		second := c.node(2).newTlock(z, EX, 0)
		second.owner = 2
		second.ask()
		c.about(z) // and now 2 waits for 3
		if !granted.holds(EX) {
			t.Fatal("not what the script is about")
		}
		c.settle()
		if got := len(deadlocked([]*tlock{first, second})); got != map[Rules]int{0: 0, NoVerify: 1}[rules] {
			t.Errorf("rules %#x: %d deadlocks reported", rules, got)
		}
		if rules == 0 && c.phantoms() == 0 {
			t.Error("no phantom was seen")
		}
		c.release(c.locks)
	}
}

// Who holds what another one waits for has given it up, and then asks for what that
// one holds: no circle, though the master does not know it yet when all the rest is
// known. What is given up may be on a slow link, or wait for a fence, as none of the
// probe's messages does.
func TestReleaseOnTheWay(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bytes bool
		first bool // else the one who looks gives up what he holds, while he waits
		gives func(held *tlock)
	}{
		{"unlock", false, true, func(l *tlock) { l.unlock(0, nil) }},
		{"conversion", false, true, func(l *tlock) { l.convert(CR, 0, nil) }},
		{"unlock, last edge", false, false, func(l *tlock) { l.unlock(0, nil) }},
		{"bytes unlocked", true, true, func(l *tlock) { l.bytes(1, off, 9, 9, 0) }},
		{"bytes downgraded", true, true, func(l *tlock) { l.bytes(1, rd, 9, 9, 0) }},
		{"bytes unlocked, last edge", true, false, func(l *tlock) { l.bytes(2, off, 9, 9, 0) }},
		{"handle closed", true, true, func(l *tlock) { l.unlock(0, nil) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withAndWithout(t, NoAskHolder, func(c *cluster) string { return releaseOnTheWay(c, tc.bytes, tc.first, tc.gives) })
		})
	}
}

func releaseOnTheWay(c *cluster, bytes, first bool, gives func(held *tlock)) string {
	x, y := c.mastered("x", 3, 0), c.mastered("y", 4, 0)
	held := []*tlock{1: nil, 2: nil}
	ask := func(owner int, name string, mode Mode, typ byterange.Type) func() Status {
		if bytes {
			h := c.handle(owner, name)
			if mode == EX {
				held[owner] = h
			}
			b := h.bytes(uint64(owner), typ, 9*int64(owner&1), 9, 0)
			return func() Status { return b.out.Status }
		}
		l := c.node(owner).newTlock(name, mode, 0)
		l.owner = uint64(owner)
		l.ask()
		if mode == EX {
			held[owner] = l
		}
		return func() Status { return l.last.Status }
	}
	ask(1, x, EX, wr)
	ask(2, y, EX, wr)
	c.settle()
	victim := ask(2, x, PR, rd)
	c.settle()
	gone, from, to := x, 1, 3
	if !first {
		gone, from, to = y, 2, 4
		ask(1, y, PR, rd)
		c.settle()
	}
	gives(held[from])
	late := func(l *link) bool { return int(l.from) == from && int(l.to) == to && l.name == gone }
	if first {
		ask(1, y, PR, rd)
	}
	for range 3 {
		c.settleBut(late)
		c.probe(300)
	}
	c.settleBut(late)
	if victim() == wire.Deadlock {
		return "refused for a circle that never was"
	}
	if c.phantoms() == 0 {
		c.fatalf("nobody has looked")
	}
	return ""
}

// A circle that is broken between the probe and the second look. Whatever breaks
// it, nobody is a victim any more.
func TestBrokenCircle(t *testing.T) {
	for _, tc := range []struct {
		name string
		how  func(held, asked []*tlock)
	}{
		{"the second one gives up what he holds", func(held, _ []*tlock) { held[1].unlock(0, nil) }},
		{"the second one needs less of it", func(held, _ []*tlock) { held[1].convert(NL, 0, nil) }},
		{"the first one withdraws", func(_, asked []*tlock) { asked[0].cancel() }},
		{"the first one goes by force", func(_, asked []*tlock) { asked[0].unlock(ForceUnlock, nil) }},
		{"the first one asks again", func(_, asked []*tlock) {
			asked[0].unlock(ForceUnlock, nil)
			again := asked[0].n.newTlock(asked[0].name, EX, 0)
			again.owner = asked[0].owner
			again.ask()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, 3, 1, 0)
			held, asked := c.ring(3)
			c.probe(300)
			c.but(3, 2, wire.Verify)
			tc.how(held, asked)
			c.about(held[0].name, held[1].name, held[2].name)
			c.settle()
			if d := deadlocked(asked); len(d) != 0 || c.phantoms() != 1 {
				t.Errorf("%d victims, %d phantoms", len(d), c.phantoms())
			}
			if tc.name != "the first one asks again" {
				c.pass(700)
				if d := deadlocked(asked); len(d) != 0 {
					t.Errorf("%d victims at last", len(d))
				}
			} else if c.pass(700); len(deadlocked(asked)) != 1 {
				t.Error("the new circle is not found")
			}
			c.release(c.locks)
		})
	}
}

// Circles up to the longest path are found; one that is longer by one is not,
// and costs no more for that.
func TestLongestCircle(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, wire.MaxEdges - 1, wire.MaxEdges, wire.MaxEdges + 1} {
		c := newCluster(t, 5, 1, 0)
		_, asked := c.ring(n)
		c.pass(700)
		want := 1
		if n > wire.MaxEdges {
			want = 0
		}
		d := deadlocked(asked)
		if len(d) != want {
			t.Errorf("%d owners: %d victims, want %d", n, len(d), want)
		}
		for _, l := range d {
			if l.owner != uint64(n) || l.last.Cycle.Len() != n {
				t.Errorf("%d owners: owner %d, a cycle of %d", n, l.owner, l.last.Cycle.Len())
			}
		}
		c.release(c.locks)
	}
}

// The same through requests that have no owners: each makes the path longer by
// two.
func TestLongestCircleThroughRequests(t *testing.T) {
	for _, n := range []int{wire.MaxEdges / 2, wire.MaxEdges/2 + 1} {
		c := newCluster(t, 3, 1, 0)
		names := c.ringNames(n)
		var asked []*tlock
		for i, name := range names {
			c.node(1+i%3).lockFor(uint64(i+1), name, PR, 0)
			c.node(1).lockFor(0, name, CW, 0)
		}
		for i := range names { // behind CW, which only PR keeps from being granted
			asked = append(asked, c.node(1+i%3).lockFor(uint64(i+1), names[(i+1)%n], PR, 0))
		}
		c.pass(700)
		if d := deadlocked(asked); len(d) != 1 != (n > wire.MaxEdges/2) {
			t.Errorf("%d owners: %d victims", n, len(d))
		}
		c.release(c.locks)
	}
}

// A request that is withdrawn, or whose time is up, at any moment of the search
// ends once; and nobody becomes a victim of a circle that is none any more.
func TestWithdrawnWhileProbing(t *testing.T) {
	for _, timeout := range []bool{false, true} {
		for who := range 3 {
			for k := 0; ; k++ {
				c := newCluster(t, 3, 1, 0)
				_, asked := c.ring(3)
				c.probe(300)
				for i := 0; i < k && len(c.busy) > 0; i++ {
					c.deliver(c.busy[slices.IndexFunc(c.busy, c.ready)])
				}
				over := len(c.busy) == 0
				l := asked[who]
				if l.wanted != NoMode && timeout {
					s := l.n.shardOf(l.name)
					s.Deadline(l.n.now(), l.id, l.tag, 0)
					l.n.tick()
				} else if l.wanted != NoMode {
					l.cancel()
				}
				c.settle()
				c.pass(600)
				st := l.last.Status
				ended := st == wire.Deadlock || st == wire.Cancelled && !timeout || st == wire.TimedOut && timeout
				if d := deadlocked(asked); l.ends != 1 || !ended || len(d) > 1 {
					t.Errorf("timeout %v, request %d, after %d messages: %v, %d victims, %d completions", timeout, who, k, st, len(d), l.ends)
				}
				c.release(c.locks)
				if over {
					break
				}
			}
		}
	}
}

// Whatever the order of messages and ticks, a circle has one victim, the request
// of its youngest owner.
func TestDeadlockOrders(t *testing.T) {
	for seed := uint64(1); seed <= 300; seed++ {
		rng := rand.New(rand.NewPCG(seed, 0))
		nodes := 1 + rng.IntN(4)
		c := newCluster(t, nodes, 1+rng.IntN(2), 0)
		n := 2 + rng.IntN(5)
		owners := rng.Perm(n)
		var names []string
		var held, asked []*tlock
		for i := range n {
			names = append(names, c.name(fmt.Sprintf("n%d-", i), 1+rng.IntN(nodes), rng.IntN(len(c.nodes[0].shards))))
		}
		modes := []Mode{PR, PW, EX}
		for i := range n {
			held = append(held, c.node(1+i%nodes).lockFor(uint64(owners[i]+1), names[i], modes[rng.IntN(3)], 0))
		}
		for i := range n {
			l := c.node(1+i%nodes).newTlock(names[(i+1)%n], EX, 0)
			l.owner = uint64(owners[i] + 1)
			l.ask()
			asked = append(asked, l)
			c.random(rng, rng.IntN(20))
		}
		for range 200 {
			c.now += 10e6
			c.node(1 + rng.IntN(nodes)).tick()
			c.random(rng, rng.IntN(8))
		}
		c.pass(600)
		d := deadlocked(asked)
		if len(d) != 1 || d[0].owner != uint64(n) || d[0].last.Cycle.Len() != n {
			t.Fatalf("seed %d: %d owners, %d victims", seed, n, len(d))
		}
		at := slices.Index(asked, d[0])
		for i := range n - 1 { // each gives up what it holds, and the one before it gets it
			held[(at+n-i)%n].unlock(0, nil)
			c.settle()
			if next := asked[(at+2*n-i-1)%n]; !next.holds(EX) {
				t.Fatalf("seed %d: owner %d of %d still waits", seed, next.owner, n)
			}
		}
		c.release(c.locks)
	}
}

// random delivers up to n messages in a random order.
func (c *cluster) random(rng *rand.Rand, n int) {
	for ; n > 0; n-- {
		var ready []*link
		for _, l := range c.busy {
			if c.ready(l) {
				ready = append(ready, l)
			}
		}
		if len(ready) == 0 {
			return
		}
		c.deliver(ready[rng.IntN(len(ready))])
	}
}

// More are in the way than one round follows: the next rounds go on with the
// others.
func TestManyBlockers(t *testing.T) {
	const holders = 3*probeFanout + 10
	for _, last := range []uint64{1, probeFanout + 2, holders} {
		c := newCluster(t, 3, 1, 0)
		a, b := c.name("a", 1, 0), c.name("b", 2, 0)
		for i := range uint64(holders) {
			c.node(int(1+i%3)).lockFor(i+1, a, PR, 0)
		}
		c.node(2).lockFor(holders+1, b, EX, 0)
		w := c.node(2).lockFor(holders+1, a, EX, 0)
		c.node(int(1+(last-1)%3)).lockFor(last, b, EX, 0)
		c.pass(240)
		if w.last.Status == wire.Deadlock {
			t.Fatal("before its time")
		}
		c.pass(1300)
		if w.last.Status != wire.Deadlock {
			t.Errorf("owner %d in the way of another: no deadlock found", last)
		}
		c.release(c.locks)
	}
}

// A shard that has spent its share on probes drops them; later rounds find the
// circle.
func TestProbeShare(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	_, asked := c.ring(3)
	c.probe(300)
	for _, n := range c.nodes {
		n.shards[0].deadlocks.work = 0
	}
	c.settle()
	if d := len(deadlocked(asked)); d != 0 || c.dropped() == 0 {
		t.Errorf("no share: %d probes dropped, %d victims", c.dropped(), d)
	}
	c.probe(250)
	for _, n := range c.nodes {
		for i := range uint64(probeSeen) {
			n.shards[0].firstPass(&wire.Party{Lock: i}, 0, n.shards[0].deadlocks.head)
		}
	}
	before := c.dropped()
	c.settle()
	if d := len(deadlocked(asked)); d != 0 || c.dropped() == before {
		t.Errorf("too many passed: %d probes dropped, %d victims", c.dropped()-before, d)
	}
	c.pass(700)
	if len(deadlocked(asked)) != 1 {
		t.Error("not found afterwards")
	}
	c.release(c.locks)
}

func (c *cluster) dropped() (n uint64) {
	for _, node := range c.nodes {
		for _, s := range node.shards {
			n += s.stats.ProbesDropped
		}
	}
	return n
}

// Probes that name what is not there, or is another one's, are ignored.
func TestStrayProbes(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	held, asked := c.ring(3)
	x := asked[0].name
	s := c.node(2).shards[0] // masters x
	r := c.node(2).resource(x)
	l := s.locks.find(instanceOf(1), asked[0].id)
	var path wire.Path
	path = s.edge(r, path, l, r.granted.head, false)
	e := path.At(0)
	other := e
	other.Life.Counter++
	away := e
	away.Blocker.Instance = instanceOf(3)
	unknown := e
	unknown.Blocker.Instance, unknown.Name = instanceOf(2), []byte("nothing")
	probe := wire.Msg{Type: wire.Probe, Name: []byte(x), Life: r.life, Lock: l.id, Op: l.op}
	wrongOp, wrongLife, wrongLock, wrongName := probe, probe, probe, probe
	wrongOp.Op++
	wrongLife.Life.Counter++
	wrongLock.Lock += 256
	wrongName.Name = []byte("nothing")
	for i, m := range []wire.Msg{
		wrongOp, wrongLife, wrongLock, wrongName,
		{Type: wire.Chase}, {Type: wire.Chase, Path: wire.Path(nil).Append(&away)},
		{Type: wire.Verify}, {Type: wire.Verify, Num: 2, Path: path},
		{Type: wire.Verify, Num: 1, Path: wire.Path(nil).Append(&away)}, {Type: wire.Verify, Num: 1, Path: wire.Path(nil).Append(&unknown)},
		{Type: wire.Verify, Path: wire.Path(nil).Append(&other)},
	} {
		s.Deliver(c.node(2).now(), Origin{Instance: instanceOf(1), Epoch: 1}, Hash(m.Name), &m)
		if len(c.busy) != 0 {
			t.Fatalf("message %d: %v is answered", i, m.Type)
		}
	}
	e.Waiter.Op++ // an operation that has ended
	s.endDeadlocked(wire.Path(nil).Append(&e))
	e.Bytes, unknown.Bytes = true, true // nobody waits for bytes
	s.endDeadlocked(wire.Path(nil).Append(&e))
	s.endDeadlocked(wire.Path(nil).Append(&unknown))
	if len(deadlocked(asked)) != 0 || held[1].gone {
		t.Error("a victim")
	}
	c.release(c.locks)
}
