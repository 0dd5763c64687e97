package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file tests ranges across changes of the view.

// The owner of a range dies: its names are found again, those that it had
// taken over from the directory node included.
func TestRangeOwnerDies(t *testing.T) {
	rangeScript(t, TrustRanges, func(c *cluster) string {
		key := c.key("k", 3)
		early := c.hold(2, key+"early", EX, 0) // its entry moves to the owner
		r := c.node(1).delegate(key)
		c.settle()
		r.want(wire.OK)
		late := c.hold(2, key+"late", EX, 0) // the owner has recorded it
		mine := c.node(1).lock(key+"mine", EX, NewName)
		c.settle()
		c.node(1).crash(false)
		c.change()
		c.settle()
		if !mine.crashed {
			t.Fatal("the owner is alive")
		}
		for _, l := range []*tlock{early, late} {
			f := c.node(4).lock(l.name, EX, NoQueue)
			c.settle()
			if f.holds(EX) {
				return "two hold " + l.name
			}
		}
		f := c.hold(4, mine.name, EX, NoQueue)
		again := c.node(4).delegate(key)
		c.settle()
		again.want(wire.OK)
		f.unlock(0, nil)
		return ""
	})
}

// A view that leaves the owner alive: it has the range again afterwards, on
// the same directory node or another one, and its names are found.
func TestRangeNewView(t *testing.T) {
	for _, dies := range []bool{false, true} { // the directory node
		rangeScript(t, 0, func(c *cluster) string {
			key := c.owned(1)
			mine := c.node(1).lock(key+"mine", EX, NewName)
			other := c.hold(2, key+"other", EX, 0)
			c.settle()
			if dies {
				c.node(3).crash(false)
			}
			c.change()
			f := c.node(4).lock(mine.name, EX, NoQueue)
			c.settle()
			g := c.node(4).lock(other.name, EX, NoQueue)
			c.settle()
			if f.holds(EX) || g.holds(EX) {
				return "two hold a name"
			}
			before := c.total()
			c.node(1).lock(key+"new", EX, NewName).unlock(0, nil)
			if c.total() != before || c.node(1).shards[0].ranges[key].state != owned {
				return "the owner has not got the range again"
			}
			return ""
		})
	}
}

// A view comes while a range moves: the return has happened, the lending has
// not, the question is asked again.
func TestRangeViewMeanwhile(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.owned(1)
		c.create(0)
		back := c.node(1).giveBack(key) // waits for the claim
		c.node(3).lock(c.name("y", 2, 0), EX, NewName)
		other := c.key("other", 3)
		r := c.node(2).delegate(other)
		c.about(other) // waits for the claim
		third := c.key("third", 3)
		unwanted := c.node(2).delegate(third)
		c.node(2).giveBack(third).want(wire.OK)
		unwanted.want(wire.Cancelled)
		c.change()
		back.want(wire.OK)
		c.settle()
		r.want(wire.OK)
		again := c.node(4).delegate(key)
		c.settle()
		again.want(wire.OK)
		return ""
	})
}

// A node that is fenced tells those who wait for a range.
func TestRangeFence(t *testing.T) {
	c := newRangeCluster(t, 4, 1, slash, 0)
	r := c.node(1).delegate(c.key("k", 3))
	c.node(1).shards[0].Fence(c.now)
	r.want(wire.ShuttingDown)
	c.node(1).delegate(c.key("k", 3)).want(wire.ShuttingDown)
}
