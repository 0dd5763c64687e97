package lockspace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is operations that overlap: a request or conversion is withdrawn,
// in one way or several, while it is in any state that it can be in. It is the
// table of docs/protocol.md, "Overlapping operations", as a test.

// adoptable makes a name that node 2 masters, and nobody has used for a while,
// whose directory is node 3; node 1 claims it and node 2 will be asked.
func adoptable(c *cluster) (x string) {
	x = c.name("x", 3, 0)
	c.hold(2, x, NL, 0).unlock(0, nil)
	c.settle()
	c.now += testIdle / 2
	return x
}

// rejected delivers what makes a claim of node 1 an adoption under way.
func rejected(c *cluster, x string) {
	c.one(1, 3, x, wire.Notify)
	c.one(3, 1, x, wire.Reject)
}

// overlapStates are the states, by what they are.
var overlapStates = []struct {
	name  string
	build func(c *cluster, flags uint32) (l, holder *tlock)
}{
	{"lookup, carried by it", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.hold(2, x, PR, 0)
		return c.node(1).lock(x, EX, flags), holder
	}},
	{"lookup, behind another", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.hold(2, x, PR, 0)
		c.node(1).lock(x, PR, 0)
		return c.node(1).lock(x, EX, flags), holder
	}},
	{"lookup, nobody is master", func(c *cluster, flags uint32) (l, holder *tlock) {
		return c.node(1).lock(c.name("x", 3, 0), EX, flags), nil
	}},
	{"request on its way", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.hold(2, x, PR, 0)
		c.hold(1, x, NL, 0)
		return c.node(1).lock(x, EX, flags), holder
	}},
	{"request waits at the master", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.hold(2, x, PR, 0)
		l = c.node(1).lock(x, EX, flags)
		c.settle()
		return l, holder
	}},
	{"request waits here", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.mastered("x", 1, 0)
		holder = c.hold(2, x, PR, 0)
		return c.node(1).lock(x, EX, flags), holder
	}},
	{"conversion on its way", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.hold(2, x, PR, 0)
		return c.hold(1, x, PR, 0).convert(EX, flags, nil), holder
	}},
	{"conversion waits at the master", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.hold(2, x, PR, 0)
		l = c.hold(1, x, PR, 0).convert(EX, flags, nil)
		c.settle()
		return l, holder
	}},
	{"conversion waits here", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.mastered("x", 1, 0)
		holder = c.hold(2, x, PR, 0)
		return c.hold(1, x, PR, 0).convert(EX, flags, nil), holder
	}},
	{"request, claim open", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.node(1).lock(x, PR, NewName)
		return c.node(1).lock(x, EX, flags), holder
	}},
	{"conversion, claim open", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := c.name("x", 3, 0)
		holder = c.node(1).lock(x, PR, NewName)
		return c.node(1).lock(x, PR, 0).convert(EX, flags, nil), holder
	}},
	{"request, in the ADOPT", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := adoptable(c)
		holder = c.node(1).lock(x, PR, NewName)
		l = c.node(1).lock(x, EX, flags)
		rejected(c, x)
		return l, holder
	}},
	{"conversion, in the ADOPT", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := adoptable(c)
		holder = c.node(1).lock(x, PR, NewName)
		l = c.node(1).lock(x, PR, 0).convert(EX, flags, nil)
		rejected(c, x)
		return l, holder
	}},
	{"request, deferred", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := adoptable(c)
		holder = c.node(1).lock(x, PR, NewName)
		rejected(c, x)
		return c.node(1).lock(x, EX, flags), holder
	}},
	{"conversion, deferred", func(c *cluster, flags uint32) (l, holder *tlock) {
		x := adoptable(c)
		holder = c.node(1).lock(x, PR, NewName)
		l = c.node(1).lock(x, PR, 0)
		rejected(c, x)
		return l.convert(EX, flags, nil), holder
	}},
}

// overlapOps are the ways to withdraw, and what the operation ends with when
// the grant has not come first. Each may follow each.
var overlapOps = map[string]func(l *tlock) Status{
	"cancel": func(l *tlock) Status { return l.tryCancel(0) },
	"force":  func(l *tlock) Status { return l.tryUnlock(ForceUnlock, nil) },
	"expire": func(l *tlock) Status {
		st := l.n.shards[0].Deadline(l.n.now(), l.id, l.tag, 5)
		l.n.c.now += 10
		l.n.tick()
		return st
	},
	"abandon": func(l *tlock) Status { return l.abandon(7) },
	"purge": func(l *tlock) Status {
		l.n.shards[0].Purge(l.n.now(), 7)
		return wire.OK
	},
}

// abandon is the end of the lock's program, number owner.
func (l *tlock) abandon(owner uint64) Status {
	closed := l.n.closed
	if l.wanted != NoMode {
		l.dying = true
	} else {
		l.gone, l.mode, l.open = true, NoMode, false
	}
	st := l.n.shardOf(l.name).Abandon(l.n.now(), l.id, owner)
	l.n.after(closed)
	return st
}

