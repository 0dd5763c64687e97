package lockspace

import (
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file tests what nodes report to a new master: large reports, reports that
// need an interpretation, and those that no sound node sends.

// heirCluster is four nodes of which node 3 masters x and dies; node 1 is x's next
// directory node, and so its next master.
func heirCluster(t *testing.T) (c *cluster, x string) {
	c = newCluster(t, 4, 1, 0)
	x = c.moved("x", 3, 1, viewOf(t, 2, c.node(1), c.node(2), c.node(4)))
	c.hold(3, x, NL, 0)
	return c, x
}

func (c *cluster) dies(id int) {
	c.t.Helper()
	c.node(id).crash(true)
	c.change()
	c.settle()
}

// More locks than one message carries are reported in several.
func TestReportMany(t *testing.T) {
	c, x := heirCluster(t)
	const n = 2*wire.MaxLocks + 3
	var locks []*tlock
	for range n {
		locks = append(locks, c.hold(2, x, CR, 0))
	}
	c.dies(3)
	if got := c.sent[wire.Reg]; got != 3 {
		t.Errorf("%d REG", got)
	}
	r := c.node(1).resource(x)
	if r.state != master || r.granted.len() != n {
		t.Errorf("%v with %d locks", r.state, r.granted.len())
	}
	w := c.node(4).lock(x, EX, 0)
	c.settle()
	for _, l := range locks {
		if w.holds(EX) {
			t.Fatal("EX beside CR")
		}
		l.unlock(0, nil)
		c.settle()
	}
	if !w.holds(EX) {
		t.Error("who waited hangs")
	}
	c.windDown()
}

// The dead master has granted a conversion in its alternate mode, and another node
// has a lock beside that. Its holder, who has not heard of it, still believes to
// have PW.
func TestReportAlternate(t *testing.T) {
	for flag, mode := range map[uint32]Mode{AltPR: PR, AltCW: CW} {
		c, x := heirCluster(t)
		c.hold(1, x, CR, 0) // so that EX cannot be had
		l := c.hold(2, x, PW, 0)
		o := c.node(4).lock(x, mode, 0)
		c.settle()
		l.convert(EX, flag, nil)
		c.one(2, 3, x, wire.Convert)
		c.one(3, 4, x, wire.Grant)
		if !o.holds(mode) || !l.holds(PW) && l.wanted != EX {
			t.Fatalf("%v: the other has %v, l %v and wants %v", mode, o.mode, l.mode, l.wanted)
		}
		c.dies(3)
		if !l.holds(mode) || l.last.Bits&wire.BitAltMode == 0 || !o.holds(mode) {
			t.Errorf("%v: holds %v, bits %#x; the other %v", mode, l.mode, l.last.Bits, o.mode)
		}
		c.windDown()
	}
}

// What no sound node reports is ignored, counted, and harms nobody.
func TestReportBroken(t *testing.T) {
	c, x := heirCluster(t)
	l := c.hold(2, x, PR, 0)
	h, g := c.handle(4, x), c.handle(2, x)
	g.bytes(1, rd, 20, 29, 0)
	h.bytes(1, wr, 0, 9, 0)
	c.settle()
	c.node(3).crash(true)
	c.change()
	c.about(x) // the reports; DONE is on its way

	s := c.node(1).shards[0]
	life := rebuildLife(instanceOf(1), 2)
	ranges := func(owner uint64, typ byterange.Type, first, last int64) wire.RangeList {
		return wire.RangeList(nil).Append(wire.RangeRec{Owner: owner, Start: first, End: last, Type: uint8(typ)})
	}
	locks := func(recs ...wire.LockRec) (list wire.LockList) {
		for _, rec := range recs {
			list = list.Append(rec)
		}
		return list
	}
	other := life
	other.Counter++
	ignored := s.Stats().Ignored
	var later int // judged when the queues are rebuilt
	for _, m := range []wire.Msg{
		{Type: wire.Reg, Life: other, Locks: locks(wire.LockRec{Lock: 1 << 20, Granted: uint8(PR), Wanted: wire.NoMode})},
		{Type: wire.RangeReg, Life: other, Lock: h.id, Ranges: ranges(7, wr, 40, 49)},
		{Type: wire.Done, Num: 3 | 1<<16, Seq: 2},   // shard 3 of 1
		{Type: wire.Open, Num: 0 | 300<<16, Seq: 2}, // 300 shards
		{Type: wire.Reg, Life: life, Locks: locks( // twice; of no mode
			wire.LockRec{Lock: h.id, Granted: uint8(EX), Wanted: wire.NoMode}, wire.LockRec{Lock: 1 << 20, Granted: wire.NoMode, Wanted: wire.NoMode})},
		{Type: wire.RangeReg, Life: life, Lock: 1 << 20, Ranges: ranges(7, wr, 50, 59)}, // no such lock
		{Type: wire.RangeReg, Life: life, Lock: h.id, Ranges: ranges(0, wr, 60, 69)},    // nobody's
		{Type: wire.RangeReg, Life: life, Lock: h.id, Ranges: ranges(7, wr, 25, 25)},    // another has them
	} {
		if m.Type.Named() {
			m.Name = []byte(x)
			later += m.Locks.Len() + m.Ranges.Len()
		}
		s.Deliver(c.node(1).now(), Origin{instanceOf(4), 2, 0}, Hash([]byte(x)), &m)
	}
	if n := s.Stats().Ignored - ignored; n != 4 {
		t.Errorf("%d ignored at once, want 4", n)
	}
	c.settle()
	if n := s.Stats().Ignored - ignored; n != uint64(4+later-2) {
		t.Errorf("%d ignored, want %d", n, 4+later-2)
	}
	r := c.node(1).resource(x)
	if r.state != master || r.granted.len() != 3 || r.bytes.Len() != 2 {
		t.Errorf("%v with %d locks and %d ranges", r.state, r.granted.len(), r.bytes.Len())
	}
	if h.has(1) == "" || !l.holds(PR) {
		t.Error("a sound report was harmed")
	}
	c.windDown()
}

// A node registers as the master of a name of which another one has reported locks
// at a master that is gone: the holders lose them, and it is said aloud.
func TestReportTwoMasters(t *testing.T) {
	c, x := heirCluster(t)
	l := c.hold(2, x, PR, 0)
	c.node(3).crash(true)
	c.change()
	c.about(x)
	s := c.node(1).shards[0]
	s.Deliver(c.node(1).now(), Origin{instanceOf(4), 2, 0}, Hash([]byte(x)), &wire.Msg{
		Type: wire.Reg, Name: []byte(x), Life: wire.Life{Instance: instanceOf(4), Counter: 1},
	})
	c.settle()
	if !l.lost || s.Stats().TwoMasters != 1 || !slices.Equal(c.node(1).conflicts, []string{x}) {
		t.Errorf("lost %v, %d two masters, conflicts %q", l.lost, s.Stats().TwoMasters, c.node(1).conflicts)
	}
}

// What a shard keeps for a later view, or until it may answer, has an end.
func TestKeptMessagesAreBounded(t *testing.T) {
	c, x := heirCluster(t)
	l := c.hold(1, x, PR, 0)
	c.node(3).crash(true)
	v := c.next()
	c.node(1).install(v)
	s := c.node(1).shards[0]
	s.kept += keptMax
	s.Deliver(c.node(1).now(), Origin{instanceOf(4), 2, 0}, Hash([]byte(x)), &wire.Msg{
		Type: wire.Lookup, Name: []byte(x), Life: wire.Life{Instance: instanceOf(4), Counter: 1}, Lock: 256, Op: 1, Mode: uint8(PR),
	})
	s.kept -= keptMax
	if s.kept != 0 || s.Stats().Overrun != 1 {
		t.Errorf("%d kept, %d overruns", s.kept, s.Stats().Overrun)
	}
	for i := range futureMax + 1 {
		if s.Fenced() {
			t.Fatalf("fenced after %d messages", i)
		}
		s.Deliver(c.node(1).now(), Origin{instanceOf(4), 3, 0}, 0, &wire.Msg{Type: wire.Done, Num: 1 << 16, Seq: 3})
	}
	if !s.Fenced() || !l.lost || s.Stats().Overrun != 2 {
		t.Errorf("fenced %v, lost %v, %d overruns", s.Fenced(), l.lost, s.Stats().Overrun)
	}
	s.Deliver(c.node(1).now(), Origin{instanceOf(4), 2, 0}, 0, &wire.Msg{Type: wire.Done, Num: 1 << 16, Seq: 2})
}

// TestReportsAreBounded: a shard that cannot keep what others hold of a dead master's names gives
// none of them to anybody else.
func TestReportsAreBounded(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	v := viewOf(t, 2, c.node(1), c.node(2), c.node(4))
	var held []*tlock
	for i := range 6 {
		x := c.moved(string(rune('a'+i)), 3, 1, v)
		c.hold(3, x, NL, 0)
		held = append(held, c.hold(2, x, EX, 0))
	}
	s := c.node(1).shards[0]
	s.cfg.MaxLocks = len(held) - 1
	c.node(3).crash(true)
	c.change()
	c.settle()
	if !s.Fenced() || s.Stats().Overrun != 1 {
		t.Errorf("fenced %v, overrun %d", s.Fenced(), s.Stats().Overrun)
	}
	for _, l := range held {
		f := c.node(4).lock(l.name, EX, NoQueue)
		c.settle()
		if f.holds(EX) {
			t.Errorf("%q is given to node 4, and node 2 has it", l.name)
		}
	}
}
