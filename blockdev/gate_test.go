package blockdev_test

import (
	"context"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
)

// door is a gate that tests open and close.
type door struct {
	readOnly, shut bool
	in, asked      int
}

func (d *door) Enter() { d.in++ }
func (d *door) Leave() { d.in-- }
func (d *door) Admit(op blockdev.Op) blockdev.Status {
	d.asked++
	if d.shut || d.readOnly && op.Writes() {
		return blockdev.StatusGuarded
	}
	return blockdev.OK
}

func gated(t *testing.T, rules ...blockdev.Rule) (*blockdev.Fault, *blockdev.Ring) {
	t.Helper()
	m, err := blockdev.NewMemory(1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	f, err := blockdev.NewFault(t.Context(), m, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	f.Set(rules...)
	r, err := f.NewRing(t.Context(), blockdev.RingConfig{Depth: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); f.Close() })
	return f, r
}

// ends gives the statuses of n ends, by user data.
func ends(t *testing.T, r *blockdev.Ring, n int) map[uint64]blockdev.Status {
	t.Helper()
	if err := r.Wait(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	got := map[uint64]blockdev.Status{}
	for c, ok := r.Peek(); ok; c, ok = r.Peek() {
		got[c.UserData] = c.Status
	}
	if len(got) != n {
		t.Fatalf("%d ends, not %d: %v", len(got), n, got)
	}
	return got
}

func put(r *blockdev.Ring, g blockdev.Gate, id uint64, op blockdev.Op, flags blockdev.Flags) {
	s := r.GetSQE()
	s.Op, s.Flags, s.Buf, s.UserData, s.Gate = op, flags, make([]byte, 512), id, g
}

// TestGate: what a gate does not let through ends without having been started, and so do
// those linked to it; the gate is asked once for a batch and sort.
func TestGate(t *testing.T) {
	_, r := gated(t)
	d := &door{readOnly: true}
	for id := range uint64(4) {
		put(r, d, id, blockdev.Read, 0)
	}
	put(r, d, 4, blockdev.Write, blockdev.Link)
	put(r, d, 5, blockdev.Read, 0)
	put(r, nil, 6, blockdev.Write, 0)
	r.Submit()
	if d.in == 0 {
		t.Fatal("the gate was not told")
	}
	got := ends(t, r, 7)
	for id, want := range []blockdev.Status{0, 0, 0, 0, blockdev.StatusGuarded, blockdev.StatusLinkBroken, 0} {
		if got[uint64(id)] != want {
			t.Errorf("request %d: %v, not %v", id, got[uint64(id)], want)
		}
	}
	if d.in != 0 || d.asked > 3 {
		t.Errorf("%d are inside, asked %d times", d.in, d.asked)
	}
}

// TestGateCloses: the gate is asked when a request starts, not only when it is submitted;
// what is in flight when it closes is taken back, also if the owner waits.
func TestGateCloses(t *testing.T) {
	f, r := gated(t, blockdev.Rule{Ops: []blockdev.Op{blockdev.Read}, Times: 1, Hold: true})
	d := &door{}
	put(r, d, 1, blockdev.Read, blockdev.Link)
	put(r, d, 2, blockdev.Write, 0)
	put(r, d, 3, blockdev.Write, blockdev.Drain)
	r.Submit()
	d.shut = true
	f.Release()
	got := ends(t, r, 3)
	if got[1] != blockdev.OK || got[2] != blockdev.StatusGuarded || got[3] != blockdev.StatusGuarded {
		t.Fatal(got)
	}

	d.shut = false
	f.Set(blockdev.Rule{Hold: true})
	put(r, d, 1, blockdev.Write, 0)
	put(r, nil, 2, blockdev.Write, 0)
	put(r, d, 3, blockdev.Write, blockdev.Drain)
	r.Submit()
	d.shut = true
	go r.Recheck()
	got = ends(t, r, 2)
	if got[1] != blockdev.StatusCanceled || got[3] != blockdev.StatusGuarded {
		t.Fatal(got)
	}
	f.Release()
	if got = ends(t, r, 1); got[2] != blockdev.OK || d.in != 0 {
		t.Fatal(got, d.in)
	}
}

// TestGateAllocs: a gate costs no memory.
func TestGateAllocs(t *testing.T) {
	m, err := blockdev.NewMemory(1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.NewRing(t.Context(), blockdev.RingConfig{Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d, buf, ctx := &door{}, make([]byte, 512), context.Background()
	if n := testing.AllocsPerRun(100, func() {
		s := r.GetSQE()
		s.PrepWrite(0, buf)
		s.Gate = d
		r.Submit()
		if r.Wait(ctx, 1) != nil {
			t.Error("Wait")
		}
		r.Peek()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
