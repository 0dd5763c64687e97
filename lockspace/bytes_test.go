package lockspace

import (
	"fmt"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is byte ranges in whole clusters, step by step.

const (
	rd  = byterange.Read
	wr  = byterange.Write
	off = byterange.None
)

// tbyte is a request for a byte range as a program sees it.
type tbyte struct {
	h     *tlock
	q     ByteRequest
	ended bool
	out   ByteOutcome
}

// bytes asks for bytes first to last through handle l.
func (l *tlock) bytes(owner uint64, typ byterange.Type, first, last int64, flags uint32) *tbyte {
	l.n.c.t.Helper()
	b := &tbyte{h: l, q: ByteRequest{
		Lock: l.id, Owner: owner, Type: typ, Range: byterange.Range{Start: first, End: last}, Flags: flags,
	}}
	if st := b.ask(); st != wire.OK {
		l.n.c.fatalf("bytes of %q: %v", l.name, st)
	}
	return b
}

// ask makes the request. A status other than OK means that nothing has begun.
func (b *tbyte) ask() Status {
	n := b.h.n
	n.asked = append(n.asked, b)
	b.q.Tag = uint64(len(n.asked))
	n.c.now++
	closed := n.closed
	st := n.shardOf(b.h.name).Bytes(n.now(), &b.q)
	n.after(closed)
	return st
}

func (b *tbyte) cancel() {
	b.h.n.c.t.Helper()
	if st := b.tryCancel(); st != wire.OK {
		b.h.n.c.fatalf("cancel bytes of %q: %v", b.h.name, st)
	}
}

func (b *tbyte) tryCancel() Status {
	n := b.h.n
	closed := n.closed
	st := n.shardOf(b.h.name).CancelBytes(n.now(), b.q.Lock, b.q.Tag)
	n.after(closed)
	return st
}

// Bytes is part of Host.
func (n *node) Bytes(user any, id, tag uint64, o *ByteOutcome) {
	b := n.asked[tag-1]
	if user != any(b.h) || b.q.Lock != id || b.ended {
		n.c.fatalf("node %d: outcome %v of request %d of %#x, ended %v", n.id, o.Status, tag, id, b.ended)
	}
	b.ended, b.out = true, *o
	b.out.Cycle = slices.Clone(o.Cycle)
	if n.c.ears != nil {
		n.c.ears.bytes(b)
	}
}

// is says that the request has ended with st; 255: that it has not.
func (b *tbyte) is(st Status) bool {
	if st == running {
		return !b.ended
	}
	return b.ended && b.out.Status == st
}

const running Status = 255

// beliefs gives the ranges of a name that each node takes for granted to its
// own handles.
func (c *cluster) beliefs(name string) (all []byterange.Held) {
	for _, n := range c.nodes {
		if r := n.resource(name); !n.down && r != nil && r.bytes != nil {
			r.bytes.Each(func(h byterange.Held) bool {
				if h.Owner.Node == n.instance {
					all = append(all, h)
				}
				return true
			})
		}
	}
	return all
}

// overlap is mutual exclusion: it gives two ranges that exclude each other.
func (c *cluster) overlap(name string) string {
	all := c.beliefs(name)
	for i, a := range all {
		for _, b := range all[:i] {
			if a.Owner != b.Owner && (a.Type == wr || b.Type == wr) && a.Start <= b.End && b.Start <= a.End {
				return fmt.Sprintf("%q: %v and %v", name, a, b)
			}
		}
	}
	return ""
}

// handle gets a handle for the byte ranges of a name.
func (c *cluster) handle(id int, name string) *tlock { return c.hold(id, name, NL, 0) }

// has shows what an owner of a handle has, as its node believes.
func (l *tlock) has(owner uint64) string {
	out := ""
	for _, h := range l.n.c.beliefs(l.name) {
		if h.Owner.Handle == l.id && h.Owner.Number == owner && h.Owner.Node == l.n.instance {
			out += h.Type.String()[:1] + h.Range.String() + " "
		}
	}
	return out
}

// The master's own handles, and those of another node, in one table: grant,
// wait, order, unlock of parts.
func TestBytes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		a, b   int // nodes of the two handles; node 2 is master
		delays bool
	}{{"at the master", 2, 2, false}, {"remote", 1, 4, true}, {"remote and master", 1, 2, true}, {"one remote node", 1, 1, true}} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, 4, 1, 0)
			x := c.mastered("x", 2, 0)
			a, b := c.handle(tc.a, x), c.handle(tc.b, x)
			ask := func(what *tbyte, want Status) *tbyte {
				t.Helper()
				c.settle()
				if !what.is(want) {
					t.Fatalf("owner %d %v %v: ended %v %v, want %v", what.q.Owner, what.q.Type, what.q.Range, what.ended, what.out.Status, want)
				}
				return what
			}
			ask(a.bytes(1, wr, 0, 99, 0), wire.OK)
			ask(b.bytes(1, wr, 100, 199, 0), wire.OK)
			ask(a.bytes(2, rd, 200, 299, 0), wire.OK)
			ask(b.bytes(2, rd, 250, 399, 0), wire.OK)

			busy := ask(b.bytes(2, wr, 90, 120, NoQueue), wire.WouldBlock)
			if h := busy.out.Blocker; h.Owner.Number != 1 || h.Type != wr || h.Start != 0 || h.End != 99 || wire.NodeOf(h.Owner.Node) != uint16(tc.a) {
				t.Errorf("in the way is %+v", h)
			}
			free := ask(b.bytes(2, wr, 400, byterange.Last, TestRange), wire.OK)
			if free.out.Blocker.Type != off {
				t.Errorf("in the way is %+v", free.out.Blocker)
			}
			held := ask(b.bytes(3, rd, 50, 60, TestRange), wire.OK)
			if held.out.Blocker.Type != wr || held.out.Blocker.Owner.Number != 1 {
				t.Errorf("in the way is %+v", held.out.Blocker)
			}

			// Three wait, for parts; they go on in the order in which they came.
			w1 := ask(b.bytes(3, wr, 0, 9, 0), running)
			w2 := ask(a.bytes(7, wr, 5, 14, 0), running)
			w3 := ask(b.bytes(4, rd, 90, 99, 0), running)
			ask(a.bytes(1, off, 50, 99, 0), wire.OK)
			ask(w3, wire.OK)
			ask(w1, running)
			ask(a.bytes(1, off, 0, 20, 0), wire.OK)
			ask(w1, wire.OK)
			ask(w2, running)
			ask(b.bytes(3, off, 0, 9, 0), wire.OK)
			ask(w2, wire.OK)
			if got := a.has(1); got != "w21-49 " {
				t.Errorf("owner 1 has %q", got)
			}

			// A downgrade lets readers in; an upgrade waits for them.
			r1 := ask(b.bytes(5, rd, 30, 39, 0), running)
			ask(a.bytes(1, rd, 25, 34, 0), wire.OK)
			ask(r1, running)
			ask(a.bytes(1, rd, 35, 49, 0), wire.OK)
			ask(r1, wire.OK)
			up := ask(a.bytes(1, wr, 25, 49, 0), running)
			ask(b.bytes(5, off, 0, byterange.Last, 0), wire.OK)
			ask(up, wire.OK)
			if got := a.has(1); got != "w21-49 " {
				t.Errorf("owner 1 has %q", got)
			}

			// What one has already costs nothing.
			sent := c.sent[wire.RangeOp]
			ask(a.bytes(1, wr, 22, 30, 0), wire.OK)
			ask(a.bytes(1, off, 5000, 6000, 0), wire.OK)
			if n := c.sent[wire.RangeOp] - sent; n != 0 {
				t.Errorf("%d messages for nothing", n)
			}
			cancelled := ask(b.bytes(6, wr, 21, 21, 0), running)
			cancelled.cancel()
			ask(cancelled, wire.Cancelled)

			// The handle goes, and all with it.
			last := ask(b.bytes(6, wr, 0, byterange.Last, 0), running)
			ask(b.bytes(1, off, 0, byterange.Last, 0), wire.OK)
			mine := ask(a.bytes(9, wr, 250, 251, 0), running)
			a.unlock(0, nil)
			if !mine.is(wire.Cancelled) {
				t.Errorf("the request of a handle that has gone: %+v", mine.out)
			}
			ask(b.bytes(2, off, 0, byterange.Last, 0), wire.OK)
			ask(b.bytes(4, off, 0, byterange.Last, 0), wire.OK)
			ask(last, wire.OK)
			if o := c.overlap(x); o != "" {
				t.Error(o)
			}
			c.windDown()
		})
	}
}

