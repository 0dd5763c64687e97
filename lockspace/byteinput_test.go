package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is the limits of byte ranges, and what is wrong with requests.

// Each limit: of a handle at its own node, of a resource at the master.
func TestBytesLimits(t *testing.T) {
	for _, id := range []int{1, 2} {
		c := newCluster(t, 4, 1, 0)
		x := c.mastered("x", 2, 0)
		h := c.handle(id, x)
		s := c.node(id).shardOf(x)
		try := func(q ByteRequest) Status {
			q.Lock, q.Tag = h.id, uint64(len(c.node(id).asked)+1)
			c.node(id).asked = append(c.node(id).asked, &tbyte{h: h, q: q})
			return s.Bytes(c.node(id).now(), &q)
		}
		n := 0
		for ; n < 2000; n++ {
			st := try(ByteRequest{Owner: uint64(n%7 + 1), Type: wr, Range: byterange.Range{Start: int64(4 * n), End: int64(4*n + 2)}})
			c.settle()
			if st == wire.Limit {
				break
			}
		}
		if n != wire.MaxRanges {
			t.Errorf("node %d: %d ranges, then the limit", id, n)
		}
		if st := try(ByteRequest{Owner: 3, Range: byterange.Range{Start: 8, End: 10}}); st != wire.OK {
			t.Errorf("node %d: unlock of one: %v", id, st)
		}
		if st := try(ByteRequest{Owner: 1, Range: byterange.Range{Start: 1, End: 1}}); st != wire.OK {
			t.Errorf("node %d: unlock of a middle: %v", id, st)
		}
		if st := try(ByteRequest{Owner: 1, Range: byterange.Range{Start: 29, End: 29}}); st != wire.Limit {
			t.Errorf("node %d: unlock of a middle when all is full: %v", id, st)
		}
		if st := try(ByteRequest{Owner: 1, Range: byterange.Range{Start: 0, End: 30}}); st != wire.OK {
			t.Errorf("node %d: unlock of much: %v", id, st)
		}
		if st := try(ByteRequest{Owner: 2, Type: wr, Flags: TestRange, Range: byterange.Range{Start: 50, End: 60}}); st != wire.OK {
			t.Errorf("node %d: test when all is full: %v", id, st)
		}
		c.settle()
		c.windDown()
	}
	t.Run("waiting", func(t *testing.T) {
		c := newCluster(t, 4, 1, 0)
		x := c.mastered("x", 2, 0)
		c.handle(2, x).bytes(1, wr, 0, 9, 0)
		var h *tlock
		for i := range MaxByteQueue {
			if i%500 == 0 {
				h = c.handle(1+i/500%4, x)
			}
			h.bytes(uint64(i+1), wr, 5, 5, 0)
		}
		c.settle()
		for _, id := range []int{2, 4} {
			w := c.handle(id, x).bytes(1, wr, 0, 0, 0)
			c.settle()
			if !w.is(wire.Limit) {
				t.Errorf("node %d: ended %v, %v", id, w.ended, w.out.Status)
			}
		}
		many := c.handle(3, x)
		for i := range wire.MaxRanges / 2 {
			many.bytes(uint64(i+1), rd, 50, 60, 0)
		}
		q := ByteRequest{Lock: many.id, Owner: 1, Type: rd}
		if st := c.node(3).shardOf(x).Bytes(0, &q); st != wire.Limit {
			t.Errorf("more under way than a message holds: %v", st)
		}
		c.settle()
		c.windDown()
	})
	t.Run("of a handle under way", func(t *testing.T) {
		c := newCluster(t, 4, 1, 0)
		x := c.mastered("x", 2, 0)
		h := c.handle(1, x)
		for range maxByteWaits {
			h.bytes(1, rd, 50, 50, TestRange)
		}
		q := ByteRequest{Lock: h.id, Owner: 1, Type: rd, Flags: TestRange}
		if st := c.node(1).shardOf(x).Bytes(0, &q); st != wire.Limit {
			t.Errorf("one more: %v", st)
		}
		c.settle()
		c.windDown()
	})
}

