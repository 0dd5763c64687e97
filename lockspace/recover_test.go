package lockspace

import (
	"fmt"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is recovery, view by view. In the scripts the nodes are those of
// gate_test.go: 1 the creator or first user of x, 2 and 4 others, 3 the
// directory node of x before the change.

func TestRecoverDirectoryDies(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	a := c.hold(1, x, EX, 0)
	w := c.node(2).lock(x, EX, 0)
	c.settle()
	c.node(3).crash(false)
	c.change()
	c.settle()
	f := c.node(4).lock(x, EX, NoQueue)
	c.settle()
	if f.last.Status != wire.WouldBlock {
		t.Errorf("finder: %+v", f.last)
	}
	a.unlock(0, nil)
	c.settle()
	if !w.holds(EX) {
		t.Error("the waiter hangs")
	}
	c.windDown()
}

func TestRecoverMasterDies(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	a := c.hold(1, x, PR, 0)
	b := c.hold(2, x, PR, 0)
	d := c.hold(4, x, PR, 0)
	w := c.node(2).lock(x, EX, 0)
	c.settle()
	c.node(1).crash(false)
	c.change()
	b.unlock(0, nil)
	c.settle()
	if w.holds(EX) || !a.gone {
		t.Fatal("granted beside PR")
	}
	d.unlock(0, nil)
	c.settle()
	if !w.holds(EX) {
		t.Error("the waiter hangs")
	}
	if st := c.node(2).shards[0].Stats(); st.Recoveries.Total() != 1 || st.Grants[Waited].Total() != 1 {
		t.Errorf("%d recoveries, %d have waited", st.Recoveries.Total(), st.Grants[Waited].Total())
	}
	c.windDown()
}

// A New that could not be a claim has asked for the name like any other
// request. When the master dies it is no reason to claim the name after all:
// others have used it. Found by the simulation.
func TestRecoverNewThatWaits(t *testing.T) {
	for _, mistake := range []Mistakes{0, NewAgain} {
		c := newCluster(t, 4, 1, 0)
		for _, n := range c.nodes {
			n.shards[0].cfg.Mistakes = mistake
		}
		x := c.name("x", 3, 0)
		c.hold(1, x, EX, 0)
		c.node(2).noClaims = true
		w := c.node(2).lock(x, EX, NewName)
		c.settle()
		c.node(2).noClaims = false
		c.node(1).crash(false)
		c.change()
		c.settle()
		if fine := w.holds(EX) && len(c.node(2).conflicts) == 0; fine != (mistake == 0) {
			t.Errorf("mistake %#x: holds EX %v, conflicts %q", mistake, w.holds(EX), c.node(2).conflicts)
		}
	}
}

// A request that was cancelled before its master was known stays cancelled when
// that master dies with the CANCEL. Found by the simulation.
func TestRecoverCancelled(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	c.hold(1, x, PR, 0)
	b := c.hold(4, x, PR, 0)
	w := c.node(2).lock(x, EX, 0)
	w.cancel()
	c.one(2, 3, x, wire.Lookup)
	c.one(3, 1, x, wire.Fwd)
	c.one(1, 2, x, wire.Queued)
	c.node(1).crash(true)
	c.change()
	c.settle()
	if w.last.Status != wire.Cancelled {
		t.Errorf("%v, wanted %v", w.last.Status, w.wanted)
	}
	b.unlock(0, nil)
	c.windDown()
}

// A CANCEL that is held back says nothing about a lock: that of a request which
// was refused meanwhile is not reported. Found by the simulation.
func TestRecoverHeldCancel(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, y := c.name("x", 3, 0), c.name("y", 4, 0)
	c.hold(2, x, CW, 0)
	a := c.hold(1, x, CR, 0)
	claim := c.node(1).lock(y, EX, NewName)
	w := c.node(1).lock(x, PW, NoQueue)
	a.unlock(0, nil)
	w.cancel()
	c.one(1, 2, x, wire.Request)
	c.one(2, 1, x, wire.Denied)
	if !w.gone {
		t.Fatal("not refused")
	}
	c.node(2).crash(false)
	c.change()
	c.settle()
	claim.unlock(0, nil)
	c.windDown()
}

// A LOOKUP that is sent again in a new view proposes another life. Who has heard
// of the old one, from an answer that did not count any more, and has sent a
// request under it that is kept, may have forgotten that request by the time the
// new answer comes. Found by the simulation.
func TestRecoverProposal(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	a := c.node(2).lock(x, CR, 0)
	c.one(2, 3, x, wire.Lookup)
	w := c.node(3).lock(x, PR, 0)
	c.node(4).crash(false)
	v := c.next()
	c.node(2).install(v)
	c.one(3, 2, x, wire.You) // of the old view
	c.one(3, 2, x, wire.Request)
	w.cancel()
	c.one(3, 2, x, wire.Cancel)
	c.node(2).install(c.next())
	if !c.on(2, 3, x, wire.NotMaster) {
		t.Error("the request is kept although its life has ended")
	}
	c.node(1).install(v)
	c.node(3).install(v)
	for _, n := range []int{1, 3} {
		c.node(n).install(c.view)
	}
	c.settle()
	if !a.holds(CR) || w.last.Status != wire.Cancelled {
		t.Errorf("holder %v, waiter %v, wanted %v", a.mode, w.last.Status, w.wanted)
	}
	c.windDown()
}

// What a node lets go of while it waits to be master it is master of all the same, and
// what others write then is the value. Found by the simulation.
func TestRecoverReleased(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.moved("x", 1, 3, viewOf(t, 2, c.node(2), c.node(3), c.node(4)))
	h := c.hold(1, x, NL, 0)
	l := c.hold(3, x, EX, 0)
	l.convert(PR, ValBlk, value(1))
	c.settle()
	c.node(1).crash(false)
	v := c.next()
	c.node(3).install(v)
	l.unlock(0, nil)
	c.node(2).install(v)
	w := c.node(2).lock(x, EX, 0)
	c.one(2, 3, x, wire.Lookup)
	c.node(4).install(v)
	c.settle()
	r := c.node(3).lock(x, PR, 0)
	c.settle()
	w.unlock(ValBlk, value(2))
	c.settle()
	if !h.gone || !r.holds(PR) {
		t.Fatal("not what the script is about")
	}
	c.node(2).crash(false)
	c.change()
	c.settle()
	got := c.hold(4, x, PR, ValBlk)
	if got.last.Bits&wire.BitValue == 0 || got.last.Value[0] != 2 {
		t.Errorf("value %x, bits %#x", got.last.Value, got.last.Bits)
	}
	c.windDown()
}

// A conversion that only an alternate mode would make write has written nothing
// while it is held back. Found by the simulation.
func TestRecoverHeldAlternate(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.moved("x", 3, 1, viewOf(t, 2, c.node(1), c.node(2), c.node(4)))
	y := c.name("y", 4, 0)
	c.hold(3, x, NL, 0)
	a := c.hold(1, x, PW, 0)
	c.node(1).lock(y, EX, NewName)
	a.convert(EX, ValBlk|AltCW, value(1))
	c.node(3).crash(false)
	c.change()
	c.settle()
	if !a.holds(EX) || a.last.Value != nil {
		t.Errorf("%v, value %x", a.mode, a.last.Value)
	}
	c.windDown()
}

// The master that is asked to adopt a claim dies: whether it held the name while the
// claim was open nobody can tell any more, so it counts as a conflict.
func TestRecoverAdopting(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.oldMaster("x", 2, 3)
	l := c.node(1).lock(x, EX, NewName)
	c.one(1, 3, x, wire.Notify)
	c.one(3, 1, x, wire.Reject) // ADOPT is on its way
	c.node(2).crash(true)
	c.change()
	if !l.lost || !slices.Equal(c.node(1).conflicts, []string{x}) {
		t.Errorf("lost %v, conflicts %q", l.lost, c.node(1).conflicts)
	}
	c.settle()
	f := c.node(4).lock(x, EX, 0)
	c.settle()
	if !f.holds(EX) {
		t.Errorf("the name hangs: %v", f.mode)
	}
	c.windDown()
}

// An ADOPT has overtaken the YOU of a directory node that dies with it. The life that
// it names never was: the claim goes on.
func TestRecoverAdoptOfAProposal(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	l := c.node(2).lock(x, PR, 0)
	c.one(2, 3, x, wire.Lookup) // YOU is on its way
	n := c.node(1).lock(x, EX, NewName)
	c.one(1, 3, x, wire.Notify)
	c.one(3, 1, x, wire.Reject)
	c.one(1, 2, x, wire.Adopt) // kept
	c.node(3).crash(true)
	c.change()
	if !c.on(2, 1, x, wire.NotMaster) {
		t.Errorf("node 2 answers %v", c.pending(2, 1, x))
	}
	c.settle()
	if n.lost == n.holds(EX) || n.holds(EX) == l.holds(PR) {
		t.Errorf("creator %v, lost %v; the other one %v", n.mode, n.lost, l.mode)
	}
	c.windDown()
}

func TestRecoverJoin(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	c.node(4).crash(false)
	c.change()
	c.settle()
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	for i, n := range names {
		c.hold(i%3+1, n, EX, 0)
	}
	c.node(4).restart()
	c.change()
	c.settle()
	for i, n := range names {
		f := c.node(i%3+2).lock(n, EX, NoQueue)
		c.settle()
		if f.last.Status != wire.WouldBlock {
			t.Errorf("%q is granted twice", n)
		}
	}
	c.windDown()
}

// Finding 1e: the UNLOCK of p is held back by the claim on x when p's master
// dies. To report no lock on p would be to let it go.
func TestFinding1e(t *testing.T) {
	withAndWithout(t, ReportReleased|TrustFree, func(c *cluster) string {
		p := c.name("p", 4, 0)
		c.hold(2, p, NL, 0)
		pl := c.hold(1, p, EX, 0)
		x, xl := c.create(0)
		pl.unlock(0, nil)
		c.node(2).crash(false)
		c.change()
		c.about(p, "")
		f := c.node(4).lock(p, PR, 0)
		c.about(p, "")
		if !f.holds(PR) {
			return ""
		}
		return c.find(x, xl)
	})
}

// Finding 9: a node that restarts is another one, however fast: the locks of
// its former life are gone, and what it said then does not count.
func TestFinding9Restart(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 3, 0)
	c.hold(1, x, EX, 0)
	w := c.node(4).lock(x, EX, 0)
	c.about(x)
	c.node(1).lock(x, EX, 0) // on its way when it dies
	c.node(1).crash(false)
	c.node(1).restart()
	c.change()
	c.settle()
	if !w.holds(EX) {
		t.Error("the lock of the dead start still holds")
	}
	if r := c.node(3).resource(x); r.waiting.len() != 0 {
		t.Error("a request of the dead start waits")
	}
	c.windDown()
}

