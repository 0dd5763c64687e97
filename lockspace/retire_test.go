package lockspace

import (
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// retire gives l up and ends its name; the outcome is l.last.
func (l *tlock) retire() {
	l.n.c.t.Helper()
	if st := l.tryRetire(0, nil); st != wire.OK {
		l.n.c.fatalf("retire %q: %v", l.name, st)
	}
}

func (l *tlock) tryRetire(flags uint32, value []byte) Status {
	n, before := l.n, *l
	l.tag++
	l.wanted = NL // no mode, but its outcome is awaited
	n.c.now++
	closed := n.closed
	st := n.shardOf(l.name).Retire(n.now(), l.id, flags, value, l, l.tag)
	if st != wire.OK {
		*l = before
	}
	n.after(closed)
	return st
}

// Wherever deleter, master and directory are, a name that nobody else uses is
// gone at the acknowledgement, with no idle time.
func TestRetire(t *testing.T) {
	for _, c := range []struct {
		about                    string
		deleter, master, dir     int
		retires, retired, remove int // messages
	}{
		{"all one", 1, 1, 1, 0, 0, 0},
		{"deleter is master", 1, 1, 3, 1, 1, 0},
		{"master is directory", 1, 3, 3, 0, 1, 0},
		{"deleter is directory", 3, 1, 3, 1, 0, 0},
		{"three", 1, 2, 3, 1, 1, 0},
	} {
		t.Run(c.about, func(t *testing.T) {
			cl := newCluster(t, 4, 1, 0)
			x := cl.name("x", c.dir, 0)
			if c.master != c.deleter {
				cl.hold(c.master, x, PR, 0).unlock(0, nil)
			}
			l := cl.hold(c.deleter, x, EX, 0)
			l.retire()
			cl.settle()
			if l.last.Status != wire.Unlocked || !l.gone {
				t.Fatalf("outcome %v, gone %v", l.last.Status, l.gone)
			}
			got := []int{cl.sent[wire.Retire], cl.sent[wire.Retired], cl.sent[wire.Remove]}
			if want := []int{c.retires, c.retired, c.remove}; !slices.Equal(got, want) {
				t.Errorf("RETIRE, RETIRED, REMOVE: %v, want %v", got, want)
			}
			if n := cl.node(c.deleter); len(n.open) != 0 || n.shards[0].Stats().Retired != 1 {
				t.Errorf("%d numbers are open, %d names retired", len(n.open), n.shards[0].Stats().Retired)
			}
			for _, id := range []int{c.master, c.dir} {
				if r := cl.node(id).resource(x); r != nil && (r.state == master || !r.dirLife.IsZero()) {
					t.Errorf("node %d has it still: %v, entry %v", id, r.state, r.dirLife)
				}
			}
			f := cl.node(4).lock(x, EX, NewName)
			if !f.holds(EX) {
				t.Errorf("the next one gets %v", f.mode)
			}
			cl.settle()
			if f.lost || f.open || len(cl.node(4).conflicts) != 0 {
				t.Errorf("the name was not fresh: lost %v, %d conflicts", f.lost, len(cl.node(4).conflicts))
			}
			cl.windDown()
		})
	}
}

// Who re-uses a name that was retired never meets its old master: the number of
// the name goes back to the allocator behind the retirement. Node 1 deletes x, which node 2
// masters, then gives back the lock of the allocator a; node 4 takes it and
// creates x anew.
func TestRetireBeforeReuse(t *testing.T) {
	withAndWithout(t, RetireBlind, func(c *cluster) string {
		a, x := c.mastered("a", 3, 0), c.oldMaster("x", 2, 3)
		al := c.hold(1, a, EX, 0)
		xl := c.hold(1, x, EX, 0)
		xl.retire()
		al.unlock(0, nil)
		next := c.node(4).lock(a, EX, 0)
		c.about(a)
		if !next.holds(EX) {
			c.about(x)
			c.about(a)
		}
		again := c.node(4).lock(x, EX, NewName)
		c.settle()
		if !next.holds(EX) || !xl.gone {
			t.Fatal("the allocator hangs")
		}
		if again.lost || len(c.node(4).conflicts) != 0 {
			return "a conflict with the deleted name"
		}
		if c.sent[wire.Adopt] != 0 {
			return "adopted by the old master"
		}
		return ""
	})
}

// A name that others hold or want is not ended, but the lock is gone.
func TestRetireInUse(t *testing.T) {
	for _, c := range []struct {
		about  string
		master int
		mode   Mode // held by node 4 beside EX
	}{
		{"somebody waits at the master", 2, NoMode},
		{"somebody waits here", 1, NoMode},
		{"somebody holds NL", 2, NL},
	} {
		t.Run(c.about, func(t *testing.T) {
			cl := newCluster(t, 4, 1, 0)
			x := cl.name("x", 3, 0)
			if c.master != 1 {
				cl.hold(c.master, x, NL, 0).unlock(0, nil)
			}
			var o *tlock
			if c.mode != NoMode {
				o = cl.hold(4, x, c.mode, 0)
			}
			l := cl.hold(1, x, EX, 0)
			if o == nil {
				o = cl.node(4).lock(x, EX, 0)
			}
			cl.settle()
			l.retire()
			cl.settle()
			if l.last.Status != wire.InUse || !l.gone || l.lost {
				t.Errorf("outcome %v, gone %v, lost %v", l.last.Status, l.gone, l.lost)
			}
			if c.mode == NoMode && !o.holds(EX) {
				t.Errorf("the other one has %v", o.mode)
			}
			cl.windDown()
		})
	}
}

// A RETIRE that waits for the fence is taken back when somebody wants the name.
func TestRetireTakenBack(t *testing.T) {
	for _, from := range []int{1, 4} {
		c := newCluster(t, 4, 1, 0)
		x := c.name("x", 3, 0)
		l := c.hold(1, x, EX, 0)
		c.hold(4, x, NL, 0).unlock(0, nil) // node 4 knows the master
		c.settle()
		y := c.name("y", 3, 0)
		c.node(1).lock(y, EX, NewName) // its claim stays open
		l.retire()
		if l.ends != 1 || c.sent[wire.Retire] != 0 {
			t.Fatal("it does not wait")
		}
		o := c.node(from).lock(x, EX, 0)
		c.about(x)
		if l.last.Status != wire.InUse {
			t.Errorf("node %d: outcome %v", from, l.last.Status)
		}
		c.settle()
		if !o.holds(EX) {
			t.Errorf("node %d has %v", from, o.mode)
		}
		c.windDown()
	}
}

// The claim of the name itself is open: the retirement waits for it.
func TestRetireClaimed(t *testing.T) {
	t.Run("confirmed", func(t *testing.T) {
		c := newCluster(t, 4, 1, 0)
		_, l := c.create(0)
		l.retire()
		if l.ends != 1 {
			t.Fatal("it does not wait")
		}
		c.settle()
		if l.last.Status != wire.Unlocked || c.sent[wire.Retire] != 1 {
			t.Errorf("outcome %v, %d RETIRE", l.last.Status, c.sent[wire.Retire])
		}
		c.windDown()
	})
	t.Run("and somebody asks", func(t *testing.T) {
		c := newCluster(t, 4, 1, 0)
		x, l := c.create(0)
		l.retire()
		c.one(1, 3, x, wire.Notify)
		f := c.node(4).lock(x, EX, 0)
		c.one(4, 3, x, wire.Lookup)
		c.one(3, 1, x, wire.Confirm)
		c.settle()
		if !f.holds(EX) || l.last.Status != wire.InUse && l.last.Status != wire.Unlocked {
			t.Errorf("finder %v, outcome %v", f.mode, l.last.Status)
		}
		c.windDown()
	})
	for _, when := range []string{"before", "while"} {
		t.Run("adopted, retired "+when, func(t *testing.T) {
			c := newCluster(t, 4, 1, 0)
			x := c.oldMaster("x", 2, 3)
			c.now += 1e6
			l := c.node(1).lock(x, EX, NewName)
			if when == "before" {
				l.retire()
			}
			c.one(1, 3, x, wire.Notify)
			c.one(3, 1, x, wire.Reject)
			if when == "while" {
				l.retire()
			}
			c.settle()
			if l.last.Status != wire.Unlocked || len(c.node(1).conflicts) != 0 {
				t.Errorf("outcome %v, %d conflicts", l.last.Status, len(c.node(1).conflicts))
			}
			if r := c.node(3).resource(x); r != nil {
				t.Errorf("the directory has an entry still: %v", r.dirLife)
			}
			c.windDown()
		})
	}
	t.Run("conflict", func(t *testing.T) {
		c := newCluster(t, 4, 1, 0)
		x := c.oldMaster("x", 2, 3)
		l := c.node(1).lock(x, EX, NewName)
		m := c.node(2).lock(x, EX, 0)
		l.retire()
		c.settle()
		if l.last.Status != wire.InUse || !m.holds(EX) || len(c.node(1).conflicts) != 1 {
			t.Errorf("outcome %v, the other has %v, %d conflicts", l.last.Status, m.mode, len(c.node(1).conflicts))
		}
		c.windDown()
	})
	t.Run("unclean", func(t *testing.T) {
		c := newCluster(t, 4, 1, 0)
		x := c.oldMaster("x", 2, 3)
		l := c.node(1).lock(x, EX, NewName)
		c.node(2).lock(x, EX, 0).unlock(0, nil)
		l.retire()
		c.settle()
		if l.last.Status != wire.InUse || len(c.node(1).conflicts) != 1 {
			t.Errorf("outcome %v, %d conflicts", l.last.Status, len(c.node(1).conflicts))
		}
		c.windDown()
	})
}

// Two nodes delete what the other one masters, at the same time.
func TestRetireCrosswise(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, y := c.name("x", 3, 0), c.name("y", 3, 0)
	y = c.name("z"+y, 4, 0)
	c.hold(1, y, NL, 0).unlock(0, nil)
	c.hold(2, x, NL, 0).unlock(0, nil)
	a, b := c.hold(1, x, EX, 0), c.hold(2, y, EX, 0)
	a.retire()
	b.retire()
	c.settle()
	if a.last.Status != wire.Unlocked || b.last.Status != wire.Unlocked {
		t.Errorf("%v and %v", a.last.Status, b.last.Status)
	}
	c.windDown()
}

// Members change while a retirement is under way: the outcome is not known, and
// nothing hangs on it.
func TestRetireViewChange(t *testing.T) {
	for lost := range 3 {
		c := newCluster(t, 4, 1, 0)
		x := c.name("x", 3, 0)
		c.hold(2, x, NL, 0).unlock(0, nil)
		l := c.hold(1, x, EX, 0)
		p := c.hold(1, c.mastered("p", 2, 0), EX, 0)
		if lost == 2 {
			c.node(1).lock(c.name("y", 4, 0), EX, NewName) // the UNLOCK is held
		}
		l.retire()
		p.unlock(0, nil)
		if lost < 2 {
			c.one(1, 2, x, wire.Unlock)
		}
		if lost == 1 {
			c.one(2, 3, x, wire.Retire)
		}
		c.node(3 - lost%2).crash(true)
		c.change()
		if l.last.Status != wire.Cancelled || !l.gone {
			t.Errorf("%d: outcome %v", lost, l.last.Status)
		}
		c.settle()
		f := c.node(4).lock(x, EX, 0)
		c.settle()
		if !f.holds(EX) {
			t.Errorf("%d: the name hangs: %v", lost, f.mode)
		}
		c.windDown()
	}
}

func TestRetireRefused(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	l := c.hold(1, x, PW, 0)
	s := c.node(1).shards[0]
	for _, r := range []struct {
		about string
		st    Status
		want  Status
	}{
		{"not EX", l.tryRetire(0, nil), wire.BadFlags},
		{"flags", l.convert(EX, 0, nil).tryRetire(ForceUnlock, nil), wire.BadFlags},
		{"value", l.tryRetire(ValBlk, make([]byte, testValueLen+1)), wire.BadValue},
		{"no lock", s.Retire(c.now, 1<<40, 0, nil, nil, 1), wire.NoLock},
	} {
		if r.st != r.want {
			t.Errorf("%s: %v, want %v", r.about, r.st, r.want)
		}
	}
	c.node(1).limit = 0
	if st := l.tryRetire(0, nil); st != wire.Limit {
		t.Errorf("no claim number: %v", st)
	}
	c.node(1).limit = 1000
	if !l.holds(EX) {
		t.Error("a refused retirement has changed something")
	}
	// Late and wrong answers change nothing.
	ignored := s.Stats().Ignored
	r := c.node(1).resource(x)
	for _, m := range []wire.Msg{
		{Type: wire.Retired, Life: r.life, Lock: l.id},
		{Type: wire.Retired, Life: r.life, Lock: 77},
		{Type: wire.Retire, Life: wire.Life{Instance: r.life.Instance, Counter: 99}, Lock: 77, Instance: c.node(2).instance},
		{Type: wire.Unlock, Life: r.life, Lock: 77, Flags: Retire},
	} {
		m.Name = []byte(x)
		s.Deliver(c.now, Origin{c.node(2).instance, 1, 0}, r.hash, &m)
	}
	if s.Stats().Ignored != ignored+3 || !l.holds(EX) {
		t.Errorf("%d are ignored", s.Stats().Ignored-ignored)
	}
	if got := c.pending(1, 2, x); !slices.Equal(got, []wire.Type{wire.Retired, wire.Retired}) {
		t.Errorf("answers %v", got)
	}
	busy := c.node(4).lock(x, EX, 0)
	c.settle()
	if st := busy.tryRetire(0, nil); st != wire.Busy {
		t.Errorf("while an operation runs: %v", st)
	}
	c.windDown()
}

// A node that is fenced reports its retirements, too.
func TestRetireFenced(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	l := c.hold(1, x, EX, 0)
	l.retire()
	c.node(1).shards[0].Fence(c.now)
	if l.last.Status != wire.Cancelled {
		t.Errorf("outcome %v", l.last.Status)
	}
}