// An owner that waits for an owner that waits for it.
func TestBytesDeadlock(t *testing.T) {
	for _, nodes := range [][3]int{{2, 2, 2}, {1, 3, 4}, {1, 1, 2}} {
		c := newCluster(t, 4, 1, 0)
		x := c.mastered("x", 2, 0)
		var h [3]*tlock
		for i := range h {
			h[i] = c.handle(nodes[i], x)
			h[i].bytes(uint64(10+i), wr, int64(i), int64(i), 0)
		}
		c.settle()
		w0 := h[0].bytes(10, rd, 1, 1, 0)
		w1 := h[1].bytes(11, wr, 2, 2, 0)
		c.settle()
		bad := h[2].bytes(12, rd, 0, 0, 0)
		c.settle()
		if !w0.is(running) || !w1.is(running) || !bad.is(wire.Deadlock) {
			t.Errorf("%v %v; %v %v; %v %v", w0.ended, w0.out.Status, w1.ended, w1.out.Status, bad.ended, bad.out.Status)
		}
		if bad.out.Blocker.Owner.Number != 10 || wire.NodeOf(bad.out.Blocker.Owner.Node) != uint16(nodes[0]) {
			t.Errorf("in the way is %+v", bad.out.Blocker)
		}
		want := fmt.Sprintf("%d/12 %[4]s PR 0-0<EX 0-0 %[2]d/10, %[2]d/10 %[4]s PR 1-1<EX 1-1 %[3]d/11, %[3]d/11 %[4]s EX 2-2<EX 2-2 %[1]d/12",
			nodes[2], nodes[0], nodes[1], x)
		if got := cycleText(bad.out.Cycle); got != want {
			t.Errorf("cycle %s\nwant  %s", got, want)
		}
		h[2].bytes(12, off, 2, 2, 0)
		c.settle()
		if !w1.is(wire.OK) || !w0.is(running) {
			t.Error("the others do not go on")
		}
		c.windDown()
		if !w0.is(wire.Cancelled) && !w0.is(wire.OK) {
			t.Errorf("the first has not ended: %v", w0.out.Status)
		}
	}
}

