package lockspace

import (
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is about the ways of a request that meets old knowledge: late
// messages, cached masters that are gone, cancels in between; and about limits.

// A NOTIFY that was sent twice arrives when its claim is long over. It leaves
// an entry for a life that has ended; nobody must take it for a master.
func TestLateNotify(t *testing.T) {
	for _, flags := range []uint32{0, NewName} {
		c := newCluster(t, 4, 1, 0)
		x := c.oldMaster("x", 2, 3)
		c.now += 1e6
		n := c.node(1).lock(x, EX, NewName)
		c.now += resendFloor
		c.node(1).tick()
		c.one(1, 3, x, wire.Notify)
		c.one(3, 1, x, wire.Reject)
		c.one(1, 2, x, wire.Adopt)
		c.one(2, 1, x, wire.Adopted)
		n.unlock(0, nil)
		c.one(1, 2, x, wire.Unlock)
		c.now += testIdle
		c.node(1).tick()
		c.node(2).tick()
		c.one(2, 3, x, wire.Remove)
		if got := c.pending(1, 3, x); !slices.Equal(got, []wire.Type{wire.Notify}) {
			t.Fatalf("on the way: %v", got)
		}
		again := c.node(1).lock(x, EX, flags)
		c.settle() // NOTIFY, CONFIRM, REMOVE of the old life cross the new request
		f := c.node(4).lock(x, EX, 0)
		c.settle()
		if !again.holds(EX) || f.mode != NoMode {
			t.Errorf("flags %#x: %v and %v are granted", flags, again.mode, f.mode)
		}
		c.windDown()
	}
}

// A NOTIFY that was sent twice lets a directory node ask a claimant that is
// adopting. The request is kept, and so must its CANCEL be (found by the
// simulation).
func TestCancelKept(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 2)
	n := c.node(1).lock(x, EX, NewName)
	c.now += resendFloor
	c.node(1).tick()
	c.one(1, 2, x, wire.Notify)
	c.one(2, 1, x, wire.Reject)
	c.now += testIdle
	c.node(2).tick() // the old master goes
	c.one(1, 2, x, wire.Notify)
	f := c.node(2).lock(x, PR, 0)
	c.one(2, 1, x, wire.Confirm)
	c.one(2, 1, x, wire.Request)
	f.cancel()
	c.one(2, 1, x, wire.Cancel)
	c.one(1, 2, x, wire.Adopt)
	c.one(2, 1, x, wire.NotMaster) // too late to know whether they met: n is lost
	again := c.node(1).lock(x, EX, 0)
	c.settle()
	if !n.lost || !again.holds(EX) || f.last.Status != wire.Cancelled {
		t.Errorf("lost %v, holds %v, the cancelled request has %v", n.lost, again.mode, f.last.Status)
	}
	c.windDown()
}

// A cancelled request whose LOOKUP is answered with YOU, and others behind it.
func TestCancelLookup(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	a, b, gone := c.node(1).lock(x, EX, 0), c.node(1).lock(x, PR, 0), c.node(1).lock(x, EX, 0)
	a.cancel()
	gone.cancel()
	if a.ends != 0 || gone.last.Status != wire.Cancelled {
		t.Fatal("a LOOKUP is not forgotten until it is answered; others need not wait")
	}
	c.settle()
	if a.last.Status != wire.Cancelled || a.last.Hops != 2 || !b.holds(PR) {
		t.Fatalf("%v after %d messages, %v", a.last.Status, a.last.Hops, b.mode)
	}
	c.now += testIdle
	c.node(1).tick()
	c.settle()
	if f := c.hold(2, x, PR, 0); !f.holds(PR) {
		t.Error("not granted")
	}
	if w := c.node(2).lock(x, EX, 0); true {
		c.settle()
		if w.ends != 0 {
			t.Error("the resource was removed under its lock")
		}
	}
	c.windDown()
}

