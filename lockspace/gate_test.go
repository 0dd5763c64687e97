package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the gating table of docs/protocol.md, row by row. In all
// scripts node 1 creates x under its parent p, node 3 is the directory of x,
// and node 4 is the finder, who looks at x as soon as p lets it.

// withAndWithout runs a script twice. It gives the violation it has seen, or
// "": none with the rule, one without.
func withAndWithout(t *testing.T, rule Rules, script func(c *cluster) string) {
	t.Helper()
	withAndWithoutOn(t, 1, rule, script)
}

func withAndWithoutOn(t *testing.T, shards int, rule Rules, script func(c *cluster) string) {
	t.Helper()
	t.Run("with", func(t *testing.T) {
		c := newCluster(t, 4, shards, 0)
		if v := script(c); v != "" {
			t.Fatal(v)
		}
		c.windDown()
	})
	t.Run("without", func(t *testing.T) {
		if v := script(newCluster(t, 4, shards, rule)); v == "" {
			t.Fatal("the script does not show what the rule is for")
		}
	})
}

// windDown ends all locks and checks that nothing is left.
func (c *cluster) windDown() {
	c.t.Helper()
	for range 20 + len(c.locks) {
		c.settle()
		for _, l := range c.locks {
			if !l.gone && l.wanted == NoMode {
				l.unlock(0, nil)
			}
		}
	}
	c.settle()
	for _, l := range c.locks {
		if !l.crashed && (!l.gone || l.ends != int(l.tag)) {
			c.t.Errorf("node %d %q %#x: %d completions of %d operations, gone %v", l.n.id, l.name, l.id, l.ends, l.tag, l.gone)
		}
	}
	c.idle()
	if left := c.empty(); left != "" {
		c.t.Error(left)
	}
}

// find is what the finder does once it may read p. It gives the violation.
func (c *cluster) find(x string, creator *tlock) string {
	c.t.Helper()
	f := c.node(4).lock(x, EX, 0)
	c.one(4, 3, x, wire.Lookup)
	if c.on(3, 4, x, wire.You) {
		c.one(3, 4, x, wire.You)
	}
	if f.holds(EX) && creator.holds(EX) {
		return "creator and finder both hold EX"
	}
	return ""
}

// create makes x on node 1; its NOTIFY stays on its way.
func (c *cluster) create(shard int) (x string, l *tlock) {
	c.t.Helper()
	x = c.name("x", 3, shard)
	l = c.node(1).lock(x, EX, NewName)
	if !l.holds(EX) || !l.open {
		c.t.Fatal("no grant under a claim")
	}
	return x, l
}

// mastered gives a name whose master and directory is a node.
func (c *cluster) mastered(prefix string, id, shard int) string {
	c.t.Helper()
	name := c.name(prefix, id, shard)
	if l := c.node(id).lock(name, NL, 0); !l.holds(NL) {
		c.t.Fatal("not master of a name of its own directory")
	}
	return name
}

// hold gets a granted lock.
func (c *cluster) hold(id int, name string, mode Mode, flags uint32) *tlock {
	c.t.Helper()
	l := c.node(id).lock(name, mode, flags)
	c.about(name)
	if !l.holds(mode) {
		c.t.Fatalf("node %d has not got %q in %v", id, name, mode)
	}
	return l
}

