package lockspace

import (
	"fmt"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file replays the findings of docs/protocol.md that the gating table
// does not cover: with the rule, and without it.

// oldMaster makes node id the master of a name that nobody holds, and all
// nodes know its tokens.
func (c *cluster) oldMaster(prefix string, id, dir int) string {
	c.t.Helper()
	name := c.name(prefix, dir, 0)
	c.hold(id, name, EX, 0).unlock(0, nil)
	for _, n := range c.nodes {
		n.Advance(c.node(id).clock)
	}
	return name
}

// A name is created twice, both holders are gone when ADOPT arrives, and
// still somebody is told.
func TestFinding2(t *testing.T) {
	withAndWithout(t, NoIdleTest, func(c *cluster) string {
		x := c.oldMaster("x", 2, 3)
		n := c.node(1).lock(x, EX, NewName)
		m := c.node(2).lock(x, EX, 0)
		if !n.holds(EX) || !m.holds(EX) {
			t.Fatal("they do not both hold it")
		}
		n.unlock(0, nil)
		m.unlock(0, nil)
		c.settle()
		if st := c.node(1).shards[0].Stats(); !slices.Equal(c.node(1).conflicts, []string{x}) || st.ClaimsLost != 1 {
			return "nobody was told"
		}
		return ""
	})
}

// The same, and the master has so many unused names that it has forgotten this one
// before ADOPT arrives, long before its time.
func TestFinding2Forgotten(t *testing.T) {
	withAndWithout(t, TrustMemory, func(c *cluster) string {
		x := c.oldMaster("x", 2, 3)
		n := c.node(1).lock(x, EX, NewName)
		m := c.node(2).lock(x, EX, 0)
		n.unlock(0, nil)
		m.unlock(0, nil)
		c.now += testIdle / IdleShare
		for i := range testCached + trimMany {
			c.hold(2, c.name(fmt.Sprintf("y%d.", i), 2, 0), EX, 0).unlock(0, nil)
		}
		if c.node(2).resource(x) != nil {
			t.Fatal("the master remembers")
		}
		c.one(1, 3, x, wire.Notify) // REMOVE is on its way
		c.settle()
		if !slices.Equal(c.node(1).conflicts, []string{x}) {
			return "nobody was told"
		}
		return ""
	})
}

// A YOU on its way is not a life that has ended.
func TestFinding4(t *testing.T) {
	withAndWithout(t, NoNotYet, func(c *cluster) string {
		x := c.name("x", 3, 0)
		l := c.node(2).lock(x, EX, 0)
		c.one(2, 3, x, wire.Lookup)
		n := c.node(1).lock(x, EX, NewName)
		c.one(1, 3, x, wire.Notify)
		c.one(3, 1, x, wire.Reject)
		c.one(1, 2, x, wire.Adopt) // overtakes YOU
		if c.on(2, 1, x, wire.NotMaster) {
			c.one(2, 1, x, wire.NotMaster)
			c.one(1, 3, x, wire.Notify)
		}
		c.settle()
		if l.holds(EX) && n.holds(EX) {
			return "two masters, two holders"
		}
		if !l.holds(EX) || !n.lost || len(c.node(1).conflicts) != 1 {
			t.Errorf("finder %v, creator lost %v, %d conflicts", l.mode, n.lost, len(c.node(1).conflicts))
		}
		return ""
	})
}

// An up-conversion must not overtake the down-conversion before it.
func TestFinding5a(t *testing.T) {
	withAndWithout(t, NoOrder, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		n := c.hold(1, p, EX, 0)
		l := c.node(4).lock(p, EX, 0)
		c.about(p)
		x, _ := c.create(0)
		n.convert(NL, 0, nil)
		n.convert(EX, 0, nil)
		c.about(p)
		c.about(x)
		c.about(p)
		if n.holds(EX) && l.holds(EX) {
			return "two hold EX"
		}
		if !l.holds(EX) {
			t.Errorf("the first in the queue has %v", l.mode)
		}
		return ""
	})
}

