package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file tests retirements that meet something else: a delegated range, an
// orphan, a view, the end of a node.

// The directory of a name in a delegated range is the range's owner, of whom
// only the directory node of the key knows: RETIRE is passed on to him.
func TestRetireInARange(t *testing.T) {
	for _, c := range []struct {
		about   string
		deleter int
		relays  int
	}{
		{"by another node", 2, 1},
		{"by the directory node of the key", 3, 0},
		{"by the owner", 1, 0},
	} {
		t.Run(c.about, func(t *testing.T) {
			cl := newRangeCluster(t, 4, 1, slash, 0)
			key := cl.owned(1)
			x := key + "x"
			l := cl.hold(c.deleter, x, EX, 0)
			relays := cl.sent[wire.Relay]
			l.retire()
			cl.settle()
			if l.last.Status != wire.Unlocked {
				t.Errorf("outcome %v", l.last.Status)
			}
			if n := cl.sent[wire.Relay] - relays; n != c.relays {
				t.Errorf("%d RELAY, want %d", n, c.relays)
			}
			if r := cl.node(1).resource(x); r != nil && !r.dirLife.IsZero() {
				t.Errorf("the owner has an entry still: %v", r.dirLife)
			}
			f := cl.node(4).lock(x, EX, NewName)
			cl.settle()
			if !f.holds(EX) || f.lost || len(cl.node(4).conflicts) != 0 {
				t.Errorf("the name was not fresh: %v, lost %v", f.mode, f.lost)
			}
			f.unlock(0, nil)
			cl.returnAll()
			cl.windDown()
		})
	}
}

// Who has taken an orphan over knows the lock by another id than the other
// nodes, and hears of the retirement by that.
func TestRetireOrphan(t *testing.T) {
	onMasterAnd(t, func(t *testing.T, c *cluster, user int) {
		x := c.name("x", 1, 0)
		c.hold(1, x, NL, 0).unlock(0, nil)
		if st := c.hold(user, x, EX, Persistent).abandon(7); st != wire.OK {
			t.Fatalf("abandon: %v", st)
		}
		l, st := c.node(user).takeOver(x, EX, 0)
		c.settle()
		if st != wire.OK || !l.holds(EX) {
			t.Fatalf("taken over: %v, %v", st, l.mode)
		}
		l.retire()
		c.settle()
		if l.last.Status != wire.Unlocked || !l.gone {
			t.Errorf("outcome %v, gone %v", l.last.Status, l.gone)
		}
	})
	t.Run("fenced", func(t *testing.T) {
		c := newCluster(t, 3, 1, 0)
		x, _ := orphaned(c, 2, EX)
		l, _ := c.node(2).takeOver(x, EX, 0)
		left := c.hold(2, c.name("o", 1, 0), EX, Persistent)
		if st := left.abandon(7); st != wire.OK {
			t.Fatalf("abandon: %v", st)
		}
		c.settle()
		l.retire()
		c.node(2).shards[0].Fence(c.now)
		if l.last.Status != wire.Cancelled || left.lost {
			t.Errorf("outcome %v; an orphan is lost to its program: %v", l.last.Status, left.lost)
		}
		c.node(2).shards[0].Fence(c.now) // once more: nothing
	})
}

// While the queues of a name are rebuilt nobody knows who else is there: the
// lock goes, and the outcome is not known.
func TestRetireWhileRebuilding(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	after := viewOf(t, 2, c.node(1), c.node(2), c.node(4))
	x := c.moved("x", 3, 1, after)
	c.hold(3, x, NL, 0)
	l := c.hold(1, x, EX, 0)
	w := c.node(2).lock(x, EX, 0)
	c.settle()
	c.node(3).crash(false)
	c.change()
	if r := c.node(1).resource(x); r.state != rebuilding {
		t.Fatalf("%v", r.state)
	}
	l.retire()
	if l.last.Status != wire.Cancelled || !l.gone {
		t.Errorf("outcome %v, gone %v", l.last.Status, l.gone)
	}
	c.settle()
	if !w.holds(EX) {
		t.Error("who waited hangs")
	}
	c.windDown()
}

// The claim under a retirement is adopted, by a master with claims of its own open:
// what it has let go of the name since may not be known to all yet.
func TestRetireAtABusyAdopter(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.now += 1e6
	l := c.node(1).lock(x, EX, NewName)
	c.one(1, 3, x, wire.Notify)
	c.one(3, 1, x, wire.Reject)
	l.retire()
	c.node(2).lock(c.name("y", 4, 0), EX, NewName) // stays open
	c.about(x)
	if l.last.Status != wire.Cancelled || !l.gone {
		t.Errorf("outcome %v, gone %v", l.last.Status, l.gone)
	}
	c.settle()
	c.windDown()
}
