package lockspace

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is about claims that meet an older master, step by step: node 1
// claims x, of which node 3 is the directory and node 2 the old master.

// reject lets node 1's claim of x be rejected; ADOPT is on its way to node 2.
func (c *cluster) reject(x string) {
	c.t.Helper()
	c.one(1, 3, x, wire.Notify)
	c.one(3, 1, x, wire.Reject)
}

func TestAdoptValue(t *testing.T) {
	const none = 0
	for _, tc := range []struct {
		name          string
		old           uint64 // value at the old master
		write         uint32 // what the claimant does: ValBlk, IvValBlk or nothing
		unclean, held bool
		want          uint64
	}{
		{name: "kept", old: 5, want: 5},
		{name: "written", old: 5, write: ValBlk, want: 9},
		{name: "first", write: ValBlk, want: 9},
		{name: "invalidated", old: 5, write: IvValBlk, want: none},
		{name: "unclean, held", old: 5, write: ValBlk, unclean: true, held: true, want: none},
		{name: "unclean, not held", old: 5, write: ValBlk, unclean: true, want: none},
		{name: "unclean, not written", old: 5, unclean: true, want: 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, 4, 1, 0)
			x := c.name("x", 3, 0)
			m := c.hold(2, x, EX, 0)
			if tc.old != 0 {
				m.convert(EX, ValBlk, value(tc.old))
			}
			m.unlock(0, nil)
			c.node(1).Advance(m.last.Token)
			c.now += 1e6
			n := c.node(1).lock(x, EX, NewName|ValBlk)
			if n.last.Bits&wire.BitNotValid == 0 {
				t.Error("the value of a new name is valid")
			}
			if tc.write != 0 {
				n.convert(EX, tc.write, value(9))
			}
			if tc.unclean {
				c.node(2).lock(x, EX, 0).unlock(0, nil)
			}
			if !tc.held {
				n.unlock(0, nil)
			}
			c.settle()
			if n.lost != (tc.unclean && tc.held) || (len(c.node(1).conflicts) != 0) != tc.unclean {
				t.Errorf("lost %v, %d conflicts", n.lost, len(c.node(1).conflicts))
			}
			if !n.gone {
				n.unlock(0, nil)
			}
			r := c.node(4).lock(x, PR, ValBlk)
			c.settle()
			got := uint64(none)
			if r.last.Bits&wire.BitValue != 0 {
				got = binary.LittleEndian.Uint64(r.last.Value)
			}
			if got != tc.want {
				t.Errorf("value %d, want %d", got, tc.want)
			}
			if c.sent[wire.Adopted] != 1 {
				t.Errorf("%d ADOPTED", c.sent[wire.Adopted])
			}
			c.windDown()
		})
	}
}

// A claim with a token below the old master's is lost, also if its later
// tokens are above: one has been used already.
func TestAdoptToken(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	for range 4 {
		c.node(2).lock(x, EX, 0).unlock(0, nil)
	}
	c.now += 1e6
	n := c.node(1).lock(x, EX, NewName)
	for range 8 {
		n.convert(NL, 0, nil)
		n.convert(EX, 0, nil)
	}
	c.settle()
	if !n.lost || len(c.node(1).conflicts) != 1 {
		t.Errorf("lost %v, %d conflicts", n.lost, len(c.node(1).conflicts))
	}
	c.windDown()
}

// Two claims one after the other, of which the first is adopted when nothing
// is held under it any more: the second must not take the master for idle.
func TestAdoptSecondClaim(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.now += 1e6
	c.node(4).Advance(c.node(4).clock + 100) // its token is in order
	a, b := c.node(1).lock(x, EX, NewName), c.node(4).lock(x, EX, NewName)
	a.unlock(0, nil)
	b.unlock(0, nil)
	c.settle()
	if n := len(c.node(1).conflicts) + len(c.node(4).conflicts); n != 1 {
		t.Errorf("%d conflicts, want 1", n)
	}
	c.windDown()
}

// Waiting and converting locks go along, with the BAST they want.
func TestAdoptQueues(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.now += 1e6
	h := c.node(1).lock(x, PR, NewName|WantBast)
	h.convert(CR, 0, nil)
	o := c.node(1).lock(x, PR, 0)
	h.convert(EX, 0, nil) // waits for o
	w := c.node(1).lock(x, PW, 0)
	c.reject(x)
	d := c.node(1).lock(x, CR, 0) // deferred
	o.convert(NL, 0, nil)         // deferred
	gone := c.node(1).lock(x, EX, 0)
	gone.cancel()
	c.settle()
	if !h.holds(EX) || h.confirmed != 1 || !o.holds(NL) || w.ends != 0 || d.ends != 0 || gone.last.Status != wire.Cancelled {
		t.Errorf("holder %v confirmed %d, other %v, waiting %v %v, cancelled %v", h.mode, h.confirmed, o.mode, w.mode, d.mode, gone.last.Status)
	}
	if !slices.Contains(h.basts, PW) {
		t.Errorf("holder has heard %v", h.basts)
	}
	h.unlock(0, nil)
	c.settle()
	if !w.holds(PW) || !d.holds(CR) || w.last.Token <= h.last.Token {
		t.Errorf("then %v %v, tokens %#x %#x", w.mode, d.mode, w.last.Token, h.last.Token)
	}
	c.windDown()
}

