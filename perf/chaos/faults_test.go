package chaos

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func planned(seed uint64, rounds int) (out []fault) {
	p := &planner{rng: rand.New(rand.NewPCG(seed, 1)), nodes: 5, lease: time.Second}
	for range rounds {
		out = append(out, p.round()...)
	}
	return out
}

// A seed gives the same faults each time, all kinds of them come, and what they cut is
// what they say.
func TestPlan(t *testing.T) {
	if !reflect.DeepEqual(planned(7, 200), planned(7, 200)) {
		t.Error("a seed gives other faults the second time")
	}
	cuts := map[string]int{cutLink: 2, cutOneWay: 1, isolate: 8, deaf: 4, mute: 4, split: 12}
	seen := map[string]bool{}
	for _, f := range planned(7, 200) {
		seen[f.kind] = true
		if len(f.links) != cuts[f.kind] {
			t.Errorf("%s of %v cuts %v", f.kind, f.nodes, f.links)
		}
		for _, l := range f.links {
			from, to := slices.Contains(f.nodes, l[0]), slices.Contains(f.nodes, l[1])
			switch {
			case !from && !to, f.kind == deaf && !to, f.kind == mute && !from, f.kind == split && from && to:
				t.Errorf("%s of %v cuts %v", f.kind, f.nodes, l)
			}
		}
	}
	for _, w := range weights {
		if !seen[w.kind] {
			t.Errorf("no %s in 200 rounds", w.kind)
		}
	}
}

// A node that loses its disk is given time to be what it was.
func TestPlanWipes(t *testing.T) {
	for seed := range uint64(50) {
		p := &planner{rng: rand.New(rand.NewPCG(seed, 1)), nodes: 5, lease: time.Second}
		last := -wipePause
		for round := range 100 {
			for _, f := range p.round() {
				if f.kind != wipe {
					continue
				}
				if round-last < wipePause {
					t.Fatalf("seed %d: disks are lost in rounds %d and %d", seed, last, round)
				}
				last = round
			}
		}
	}
}

func TestHealth(t *testing.T) {
	h := newHealth(5, 0, []fault{
		{kind: kill, nodes: []int{1}, span: span{10, 20}},
		{kind: cutOneWay, nodes: []int{2, 3}, links: [][2]int{{2, 3}}, span: span{15, 30}},
		{kind: split, nodes: []int{4, 5}, links: (&planner{nodes: 5}).links(split, []int{4, 5}), span: span{40, 50}},
	})
	for n, want := range map[int][]span{
		1: {{0, 10}, {20, 40}, {50, 60}}, 2: {{0, 15}, {30, 40}, {50, 60}}, 4: {{0, 40}, {50, 60}},
	} {
		if got := h.times(n, 60); !reflect.DeepEqual(got, want) {
			t.Errorf("node %d was well %v, want %v", n, got, want)
		}
	}
	for _, tc := range []struct {
		node int
		t    int64
		want bool
	}{{1, 9, true}, {1, 21, false}, {1, 30, true}, {5, 39, true}, {5, 41, false}, {5, 55, false}} {
		if got := h.wellFrom(tc.node, tc.t-9, tc.t); got != tc.want {
			t.Errorf("node %d at %d was well: %v, want %v", tc.node, tc.t, got, tc.want)
		}
	}
	grants := []grant{{2, 4}, {8, 4}, {52, 4}, {45, 4}, {1, 1}}
	if got := h.gap(4, grants, 60); got != 32 {
		t.Errorf("a gap of %d, want 32, from 8 to the split", got)
	}
	for _, tc := range []struct {
		node     int
		from, to int64
		want     bool
	}{{1, 9, 11, true}, {2, 9, 11, false}, {1, 5, 9, false}, {1, 11 + int64(lookEvery), 12 + int64(lookEvery), false}} {
		if got := h.killed(tc.node, tc.from, tc.to); got != tc.want {
			t.Errorf("node %d was killed from %d to %d: %v, want %v", tc.node, tc.from, tc.to, got, tc.want)
		}
	}
}
