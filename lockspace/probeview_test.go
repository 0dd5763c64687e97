package lockspace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is deadlocks and changes of the view.

// rebuiltCycle lets the master of two names die, before or after two owners have
// begun to wait for each other, and gives the cycle that is found then.
func rebuiltCycle(t *testing.T, before bool, mistakes Mistakes) string {
	c := newCluster(t, 4, 1, 0)
	for _, n := range c.nodes {
		n.shards[0].cfg.Mistakes = mistakes
	}
	x, y := c.mastered("x", 4, 0), c.mastered("y", 4, 0)
	c.node(1).lockFor(1, x, EX, 0)
	c.node(2).lockFor(2, y, EX, 0)
	var asked []*tlock
	ask := func() {
		asked = append(asked, c.node(1).lockFor(1, y, EX, 0), c.node(2).lockFor(2, x, EX, 0))
	}
	if before {
		ask()
	}
	c.node(4).crash(false)
	c.change()
	c.settle()
	if !before {
		ask()
	}
	c.pass(700)
	d := deadlocked(asked)
	c.release(c.locks)
	switch {
	case len(d) == 0:
		return ""
	case len(d) != 1 || d[0] != asked[1]:
		t.Errorf("%d victims", len(d))
	}
	return fmt.Sprintf("%d/%d waits in a cycle of %d", d[0].n.id, d[0].owner, d[0].last.Cycle.Len())
}

// Locks that a new master rebuilds still have their owners.
func TestDeadlockRebuilt(t *testing.T) {
	for _, before := range []bool{false, true} {
		if got := rebuiltCycle(t, before, 0); got != "2/2 waits in a cycle of 2" {
			t.Errorf("waiting before %v: %q", before, got)
		}
		if got := rebuiltCycle(t, before, ForgetOwner); got != "" {
			t.Errorf("without owners: %q", got)
		}
	}
}

// And so have those that a master has adopted.
func TestDeadlockAdopted(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, y := c.name("x", 3, 0), c.name("y", 3, 0)
	c.hold(4, x, NL, 0)
	claim := c.node(1).newTlock(x, EX, NewName)
	claim.owner = 1
	claim.ask()
	if !claim.open {
		t.Fatal("no claim")
	}
	c.settle()
	if !claim.holds(EX) || c.node(1).resource(x).state != remote {
		t.Fatal("not adopted")
	}
	c.node(2).lockFor(2, y, EX, 0)
	a := c.node(1).lockFor(1, y, EX, 0)
	b := c.node(2).lockFor(2, x, EX, 0)
	c.pass(700)
	if a.last.Status == wire.Deadlock || b.last.Status != wire.Deadlock {
		t.Errorf("%v, %v", a.last.Status, b.last.Status)
	}
	c.release(c.locks)
}

// Probes that are on their way when the view changes, at different moments on
// each node, do no harm: a circle has one victim all the same, and one that is
// broken because somebody has died has none.
func TestProbesAcrossViews(t *testing.T) {
	kept, victims := 0, 0
	for _, dies := range []int{4, 3} {
		for seed := uint64(1); seed <= 150; seed++ {
			rng := rand.New(rand.NewPCG(seed, uint64(dies)))
			c := newCluster(t, 4, 1, 0)
			var asked []*tlock
			names := c.ringNames(3)
			for i := range 3 {
				c.node(i+1).lockFor(uint64(i+1), names[i], EX, 0)
			}
			for i := range 3 {
				asked = append(asked, c.node(i+1).lockFor(uint64(i+1), names[(i+1)%3], EX, 0))
			}
			c.probe(300)
			c.random(rng, rng.IntN(14))
			c.node(dies).crash(rng.IntN(2) == 0)
			v := c.next()
			for _, i := range rng.Perm(4) {
				if n := c.node(i + 1); !n.down {
					n.install(v)
				}
				c.random(rng, rng.IntN(6))
				if rng.IntN(2) == 0 {
					c.probe(100)
				}
				c.random(rng, rng.IntN(10))
				for _, n := range c.nodes {
					for _, f := range n.shards[0].futures {
						if len(f.msg.Path) > 0 {
							kept++
						}
					}
				}
			}
			c.settle()
			c.pass(900)
			d := slices.DeleteFunc(deadlocked(asked), func(l *tlock) bool { return l.crashed })
			if dies == 4 && len(d) != 1 || dies == 3 && len(d) != 0 || len(d) == 1 && d[0].owner != 3 {
				t.Errorf("node %d dies, seed %d: %d victims", dies, seed, len(d))
			}
			victims += len(d)
			c.windDown()
		}
	}
	if kept == 0 || victims == 0 {
		t.Errorf("%d probes waited for a view, %d victims", kept, victims)
	}
}

// What the filter does with a probe of another view: one that is older counts as
// long as what it names is there, one that is newer waits, with its path.
func TestProbeEpochs(t *testing.T) {
	for _, tc := range []struct {
		from, to int // the circle's probe goes 3>1, 1>1, 1>2, 2>2, 2>3, and back 3>2, 2>1
		typ      wire.Type
		lags     int // the node that installs the view last; 0: all do at the same time
	}{
		{3, 1, wire.Probe, 0}, {1, 1, wire.Chase, 0}, {2, 3, wire.Probe, 0}, {3, 2, wire.Verify, 0}, {2, 1, wire.Verify, 0},
		{3, 1, wire.Probe, 1}, {1, 2, wire.Probe, 2}, {2, 3, wire.Probe, 2}, {3, 2, wire.Verify, 1},
	} {
		c := newCluster(t, 4, 1, 0)
		_, asked := c.ring(3)
		c.node(4).crash(false)
		v := c.next()
		c.probe(300)
		c.but(tc.from, tc.to, tc.typ)
		for i := 1; i <= 3; i++ {
			if i != tc.lags {
				c.node(i).install(v)
			}
		}
		c.settle()
		if tc.lags != 0 {
			s := c.node(tc.lags).shards[0]
			if len(deadlocked(asked)) != 0 || len(s.futures) == 0 || !slices.ContainsFunc(s.futures, func(f future) bool { return len(f.msg.Path) > 0 }) {
				t.Errorf("%+v: %d kept, %d victims", tc, len(s.futures), len(deadlocked(asked)))
			}
			s.Install(c.node(tc.lags).now(), v)
			c.node(tc.lags).after(c.node(tc.lags).closed)
			c.settle()
		}
		if d := deadlocked(asked); len(d) != 1 {
			t.Errorf("%+v: %d victims", tc, len(d))
		}
		c.windDown()
	}
}