// What a conflict takes away, and what it does not.
func TestConflictQueues(t *testing.T) {
	for _, unclean := range []bool{false, true} {
		c := newCluster(t, 4, 1, 0)
		x := c.oldMaster("x", 2, 3)
		h := c.node(1).lock(x, PR, NewName)
		o := c.node(1).lock(x, PR, 0)
		h.convert(EX, 0, nil)
		w, quit := c.node(1).lock(x, PW, 0), c.node(1).lock(x, PW, 0)
		m := c.node(2).lock(x, EX, 0)
		if unclean {
			m.unlock(0, nil)
		}
		c.reject(x)
		o.convert(NL, 0, nil) // deferred
		quit.cancel()
		c.settle()
		if !h.lost || h.last.Status != wire.LostLock || !o.lost || o.last.Status != wire.LostLock {
			t.Errorf("unclean %v: lost %v %v, %v %v", unclean, h.lost, o.lost, h.last.Status, o.last.Status)
		}
		if quit.last.Status != wire.Cancelled {
			t.Errorf("unclean %v: cancelled request: %v", unclean, quit.last.Status)
		}
		if !unclean {
			m.unlock(0, nil)
			c.settle()
		}
		if !w.holds(PW) || w.open {
			t.Errorf("unclean %v: the waiting request: %v", unclean, w.mode)
		}
		if st := c.node(1).shards[0].Stats(); st.LocksLost != 2 || st.ClaimsLost != 1 {
			t.Errorf("unclean %v: %d locks, %d claims lost", unclean, st.LocksLost, st.ClaimsLost)
		}
		c.windDown()
	}
}

// The old master goes before ADOPT arrives. Its directory is itself in one
// case: then NOTIFY must not stand behind an UNLOCK that waits for this claim.
func TestAdoptMasterGone(t *testing.T) {
	for _, dir := range []int{2, 3} {
		for _, old := range []bool{false, true} {
			c := newCluster(t, 4, 1, 0)
			x := c.oldMaster("x", 2, dir)
			if !old {
				c.now += testIdle - 20
			}
			n, u := c.node(1).lock(x, PR, NewName), c.node(1).lock(x, PR, 0)
			w, quit := c.node(1).lock(x, EX, 0), c.node(1).lock(x, EX, 0)
			if old {
				c.now += testIdle
			} else {
				c.now += 20
			}
			c.one(1, dir, x, wire.Notify)
			c.one(dir, 1, x, wire.Reject)
			u.unlock(0, nil)
			quit.cancel()
			c.node(2).tick()
			c.one(1, 2, x, wire.Adopt)
			c.settle()
			if n.lost != old || (len(c.node(1).conflicts) == 1) != old || quit.last.Status != wire.Cancelled {
				t.Errorf("dir %d, old %v: lost %v, %d conflicts, %v", dir, old, n.lost, len(c.node(1).conflicts), quit.last.Status)
			}
			if !old {
				n.unlock(0, nil)
			}
			if st := c.node(1).shards[0].Stats(); !w.holds(EX) || st.ClaimsOpen != 0 || st.ClaimsLost+st.ClaimsConfirmed != 1 {
				t.Errorf("dir %d, old %v: waiting request %v, stats %+v", dir, old, w.mode, st)
			}
			c.windDown()
		}
	}
}

// A conversion that was demoted before the adoption still says so.
func TestAdoptDemoted(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.now += 1e6
	a, b := c.node(1).lock(x, PR, NewName), c.node(1).lock(x, PR, 0)
	o := c.node(1).lock(x, PR, 0)
	a.convert(EX, 0, nil)
	b.convert(EX, ConvDeadlk, nil)
	c.settle()
	o.unlock(0, nil)
	c.settle()
	if !a.holds(EX) {
		t.Fatalf("first converter has %v", a.mode)
	}
	a.unlock(0, nil)
	c.settle()
	if !b.holds(EX) || b.last.Bits&wire.BitDemoted == 0 {
		t.Errorf("%v, bits %#x", b.mode, b.last.Bits)
	}
	c.windDown()
}