// A BAST must not overtake the GRANT it is about.
func TestFinding5b(t *testing.T) {
	withAndWithout(t, NoOrder, func(c *cluster) string {
		p := c.name("p", 1, 0)
		m := c.hold(1, p, EX, 0)
		l := c.node(4).lock(p, EX, WantBast)
		c.about(p)
		x, _ := c.create(0)
		m.unlock(0, nil) // GRANT to node 4 is held
		r := c.node(2).lock(p, EX, 0)
		c.about(p) // the request, and the BAST for it
		c.about(x)
		c.about(p)
		if l.holds(EX) && len(l.basts) == 0 {
			return "the BAST came before the GRANT and was dropped, the waiter hangs"
		}
		if !l.holds(EX) || !slices.Equal(l.basts, []Mode{EX}) {
			t.Errorf("holder has %v and has heard %v", l.mode, l.basts)
		}
		l.unlock(0, nil)
		c.about(p)
		if !r.holds(EX) {
			t.Error("the waiter hangs")
		}
		return ""
	})
}

// A new request must not overtake the UNLOCK before it.
func TestFinding5c(t *testing.T) {
	withAndWithout(t, NoOrder, func(c *cluster) string {
		p := c.mastered("p", 2, 0)
		n := c.hold(1, p, EX, 0)
		c.create(0)
		n.unlock(0, nil)
		again := c.node(1).lock(p, EX, NoQueue)
		c.about(p)
		c.settle()
		if again.last.Status == wire.WouldBlock {
			return "blocked by its own former lock"
		}
		if !again.holds(EX) {
			t.Errorf("got %v", again.last.Status)
		}
		return ""
	})
}

// stuck gives the claims that never close once all is delivered.
func (c *cluster) stuck(t *testing.T) string {
	c.settle()
	open := 0
	for _, n := range c.nodes {
		open += n.shards[0].Stats().ClaimsOpen
	}
	if open != 0 {
		return "claims wait for each other"
	}
	return ""
}

// Two claims are each rejected in favour of the other's node.
func TestFinding6Adopt(t *testing.T) {
	withAndWithout(t, GateAnswers, func(c *cluster) string {
		a, b := c.oldMaster("a", 2, 3), c.oldMaster("b", 1, 3)
		c.now += 5
		na, nb := c.node(1).lock(a, EX, NewName), c.node(2).lock(b, EX, NewName)
		if v := c.stuck(t); v != "" {
			return v
		}
		if !na.holds(EX) || !nb.holds(EX) || na.confirmed != 1 || nb.confirmed != 1 {
			t.Errorf("adopted with %v %v, confirmed %d %d", na.mode, nb.mode, na.confirmed, nb.confirmed)
		}
		return ""
	})
}

// Two claimants are each the other's directory.
func TestFinding6Confirm(t *testing.T) {
	withAndWithout(t, GateAnswers, func(c *cluster) string {
		na := c.node(1).lock(c.name("a", 2, 0), EX, NewName)
		nb := c.node(2).lock(c.name("b", 1, 0), EX, NewName)
		if v := c.stuck(t); v != "" {
			return v
		}
		if na.confirmed != 1 || nb.confirmed != 1 {
			t.Errorf("confirmed %d %d times", na.confirmed, nb.confirmed)
		}
		return ""
	})
}

// NOTMASTER follows a REMOVE that has left. It needs no fence of its own.
func TestFinding6NotMaster(t *testing.T) {
	withAndWithout(t, FreshNotMaster, func(c *cluster) string {
		a, b := c.oldMaster("a", 2, 3), c.oldMaster("b", 1, 3)
		c.now += testIdle
		c.node(1).tick()
		c.node(2).tick() // both REMOVEs are on their way
		c.node(1).lock(a, EX, NewName)
		c.node(2).lock(b, EX, NewName)
		c.one(1, 3, a, wire.Notify)
		c.one(2, 3, b, wire.Notify)
		c.one(3, 1, a, wire.Reject)
		c.one(3, 2, b, wire.Reject)
		c.one(1, 2, a, wire.Adopt)
		c.one(2, 1, b, wire.Adopt)
		return c.stuck(t)
	})
}

// Directory nodes 1 and 2 hold a YOU for node 4 each, because of claims of
// their own that are rejected in favour of node 4, which waits for its YOUs.
func TestFinding6Untold(t *testing.T) {
	withAndWithout(t, RejectUntold, func(c *cluster) string {
		a, b := c.name("a", 2, 0), c.name("b", 1, 0)
		na := c.node(1).lock(a, EX, NewName) // slow NOTIFY to node 2
		nb := c.node(2).lock(b, EX, NewName) // slow NOTIFY to node 1
		fa, fb := c.node(4).lock(a, PR, 0), c.node(4).lock(b, PR, 0)
		c.one(4, 2, a, wire.Lookup) // node 2 holds YOU
		c.one(4, 1, b, wire.Lookup) // node 1 holds YOU
		r2, r3 := c.node(2).lock(a, CR, 0), c.node(3).lock(a, CR, 0)
		c.one(3, 2, a, wire.Lookup) // a REQUEST and a FWD stand behind the YOU
		c.one(1, 2, a, wire.Notify)
		c.one(2, 1, b, wire.Notify)
		if v := c.stuck(t); v != "" {
			return v
		}
		if !na.holds(EX) || !nb.holds(EX) || na.lost || nb.lost {
			t.Errorf("creators %v %v", na.mode, nb.mode)
		}
		na.unlock(0, nil)
		nb.unlock(0, nil)
		c.settle()
		if !fa.holds(PR) || !fb.holds(PR) || !r2.holds(CR) || !r3.holds(CR) {
			t.Errorf("then finders %v %v, others %v %v", fa.mode, fb.mode, r2.mode, r3.mode)
		}
		return ""
	})
}

