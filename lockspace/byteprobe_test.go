package lockspace

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is circles that lead through byte ranges of several names.

// byteScene has two names, each with its master, and a handle on each of two nodes:
// at[name][node].
func byteScene(t *testing.T, masters [2]int) (c *cluster, at [2][3]*tlock) {
	c = newCluster(t, 3, 2, 0)
	for i, prefix := range []string{"a", "b"} {
		name := c.mastered(prefix, masters[i], i)
		for node := 1; node <= 2; node++ {
			at[i][node] = c.node(node).lock(name, NL, 0)
			c.settle()
		}
	}
	return c, at
}

// Owners 1 and 2 have ranges of one name each, and want of the other's.
func TestByteCircle(t *testing.T) {
	for _, masters := range [][2]int{{1, 1}, {1, 2}, {2, 1}, {3, 3}, {3, 1}, {2, 3}} {
		for _, tc := range []struct {
			types [4]byterange.Type // what 1 and 2 have, what 1 and 2 want
			ends  bool
		}{
			{[4]byterange.Type{wr, wr, wr, wr}, true},
			{[4]byterange.Type{rd, wr, rd, wr}, true},
			{[4]byterange.Type{wr, rd, rd, wr}, false}, // 1 has what it wants
		} {
			c, at := byteScene(t, masters)
			at[0][1].bytes(1, tc.types[0], 0, 9, 0)
			at[1][2].bytes(2, tc.types[1], 0, 9, 0)
			c.settle()
			first := at[1][1].bytes(1, tc.types[2], 5, 14, 0)
			c.settle()
			second := at[0][2].bytes(2, tc.types[3], 9, 9, 0)
			c.settle()
			c.pass(700)
			if got := second.is(wire.Deadlock); got != tc.ends || tc.ends && !first.is(running) {
				t.Errorf("masters %v, types %v: ended %v %v, %v", masters, tc.types, second.ended, second.out.Status, first.out.Status)
			}
			if tc.ends {
				types := func(i int) Mode { return map[byterange.Type]Mode{rd: PR, wr: EX}[tc.types[i]] }
				want := fmt.Sprintf("2/2 %s %v 9-9<%v 0-9 1/1, 1/1 %s %v 5-14<%v 0-9 2/2",
					at[0][1].name, types(3), types(0), at[1][1].name, types(2), types(1))
				if got := cycleText(second.out.Cycle); got != want {
					t.Errorf("cycle %s\nwant  %s", got, want)
				}
				if b := second.out.Blocker; b.Owner.Number != 1 || b.Type != tc.types[0] || b.Start != 0 || b.End != 9 {
					t.Errorf("in the way: %+v", b)
				}
			}
			c.windDown()
		}
	}
}

// A range on one side, a lock on the other: one of both is the victim, as their
// owners' ages are.
func TestByteCircleWithLocks(t *testing.T) {
	for _, older := range []bool{true, false} {
		c, at := byteScene(t, [2]int{3, 2})
		holder := uint64(3) // of the lock
		if older {
			holder = 1
		}
		x := c.name("x", 3, 0)
		c.node(1).lockFor(holder, x, EX, 0)
		at[0][2].bytes(2, wr, 0, 9, 0)
		c.settle()
		bytes := at[0][1].bytes(holder, rd, 0, 0, 0)
		lock := c.node(2).newTlock(x, PR, 0)
		lock.owner = 2
		lock.ask()
		c.settle()
		c.pass(700)
		if got := lock.last.Status == wire.Deadlock; got != older || bytes.is(wire.Deadlock) == older {
			t.Errorf("owner of the lock %d: the lock ends %v, the range %v", holder, lock.last.Status, bytes.out.Status)
		}
		c.release(c.locks)
	}
}

