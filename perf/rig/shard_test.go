package rig

import (
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/perf/load"
)

// TestShardAllocs: the state machine takes no memory for a pair, new names included, once
// it has what it needs.
func TestShardAllocs(t *testing.T) {
	s, err := open(t.Context(), &Order{System: Shard, Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"one", "two", "three"}
	turn := func() {
		if err := s.Lanes[0].Acquire(t.Context(), names); err != nil {
			t.Fatal(err)
		}
		if err := s.Lanes[0].Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%v allocations for %d pairs", n, len(names))
	}
	r, err := load.Run(t.Context(), s.Service, load.Shape{Duration: 10 * time.Millisecond}, nil)
	if err != nil || r.Pairs == 0 {
		t.Error(r, err)
	}
	t.Logf("%d allocations for %d pairs", r.Allocs, r.Pairs)
}
