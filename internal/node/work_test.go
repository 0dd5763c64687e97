package node

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Whoever works on what a view has brought stops when somebody else wants the shard, after
// a few names; and goes on until all is done.
func TestWorkGivesWay(t *testing.T) {
	r := testRunner(t)
	const names = 50_000
	for i := range names {
		hold(t, r.space, fmt.Sprint("name ", i), lockspace.NL, lockspace.NewName)
	}
	old, err := cluster.Static(1)
	if err != nil {
		t.Fatal(err)
	}
	v, err := lockspace.NewView(old.Epoch+1, old.Members)
	if err != nil {
		t.Fatal(err)
	}
	r.wait(func(r *runner) {
		r.shard.Install(r.now(), v)
		r.working = true // nobody else works
		r.askers.Add(1)
		defer r.askers.Add(-1)
		pieces := 0
		for r.workPiece(r.now()) {
			pieces++
		}
		// A piece is for 16 names, or for 16 times as many that the view does not concern.
		most := names / len(r.space.runners) / workNames
		if least := most / 16 / 2; pieces < least || r.shard.Working() || r.working {
			t.Errorf("%d pieces, want %d at least", pieces, least)
		}
	})
}

// What a recovery brings to a node goes in company, in frames that are not long.
func TestRegsInCompany(t *testing.T) {
	w := newWorld(t, 1, 2)
	w.open(1)
	r := w.open(2).runners[0]
	slot := r.node.peers.slot(1)
	m := wire.Msg{Type: wire.Reg, Name: []byte("a name that nobody has"), Life: wire.Life{Instance: 1, Counter: 1}}
	r.wait(func(r *runner) {
		r.flushAll()
		r.Send(1, &m)
		r.flush()
		if f := r.slot(slot); f.count != 1 || !r.lazy {
			t.Errorf("%d REG in the frame, want 1", f.count)
		}
		longest := 0
		for range 2000 {
			r.Send(1, &m)
			longest = max(longest, len(r.slot(slot).buf))
		}
		if longest > bulkTarget+100 || longest < bulkTarget/2 {
			t.Errorf("frames of %d bytes, want some %d", longest, bulkTarget)
		}
		r.Send(1, &wire.Msg{Type: wire.Sent, Num: uint32(r.number) | 1<<16, Seq: 1})
		r.flush()
		if f := r.slot(slot); f.count != 0 {
			t.Errorf("%d messages stay behind SENT", f.count)
		}
	})
}

// Who wants to know hears that a node recovers, and that it does not any more.
func TestRecovers(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	one := w.open(1)
	heard := make(chan bool, 10)
	w.nodes[1].cfg.Recovers = func(on bool) { heard <- on }
	for i := range 100 {
		hold(t, one, fmt.Sprint("name ", i), lockspace.EX, lockspace.NewName)
	}
	w.crash(3)
	w.view()
	await(t, func() bool { return !w.recovering() })
	// One that is over before that is told is not told; shards may recover one after the other.
	await(t, func() bool { return len(heard)%2 == 0 && w.nodes[1].recovering.Load() == 0 })
	for on := true; len(heard) > 0; on = !on {
		if got := <-heard; got != on {
			t.Errorf("heard %v, want %v", got, on)
		}
	}
}