// overlaps are sequences of them, with the status of each call after the first
// where the first has not ended the operation yet, and how the operation ends.
var overlaps = []struct {
	ops    string
	second Status
	ends   Status
}{
	{"cancel", 0, wire.Cancelled},
	{"cancel cancel", wire.OK, wire.Cancelled},
	{"cancel force", wire.OK, wire.Cancelled},
	{"cancel expire", wire.OK, wire.Cancelled},
	{"cancel abandon", wire.OK, wire.Cancelled},
	{"force", 0, wire.Cancelled},
	{"force cancel", wire.NoLock, wire.Cancelled},
	{"force force", wire.NoLock, wire.Cancelled},
	{"force expire", wire.NoLock, wire.Cancelled},
	{"force abandon", wire.NoLock, wire.Cancelled},
	{"expire", 0, wire.TimedOut},
	{"expire cancel", wire.OK, wire.TimedOut},
	{"expire force", wire.OK, wire.TimedOut},
	{"expire expire", wire.OK, wire.TimedOut},
	{"abandon", 0, wire.Cancelled},
	{"abandon cancel", wire.NoLock, wire.Cancelled},
	{"abandon force", wire.NoLock, wire.Cancelled},
	{"abandon purge", wire.OK, wire.Cancelled},
}

// TestOverlaps withdraws in every state, in every order, with and without a
// grant that crosses: exactly one completion, no lock is lost or left.
func TestOverlaps(t *testing.T) {
	runs, granted := 0, 0
	for _, state := range overlapStates {
		for _, o := range overlaps {
			for _, flags := range []uint32{0, Persistent, HeadQue} {
				for _, crossing := range []bool{false, true} {
					name := fmt.Sprintf("%s/%s/flags %#x/crossing %v", state.name, o.ops, flags, crossing)
					t.Run(name, func(t *testing.T) {
						runs++
						if overlap(t, state.build, o.ops, o.second, o.ends, flags, crossing) {
							granted++
						}
					})
				}
			}
		}
	}
	t.Logf("%d runs, the grant came first in %d", runs, granted)
	if granted == 0 {
		t.Error("no grant ever came first")
	}
}

// overlap is one run. It says whether the operation was granted all the same.
func overlap(t *testing.T, build func(*cluster, uint32) (l, holder *tlock), ops string, second, ends Status, flags uint32, crossing bool) bool {
	c := newCluster(t, 3, 1, 0)
	l, holder := build(c, flags)
	before, had := l.ends, l.from
	if crossing && holder != nil && holder.n != l.n {
		holder.unlock(0, nil)
	}
	for i, op := range strings.Fields(ops) {
		running := l.wanted != NoMode
		st := overlapOps[op](l)
		if i == 0 && st != wire.OK || i > 0 && running && st != second {
			t.Fatalf("%s: %v", op, st)
		}
	}
	abandoned := strings.Contains(ops, "abandon")
	c.settle()
	if l.ends != before+1 {
		t.Fatalf("%d completions", l.ends-before)
	}
	granted := l.last.Status == wire.OK
	if !granted && l.last.Status != ends {
		t.Fatalf("ended with %v", l.last.Status)
	}
	left := 0
	if r := c.node(1).resource(l.name); r != nil {
		for _, q := range []*queue{&r.granted, &r.convert} {
			for o := q.head; o != nil; o = o.next {
				if o.id == l.id {
					left++
				}
			}
		}
	}
	want := 0
	switch held := had != NoMode || granted; {
	case strings.Contains(ops, "purge"), !held:
	case abandoned && flags&Persistent != 0 && !strings.HasPrefix(ops, "force"): // an orphan is not for the old program to unlock
		want = 1
	case !abandoned && !strings.Contains(ops, "force"):
		want = 1
	}
	if left != want {
		t.Fatalf("%d locks are left, want %d", left, want)
	}
	for _, n := range c.nodes {
		n.shards[0].Purge(n.now(), 0)
	}
	c.windDown()
	return granted
}

// What a forced unlock was to write is written when it can be, or nothing is
// said to be valid any more; without the rule the old value would stay.
func TestForcedUnlockWrites(t *testing.T) {
	for _, without := range []Rules{0, ForgetWill} {
		for _, user := range []int{1, 2} {
			for _, flags := range []uint32{ValBlk, IvValBlk} {
				c := newCluster(t, 2, 1, without)
				x := c.mastered("x", 1, 0)
				l := c.hold(user, x, PW, 0).convert(PW, ValBlk, value(1))
				c.settle()
				c.hold(1, x, CR, 0)
				l.convert(EX, 0, nil)
				c.settle()
				l.unlock(ForceUnlock|flags, value(2))
				c.settle()
				if l.last.Status != wire.Cancelled || !l.gone {
					t.Fatalf("ended with %v", l.last.Status)
				}
				r := c.hold(1, x, PR, ValBlk)
				ok := string(r.last.Value) == string(value(2))
				if flags == IvValBlk {
					ok = r.last.Bits&wire.BitNotValid != 0
				}
				if ok != (without == 0) {
					t.Errorf("without %#x, user %d, flags %#x: value %v, bits %#x", without, user, flags, r.last.Value, r.last.Bits)
				}
				if len(c.node(user).shards[0].wills) != 0 {
					t.Error("a will is left")
				}
				c.windDown()
			}
		}
	}
}
