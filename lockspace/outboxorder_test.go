package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// A retirement that has waited for the claim of its name leaves before what waits for the
// retirement. Node 1 creates y and x, deletes x at once, and gives p back, which
// waits for all that. x's claim is confirmed before y's.
func TestRetireOvertakesWhatWaitsForIt(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	p := c.mastered("p", 3, 0)
	y, x := c.name("y", 2, 0), c.name("x", 3, 0)
	pl := c.hold(1, p, EX, 0)
	yl := c.node(1).lock(y, EX, NewName)
	xl := c.node(1).lock(x, EX, NewName)
	next := c.node(4).lock(p, EX, 0)
	xl.retire()
	pl.unlock(0, nil)
	c.about(x)
	c.about(x)
	c.settle()
	for range 5 {
		c.pass(1000)
		c.settle()
	}
	if xl.last.Status != wire.Unlocked || !next.holds(EX) {
		t.Fatalf("retire: %v, gone %v; p's next holds %v; %d numbers are open at node 1", xl.last.Status, xl.gone, next.mode, len(c.node(1).open))
	}
	yl.unlock(0, nil)
	c.settle()
}

// A retirement that has waited for the claim of its name does not let go what was made under
// the name meanwhile. Node 1 creates x, deletes it while its own next lock waits; under that
// it creates z, and unlocks. Node 4 finds x free, reads z, and locks it.
func TestRetireLetsGo(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, z := c.name("x", 2, 0), c.name("z", 3, 0)
	xl := c.node(1).lock(x, EX, NewName)
	l2 := c.node(1).lock(x, EX, 0)
	xl.retire()
	if !l2.holds(EX) {
		t.Fatal("the next one waits")
	}
	zl := c.node(1).lock(z, EX, NewName)
	l2.unlock(0, nil)
	c.about(x) // all about x is delivered, NOTIFY(z) is on its way still
	c.about(x)
	f := c.node(4).lock(x, EX, 0)
	c.about(x)
	if f.holds(EX) {
		zf := c.node(4).lock(z, EX, 0)
		for c.on(4, 3, z, wire.Lookup) {
			c.one(4, 3, z, wire.Lookup)
		}
		for c.on(3, 4, z, wire.You) {
			c.one(3, 4, z, wire.You)
		}
		t.Fatalf("node 4 has x before z is known; it holds z in %v, and node 1 in %v", zf.mode, zl.mode)
	}
	c.settle()
}

// A request that a new view grants before its name is carried over is not withdrawn
// by its deadline any more. Node 1 masters x; node 2 holds it, and dies.
func TestDeadlineMeetsView(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 1, 0)
	c.hold(2, x, EX, 0)
	l := c.node(1).lock(x, EX, 0)
	if st := l.within(1000); st != wire.OK {
		t.Fatal(st)
	}
	c.node(2).crash(true)
	v := c.next()
	n := c.node(1)
	n.shards[0].Install(n.now(), v) // nothing is carried over yet
	c.now += 2000
	n.shards[0].Tick(n.now())
	c.settle()
	if !l.holds(EX) || l.last.Status != wire.OK || n.shards[0].lock(n.instance, l.id) == nil {
		t.Fatalf("it holds %v, outcome %v", l.mode, l.last.Status)
	}
}

// The value that an adoption vouches for does not wait for the retirement behind it. Node 1
// claims x, of which node 2 is an idle master, writes its value, and deletes it.
func TestRetireBehindVouch(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.now += int64(1e9)
	l := c.node(1).lock(x, EX, NewName)
	l.convert(EX, ValBlk, []byte("v"))
	l.retire()
	c.settle()
	for range 5 {
		c.pass(1000)
		c.settle()
	}
	if n := c.node(1); len(n.open) != 0 || n.shards[0].Holding() {
		t.Fatalf("retired: %v; %d numbers are open, %d messages held", l.last.Status, len(n.open), n.shards[0].Stats().HeldNow)
	}
}