// A cancel goes to a node that is master no more. The request must not wait
// on at the next master.
func TestCancelAtOldMaster(t *testing.T) {
	for _, dir := range []int{1, 3} {
		for others := range 3 {
			c := newCluster(t, 4, 1, 0)
			x := c.oldMaster("x", 2, dir)
			c.hold(1, x, NL, 0).unlock(0, nil)
			c.about(x)
			c.now += testIdle
			c.node(2).tick()
			c.about(x)
			m := c.hold(4, x, EX, 0) // the next master
			a := c.node(1).lock(x, EX, 0)
			var rest []*tlock
			for range others {
				rest = append(rest, c.node(1).lock(x, PR, 0))
			}
			if got := c.pending(1, 2, x); len(got) != 1+others {
				t.Fatalf("on the way to the old master: %v", got)
			}
			a.cancel()
			c.settle()
			if a.last.Status != wire.Cancelled {
				t.Errorf("dir %d, %d others: %d completions, %v", dir, others, a.ends, a.last.Status)
			}
			m.unlock(0, nil)
			c.settle()
			for _, l := range rest {
				if !l.holds(PR) {
					t.Errorf("dir %d, %d others: one hangs", dir, others)
				}
			}
			c.windDown()
		}
	}
}

// The request that a LOOKUP carries is cancelled and comes back unserved; the
// next one carries it then. An old answer to that one's REQUEST is no answer
// to the LOOKUP: it would be sent twice, and leave a lock that nobody has.
func TestCancelCarrier(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	c.hold(1, x, NL, 0).unlock(0, nil)
	c.about(x)
	c.now += testIdle
	c.node(2).tick()
	c.about(x)
	c.hold(4, x, EX, 0).unlock(0, nil)
	c.now += testIdle
	c.node(4).tick() // its REMOVE is slow
	a, b := c.node(1).lock(x, EX, 0), c.node(1).lock(x, PR, 0)
	c.one(1, 2, x, wire.Request)
	c.one(2, 1, x, wire.NotMaster) // a goes to the directory, b's REQUEST is slow
	a.cancel()
	c.one(1, 3, x, wire.Lookup)
	c.one(3, 4, x, wire.Fwd)
	c.one(4, 1, x, wire.NotMaster) // now b goes to the directory
	if a.last.Status != wire.Cancelled || !c.on(1, 3, x, wire.Lookup) {
		t.Fatalf("%v, on the way to the directory: %v", a.last.Status, c.pending(1, 3, x))
	}
	c.one(4, 3, x, wire.Remove)
	c.node(2).lock(x, CR, 0) // becomes master again
	c.one(2, 3, x, wire.Lookup)
	c.one(3, 2, x, wire.You)
	c.one(1, 2, x, wire.Request)
	c.one(2, 1, x, wire.NotMaster) // the old answer
	c.one(1, 3, x, wire.Lookup)
	c.one(3, 2, x, wire.Fwd)
	c.one(2, 1, x, wire.Grant)
	b.unlock(0, nil)
	c.one(1, 2, x, wire.Unlock)
	c.settle()
	if r := c.node(2).resource(x); r.granted.len() != 1 {
		t.Errorf("%d locks at the master, one is held", r.granted.len())
	}
	c.windDown()
}

// A name whose only message was held is freed once, not twice.
func TestReleaseOnce(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	p := c.name("p", 2, 0)
	pl := c.hold(1, p, EX, 0)
	c.create(0)
	pl.unlock(0, nil)
	c.now += testIdle
	c.node(1).tick()
	c.settle() // CONFIRM, then REMOVE leaves and p is freed
	a := c.hold(1, c.name("a", 1, 0), EX, 0)
	b := c.hold(1, c.name("b", 1, 0), EX, 0)
	if n := c.node(1).shards[0].Stats().Resources; n != 3 || a.name == b.name {
		t.Errorf("%d resources, want 3", n)
	}
	if r := c.node(1).resource(a.name); r == nil || string(r.name()) != a.name || r == c.node(1).resource(b.name) {
		t.Error("two names share a resource")
	}
	c.windDown()
}

