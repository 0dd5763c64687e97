package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// The master of a name with byte ranges dies: what was granted stays granted,
// what waited is asked anew, whichever node is the next master.
func TestBytesMasterDies(t *testing.T) {
	for dir := 2; dir <= 4; dir++ {
		c := newCluster(t, 4, 1, 0)
		x := c.name("x", dir, 0)
		m := c.handle(1, x)
		m.bytes(9, wr, 500, 509, 0)
		a, b := c.handle(2, x), c.handle(3, x)
		a.bytes(1, wr, 0, 9, 0)
		b.bytes(1, wr, 20, 29, 0)
		c.settle()
		w := b.bytes(2, wr, 5, 14, 0)
		free := a.bytes(3, rd, 505, 505, 0) // the dead node's
		gone := a.bytes(4, wr, 20, 20, 0)
		c.settle()
		gone.cancel()
		c.node(1).crash(true)
		c.change()
		c.settle()
		if !w.is(running) || !free.is(wire.OK) || !gone.is(wire.Cancelled) {
			t.Errorf("directory %d: %v; %v %v; %v %v", dir, w.ended, free.ended, free.out.Status, gone.ended, gone.out.Status)
		}
		if try := b.bytes(7, rd, 0, 9, NoQueue); true {
			c.settle()
			if !try.is(wire.WouldBlock) {
				t.Errorf("directory %d: a range is free that is held: %v", dir, try.out.Status)
			}
		}
		a.bytes(1, off, 5, 9, 0)
		c.settle()
		if !w.is(wire.OK) {
			t.Errorf("directory %d: the waiter hangs", dir)
		}
		if o := c.overlap(x); o != "" {
			t.Error(o)
		}
		c.windDown()
	}
}

// Requests that are to be asked anew at the next master, which is their own
// node, are asked one after the other: none is granted before its turn, a test
// least of all, and none counts as waiting.
func TestBytesAskedAnewInOrder(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	c.hold(1, x, NL, 0)
	a, b := c.handle(3, x), c.handle(3, x)
	a.bytes(1, wr, 0, 9, 0)
	c.settle()
	first := a.bytes(1, wr, 20, 29, 0)
	second := a.bytes(1, off, 0, 9, 0) // behind it
	test := a.bytes(2, wr, 0, 4, TestRange)
	other := b.bytes(3, wr, 20, 20, 0)
	third := a.bytes(1, off, 20, 29, 0)
	c.node(1).crash(true)
	c.change()
	c.settle()
	for i, b := range []*tbyte{first, second, test, other, third} {
		if !b.is(wire.OK) {
			t.Errorf("request %d: ended %v, %v", i, b.ended, b.out.Status)
		}
	}
	if a.has(2) != "" || a.has(1) != "" || b.has(3) != "w20-20 " || test.out.Blocker.Type != off {
		t.Errorf("they have %q, %q, %q; in the way was %v", a.has(1), a.has(2), b.has(3), test.out.Blocker)
	}
	c.windDown()
}

// A holder dies: what it had is granted to those that wait.
func TestBytesHolderDies(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 2, 0)
	a, b, d := c.handle(1, x), c.handle(3, x), c.handle(4, x)
	a.bytes(1, wr, 0, 9, 0)
	c.settle()
	a.bytes(2, wr, 5, 5, 0) // waits, and dies too
	w := b.bytes(1, wr, 0, 0, 0)
	v := d.bytes(1, wr, 9, 9, 0)
	c.settle()
	c.node(1).crash(false)
	c.change()
	c.settle()
	if !w.is(wire.OK) || !v.is(wire.OK) {
		t.Errorf("%v %v", w.ended, v.ended)
	}
	c.windDown()
}

// An unlock that the fence holds is no release yet: the report says what the
// dead master knew (finding 1e).
func TestBytesReportBeforeRelease(t *testing.T) {
	for _, how := range []string{"unlock", "downgrade", "handle"} {
		t.Run(how, func(t *testing.T) {
			withAndWithout(t, ReportReleased|TrustFree, func(c *cluster) string {
				v := viewOf(t, 2, c.node(1), c.node(3), c.node(4))
				p := c.moved("p", 2, 4, v)
				c.hold(2, p, NL, 0)
				ph, fh := c.handle(1, p), c.handle(4, p)
				ph.bytes(1, wr, 0, 9, 0)
				c.settle()
				x := c.moved("x", 3, 3, v)
				xl := c.node(1).lock(x, EX, NewName)
				switch how {
				case "unlock":
					ph.bytes(1, off, 0, 4, 0)
				case "downgrade":
					ph.bytes(1, rd, 0, 4, 0)
				default:
					ph.unlock(0, nil)
				}
				c.node(2).crash(true)
				c.change()
				f := fh.bytes(1, rd, 0, 4, 0)
				for range 1000 { // all but what closes the claim
					i := -1
					for k, l := range c.busy {
						if l.name != x && (l.name != "" || c.ready(l) || l.from != 1 || l.to != 3) {
							i = k
							break
						}
					}
					if i < 0 {
						break
					}
					c.deliver(c.busy[i])
				}
				if !f.is(wire.OK) {
					return ""
				}
				return c.find(x, xl)
			})
		})
	}
}

