package lockspace

import (
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file replays what the models (models/*.pml) have found that the code
// did not have.

// NOTIFY was sent twice. The first one was rejected; the second one came when
// the old master had gone, so the directory has recorded a life that ends with
// the adoption.
func TestRecordedDuringAdoption(t *testing.T) {
	withAndWithout(t, ForgetRecorded, func(c *cluster) string {
		x := c.oldMaster("x", 2, 3)
		c.node(1).lock(x, EX, NewName)
		c.now += resendFloor
		c.node(1).tick()
		m := c.node(2).lock(x, EX, 0)
		c.one(1, 3, x, wire.Notify)
		c.one(3, 1, x, wire.Reject)
		c.one(1, 2, x, wire.Adopt) // answered with CONFLICT
		m.unlock(0, nil)
		c.now += testIdle
		c.node(2).tick()
		c.one(2, 3, x, wire.Remove)
		c.one(1, 3, x, wire.Notify)
		c.one(3, 1, x, wire.Confirm)
		c.one(2, 1, x, wire.Conflict)
		c.settle()
		c.idle()
		return c.empty()
	})
}

// A master has registered with a new directory node, and does so again in the
// next view, because it has not heard that it was recorded. If it removed the
// name then, another node could become master before that second REG arrives.
func TestRemoveBeforeRecorded(t *testing.T) {
	withAndWithout(t, RemoveUnrecorded, func(c *cluster) string {
		c.node(4).crash(false)
		c.change()
		c.settle()
		c.node(4).restart()
		old := c.view
		v := c.next()
		c.view = old
		x := c.moved("x", 3, 4, v)
		c.view = v
		c.hold(1, x, EX, 0).unlock(0, nil)
		c.hold(2, x, EX, 0).unlock(0, nil) // node 2 knows the master
		c.settle()
		for _, n := range c.nodes {
			n.install(v)
		}
		late := func(l *link) bool { return l.linkKey == linkKey{4, 1, ""} } // OPEN
		c.settleBut(late)
		c.node(3).crash(false)
		c.change()
		if !c.on(1, 4, x, wire.Reg) {
			t.Fatal("no second REG")
		}
		late = func(l *link) bool { return l.from == 1 && l.to == 4 }
		c.now += testIdle
		c.node(1).tick()
		b := c.node(2).lock(x, EX, 0)
		c.settleBut(late)
		c.settle()
		if !b.holds(EX) {
			t.Error("not granted")
		}
		if c.node(4).shards[0].Stats().TwoMasters != 0 {
			return "two confirmed masters are on record"
		}
		return ""
	})
}

// settleBut delivers everything but the messages of some lanes.
func (c *cluster) settleBut(late func(*link) bool) {
	for {
		i := slices.IndexFunc(c.busy, func(l *link) bool { return !late(l) && c.ready(l) })
		if i < 0 {
			return
		}
		c.deliver(c.busy[i])
	}
}
