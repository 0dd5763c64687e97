package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// takeOver asks node n for an orphan, under a lock id of its own choice.
func (n *node) takeOver(name string, mode Mode, flags uint32) (*tlock, Status) {
	l := n.newTlock(name, mode, flags|Orphan)
	sh := n.shardOf(name)
	l.id = sh.newLockID()
	closed := n.closed
	id, st := sh.Lock(n.now(), &Request{
		ID: l.id, Name: []byte(name), Hash: Hash([]byte(name)), Mode: mode, Flags: l.flags, User: l, Tag: l.tag,
	})
	if st == wire.OK && id != l.id {
		n.c.fatalf("taken over under id %#x, asked for %#x", id, l.id)
	}
	if st == wire.OK {
		n.c.locks = append(n.c.locks, l)
	}
	n.after(closed)
	return l, st
}

// orphaned gives a name of which node user holds an orphan in mode, left by
// program 7; node 1 is master.
func orphaned(c *cluster, user int, mode Mode) (x string, was *tlock) {
	x = c.mastered("x", 1, 0)
	was = c.hold(user, x, mode, Persistent|WantBast)
	if st := was.abandon(7); st != wire.OK {
		c.fatalf("abandon: %v", st)
	}
	c.settle()
	return x, was
}

// onMasterAnd runs f with the orphan at the master and elsewhere.
func onMasterAnd(t *testing.T, f func(t *testing.T, c *cluster, user int)) {
	for user, where := range map[int]string{1: "master", 2: "elsewhere"} {
		t.Run(where, func(t *testing.T) {
			c := newCluster(t, 3, 1, 0)
			f(t, c, user)
			for _, n := range c.nodes {
				n.shards[0].Purge(n.now(), 0)
			}
			c.windDown()
		})
	}
}

// An orphan stays granted, nobody hears of it, its old id means nothing, and
// who adopts it gets it with a token of his own and what he wants to hear.
func TestOrphanTakenOver(t *testing.T) {
	onMasterAnd(t, func(t *testing.T, c *cluster, user int) {
		x, was := orphaned(c, user, EX)
		n := c.node(user)
		sh := n.shards[0]
		waits := c.node(3).lock(x, PR, 0)
		c.settle()
		if waits.holds(PR) || len(was.basts) != 0 {
			t.Fatal("an orphan gives way, or is told that it should")
		}
		for what, st := range map[string]Status{
			"convert": sh.Convert(n.now(), was.id, NL, 0, nil, 9),
			"unlock":  sh.Unlock(n.now(), was.id, ForceUnlock, nil),
			"cancel":  sh.Cancel(n.now(), was.id, 0),
			"abandon": sh.Abandon(n.now(), was.id, 8),
		} {
			if st != wire.NoLock {
				t.Errorf("%s by the old id: %v", what, st)
			}
		}
		if _, ok := sh.User(was.id); ok {
			t.Error("an orphan has a user")
		}
		sh.Own(func(u any, id uint64) {
			if u == nil || u == was || id == was.id {
				t.Error("an orphan counts as somebody's")
			}
		})
		if _, st := n.takeOver(x, PR, 0); st != wire.OrphanMode {
			t.Errorf("in another mode: %v", st)
		}
		if _, st := c.node(3).takeOver(x, EX, 0); st != wire.NoOrphan {
			t.Errorf("on another node: %v", st)
		}
		l, st := n.takeOver(x, EX, WantBast|ValBlk|NoQueue)
		if st != wire.OK {
			t.Fatal(st)
		}
		if user == 2 {
			if _, st := n.takeOver(x, EX, 0); st != wire.Busy {
				t.Errorf("while another takes it over: %v", st)
			}
		}
		if u, ok := sh.User(l.id); !ok || u != l {
			t.Errorf("user %v, %v", u, ok)
		}
		c.settle()
		if !l.holds(EX) || l.last.Token <= was.last.Token || l.last.Value != nil {
			t.Fatalf("mode %v, token %#x after %#x, value %v", l.mode, l.last.Token, was.last.Token, l.last.Value)
		}
		if len(l.basts) != 1 || l.basts[0] != PR {
			t.Errorf("told to give way: %v", l.basts)
		}
		if _, st := n.takeOver(x, EX, 0); st != wire.NoOrphan {
			t.Errorf("twice: %v", st)
		}
		if st := sh.Unlock(n.now(), was.id, 0, nil); user == 2 && st != wire.NoLock {
			t.Errorf("unlock by the old id: %v", st)
		}
		found := false
		sh.Own(func(u any, id uint64) { found = found || u == l && id == l.id })
		if !found {
			t.Error("not its user's under his id")
		}
		l.convert(PR, 0, nil)
		c.settle()
		if !l.holds(PR) || !waits.holds(PR) {
			t.Errorf("after a conversion down: %v and %v", l.mode, waits.mode)
		}
	})
}