// A downgrade, or an unlock, of which the answer is lost with the master may have let
// another owner in. So it counts: else the report of its bytes as they were excludes that
// of the other, whose lock the next master does not know of any more.
func TestBytesReleasedUnheard(t *testing.T) {
	for _, typ := range []byterange.Type{rd, off} {
		for dir := 2; dir <= 4; dir++ {
			withAndWithout(t, AskReleases, func(c *cluster) string {
				x := c.name("x", dir, 0)
				c.hold(1, x, NL, 0)
				a, b, d := c.handle(2, x), c.handle(3, x), c.handle(4, x)
				a.bytes(1, wr, 0, 9, 0)
				c.settle()
				first := a.bytes(1, wr, 50, 59, 0) // so that the next one is not done at once
				down := a.bytes(1, typ, 0, 4, 0)
				c.one(2, 1, x, wire.RangeOp)
				c.one(2, 1, x, wire.RangeOp)
				got := b.bytes(1, rd, 0, 4, 0)
				c.one(3, 1, x, wire.RangeOp)
				c.one(1, 3, x, wire.RangeDone)
				if !got.is(wire.OK) {
					t.Fatalf("granted by the first master: %v %v", got.ended, got.out.Status)
				}
				c.node(1).crash(true)
				c.change()
				c.settle()
				if !first.is(wire.OK) || !down.is(wire.OK) {
					t.Errorf("directory %d: %v %v; %v %v", dir, first.ended, first.out.Status, down.ended, down.out.Status)
				}
				d.bytes(1, wr, 9, 9, NoQueue)
				c.settle()
				if o := c.overlap(x); o != "" {
					return o // if it is b's node that rebuilds, a's report is not believed
				}
				a.bytes(1, off, 0, 9, 0)
				c.settle()
				d.bytes(1, wr, 0, 0, NoQueue)
				c.settle()
				return c.overlap(x)
			})
		}
	}
}

// A fenced node has nothing any more, and says so once.
func TestBytesFenced(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 2, 0)
	h, o := c.handle(2, x), c.handle(1, x)
	o.bytes(1, wr, 0, 9, 0)
	c.settle()
	w := h.bytes(1, wr, 0, 0, 0)
	s := c.node(2).shardOf(x)
	s.Fence(c.node(2).now())
	if !w.is(wire.LostLock) || !h.lost {
		t.Errorf("%v %v, lost %v", w.ended, w.out.Status, h.lost)
	}
	if st := s.Bytes(0, &ByteRequest{Lock: h.id, Owner: 1, Type: rd, Range: byterange.Range{}}); st != wire.NoLock {
		t.Errorf("afterwards: %v", st)
	}
}

// One view follows the other while the first recovery is under way, at every
// point of it: the node that rebuilds dies as well, the dead master comes back,
// or only the directory moves. What is held stays held, what waits is granted.
func TestBytesSuccessiveViews(t *testing.T) {
	for _, second := range []string{"the next master dies", "the first one comes back", "the directory moves"} {
		t.Run(second, func(t *testing.T) {
			for steps := 0; ; steps++ {
				if successiveViews(t, second, steps) {
					t.Logf("%d points", steps)
					return
				}
			}
		})
	}
}