// A claim has more locks than an ADOPT can carry.
func TestClaimFull(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.now += 1e6
	var all []*tlock
	for range wire.MaxLocks + 3 {
		all = append(all, c.node(1).lock(x, CR, NewName))
	}
	rest := all[wire.MaxLocks:]
	if rest[0].ends != 0 || all[wire.MaxLocks-1].ends != 1 {
		t.Fatal("the limit is elsewhere")
	}
	all[0].unlock(0, nil)
	rest[1].cancel()
	late := c.node(1).lock(x, CR, 0)
	if late.ends != 0 {
		t.Error("a later request has overtaken")
	}
	c.settle()
	if !rest[0].holds(CR) || !rest[2].holds(CR) || !late.holds(CR) || rest[1].last.Status != wire.Cancelled {
		t.Errorf("%v %v %v %v", rest[0].mode, rest[1].last.Status, rest[2].mode, late.mode)
	}
	c.windDown()
	y := c.name("y", 3, 0)
	for range wire.MaxLocks + 1 {
		all = append(all, c.node(1).lock(y, CR, NewName))
	}
	c.settle()
	if last := all[len(all)-1]; !last.holds(CR) || last.open {
		t.Error("what waited was not granted at CONFIRM")
	}
	c.windDown()
}

// A conversion that waits for the adoption keeps what it writes, or that it
// writes nothing.
func TestAdoptDeferredValue(t *testing.T) {
	for _, v := range [][]byte{value(9), nil} {
		c := newCluster(t, 4, 1, 0)
		x := c.name("x", 3, 0)
		m := c.hold(2, x, EX, 0)
		m.unlock(ValBlk, value(5))
		c.node(1).Advance(m.last.Token)
		c.now += 1e6
		n := c.node(1).lock(x, EX, NewName)
		c.reject(x)
		n.convert(NL, ValBlk, v)
		c.settle()
		r := c.hold(4, x, PR, ValBlk)
		want := value(5)
		if v != nil {
			want = v
		}
		if !slices.Equal(r.last.Value, want) {
			t.Errorf("written %v, read %v, want %v", v, r.last.Value, want)
		}
		c.windDown()
	}
}

// A lock is lost while it converts, and what it waits for stays at the master:
// the copy must go all the same.
func TestLostWhileConverting(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	n := c.node(1).lock(x, PR, NewName)
	other := c.node(1).lock(x, CR, 0)
	n.convert(EX, 0, nil)
	c.node(2).lock(x, PR, 0).unlock(0, nil) // so that the adoption is not clean
	m := c.node(2).lock(x, PR, 0)
	c.settle()
	if !n.lost || !other.lost || n.last.Status != wire.LostLock {
		t.Errorf("lost %v %v, %v", n.lost, other.lost, n.last.Status)
	}
	m.unlock(0, nil)
	f := c.hold(4, x, EX, 0)
	if r := c.node(2).resource(x); r.granted.len() != 1 || !f.holds(EX) {
		t.Errorf("%d granted, %v", r.granted.len(), f.mode)
	}
	c.windDown()
}

// The idle test allows for clocks that drift apart.
func TestAdoptDrift(t *testing.T) {
	for _, drift := range []int64{0, 2e6} {
		c := newCluster(t, 4, 1, 0)
		c.node(1).shards[0].cfg.Drift = drift
		x := c.oldMaster("x", 2, 3)
		c.now += 1e6
		n := c.node(1).lock(x, EX, NewName)
		c.settle()
		if n.lost != (drift != 0) {
			t.Errorf("drift %d ns: lost %v", drift, n.lost)
		}
		c.windDown()
	}
}

// A master that has taken over a claim without locks is not idle since long.
func TestAdoptRestartsIdle(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.now += testIdle - 100
	c.node(1).lock(x, EX, NewName).unlock(0, nil)
	c.settle()
	c.now += 200
	c.node(2).tick()
	if r := c.node(2).resource(x); r == nil || r.state != master {
		t.Error("removed before its time")
	}
	c.windDown()
}

// What a confirmed claim grants has a token above the old master's, though
// the claim's own was below.
func TestConfirmToken(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	c.hold(2, x, EX, 0).unlock(0, nil)
	last := c.hold(2, x, EX, 0)
	last.unlock(0, nil)
	c.now += testIdle - 20
	n := c.node(1).lock(x, PR, NewName)
	c.now += 20
	c.reject(x)
	c.node(2).tick()
	c.settle()
	if n.confirmed != 1 || n.last.Token >= last.last.Token {
		t.Fatalf("confirmed %d times, token %#x after %#x", n.confirmed, n.last.Token, last.last.Token)
	}
	if l := c.hold(1, x, PR, 0); l.last.Token < last.last.Token {
		t.Errorf("token %#x after %#x", l.last.Token, last.last.Token)
	}
	c.windDown()
}