// A takeover that does not come about leaves the orphan; the end of the one who
// takes over does to it what the flags say.
func TestOrphanTakeoverEnds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		flags uint32
		end   func(l *tlock) Status
		left  int // orphans
		gone  bool
	}{
		{"cancelled too late", 0, func(l *tlock) Status { return l.tryCancel(0) }, 0, false},
		{"abandoned", 0, func(l *tlock) Status { return l.abandon(8) }, 0, true},
		{"abandoned, persistent", Persistent, func(l *tlock) Status { return l.abandon(8) }, 1, true},
		{"unlocked by force", 0, func(l *tlock) Status { return l.tryUnlock(ForceUnlock, nil) }, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, 3, 1, 0)
			x, _ := orphaned(c, 2, EX)
			n := c.node(2)
			l, st := n.takeOver(x, EX, tc.flags)
			if st != wire.OK {
				t.Fatal(st)
			}
			n.shards[0].Purge(n.now(), 0) // not what is being taken over
			if st := tc.end(l); st != wire.OK {
				t.Fatal(st)
			}
			c.settle()
			if l.ends != 1 || l.gone != tc.gone || len(n.shards[0].orphans) != tc.left {
				t.Errorf("%d completions, gone %v, %d orphans", l.ends, l.gone, len(n.shards[0].orphans))
			}
			if tc.left != 0 && n.shards[0].orphans[c.node(2).resource(x).granted.head.id] != 8 {
				t.Error("left by another program")
			}
			n.shards[0].Purge(n.now(), 8)
			c.windDown()
			if len(n.shards[0].handles)+len(n.shards[0].byHandle) != 0 {
				t.Error("handles are left")
			}
		})
	}
}

// While a takeover waits for an adoption it can be withdrawn: then the lock is
// an orphan still, and the one who asked has nothing.
func TestOrphanTakeoverWithdrawn(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	x := adoptable(c)
	n := c.node(1)
	l := n.lock(x, EX, NewName|Persistent)
	if st := l.abandon(7); st != wire.OK {
		t.Fatal(st)
	}
	rejected(c, x)
	o, st := n.takeOver(x, EX, 0)
	if st != wire.OK || o.ends != 0 {
		t.Fatalf("%v, %d completions", st, o.ends)
	}
	o.cancel()
	if o.last.Status != wire.Cancelled || o.mode != NoMode || len(n.shards[0].orphans) != 1 {
		t.Fatalf("%v, mode %v, %d orphans", o.last.Status, o.mode, len(n.shards[0].orphans))
	}
	c.settle() // nobody is told that the claim is confirmed
	o, st = n.takeOver(x, EX, 0)
	c.settle()
	if st != wire.OK || !o.holds(EX) {
		t.Fatalf("%v, mode %v", st, o.mode)
	}
	c.windDown()
}

// An orphan under a wrong claim is lost like any other lock, without a word.
func TestOrphanLost(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	x := c.name("x", 3, 0)
	holder := c.hold(2, x, EX, 0)
	n := c.node(1)
	l := n.lock(x, EX, NewName|Persistent)
	if !l.open {
		t.Fatal("no claim")
	}
	if st := l.abandon(7); st != wire.OK {
		t.Fatal(st)
	}
	rejected(c, x)
	o, _ := n.takeOver(x, EX, 0)
	c.settle()
	if o.last.Status != wire.LostLock || len(n.shards[0].orphans) != 0 || !holder.holds(EX) {
		t.Errorf("%v, %d orphans", o.last.Status, len(n.shards[0].orphans))
	}
	c.windDown()
}

// PURGE ends the orphans of a program, or all, here or on another node.
func TestPurge(t *testing.T) {
	for _, from := range []int{1, 2} {
		c := newCluster(t, 3, 2, 0)
		n := c.node(2)
		var names []string
		for shard := range 2 {
			for owner := uint64(7); owner <= 8; owner++ {
				x := c.mastered("x"+string(rune('a'+len(names))), 1, shard)
				if st := c.hold(2, x, EX, Persistent).abandon(owner); st != wire.OK {
					t.Fatal(st)
				}
				names = append(names, x)
			}
		}
		c.settle()
		left := func() int { return len(n.shards[0].orphans) + len(n.shards[1].orphans) }
		for _, step := range []struct {
			owner uint64
			want  int
		}{{9, 4}, {7, 2}, {0, 0}, {0, 0}} {
			if st := c.node(from).shards[0].SendPurge(c.node(from).now(), 2, step.owner); st != wire.OK {
				t.Fatal(st)
			}
			c.settle()
			if left() != step.want {
				t.Errorf("from node %d, purge of %d: %d left, want %d", from, step.owner, left(), step.want)
			}
		}
		for _, x := range names {
			c.hold(3, x, EX, 0)
		}
		c.windDown()
	}
}

// A conversion without PERSISTENT takes it away, as in the kernel.
func TestPersistentOfLastRequest(t *testing.T) {
	c := newCluster(t, 2, 1, 0)
	x := c.mastered("x", 1, 0)
	l := c.hold(2, x, PR, Persistent)
	l.convert(EX, 0, nil)
	c.settle()
	if st := l.abandon(7); st != wire.OK || len(c.node(2).shards[0].orphans) != 0 {
		t.Errorf("%v, %d orphans", st, len(c.node(2).shards[0].orphans))
	}
	c.windDown()
}

// Inspect shows orphans, with who has left them, on their own node.
func TestInspectOrphan(t *testing.T) {
	c := newCluster(t, 2, 1, 0)
	x, _ := orphaned(c, 2, EX)
	for _, n := range c.nodes {
		n.shards[0].Inspect(func(i ResourceInfo) bool {
			if string(i.Name) != x {
				return true
			}
			for _, l := range i.Granted {
				if mine := l.Node == 2 && n.id == 2; l.Orphan != mine || (l.Session == 7) != mine {
					t.Errorf("node %d shows %+v", n.id, l)
				}
			}
			return true
		})
	}
	c.node(2).shards[0].Purge(c.node(2).now(), 7)
	c.windDown()
}
