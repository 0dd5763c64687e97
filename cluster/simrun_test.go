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
				n = 10
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
	two := faults()
	two.stores, two.plain, two.want, two.faultEvery = 2, 0, 2, 200*ms
	fenced := faults()
	fenced.fences = true
	barred := faults()
	barred.bars = true
	both := fenced
	both.bars = true
	quiet := faults()
	quiet.faultEvery, quiet.length = 0, 5000*ms
	return map[string]profile{"quiet": quiet, "three": faults(), "five": five, "two": two, "fenced": fenced, "barred": barred, "fenced and barred": both}
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
	s.barred += o.barred
	s.joins += o.joins
	s.versions += o.versions
	s.epochs += o.epochs
}

// TestSimOutside: clocks that drift more than agreed break leases, and the
// simulation sees it.
func TestSimOutside(t *testing.T) {
	p := faults()
	p.drift = 3 * int64(p.terms.DriftPPM)
	for seed := uint64(1); seed < 50; seed++ {
		if w := simulate(seed, p); w.failure != "" {
			t.Logf("found by seed %d: %s", seed, w.failure)
			return
		}
	}
	t.Error("not found in 50 seeds")
}

// mutants are deliberate bugs, each of which must be found. seed is one that
// has found it; the search goes on from there.
var mutants = []struct {
	name   string
	off    Rules
	forget int
	seed   uint64
}{
	{"the lease counts from the answer", RuleFromSending, 0, 51},
	{"nobody waits for the end of a lease", RuleWait, 0, 1},
	{"drift is ignored", RuleDrift, 0, 3},
	{"a leader that is none any more renews", RuleQuorum, 0, 115},
	{"a new leader forgets its predecessor's leases", RuleElectionWait, 0, 1},
	{"what is appended counts before it is committed", RuleCommitted, 0, 1},
	{"a new start replaces the earlier one at once", RuleInstance, 0, 1},
	{"a command that comes again counts again", RuleOnce, 0, 95},
	{"a member does not look at its lease", RuleSelfFence, 0, 1},
	{"an instance comes back", RuleNoReturn, 0, 71},
	{"a leader takes its own vote away", RuleOthersVote, 0, 187},
	{"a crash lets a voter forget who the voters are", RuleVotersKept, 0, 1},
	{"a lease is enough where there are disks", RuleBar, 0, 1},
	{"a store forgets what it has voted", 0, 1, 33},
}

func TestSimMutants(t *testing.T) {
	for _, mu := range mutants {
		t.Run(mu.name, func(t *testing.T) {
			p := faults()
			p.off, p.forget = mu.off, mu.forget
			p.bars = mu.off == RuleBar
			if mu.off == RuleOthersVote { // with two voters it is not rare
				p.stores, p.plain, p.want, p.faultEvery = 2, 0, 2, 200*ms
			}
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

// large has a thousand members, most of which have no store.
func large() profile {
	return profile{
		stores: 5, plain: 995, want: 5, length: 5_000 * ms, drift: 1000,
		terms: Terms{Lease: 4000 * ms, DriftPPM: 1000, Margin: 2 * ms}, spaces: 1, openers: 5,
	}
}

// TestThousandMembers: a thousand nodes join, and some open a lockspace; three die, of
// which one leads; the others have one view without them.
func TestThousandMembers(t *testing.T) {
	p := large()
	if testing.Short() {
		p.plain = 123
	}
	n := p.stores + p.plain
	w := newWorld(1, p)
	w.calm = true
	w.settle()
	if w.failure != "" {
		t.Fatal(w.report(1))
	}
	joined, sent := w.now, w.stats.messages
	leader := w.leader(nil)
	dead := []*machine{leader, w.machines[p.plain/10*5], w.machines[n-1]}
	for _, m := range dead {
		m.crash(false)
	}
	w.run(w.now + 3*p.terms.Lease)
	if w.failure != "" {
		t.Fatal(w.report(1))
	}
	sp, open := w.check.last.Space("space0"), 0
	for _, m := range w.machines {
		if m.up && int(m.id)%p.openers == 0 {
			open++
		}
	}
	if len(w.check.last.Nodes) != n-3 || len(sp.Joined) != open {
		t.Fatalf("%d members, %d in the lockspace, want %d and %d", len(w.check.last.Nodes), len(sp.Joined), n-3, open)
	}
	for _, m := range w.machines {
		if m.up && int(m.id)%p.openers == 0 && m.lives[len(m.lives)-1].epochs["space0"] != sp.Epoch {
			t.Fatalf("machine %d has view %d of %d", m.id, m.lives[len(m.lives)-1].epochs["space0"], sp.Epoch)
		}
	}
	t.Logf("%d members: all in after %d ms, %d messages; %d messages in the 12 s behind", n, joined/ms, sent, w.stats.messages-sent)
}