// An owner that waits through one handle gets something through another, and
// so waits for itself.
func TestBytesDeadlockTwoHandles(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 2, 0)
	m, a, b := c.handle(2, x), c.handle(1, x), c.handle(1, x)
	m.bytes(9, wr, 6, 6, 0)
	got := a.bytes(1, wr, 6, 9, 0)
	w := b.bytes(1, rd, 3, 6, 0)
	c.settle()
	m.bytes(9, off, 6, 6, 0)
	c.settle()
	if !got.is(wire.OK) || !w.is(wire.Deadlock) || w.out.Blocker.Owner.Number != 1 {
		t.Errorf("%v %v; %v %v", got.ended, got.out.Status, w.ended, w.out)
	}
	c.windDown()
}

// An owner gets something while it waits for something else, and closes a
// circle by that: the request that waits ends.
func TestBytesDeadlockByGrant(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 2, 0)
	a, b, d := c.handle(1, x), c.handle(3, x), c.handle(4, x)
	a.bytes(1, wr, 0, 0, 0)
	b.bytes(2, wr, 1, 1, 0)
	d.bytes(3, wr, 2, 2, 0)
	c.settle()
	first := a.bytes(1, wr, 1, 1, 0)  // waits for owner 2
	second := a.bytes(1, wr, 2, 2, 0) // waits for owner 3
	third := b.bytes(2, wr, 2, 2, 0)  // waits for owner 3, behind it
	c.settle()
	if !first.is(running) || !second.is(running) || !third.is(running) {
		t.Fatal("they do not all wait")
	}
	d.bytes(3, off, 2, 2, 0)
	c.settle()
	if !second.is(wire.OK) || !first.is(wire.Deadlock) || !third.is(running) {
		t.Errorf("%v; %v; %v", second.out.Status, first.out.Status, third.ended)
	}
	c.windDown()
}

