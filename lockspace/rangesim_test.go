package lockspace

import "testing"

// This file is the simulation with ranges that move about under the programs.

// TestSimRanges is the simulation with ranges that move about under the
// programs: without, and with, wrong use of New.
func TestSimRanges(t *testing.T) {
	first, last := uint64(1), uint64(simSeeds)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	for _, reuse := range []bool{false, true} {
		var st simStats
		for seed := first; seed <= last; seed++ {
			if failed := newSimOf(t, seed, reuse, slash, 0, &st).run(simSteps); failed != "" {
				t.Fatalf("reuse %v, seed %d: %s", reuse, seed, failed)
			}
		}
		t.Logf("reuse %v: %+v", reuse, st)
		if *seedFlag == 0 && (st.delegated == 0 || st.refused == 0 || st.relayed == 0 || st.returned == 0 || st.claims == 0) {
			t.Errorf("something never happened: %+v", st)
		}
		if !reuse && (st.lost != 0 || st.adopted != 0) {
			t.Errorf("claims were rejected, and no name was used wrongly: %+v", st)
		}
	}
}

// TestSimRangesCrash lets nodes crash and join, too, while ranges move about.
func TestSimRangesCrash(t *testing.T) {
	first, last := uint64(1), uint64(simSeeds)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	var st simStats
	for seed := first; seed <= last; seed++ {
		if failed := newCrashRangeSim(t, seed, 0, &st).run(simSteps); failed != "" {
			t.Fatalf("seed %d: %s", seed, failed)
		}
	}
	t.Logf("%+v", st)
	if *seedFlag == 0 && (st.delegated == 0 || st.refused == 0 || st.relayed == 0 || st.returned == 0 || st.views == 0) {
		t.Errorf("something never happened: %+v", st)
	}
}

func newCrashRangeSim(t testing.TB, seed uint64, without Rules, stats *simStats) *sim {
	s := newSimOf(t, seed, false, slash, without, stats)
	s.crashes, s.views = true, map[int][]*View{}
	return s
}

// The simulation finds the rules of delegation that random programs run into.
// All have a script above.
func TestSimNeedsRangeRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		rule  Rules
		crash bool
	}{
		{"relay", NoRelay, false},
		{"entries", NoEntries, false},
		{"older life", OldLife, false},
		{"register again", TrustRanges, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stats simStats
			for seed := uint64(1); seed <= simSeeds; seed++ {
				s := newSimOf(t, seed, false, slash, c.rule, &stats)
				if c.crash {
					s = newCrashRangeSim(t, seed, c.rule, &stats)
				}
				if failed := s.run(simSteps); failed != "" {
					t.Logf("seed %d: %s", seed, failed)
					return
				}
			}
			t.Error("no seed has shown what the rule is for")
		})
	}
}