// TestFormerMember: what a member has sent before it closed the lockspace, and opened it again
// as the same instance, gives it nothing: the shard that has asked is no more.
func TestFormerMember(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.mastered("x", 3, 0)
	held := c.hold(2, x, EX, 0)
	n := c.node(1)
	n.lock(x, EX, 0)
	c.about(x, "")   // known to be at node 3, and asked for there
	n.lock(x, PR, 0) // on its way when the node closes
	late := slices.Clone(c.busy)
	c.busy = nil
	n.crash(false)
	for _, v := range []*View{c.next(), nil} {
		if v == nil {
			n.boot(n.instance, len(n.shards), nil)
			v = c.next()
		}
		for _, o := range c.nodes {
			if !o.down {
				o.install(v)
			}
		}
		c.settle()
	}
	c.busy = late
	ignored := c.node(3).shards[0].Stats().Ignored
	c.settle()
	if got := c.node(3).shards[0].Stats().Ignored; got != ignored+1 {
		t.Errorf("%d messages ignored, before %d", got, ignored)
	}
	if r := c.node(3).resource(x); r.waiting.len() != 0 {
		t.Error("a request of the shard that is gone waits")
	}
	held.unlock(0, nil)
	c.windDown()
}

// A shard that is fenced has lost all, and holds nothing for later.
func TestFence(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	p := c.mastered("p", 2, 0)
	pl := c.hold(1, p, EX, 0)
	kept := c.hold(1, c.mastered("q", 2, 0), PR, 0)
	_, xl := c.create(0)
	w := c.node(1).lock(c.mastered("w", 2, 0), EX, 0)
	pl.unlock(0, nil) // held
	s := c.node(1).shards[0]
	sent := c.sent[wire.Unlock]
	s.Install(c.node(1).now(), viewOf(t, 2, c.node(2), c.node(3), c.node(4)))
	if !s.Fenced() || !kept.lost || !xl.lost || w.last.Status != wire.LostLock {
		t.Errorf("fenced %v, lost %v %v, waiting: %v", s.Fenced(), kept.lost, xl.lost, w.last.Status)
	}
	s.Release(c.node(1).now())
	if c.sent[wire.Unlock] != sent || s.Holding() || !s.Quiet() {
		t.Error("the outbox was not discarded")
	}
	if _, st := s.Lock(c.now, &Request{Name: []byte("n"), Mode: EX}); st != wire.ShuttingDown {
		t.Errorf("a lock of a fenced shard: %v", st)
	}
}

// TestForwardForNobody: a FWD of the present view for a node that is no member gives it
// nothing. (A directory node that takes a LOOKUP in one view and numbers the FWD with
// the next would else have a lock granted that nobody holds.)
func TestForwardForNobody(t *testing.T) {
	c := newCluster(t, 2, 1, 0)
	x := c.name("x", 2, 0)
	c.node(1).lock(x, NL, 0)
	c.settle()
	n := c.node(1)
	life, before := n.resource(x).life, n.shardOf(x).Stats()
	n.shardOf(x).Deliver(n.now(), Origin{instanceOf(2), 1, 0}, Hash([]byte(x)), &wire.Msg{
		Type: wire.Fwd, Name: []byte(x), Life: life, Instance: instanceOf(3), Lock: 5 << 8, Mode: uint8(EX),
	})
	if st := n.shardOf(x).Stats(); st.Ignored != before.Ignored+1 || st.Locks != before.Locks {
		t.Errorf("%+v, before %+v", st, before)
	}
}