// An unlock must not take effect at its owner before a grant that the master
// has made earlier.
func TestBytesOrder(t *testing.T) {
	withAndWithout(t, OvertakeBytes, func(c *cluster) string {
		x := c.mastered("x", 2, 0)
		a, b := c.handle(1, x), c.handle(4, x)
		c.settle()
		g := a.bytes(1, wr, 0, 9, 0)
		c.one(1, 2, x, wire.RangeOp)
		u := a.bytes(1, off, 0, 9, 0) // the grant is on its way
		c.one(1, 2, x, wire.RangeOp)
		o := b.bytes(1, wr, 0, 9, 0)
		c.settle()
		if !g.is(wire.OK) || !u.is(wire.OK) || !o.is(wire.OK) {
			t.Errorf("%v %v %v", g.out.Status, u.out.Status, o.out.Status)
		}
		return c.overlap(x)
	})
}

// A message that comes twice must not lock what has been unlocked since.
func TestBytesTwice(t *testing.T) {
	withAndWithout(t, RepeatBytes, func(c *cluster) string {
		x := c.mastered("x", 2, 0)
		a, b := c.handle(1, x), c.handle(4, x)
		c.settle()
		a.bytes(1, wr, 0, 9, 0)
		l := c.links[linkKey{1, 2, x}]
		again := l.packets[0]
		again.bytes = slices.Clone(again.bytes)
		c.settle()
		a.bytes(1, off, 0, 9, 0)
		c.settle()
		c.busy, l.packets = append(c.busy, l), append(l.packets, again)
		c.settle()
		w := b.bytes(1, wr, 0, 9, 0)
		c.settle()
		if w.is(running) {
			return "a ghost holds the range"
		}
		return ""
	})
}

// Nothing is granted under an open claim; all goes on when it is closed.
func TestBytesUnderClaim(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, l := c.create(0)
	h := c.node(1).lock(x, NL, 0)
	g := h.bytes(1, wr, 0, 9, 0)
	q := h.bytes(2, rd, 0, 9, TestRange)
	gone := h.bytes(2, rd, 5, 5, 0)
	nothing := h.bytes(3, off, 0, 9, 0) // nothing to unlock
	u := h.bytes(1, off, 5, 9, 0)
	if g.ended || q.ended || u.ended || !nothing.is(wire.OK) {
		t.Error("an answer under an open claim")
	}
	gone.cancel()
	if !gone.is(wire.Cancelled) {
		t.Error("not cancelled")
	}
	c.settle()
	if !g.is(wire.OK) || !u.is(wire.OK) || !q.is(wire.OK) || q.out.Blocker.Type != wr || h.has(1) != "w0-4 " || l.open {
		t.Errorf("%v %v %v, %q", g.out.Status, u.out.Status, q.out, h.has(1))
	}
	c.windDown()
}