// successiveViews installs the second view after so many deliveries. It says
// that there were not as many.
func successiveViews(t *testing.T, second string, steps int) (last bool) {
	c := newCluster(t, 5, 1, 0)
	x := c.thenName("x", 1, 2, 0)
	m, a, b := c.hold(1, x, NL, 0), c.handle(3, x), c.handle(4, x)
	m.bytes(1, wr, 100, 109, 0)
	a.bytes(1, wr, 0, 9, 0)
	b.bytes(1, rd, 20, 29, 0)
	c.settle()
	w := b.bytes(2, wr, 5, 14, 0)
	free := a.bytes(2, wr, 105, 105, 0)
	under := b.bytes(1, off, 25, 29, 0)
	gone := a.bytes(3, rd, 5, 5, 0)
	c.one(4, 1, x, wire.RangeOp)
	gone.cancel()
	c.node(1).crash(steps%2 == 0)
	if second == "the directory moves" {
		c.node(5).crash(false)
	}
	c.change()
	for i := range steps {
		k := -1
		for j := range c.busy {
			if l := c.busy[(i+j)%len(c.busy)]; c.ready(l) {
				k = (i + j) % len(c.busy)
				break
			}
		}
		if last = k < 0; last {
			break
		}
		c.deliver(c.busy[k])
		if o := c.overlap(x); o != "" {
			t.Fatalf("%d steps: %s", steps, o)
		}
	}
	switch second {
	case "the next master dies":
		c.node(2).crash(steps%3 == 0)
	case "the first one comes back":
		c.node(1).restart()
	default:
		c.node(5).restart()
	}
	c.change()
	c.settle()
	if !w.is(running) || !free.is(wire.OK) || !under.is(wire.OK) || !gone.is(wire.Cancelled) {
		t.Fatalf("%d steps: waits %v %v; %v; %v; %v", steps, w.ended, w.out.Status, free.out.Status, under.out.Status, gone.out.Status)
	}
	a.bytes(1, off, 0, 9, 0)
	c.settle()
	if o := c.overlap(x); !w.is(wire.OK) || o != "" {
		t.Fatalf("%d steps: ended %v, %v; %s", steps, w.ended, w.out.Status, o)
	}
	c.windDown()
	return last
}

// A persistent lock whose program goes is no orphan while it has byte ranges, or
// wants some: they belong to the program. An orphan that somebody has taken
// over can be a handle; its user knows it by another id.
func TestBytesPersistent(t *testing.T) {
	for _, user := range []int{1, 3} {
		c := newCluster(t, 4, 1, 0)
		x := c.mastered("x", 1, 0)
		o := c.handle(4, x)
		for _, has := range []string{"ranges", "a request", "nothing any more"} {
			l := c.hold(user, x, NL, Persistent)
			w := l.bytes(1, wr, 0, 9, 0)
			c.settle()
			var wants *tbyte
			switch has {
			case "a request":
				l.bytes(1, off, 0, 9, 0)
				blocks := o.bytes(1, wr, 0, 9, 0)
				c.settle()
				wants = l.bytes(1, rd, 0, 9, 0)
				c.settle()
				if !blocks.is(wire.OK) || !wants.is(running) {
					t.Fatal("it does not wait")
				}
			case "nothing any more":
				l.bytes(1, off, 0, 9, 0)
			}
			if st := l.abandon(7); st != wire.OK || !w.is(wire.OK) {
				t.Fatalf("%v %v", st, w.out.Status)
			}
			o.bytes(1, off, 0, 9, 0)
			free := o.bytes(2, wr, 0, 9, NoQueue)
			c.settle()
			o.bytes(2, off, 0, 9, 0)
			c.settle()
			if wants != nil && !wants.is(wire.Cancelled) || wants == nil && !free.is(wire.OK) && user == 1 {
				t.Errorf("node %d, %s: %v", user, has, free.out.Status)
			}
			again, st := c.node(user).takeOver(x, NL, 0)
			if orphan := has == "nothing any more"; orphan != (st == wire.OK) {
				t.Errorf("node %d, %s: taking it over: %v", user, has, st)
			}
			if st == wire.OK {
				c.settle()
				asBytesHandle(t, c, again, o)
			}
		}
		c.windDown()
	}
}

// asBytesHandle uses an orphan that was taken over as a handle.
func asBytesHandle(t *testing.T, c *cluster, l, other *tlock) {
	t.Helper()
	got := l.bytes(1, wr, 0, 9, 0)
	c.settle()
	test := other.bytes(1, wr, 0, 9, TestRange)
	wait := l.bytes(2, wr, 5, 5, 0)
	c.settle()
	wait.cancel()
	c.settle()
	if !got.is(wire.OK) || !test.is(wire.OK) || test.out.Blocker.Type != wr || !wait.is(wire.Cancelled) {
		t.Errorf("%v; %v; %v", got.out.Status, test.out, wait.out.Status)
	}
	last := other.bytes(1, wr, 0, 9, 0)
	c.settle()
	l.unlock(0, nil)
	c.settle()
	if !last.is(wire.OK) {
		t.Errorf("the handle has gone, and its ranges have not: %v", last.ended)
	}
	other.bytes(1, off, 0, 9, 0)
	c.settle()
}