func TestGateUnlock(t *testing.T) {
	withAndWithout(t, NoGateUnlock, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		pl := c.hold(1, p, EX, 0)
		x, xl := c.create(0)
		pl.unlock(0, nil)
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

func TestGateDownConvert(t *testing.T) {
	withAndWithout(t, NoGateDown, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		pl := c.hold(1, p, EX, 0)
		x, xl := c.create(0)
		if pl.convert(CR, 0, nil); !pl.holds(CR) {
			t.Fatal("a down-conversion is not complete at once")
		}
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

func TestGateValueWrite(t *testing.T) { // finding 1d
	withAndWithout(t, NoGateValue, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		f := c.hold(4, p, NL, ValBlk)
		pl := c.hold(1, p, EX, 0)
		x, xl := c.create(0)
		pl.convert(EX, ValBlk, value(77)) // tells about x
		c.about(p)
		f.convert(NL, ValBlk, nil)
		c.about(p)
		if f.last.Bits&wire.BitValue == 0 {
			return ""
		}
		return c.find(x, xl)
	})
}

func TestGateConvDeadlk(t *testing.T) { // finding 1c
	withAndWithout(t, NoGateDemote, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		f := c.hold(4, p, CR, 0)
		pl := c.hold(1, p, PW, 0)
		f.convert(PR, 0, nil)
		c.about(p)
		x, xl := c.create(0)
		pl.convert(EX, ConvDeadlk, nil)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

func TestGateMiddleConvert(t *testing.T) { // finding 1c
	withAndWithout(t, NoGateDemote, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		pl := c.hold(1, p, CW, 0)
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		x, xl := c.create(0)
		pl.convert(PR, 0, nil)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

func TestGateGrant(t *testing.T) {
	withAndWithout(t, NoGateGrant, func(c *cluster) string {
		p := c.name("p", 1, 0)
		pl := c.hold(1, p, EX, 0)
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		x, xl := c.create(0)
		pl.unlock(0, nil)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

func TestGateYou(t *testing.T) { // finding 1b
	withAndWithout(t, NoGateYou, func(c *cluster) string {
		p := c.name("p", 1, 0)
		pl := c.hold(1, p, EX, 0)
		x, xl := c.create(0)
		pl.unlock(0, nil)
		c.now += testIdle
		c.node(1).tick() // node 1 forgets that it was master of p
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

func TestGateRemove(t *testing.T) { // finding 1a
	withAndWithout(t, NoGateRemove, func(c *cluster) string {
		p := c.name("p", 2, 0)
		pl := c.hold(1, p, EX, 0)
		x, xl := c.create(0)
		pl.unlock(0, nil)
		c.now += testIdle
		c.node(1).tick()
		c.about(p)
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

// A held REMOVE is taken back when somebody needs the master.
func TestRemoveIsTakenBack(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	p := c.name("p", 2, 0)
	pl := c.hold(1, p, EX, 0)
	c.create(0)
	pl.unlock(0, nil)
	c.now += testIdle
	c.node(1).tick()
	if st := c.node(1).shards[0].Stats(); st.HeldNow != 1 || c.sent[wire.Remove] != 0 || !c.node(1).shards[0].Holding() {
		t.Fatalf("%d messages held, %d REMOVE sent", st.HeldNow, c.sent[wire.Remove])
	}
	f := c.node(4).lock(p, PR, 0)
	c.about(p) // FWD to node 1, which serves it as before
	c.settle()
	if !f.holds(PR) || c.sent[wire.Remove] != 0 || c.sent[wire.NotMaster] != 0 {
		t.Errorf("granted %v, %d REMOVE and %d NOTMASTER sent", f.mode, c.sent[wire.Remove], c.sent[wire.NotMaster])
	}
	c.windDown()
}

// The fence is the node's: a claim in one shard, a release in another.
func TestGateOverShards(t *testing.T) {
	withAndWithoutOn(t, 2, NoFence, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		pl := c.hold(1, p, EX, 0)
		x, xl := c.create(1)
		pl.unlock(0, nil)
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		if !f.holds(PR) {
			c.settle() // CONFIRM in shard 1 lets the UNLOCK of shard 0 go
			if !f.holds(PR) {
				return "the release was never sent"
			}
			return ""
		}
		return c.find(x, xl)
	})
}

// A message waits for the claims that were open when it was made, not for
// later ones.
func TestFenceNumber(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	p := c.mastered("p", 2, 0)
	pl := c.hold(1, p, EX, 0)
	x, _ := c.create(0)
	pl.unlock(0, nil)
	y := c.name("y", 3, 0)
	c.node(1).lock(y, EX, NewName)
	if len(c.pending(1, 2, p)) != 0 {
		t.Fatal("UNLOCK was not held")
	}
	c.about(x)
	if !c.on(1, 2, p, wire.Unlock) {
		t.Error("UNLOCK waits for a claim made after it")
	}
	st := c.node(1).shards[0].Stats()
	if st.HeldTotal != 1 || st.HeldNow != 0 || st.HeldTimes.Nanos == 0 || st.ClaimsOpen != 1 {
		t.Errorf("stats %+v", st)
	}
	c.windDown()
}

// sending makes node 1 send a message of type typ to node to. prepare runs
// before a claim is made, act after it.
type sending struct {
	typ     wire.Type
	to      int
	prepare func(c *cluster) string // gives the name
	act     func(c *cluster, name string)
}

func own(c *cluster) string   { n := c.name("n", 1, 0); c.hold(1, n, PR, WantBast); return n }
func other(c *cluster) string { return c.mastered("n", 2, 0) }
func old(holder, dir int) func(c *cluster) string {
	return func(c *cluster) string { // master holder holds nothing any more
		n := c.name("n", dir, 0)
		c.hold(holder, n, EX, 0).unlock(0, nil)
		return n
	}
}

var ungatedSendings = []sending{
	{wire.Lookup, 2, func(c *cluster) string { return c.name("n", 2, 0) }, func(c *cluster, n string) { c.node(1).lock(n, EX, 0) }},
	{wire.Notify, 2, func(c *cluster) string { return c.name("n", 2, 0) }, func(c *cluster, n string) { c.node(1).lock(n, EX, NewName) }},
	{wire.Request, 2, func(c *cluster) string { n := other(c); c.hold(1, n, NL, 0); return n },
		func(c *cluster, n string) { c.node(1).lock(n, EX, 0) }},
	{wire.Convert, 2, func(c *cluster) string { n := other(c); c.hold(1, n, NL, 0); return n },
		func(c *cluster, n string) { c.locks[1].convert(EX, 0, nil) }},
	{wire.Cancel, 2, func(c *cluster) string {
		n := other(c)
		c.locks[0].convert(EX, 0, nil)
		c.node(1).lock(n, EX, 0)
		c.about(n)
		return n
	},
		func(c *cluster, n string) { c.locks[1].cancel() }},
	{wire.Fwd, 2, old(2, 1), func(c *cluster, n string) { c.node(4).lock(n, EX, 0); c.one(4, 1, n, wire.Lookup) }},
	{wire.Confirm, 2, func(c *cluster) string { return c.name("n", 1, 0) },
		func(c *cluster, n string) { c.node(2).lock(n, EX, NewName); c.one(2, 1, n, wire.Notify) }},
	{wire.Reject, 4, old(2, 1), func(c *cluster, n string) { c.node(4).lock(n, EX, NewName); c.one(4, 1, n, wire.Notify) }},
	{wire.Adopt, 4, old(4, 2), func(c *cluster, n string) {
		c.node(1).lock(n, EX, NewName)
		c.one(1, 2, n, wire.Notify)
		c.one(2, 1, n, wire.Reject)
	}},
	{wire.Adopted, 4, old(1, 2), func(c *cluster, n string) {
		c.node(4).lock(n, EX, NewName)
		c.one(4, 2, n, wire.Notify)
		c.one(2, 4, n, wire.Reject)
		c.one(4, 1, n, wire.Adopt)
	}},
	{wire.Conflict, 4, own, func(c *cluster, n string) {
		c.node(4).lock(n, EX, NewName)
		c.one(4, 1, n, wire.Notify)
		c.one(1, 4, n, wire.Reject)
		c.one(4, 1, n, wire.Adopt)
	}},
	{wire.Queued, 4, own, func(c *cluster, n string) { c.node(4).lock(n, EX, 0); c.one(4, 1, n, wire.Lookup) }},
	{wire.Denied, 4, own, func(c *cluster, n string) { c.node(4).lock(n, EX, NoQueue); c.one(4, 1, n, wire.Lookup) }},
	{wire.Bast, 4, func(c *cluster) string { n := own(c); c.hold(4, n, PR, WantBast); return n },
		func(c *cluster, n string) { c.node(1).lock(n, EX, 0) }},
}

// What never waits, or has nothing to wait for, leaves although node 1 has a
// claim open.
func TestUngated(t *testing.T) {
	for _, s := range ungatedSendings {
		t.Run(s.typ.String(), func(t *testing.T) {
			c := newCluster(t, 4, 1, 0)
			n := s.prepare(c)
			c.settle()
			c.create(0)
			s.act(c, n)
			if !c.on(1, s.to, n, s.typ) {
				t.Errorf("on the way from node 1: %v, want %v", c.pending(1, s.to, n), s.typ)
			}
			c.windDown()
		})
	}
}