// What was in the way was given up and taken again between probe and second
// look: that was no circle, though it looks like one.
func TestBytePhantom(t *testing.T) {
	for _, again := range []bool{false, true} {
		c, at := byteScene(t, [2]int{1, 2})
		at[0][1].bytes(1, wr, 0, 9, 0)
		at[1][2].bytes(2, wr, 0, 9, 0)
		c.settle()
		at[1][1].bytes(1, wr, 20, 29, 0) // free
		c.settle()
		first := at[1][1].bytes(1, wr, 5, 5, 0)
		second := at[0][2].bytes(2, wr, 0, 0, 0)
		c.settle()
		c.probe(300)
		c.but(2, 1, wire.Verify)
		if again {
			at[0][1].bytes(1, byterange.None, 0, 0, 0)
			if !second.is(running) { // its answer is under way
				t.Fatal("not what the script is about")
			}
			c.about(at[0][1].name)
			at[0][1].bytes(1, wr, 0, 0, 0)
			c.about(at[0][1].name)
		}
		c.settle()
		if again && (second.is(wire.Deadlock) || c.phantoms() == 0) || !again && !second.is(wire.Deadlock) {
			t.Errorf("given up %v: %v, %d phantoms, first %v", again, second.out.Status, c.phantoms(), first.out.Status)
		}
		c.windDown()
	}
}

// A request that is withdrawn at any moment of the search ends once.
func TestByteCircleWithdrawn(t *testing.T) {
	for k := 0; ; k++ {
		c, at := byteScene(t, [2]int{3, 2})
		at[0][1].bytes(1, wr, 0, 9, 0)
		at[1][2].bytes(2, wr, 0, 9, 0)
		c.settle()
		at[1][1].bytes(1, wr, 0, 0, 0)
		second := at[0][2].bytes(2, wr, 0, 0, 0)
		c.settle()
		c.probe(300)
		for i := 0; i < k && len(c.busy) > 0; i++ {
			c.one(int(c.busy[0].from), int(c.busy[0].to), c.busy[0].name, c.busy[0].packets[0].typ)
		}
		over := len(c.busy) == 0
		if !second.ended {
			second.cancel()
		}
		c.settle()
		c.pass(600)
		if !second.is(wire.Cancelled) && !second.is(wire.Deadlock) {
			t.Errorf("after %d messages: ended %v, %v", k, second.ended, second.out.Status)
		}
		c.windDown()
		if over {
			return
		}
	}
}

// The ranges of a dead master are rebuilt, the requests asked anew: the circle is
// found at the new one.
func TestByteCircleRebuilt(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	a, b := c.mastered("a", 4, 0), c.mastered("b", 4, 0)
	var at [2][3]*tlock
	for i, name := range []string{a, b} {
		for node := 1; node <= 2; node++ {
			at[i][node] = c.node(node).lock(name, NL, 0)
			c.settle()
		}
	}
	at[0][1].bytes(1, wr, 0, 9, 0)
	at[1][2].bytes(2, wr, 0, 9, 0)
	c.settle()
	first := at[1][1].bytes(1, wr, 0, 0, 0)
	second := at[0][2].bytes(2, wr, 0, 0, 0)
	c.settle()
	c.node(4).crash(false)
	c.change()
	c.settle()
	c.pass(700)
	if !second.is(wire.Deadlock) || !first.is(running) || second.out.Cycle.Len() != 2 {
		t.Errorf("%v, %v", first.out.Status, second.out.Status)
	}
	c.windDown()
}

// More owners are in the way than one round follows.
func TestByteCircleManyOwners(t *testing.T) {
	c, at := byteScene(t, [2]int{3, 3})
	const owners = probeFanout + 20
	for i := range uint64(owners) {
		at[0][1].bytes(i+1, rd, 0, 9, 0)
	}
	at[1][2].bytes(owners+1, wr, 0, 9, 0)
	c.settle()
	second := at[0][2].bytes(owners+1, wr, 0, 0, 0)
	at[1][1].bytes(owners, wr, 0, 0, 0)
	c.settle()
	c.pass(1300)
	if !second.is(wire.Deadlock) {
		t.Errorf("%v", second.out.Status)
	}
	c.windDown()
}