// What a broken node sends is bounded, and harms nobody.
func TestBytesFromABrokenNode(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 2, 0)
	h := c.handle(1, x)
	s := c.node(2).shardOf(x)
	life := c.node(2).resource(x).life
	req := uint64(0)
	send := func(typ byterange.Type, bits uint8, first, last int64, recs int) {
		req++
		m := wire.Msg{Type: wire.RangeOp, Name: []byte(x), Life: life, Lock: h.id, Req: req, Bits: bits}
		for range recs {
			m.Ranges = m.Ranges.Append(wire.RangeRec{Owner: 5, Start: first, End: last, Type: uint8(typ)})
		}
		s.Deliver(c.node(2).now(), Origin{instanceOf(1), 1, 0}, Hash([]byte(x)), &m)
	}
	send(wr, 0, 0, 0, 0)
	send(wr, 0, 0, 0, 2)
	send(wr, wire.BitNoReply, 0, byterange.Last, 1)
	for i := range int64(3 * wire.MaxRanges) {
		send(off, wire.BitNoReply, 2*i, 2*i, 1)
	}
	if n := c.node(2).resource(x).bytes.Len(); n > wire.MaxRanges {
		t.Errorf("%d ranges", n)
	}
	for _, m := range []wire.Msg{
		{Type: wire.RangeOp, Lock: h.id + 1<<20, Req: 9999, Life: life},
		{Type: wire.RangeOp, Lock: h.id, Req: 9999},
		{Type: wire.RangeCancel, Lock: h.id, Req: 1, Life: life},
		{Type: wire.RangeCancel, Lock: h.id + 1<<20, Req: 1, Life: life},
		{Type: wire.RangeDone, Lock: h.id, Req: 1, Life: life},
	} {
		before := s.Stats().Ignored
		m.Name = []byte(x)
		m.Ranges = m.Ranges.Append(wire.RangeRec{Owner: 5, Type: 2})
		s.Deliver(c.node(2).now(), Origin{instanceOf(1), 1, 0}, Hash([]byte(x)), &m)
		if s.Stats().Ignored != before+1 {
			t.Errorf("%v was not ignored", m.Type)
		}
	}
	o := c.node(1)
	before := o.shardOf(x).Stats().Ignored
	o.shardOf(x).Deliver(o.now(), Origin{instanceOf(2), 1, 0}, Hash([]byte(x)), &wire.Msg{Type: wire.RangeDone, Name: []byte(x), Lock: h.id, Req: 77, Life: life})
	h.bytes(1, rd, 5, 5, TestRange)
	o.shardOf(x).Deliver(o.now(), Origin{instanceOf(2), 1, 0}, Hash([]byte(x)), &wire.Msg{Type: wire.RangeDone, Name: []byte(x), Lock: h.id, Req: 77, Life: life})
	if o.shardOf(x).Stats().Ignored != before+2 {
		t.Error("answers to nothing were not ignored")
	}
	c.settle()
	c.windDown()
}

