package lockify

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOperations compares operations with a map, and looks whether a number comes twice.
func TestOperations(t *testing.T) {
	var o operations
	r := rand.New(rand.NewPCG(1, 2))
	var live []uint64
	want := map[uint64]*Lock{}
	given := map[uint64]bool{0: true}
	for range 10_000 {
		if len(live) == 0 || r.IntN(20) > 9 {
			l := &Lock{}
			req := o.add(running{lock: l})
			if given[req] {
				t.Fatalf("%#x has been given twice", req)
			}
			given[req] = true
			want[req], live = l, append(live, req)
		} else {
			i := r.IntN(len(live))
			req := live[i]
			live = slices.Delete(live, i, i+1)
			if got, ok := o.take(req); !ok || got.lock != want[req] {
				t.Fatalf("%#x: %v, %v", req, got, ok)
			}
			if _, ok := o.take(req); ok {
				t.Fatalf("%#x has been taken twice", req)
			}
		}
		if o.n != len(live) {
			t.Fatalf("%d of %d", o.n, len(live))
		}
	}
	for _, req := range []uint64{0, 1, 1 << placeBits, 1<<64 - 1} {
		if _, ok := o.take(req); ok {
			t.Errorf("%#x was never given", req)
		}
	}
	for i, got := range o.takeAll() {
		if got.lock != want[live[i]] {
			t.Fatalf("operation %d of %d is not in its place", i, len(live))
		}
	}
	if o.n != 0 {
		t.Errorf("%d are left of all", o.n)
	}
}
