package cluster

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var (
	simSeed  = flag.Uint64("seed", 0, "run this seed of the simulation alone, with its trace")
	simSeeds = flag.Int("seeds", 0, "number of seeds of each profile")
)

func faults() profile {
	return profile{
		stores: 5, plain: 2, want: 3, length: 30_000 * ms, faultEvery: 400 * ms, drift: 50_000,
		terms: quickTerms(), spaces: 2,
	}
}

// simulate runs a seed; it gives the failure, "" if there is none.
func simulate(seed uint64, p profile) *world {
	w := newWorld(seed, p)
	w.run(p.length)
	if w.failure == "" {
		w.settle()
	}
	return w
}

func (w *world) report(seed uint64) string {
	for _, m := range w.machines {
		if m.server != nil {
			st := m.server.rn.Status()
			w.tracef("machine %d: store %x, %v term %d lead %x commit %d applied %d, conf %v, %d voters wanted: %+v",
				m.id, m.disk.store, st.RaftState, st.GetTerm(), st.Lead, st.GetCommit(), m.server.applied, m.server.conf, len(m.server.state.Voters), m.server.state.Voters)
		}
	}
	tail := w.trace[max(0, len(w.trace)-60):]
	return fmt.Sprintf("%s\n%s\nagain: go test ./cluster -run 'TestSim$' -seed %d", w.failure, strings.Join(tail, "\n"), seed)
}

func TestSim(t *testing.T) {
	for name, p := range simProfiles() {
		t.Run(name, func(t *testing.T) {
			first, n := uint64(1), *simSeeds
			switch {
			case *simSeed != 0:
				first, n = *simSeed, 1
			case n == 0 && testing.Short():
				n = 5
			case n == 0:
				n = 15
			}
			var total stats
			for seed := first; seed < first+uint64(n); seed++ {
				w := simulate(seed, p)
				if w.failure != "" {
					t.Fatalf("seed %d: %s", seed, w.report(seed))
				}
				total.add(&w.stats)
			}
			t.Logf("seeds %d to %d: %+v", first, first+uint64(n)-1, total)
		})
	}
}
func simProfiles() map[string]profile {
	five := faults()
	five.want = 5
	fenced := faults()
	fenced.fences = true
	quiet := faults()
	quiet.faultEvery, quiet.length = 0, 5000*ms
	return map[string]profile{"quiet": quiet, "three": faults(), "five": five, "fenced": fenced}
}

func (s *stats) add(o *stats) {
	s.steps += o.steps
	s.messages += o.messages
	s.crashes += o.crashes
	s.wipes += o.wipes
	s.pauses += o.pauses
	s.cuts += o.cuts
	s.expired += o.expired
	s.fenced += o.fenced
	s.joins += o.joins
	s.versions += o.versions
	s.epochs += o.epochs
}

// mutants are deliberate bugs, each of which must be found. seed is one that
// has found it; the search goes on from there.
var mutants = []struct {
	name   string
	off    rules
	forget int
	seed   uint64
}{
	{"the lease counts from the answer", ruleFromSending, 0, 45},
	{"nobody waits for the end of a lease", ruleWait, 0, 1},
	{"drift is ignored", ruleDrift, 0, 3},
	{"a leader that is none any more renews", ruleQuorum, 0, 35},
	{"a new leader forgets its predecessor's leases", ruleElectionWait, 0, 1},
	{"what is appended counts before it is committed", ruleCommitted, 0, 1},
	{"a new start replaces the earlier one at once", ruleInstance, 0, 1},
	{"a command that comes again counts again", ruleOnce, 0, 18},
	{"a member does not look at its lease", ruleSelfFence, 0, 1},
	{"an instance comes back", ruleNoReturn, 0, 7},
	{"a store forgets its last vote", 0, 1, 58},
}

func TestSimMutants(t *testing.T) {
	for _, mu := range mutants {
		t.Run(mu.name, func(t *testing.T) {
			p := faults()
			p.off, p.forget = mu.off, mu.forget
			for seed := mu.seed; seed < mu.seed+200; seed++ {
				if w := simulate(seed, p); w.failure != "" {
					t.Logf("found by seed %d: %s", seed, w.failure)
					return
				}
			}
			t.Errorf("not found from seed %d on", mu.seed)
		})
	}
}
