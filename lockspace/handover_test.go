package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file tests what must wait, and what must not, while a range moves.

// DELEGATE, like REMOVE, says by omission that a name is free: it waits for the
// claims of the directory node. Node 3 masters p, creates x below it, gives p
// up and forgets it; node 1 finds p free in its range and reads x.
func TestGateDelegate(t *testing.T) {
	for _, rule := range []Rules{NoGateRange, RemoveLeaving} {
		rangeScript(t, rule, func(c *cluster) string {
			key := c.key("k", 3)
			p, x := key+"p", c.name("x", 2, 0)
			pl := c.node(3).lock(p, EX, 0)
			early := c.node(3).lock(c.name("y", 2, 0), EX, NewName) // what the handover waits for
			if rule == NoGateRange {
				early = c.node(3).lock(x, EX, NewName)
			}
			r := c.node(1).delegate(key)
			if rule == NoGateRange {
				pl.unlock(0, nil)
				c.now += testIdle
				c.node(3).tick() // p is forgotten
				c.about(key)
			} else {
				c.about(key)
				xl := c.node(3).lock(x, EX, NewName)
				pl.unlock(0, nil)
				c.now += testIdle
				c.node(3).tick()
				c.about(early.name) // the fence of the handover opens, that of x not
				early = xl
				c.about(key)
			}
			f := c.node(1).lock(p, PR, 0)
			c.about(p)
			if r.ends == 0 || !f.holds(PR) {
				return ""
			}
			g := c.node(1).lock(x, EX, 0)
			c.one(1, 2, x, wire.Lookup)
			if c.on(2, 1, x, wire.You) {
				c.one(2, 1, x, wire.You)
			}
			if g.holds(EX) && early.holds(EX) {
				return "creator and finder both hold EX"
			}
			return ""
		})
	}
}

// The same the other way round: RETURN.
func TestGateReturn(t *testing.T) {
	rangeScript(t, NoGateRange, func(c *cluster) string {
		key := c.owned(1)
		p, x := key+"p", c.name("x", 2, 0)
		pl := c.node(1).lock(p, EX, 0)
		xl := c.node(1).lock(x, EX, NewName)
		pl.unlock(0, nil)
		c.now += testIdle
		c.node(1).tick()
		r := c.node(1).giveBack(key)
		c.about(key)
		f := c.node(4).lock(p, PR, 0)
		c.about(p)
		if !f.holds(PR) {
			return ""
		}
		r.want(wire.OK)
		g := c.node(4).lock(x, EX, 0)
		c.one(4, 2, x, wire.Lookup)
		if c.on(2, 4, x, wire.You) {
			c.one(2, 4, x, wire.You)
		}
		if g.holds(EX) && xl.holds(EX) {
			return "creator and finder both hold EX"
		}
		return ""
	})
}

// A YOU that is held when its range moves cannot be taken back for a claim any
// more: two nodes that move ranges then wait for each other (finding 6). Node
// 3 lends k while its claim of a is open; node 4 looks for x in it; node 2
// claims x.
func TestRangeUntold(t *testing.T) {
	rangeScript(t, AnswerLeaving, func(c *cluster) string {
		key := c.key("k", 3)
		x := key + "x"
		y := c.name("y", 2, 0)
		first := c.node(3).lock(c.name("a", 1, 0), EX, NewName)
		c.node(1).delegate(key)
		c.about(key) // waits for the claim of a
		second := c.node(3).lock(y, EX, NewName)
		f := c.node(4).lock(x, EX, 0)
		c.one(4, 3, x, wire.Lookup)
		c.about(first.name)
		c.about(key)                        // the range has moved
		g := c.node(2).lock(x, EX, NewName) // its claim is rejected in favour of 4, who knows of nothing
		c.about(x)
		if g.open && second.open && !f.holds(EX) && c.on(3, 2, y, wire.Notify) {
			return "a claim waits for another node's claim"
		}
		return ""
	})
}

// What was passed on to the owner and finds the range returned comes back,
// behind the RETURN.
func TestReturnCrossesRelay(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.owned(1)
		x, y, z := key+"x", key+"y", key+"z"
		l := c.node(1).lock(x, EX, NewName)
		zl := c.hold(2, z, EX, 0)
		f := c.node(4).lock(x, EX, 0)
		c.one(4, 3, x, wire.Lookup)
		zl.unlock(0, nil)
		c.now += testIdle + 1
		c.node(2).tick()
		c.one(2, 3, z, wire.Remove)
		n := c.node(2).lock(y, EX, NewName)
		c.one(2, 3, y, wire.Notify)
		r := c.node(1).giveBack(key)
		r.want(wire.OK)
		for _, name := range []string{x, y, z} {
			c.one(3, 1, name, wire.Relay)
			if !c.on(1, 3, name, wire.Relay) {
				t.Fatalf("%q has not come back", name)
			}
		}
		c.settle()
		if n.confirmed != 1 || f.holds(EX) {
			return "claim or lookup went astray"
		}
		l.unlock(0, nil)
		c.settle()
		if !f.holds(EX) || c.node(3).resource(z) != nil {
			return "the finder has not got it, or the entry of z is left"
		}
		return ""
	})
}

// A NOTIFY that was sent twice goes round by the former owner and arrives
// after a newer life of the same master is on record.
func TestLateNotifyRound(t *testing.T) {
	rangeScript(t, OldLife, func(c *cluster) string {
		key := c.owned(1)
		x := key + "x"
		n := c.node(2).lock(x, EX, NewName)
		c.one(2, 3, x, wire.Notify)
		c.now += resendFloor
		c.node(2).tick()
		c.one(3, 1, x, wire.Relay)
		c.one(2, 3, x, wire.Notify) // the second
		c.one(1, 2, x, wire.Confirm)
		c.node(1).giveBack(key)
		c.about(key)
		n.unlock(0, nil)
		c.now += testIdle + 1
		c.node(2).tick()
		c.one(2, 3, x, wire.Remove)
		m := c.node(2).lock(x, EX, 0)
		c.one(2, 3, x, wire.Lookup)
		c.one(3, 2, x, wire.You)
		c.settle() // the second NOTIFY comes back from node 1
		f := c.node(4).lock(x, EX, 0)
		c.settle()
		if m.holds(EX) && f.holds(EX) {
			return "two masters"
		}
		return ""
	})
}
