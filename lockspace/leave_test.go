package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// leave runs the orderly end of a node as its host does: until nothing is left.
// meanwhile is called before each look.
func (n *node) leave(meanwhile func()) {
	n.c.t.Helper()
	for range 20 {
		left, closed := len(n.open), n.closed
		for _, s := range n.shards {
			left += s.Leave(n.now())
		}
		n.after(closed)
		if left == 0 {
			n.c.settle() // what it has sent still arrives
			return
		}
		meanwhile()
	}
	n.c.fatalf("node %d: there is still something left", n.id)
}

// The last name of a node may go while the work for a view is not done, and then the node.
func TestLeaveAtWork(t *testing.T) {
	h, names := manyNames(t, 1) // its directory entry
	v, err := NewView(2, []Member{{ID: 1, Instance: instanceOf(1)}, {ID: 2, Instance: instanceOf(2)}})
	if err != nil {
		t.Fatal(err)
	}
	h.s.Install(2, v)
	gone := wire.Msg{Type: wire.Remove, Name: names[0], Life: wire.Life{Instance: instanceOf(2), Counter: 1 << 8}}
	h.s.Deliver(2, Origin{Instance: instanceOf(2), Epoch: 2}, Hash(names[0]), &gone)
	if n := h.s.Stats().Resources; n != 0 || !h.s.Working() {
		t.Fatalf("%d names, at work: %t; want none, at work", n, h.s.Working())
	}
	if left := h.s.Leave(3); left != 0 || h.s.Working() {
		t.Errorf("%d things left, at work: %t", left, h.s.Working())
	}
}

// traces says what the other nodes still have of a node that has left.
func (c *cluster) traces(id int) (out []string) {
	instance := c.node(id).instance
	for _, n := range c.nodes {
		if n.down {
			continue
		}
		for _, s := range n.shards {
			for _, r := range allNames(s) {
				name := string(r.name())
				if r.dirLife.Instance == instance {
					out = append(out, name+": an entry")
				}
				if r.bytes != nil {
					for _, h := range r.bytes.Handles() {
						if h.Node == instance {
							out = append(out, name+": byte ranges")
						}
					}
				}
				for _, q := range []*queue{&r.granted, &r.convert, &r.waiting} {
					for l := q.head; l != nil; l = l.next {
						if l.owner == instance {
							out = append(out, name+": a lock")
						}
					}
				}
			}
			s.Ranges(func(i RangeInfo) bool {
				out = append(out, string(i.Key)+": a range "+i.State)
				return true
			})
		}
	}
	return out
}

// A node that ends in order leaves nothing at the others, who go on at once, with no
// view in between.
func TestLeave(t *testing.T) {
	for _, shards := range []int{1, 3} {
		c := newRangeCluster(t, 4, shards, slash, 0)
		n := c.node(1)
		key, home := c.key("k", 3), c.key("h", 1)
		for _, k := range []string{key, home} {
			r := n.delegate(k)
			c.settle()
			r.want(wire.OK)
		}
		cached := c.hold(1, c.name("cached", 3, 0), EX, 0) // node 1 is master, and nobody has it
		cached.unlock(0, nil)
		inRange := c.hold(1, key+"mine", EX, 0) // unlocked below
		other := c.hold(2, key+"theirs", PR, 0) // mastered by node 2, known to the owner of the range
		orphan := c.hold(1, c.mastered("orphan", 2, 0), EX, Persistent)
		if st := orphan.abandon(7); st != wire.OK {
			t.Fatal(st)
		}
		left := c.hold(1, c.mastered("left", 2, 0), EX, 0) // unlocked behind a claim
		handle := c.handle(1, c.mastered("bytes", 4, 0))
		bytes := handle.bytes(1, wr, 0, 99, 0)
		c.settle()
		if !bytes.is(wire.OK) {
			t.Fatal(bytes.out.Status)
		}
		blocker := c.hold(2, c.name("waits", 2, 0), EX, 0)
		waits := n.lock(blocker.name, EX, 0)
		c.settle()
		unasked := n.lock(c.name("unasked", 3, 0), EX, 0) // its LOOKUP is on its way
		claim := n.lock(c.name("claim", 4, 0), EX, NewName)

		for _, l := range []*tlock{inRange, left, handle, waits, unasked, claim} {
			l.unlock(ForceUnlock, nil)
		}
		held := c.node(4).lock(left.name, PR, 0)
		n.leave(c.settle)
		if got := c.traces(1); len(got) != 0 {
			t.Errorf("%d shards: the others have still %q", shards, got)
		}
		n.crash(true)
		c.settle()
		if !held.holds(PR) {
			t.Errorf("%d shards: what an unlock behind a claim has freed is not granted", shards)
		}
		for _, name := range []string{cached.name, inRange.name, orphan.name, unasked.name, claim.name, key + "new"} {
			l := c.node(4).lock(name, EX, 0)
			c.settle()
			if !l.holds(EX) {
				t.Errorf("%d shards: %q is not to be had: %v", shards, name, l.mode)
			}
		}
		again := c.handle(3, handle.name).bytes(1, wr, 0, 99, NoQueue)
		c.settle()
		if !again.is(wire.OK) {
			t.Errorf("%d shards: the bytes: %v", shards, again.out.Status)
		}
		if !other.holds(PR) {
			t.Error("another node's lock in the range is gone")
		}
		c.change()
		c.windDown()
	}
}

// What others hold at names that the node masters stays, is not waited for, and finds
// a new master in the next view.
func TestLeaveInUse(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	mine := c.hold(1, x, NL, 0)
	l := c.hold(2, x, PR, 0)
	mine.unlock(0, nil)
	c.node(1).leave(func() { t.Error("it is waited for") })
	w := c.node(4).lock(x, EX, 0)
	c.settle()
	c.node(1).crash(false)
	c.change()
	c.settle()
	if !l.holds(PR) || w.holds(EX) {
		t.Errorf("%v; who waited has %v", l.mode, w.mode)
	}
	l.unlock(0, nil)
	c.settle()
	if !w.holds(EX) {
		t.Error("who waited hangs")
	}
	c.windDown()
	c.node(2).shards[0].Fence(c.now)
	if left := c.node(2).shards[0].Leave(c.now); left != 0 {
		t.Errorf("fenced: %d left", left)
	}
}

// A range that has been asked for when the node leaves goes back when it comes; who
// waits for it is told.
func TestLeaveWhileAsking(t *testing.T) {
	c := newRangeCluster(t, 4, 1, slash, 0)
	key := c.key("k", 3)
	r := c.node(1).delegate(key)
	c.node(1).leave(c.settle)
	r.want(wire.Cancelled)
	if got := c.traces(1); len(got) != 0 {
		t.Errorf("the others have still %q", got)
	}
	c.windDown()
}