// The watchdog asks again after 3 times the smoothed round trip, at least 10
// ms, then more and more rarely.
func TestResend(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, l := c.create(0)
	n := c.node(1)
	start := c.now
	var at []int64
	for len(at) < 10 {
		before := c.sent[wire.Notify]
		c.now += 1e6
		n.tick()
		if c.sent[wire.Notify] > before {
			at = append(at, (c.now-start)/1e6)
		}
	}
	want := []int64{10, 30, 70, 150, 310, 630, 1270, 2270, 3270, 4270}
	if !slices.Equal(at, want) {
		t.Errorf("sent again after %v ms, want %v", at, want)
	}
	if st := n.shards[0].Stats(); st.NotifyResent != 10 {
		t.Errorf("counted %d", st.NotifyResent)
	}
	c.about(x)
	if l.confirmed != 1 || c.sent[wire.Confirm] != 11 || n.shards[0].srtt != 0 {
		t.Errorf("confirmed %d times with %d answers, srtt %d", l.confirmed, c.sent[wire.Confirm], n.shards[0].srtt)
	}
	y := c.name("y", 3, 0)
	n.lock(y, EX, NewName)
	c.now += 20e6
	c.about(y)
	if n.shards[0].srtt < 20e6 {
		t.Errorf("srtt %d ns", n.shards[0].srtt)
	}
	before := c.sent[wire.Notify]
	n.lock(c.name("z", 3, 0), EX, NewName)
	c.now += 3*n.shards[0].srtt - 10
	n.tick()
	if c.sent[wire.Notify] != before+1 {
		t.Error("sent again too early")
	}
	c.now += 20
	n.tick()
	if c.sent[wire.Notify] != before+2 {
		t.Error("not sent again")
	}
	c.windDown()
}

// When a claim may not be made, New is done as a lookup.
func TestClaimRefused(t *testing.T) {
	for name, refuse := range map[string]func(n *node){
		"lease": func(n *node) { n.noClaims = true },
		"limit": func(n *node) { n.limit = 0 },
	} {
		c := newCluster(t, 4, 1, 0)
		refuse(c.node(1))
		l := c.node(1).lock(c.name("x", 3, 0), EX, NewName)
		if l.ends != 0 || c.sent[wire.Lookup] != 1 {
			t.Errorf("%s: claimed all the same", name)
		}
		c.settle()
		if st := c.node(1).shards[0].Stats(); !l.holds(EX) || l.open || st.ClaimsRefused != 1 || st.ClaimsMade != 0 {
			t.Errorf("%s: %v, stats %+v", name, l.mode, st)
		}
		c.windDown()
	}
}

// MaxLocks bounds what others may ask for, too.
func TestMaxLocks(t *testing.T) {
	c := newCluster(t, 2, 1, 0)
	c.node(1).shards[0].cfg.MaxLocks = 2
	x := c.name("x", 1, 0)
	c.hold(1, x, CR, 0)
	c.hold(2, x, CR, 0)
	over := c.node(2).lock(x, CR, 0)
	c.settle()
	if over.last.Status != wire.Limit || !over.gone {
		t.Errorf("over the limit: %v", over.last.Status)
	}
	q := Request{Name: []byte(x), Hash: Hash([]byte(x)), Mode: CR, User: over}
	if _, st := c.node(1).shards[0].Lock(c.node(1).now(), &q); st != wire.Limit {
		t.Errorf("over the limit here: %v", st)
	}
	c.windDown()
}

// A token heard in one shard counts for a claim in another (finding 13).
func TestTokenAcrossShards(t *testing.T) {
	c := newCluster(t, 3, 2, 0)
	const heard = 1<<tokenCounterBits + 5000
	c.node(1).shards[0].Note(heard)
	x := c.name("x", 3, 1)
	l := c.node(1).lock(x, EX, NewName)
	if l.last.Token <= heard {
		t.Errorf("token %#x, and %#x was heard of", l.last.Token, uint64(heard))
	}
	c.windDown()
}