// What no request may be is refused at once, and changes nothing.
func TestBytesRefused(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, y := c.mastered("x", 2, 0), c.name("y", 3, 0)
	h := c.handle(1, x)
	asking := c.node(1).lock(y, NL, 0)
	s := c.node(1).shardOf(x)
	good := ByteRequest{Lock: h.id, Owner: 1, Type: wr, Range: byterange.Range{Start: 3, End: 4}}
	for name, tc := range map[string]struct {
		change func(q *ByteRequest)
		want   Status
	}{
		"another lock":   {func(q *ByteRequest) { q.Lock += 1 << 20 }, wire.NoLock},
		"no owner":       {func(q *ByteRequest) { q.Owner = 0 }, wire.BadOwner},
		"no type":        {func(q *ByteRequest) { q.Type = 3 }, wire.BadMode},
		"start":          {func(q *ByteRequest) { q.Range.Start = -1 }, wire.BadBytes},
		"end":            {func(q *ByteRequest) { q.Range.End = 2 }, wire.BadBytes},
		"flags":          {func(q *ByteRequest) { q.Flags = ValBlk }, wire.BadFlags},
		"test an unlock": {func(q *ByteRequest) { q.Type, q.Flags = off, TestRange }, wire.BadFlags},
		"try an unlock":  {func(q *ByteRequest) { q.Type, q.Flags = off, NoQueue }, wire.BadFlags},
		"not granted":    {func(q *ByteRequest) { q.Lock = asking.id }, wire.Busy},
	} {
		q := good
		tc.change(&q)
		if st := s.Bytes(c.now, &q); st != tc.want {
			t.Errorf("%s: %v, want %v", name, st, tc.want)
		}
		if says := q.Explain(tc.want); (says == "") != (tc.want == wire.Busy) {
			t.Errorf("%s: refused with the words %q", name, says)
		}
	}
	if s.CancelBytes(c.now, h.id+1<<20, 1) != wire.NoLock || s.CancelBytes(c.now, h.id, 1) != wire.Invalid {
		t.Error("something was cancelled")
	}
	if c.node(1).resource(x).bytes != nil {
		t.Error("something is left")
	}
	w := h.bytes(1, wr, 0, 9, 0)
	if st := s.CancelBytes(c.now, h.id, 99); st != wire.Invalid {
		t.Errorf("cancel of another request: %v", st)
	}
	w.cancel() // crosses the grant
	w.cancel()
	c.settle()
	if !w.is(wire.OK) || c.sent[wire.RangeCancel] != 1 {
		t.Errorf("%v, %d cancels", w.out.Status, c.sent[wire.RangeCancel])
	}
	c.windDown()
}

// The master keeps no more than 65536 ranges of a name, whoever asks; what gives
// something up, and a test, goes on.
func TestBytesTableFull(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	x := c.mastered("x", 2, 0)
	var h []*tlock
	for i := range MaxByteLocks/wire.MaxRanges + 1 { // so that none of them is full
		node := 2
		if i < 4 {
			node = 1 + i%3
		}
		h = append(h, c.handle(node, x))
	}
	for i := range int64(MaxByteLocks) {
		l := h[i%int64(len(h))]
		l.bytes(1, wr, 4*i, 4*i+2, 0)
		if i%512 == 0 {
			c.settle()
		}
	}
	c.settle()
	b := c.node(2).resource(x).bytes
	if b.Len() != MaxByteLocks {
		t.Fatalf("%d ranges", b.Len())
	}
	for id := 1; id <= 2; id++ {
		one := c.handle(id, x)
		more, try := one.bytes(1, wr, 3, 3, 0), one.bytes(2, rd, 7, 7, NoQueue)
		test := one.bytes(1, rd, 3, 3, TestRange)
		wait := one.bytes(1, rd, 0, 0, 0) // of what there is no room for
		c.settle()
		if !more.is(wire.Limit) || !try.is(wire.Limit) || !test.is(wire.OK) || !wait.is(wire.Limit) {
			t.Errorf("node %d: %v %v %v %v", id, more.out.Status, try.out.Status, test.out.Status, wait.out.Status)
		}
	}
	one := c.handle(3, x)
	for id := range 2 { // handles of nodes 1 and 2
		split := h[id].bytes(1, off, int64(4*id+1), int64(4*id+1), 0)
		c.settle()
		if !split.is(wire.OK) || b.Len() != MaxByteLocks+1 {
			t.Errorf("node %d: an unlock that splits: %v, %d ranges", id+1, split.out.Status, b.Len())
		}
		h[id].bytes(1, off, int64(4*id), int64(4*id+2), 0)
		c.settle()
		room := one.bytes(1, wr, int64(4*id), int64(4*id+2), 0)
		c.settle()
		if !room.is(wire.OK) || b.Len() != MaxByteLocks {
			t.Errorf("node %d: there is room: %v, %d ranges", id+1, room.out.Status, b.Len())
		}
	}
	c.windDown()
}