// The claim meets an old master: clean, the ranges are asked for there;
// unclean, the handle is lost, and its requests with it.
func TestBytesAdoption(t *testing.T) {
	for _, unclean := range []bool{false, true} {
		c := newCluster(t, 4, 1, 0)
		x := c.oldMaster("x", 2, 3)
		m := c.hold(2, x, NL, 0)
		m.bytes(7, wr, 0, 9, 0)
		c.now += 1e6
		n := c.node(1).lock(x, EX, NewName)
		c.node(1).lock(x, CR, 0)
		if !n.holds(EX) {
			t.Fatal("no claim")
		}
		n.convert(NL, 0, nil)
		h := c.node(1).lock(x, NL, 0)
		waits := h.bytes(1, wr, 5, 14, 0)
		free := h.bytes(2, wr, 20, 29, 0)
		if unclean {
			c.node(2).lock(x, EX, 0).unlock(0, nil)
		}
		c.settle()
		if unclean {
			if !h.lost || !waits.is(wire.LostLock) || !free.is(wire.LostLock) {
				t.Errorf("lost %v, %v %v", h.lost, waits.out.Status, free.out.Status)
			}
		} else {
			if h.lost || !waits.is(running) || !free.is(wire.OK) {
				t.Errorf("lost %v, %v %v", h.lost, waits.ended, free.out.Status)
			}
			m.bytes(7, off, 5, 9, 0)
			c.settle()
			if !waits.is(wire.OK) {
				t.Error("not granted")
			}
		}
		if o := c.overlap(x); o != "" {
			t.Error(o)
		}
		c.windDown()
	}
}

// With ranges granted under a claim, the old master's holder and the
// claimant's both have them.
func TestBytesClaim(t *testing.T) {
	withAndWithout(t, ClaimBytes, func(c *cluster) string {
		x := c.oldMaster("x", 2, 3)
		c.hold(2, x, NL, 0).bytes(7, wr, 0, 9, 0)
		c.now += 1e6
		c.node(1).lock(x, NL, NewName).bytes(1, wr, 0, 9, 0)
		v := c.overlap(x)
		c.settle()
		return v
	})
}

// The gating table: what gives a range up waits for the fence.
func TestGateRangeUnlock(t *testing.T) {
	for _, typ := range []byterange.Type{off, rd} {
		withAndWithout(t, NoGateBytes, func(c *cluster) string {
			p := c.mastered("p", 2, 0)
			ph, fh := c.handle(1, p), c.handle(4, p)
			ph.bytes(1, wr, 0, 9, 0)
			c.settle()
			x, xl := c.create(0)
			if u := ph.bytes(1, typ, 0, 4, 0); !u.is(wire.OK) {
				t.Fatal("not complete at once")
			}
			f := fh.bytes(1, rd, 0, 4, 0)
			c.about(p)
			if !f.is(wire.OK) {
				return ""
			}
			return c.find(x, xl)
		})
	}
}

// So does a grant of a range to another node, and that one is free.
func TestGateRangeDone(t *testing.T) {
	for _, flags := range []uint32{0, TestRange} {
		withAndWithout(t, NoGateByteGrant, func(c *cluster) string {
			p := c.name("p", 1, 0)
			ph, fh := c.handle(1, p), c.handle(4, p)
			ph.bytes(1, wr, 0, 9, 0)
			x, xl := c.create(0)
			ph.bytes(1, off, 0, 4, 0)
			f := fh.bytes(1, rd, 0, 4, flags)
			c.about(p)
			if !f.is(wire.OK) {
				return ""
			}
			return c.find(x, xl)
		})
	}
}

// A grant of bytes that the fence holds back, for a handle that has gone
// meanwhile: the answer to its node's next claim must not wait behind that
// (finding 6).
func TestBytesBehindNothing(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("q", 1, 3)
	c.hold(1, x, NL, 0)
	h := c.handle(2, x)
	c.create(0)
	h.bytes(1, wr, 0, 9, 0)
	c.one(2, 1, x, wire.RangeOp)
	if c.node(1).shardOf(x).Stats().HeldNow != 1 {
		t.Fatal("the grant is not held back")
	}
	h.unlock(0, nil)
	c.one(2, 1, x, wire.Unlock)
	c.now += testIdle
	c.node(2).tick()
	if l := c.node(2).lock(x, NL, NewName); !l.open {
		t.Fatal("no claim")
	}
	c.one(2, 3, x, wire.Notify)
	c.one(3, 2, x, wire.Reject)
	c.one(2, 1, x, wire.Adopt)
	if !c.on(1, 2, x, wire.Adopted) {
		t.Error("ADOPTED waits for a claim")
	}
	c.settle()
	c.windDown()
}