// A rejected claim is open until the master has answered.
func TestFinding7(t *testing.T) {
	withAndWithout(t, CloseAtReject, func(c *cluster) string {
		x := c.oldMaster("x", 2, 3)
		p := c.mastered("p", 4, 0)
		pl := c.hold(1, p, EX, 0)
		n := c.node(1).lock(x, EX, NewName)
		c.one(1, 3, x, wire.Notify)
		c.one(3, 1, x, wire.Reject) // ADOPT is on its way to node 2
		pl.unlock(0, nil)
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		if f.holds(PR) {
			fx := c.node(4).lock(x, EX, 0)
			c.one(4, 3, x, wire.Lookup)
			c.one(3, 2, x, wire.Fwd)
			c.one(2, 4, x, wire.Grant)
			if fx.holds(EX) && n.holds(EX) {
				return "creator and finder both hold EX"
			}
		}
		c.settle()
		if !n.holds(EX) || n.confirmed != 1 || !f.holds(PR) {
			t.Errorf("creator %v, confirmed %d times; finder %v", n.mode, n.confirmed, f.mode)
		}
		return ""
	})
}

// An unlock during the adoption must reach the master.
func TestFinding8Forget(t *testing.T) {
	withAndWithout(t, ForgetUnlock, func(c *cluster) string {
		x := c.oldMaster("x", 2, 3)
		n := c.node(1).lock(x, EX, NewName)
		c.one(1, 3, x, wire.Notify)
		c.one(3, 1, x, wire.Reject)
		n.unlock(0, nil)
		f := c.node(4).lock(x, EX, 0)
		c.settle()
		if !f.holds(EX) {
			return "the master keeps a lock that is gone"
		}
		return ""
	})
}

// A late UNLOCK must not hit the node's next lock.
func TestFinding8LockID(t *testing.T) {
	withAndWithout(t, NoLockIDs, func(c *cluster) string {
		x := c.oldMaster("x", 2, 3)
		n := c.node(1).lock(x, EX, NewName)
		m := c.node(2).lock(x, EX, 0)
		c.one(1, 3, x, wire.Notify)
		c.one(3, 1, x, wire.Reject)
		n.unlock(0, nil)
		c.one(1, 2, x, wire.Adopt)
		c.one(2, 1, x, wire.Conflict) // now UNLOCK leaves, and is slow
		c.now += testIdle
		c.node(1).tick() // node 1 forgets its copy of x
		m.unlock(0, nil)
		next := c.node(1).lock(x, EX, 0)
		c.one(1, 3, x, wire.Lookup)
		c.one(3, 2, x, wire.Fwd)
		c.one(2, 1, x, wire.Grant)
		f := c.node(4).lock(x, EX, 0)
		c.settle()
		if f.holds(EX) && next.holds(EX) {
			return "an UNLOCK of an older lock released this one"
		}
		return ""
	})
}

// A late REMOVE must not delete the entry of another life.
func TestFinding9(t *testing.T) {
	withAndWithout(t, NoUniqueLife, func(c *cluster) string {
		x := c.oldMaster("x", 1, 3)
		c.now += testIdle
		c.node(1).tick() // REMOVE is slow
		l := c.node(2).lock(x, EX, 0)
		c.one(2, 3, x, wire.Lookup)
		c.one(3, 1, x, wire.Fwd)
		c.one(1, 2, x, wire.NotMaster)
		c.one(2, 3, x, wire.Lookup)
		c.one(3, 2, x, wire.You)
		c.one(1, 3, x, wire.Remove)
		f := c.node(4).lock(x, EX, 0)
		c.settle()
		if l.holds(EX) && f.holds(EX) {
			return "two masters, two holders"
		}
		return ""
	})
}
