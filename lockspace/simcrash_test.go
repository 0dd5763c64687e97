package lockspace

import (
	"testing"
)

// This file lets the nodes of the simulation crash, come back and join at any
// moment, and each node install each view when it likes.

// out says that a node takes no part: it is down, or has not joined yet.
func (n *node) out() bool { return n.down || n.shards[0].Epoch() == 0 }

// membership is one random event.
func (s *sim) membership() {
	up, down := 0, []*node(nil)
	for _, n := range s.c.nodes {
		if n.down {
			down = append(down, n)
		} else {
			up++
		}
	}
	k := s.rng.IntN(len(s.c.nodes))
	n := s.c.nodes[k]
	switch p := s.rng.IntN(20); {
	case p == 0 && up > 2 && !n.down:
		lose := s.rng.IntN(2) == 0
		s.logf("node %d crashes, its messages lost: %v", n.id, lose)
		if s.rng.IntN(3) == 0 { // no, its lease has run out
			for _, sh := range n.shards {
				sh.Fence(n.now())
			}
		}
		n.crash(lose)
		delete(s.views, k)
		s.decide()
	case p == 1 && len(down) > 0:
		n = down[s.rng.IntN(len(down))]
		s.logf("node %d joins", n.id)
		n.restart()
		s.decide()
	case p == 2:
		s.decide() // a view that changes nothing
	default:
		s.installNext(k)
	}
}

// decide makes the next view, of all that are up.
func (s *sim) decide() {
	v := s.c.next()
	s.logf("view %d of %v", v.Epoch, v.Members)
	for k, n := range s.c.nodes {
		if !n.down {
			s.views[k] = append(s.views[k], v)
		}
	}
	s.stats.views++
}

// installNext installs the next view on node k, if it has one to install.
func (s *sim) installNext(k int) bool {
	if len(s.views[k]) == 0 {
		return false
	}
	v := s.views[k][0]
	s.views[k] = s.views[k][1:]
	s.logf("node %d installs view %d", k+1, v.Epoch)
	s.c.nodes[k].install(v)
	for _, name := range s.order {
		s.check(s.names[name])
	}
	s.checkOutbox()
	return true
}

func (s *sim) installAll() {
	for k := range s.c.nodes {
		for s.installNext(k) {
		}
	}
}

func newCrashSim(t testing.TB, seed uint64, reuse bool, without Rules, stats *simStats) *sim {
	s := newSim(t, seed, reuse, without, stats)
	s.crashes, s.views = true, map[int][]*View{}
	return s
}

func runCrashSim(t *testing.T, reuse bool, seeds int) (stats simStats) {
	t.Helper()
	first, last := uint64(1), uint64(seeds)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	for seed := first; seed <= last; seed++ {
		if failed := newCrashSim(t, seed, reuse, 0, &stats).run(simSteps); failed != "" {
			t.Fatalf("seed %d: %s", seed, failed)
		}
	}
	return stats
}

func TestSimCrash(t *testing.T) {
	st := runCrashSim(t, false, simSeeds)
	t.Logf("%+v", st)
	if *seedFlag == 0 && (st.claims == 0 || st.views == 0 || st.validReads == 0) {
		t.Errorf("something never happened: %+v", st)
	}
}

// TestSimCrashNeedsRules shows that the simulation finds the absence of the
// rules of recovery, but for that of reports: TestFinding1e.
func TestSimCrashNeedsRules(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rules
	}{
		{"hold NOTIFY", NoHoldNotify},
		{"hold LOOKUP", NoHoldLookup},
		{"barrier", NoBarrier},
		{"register", NoRegister},
		{"old answers", TakeOldAnswers},
		{"resend", NoResend},
		{"old forwards", TakeOldForwards},
		{"purge", KeepDead},
		{"value of the dead", KeepDeadValue},
		{"old value", TrustOldValue},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stats simStats
			for seed := uint64(1); seed <= 3*simSeeds; seed++ {
				if failed := newCrashSim(t, seed, false, c.rule, &stats).run(simSteps); failed != "" {
					t.Logf("seed %d: %s", seed, failed)
					return
				}
			}
			t.Error("no seed has shown what the rule is for")
		})
	}
}
