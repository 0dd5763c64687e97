package lockspace

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// The simulation: random programs on a few nodes over a network that delays
// and reorders, with the invariants of the design checked after each step.
// All of it follows from a seed; replay one with -run 'TestSim.*' -seed N.

var seedFlag = flag.Uint64("seed", 0, "run the simulation with this seed only, and log its steps")

const (
	simSeeds    = 200
	simSteps    = 4000
	simMaxLocks = 10 // of one node
)

// sim is one run.
type sim struct {
	c        *cluster
	t        testing.TB
	rng      *rand.Rand
	reuse    bool // New is also used for names that exist
	verbose  bool
	resting  bool
	slow     map[*link]int // turns that a lane still lets pass
	children int
	names    map[string]*model
	order    []string   // keys of names, as they came up
	known    [][]string // by node: names that its programs have heard of
	live     []*tlock
	stats    *simStats
	keys     []string // of ranges; nil: the lockspace has none
	calls    []*rangeCall
	failed   string
	crashes  bool            // nodes die, come back, and views change
	views    map[int][]*View // by node: decided, not installed
}

// simStats shows that the runs do what they are meant to.
type simStats struct {
	claims, adopted, lost, resent, held, validReads, overlaps, completions, deadlocks, demoted, views uint64
	delegated, refused, relayed, returned                                                             uint64
}

// model is what must be true of a name.
type model struct {
	name      string
	locks     []*tlock
	children  []string // published below this name
	writes    []writeRec
	token     uint64
	overlap   int64  // time of the last overlap with a provisional holder
	conflicts int    // reported so far
	tainted   string // why values and tokens of this name may be wrong
}

// writeRec is a write of the value: number i of a name writes value(i+1).
type writeRec struct {
	mode    Mode // held by the writer
	invalid bool
	claimed bool // under a claim that may be wrong: it need not last
}

func (s *sim) fail(format string, args ...any) {
	if s.failed == "" {
		s.failed = fmt.Sprintf(format, args...)
	}
}

func (s *sim) logf(format string, args ...any) {
	if s.verbose {
		s.t.Logf("%d: %s", s.c.now, fmt.Sprintf(format, args...))
	}
}

func newSim(t testing.TB, seed uint64, reuse bool, without Rules, stats *simStats) *sim {
	t.Helper()
	return newSimOf(t, seed, reuse, 0, without, stats)
}

// newSimOf is newSim with range keys, if rule is one.
func newSimOf(t testing.TB, seed uint64, reuse bool, rule RangeRule, without Rules, stats *simStats) *sim {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := newRangeCluster(t, 3+rng.IntN(3), 1+rng.IntN(2), rule, without)
	c.abort = func(why string) { panic(simFailure(why)) }
	s := &sim{
		c: c, t: t, rng: rng, reuse: reuse, names: map[string]*model{}, stats: stats,
		known: make([][]string, len(c.nodes)), slow: map[*link]int{}, verbose: *seedFlag != 0,
	}
	for i := range 3 {
		name := fmt.Sprintf("p%d", i)
		if rule != 0 {
			key := fmt.Sprintf("k%d/", i)
			s.keys, name = append(s.keys, key), key+name
		}
		s.model(name)
		for k := range s.known {
			s.known[k] = append(s.known[k], name)
		}
	}
	c.seen = s.completed
	return s
}

func (s *sim) model(name string) *model {
	m := s.names[name]
	if m == nil {
		m = &model{name: name}
		s.names[name] = m
		s.order = append(s.order, name)
	}
	return m
}

// simFailure ends a run from inside a Host's method.
type simFailure string

// run does steps and winds everything down. It gives what went wrong, or "".
func (s *sim) run(steps int) (failed string) {
	defer func() {
		if p := recover(); p != nil {
			why, ok := p.(simFailure)
			if !ok {
				panic(p)
			}
			failed = string(why)
		}
	}()
	for i := 0; i < steps && s.failed == ""; i++ {
		if s.crashes && s.rng.IntN(40) == 0 {
			s.membership()
			continue
		}
		switch p := s.rng.IntN(1000); {
		case p < 600:
			s.deliver()
		case p < 615:
			s.pass(int64(s.rng.IntN(20e6)))
		case p < 618:
			s.pass(testIdle + 1)
		case p < 620:
			s.rest()
		case p < 630 && s.keys != nil:
			s.rangeOp()
		default:
			s.program(s.rng.IntN(len(s.c.nodes)))
		}
	}
	if s.failed == "" {
		s.windDown()
	}
	return s.failed
}

// deliver hands over one message of a random lane. Some lanes are slow for a
// while: what overtakes a message may be a long story.
func (s *sim) deliver() {
	if len(s.c.busy) == 0 {
		return
	}
	l := s.c.busy[s.rng.IntN(len(s.c.busy))]
	if !s.c.ready(l) {
		return
	}
	if s.slow[l] > 0 && !s.resting {
		s.slow[l]--
		return
	}
	if s.rng.IntN(6) == 0 {
		s.slow[l] = s.rng.IntN(300)
	}
	s.logf("deliver %v %q from %d to %d", l.packets[0].typ, l.name, l.from, l.to)
	s.watchLate(s.c.node(int(l.to)), func() { s.c.deliver(l) })
	s.check(s.model(l.name))
	s.checkOutbox()
}

// watchLate excuses claims that are confirmed in a step after IdleAfter: the
// old master may have gone meanwhile, and not even the directory could know.
func (s *sim) watchLate(n *node, step func()) {
	var late []*resource
	for _, sh := range n.shards {
		for c := sh.claims.head; c != nil; c = c.next {
			if c.res.state == claimed && n.now()-c.start > testIdle {
				late = append(late, c.res)
			}
		}
	}
	step()
	for _, r := range late {
		if r.state == master {
			m := s.model(string(r.name()))
			m.overlap, m.tainted = 0, "late"
		}
	}
}

func (s *sim) pass(ns int64) {
	s.c.now += ns
	n := s.c.nodes[s.rng.IntN(len(s.c.nodes))]
	if n.out() {
		return
	}
	s.logf("tick node %d", n.id)
	s.watchLate(n, n.tick)
}

// checkOutbox: the answers to claims never wait (finding 6).
func (s *sim) checkOutbox() {
	for _, n := range s.c.nodes {
		for _, sh := range n.shards {
			for h := sh.outbox.head; h != nil; h = h.next {
				for i := range h.msgs {
					switch m := &h.msgs[i]; m.Type {
					case wire.Adopt:
						if m.Since != 0 {
							s.fail("node %d holds an ADOPT of %q back", n.id, m.Name)
						}
					case wire.Confirm, wire.Reject, wire.Adopted, wire.Conflict, wire.Notify:
						s.fail("node %d holds %v about %q back", n.id, m.Type, m.Name)
					}
				}
			}
		}
	}
}

// effective is the mode that l surely holds.
func (l *tlock) effective() Mode {
	if l.gone || l.mode == NoMode {
		return NoMode
	}
	switch {
	case l.wanted == NoMode:
	case l.flags&ConvDeadlk != 0:
		return NL // the master may have demoted it
	case middle(l.mode, l.wanted), l.flags&alternates != 0 && l.mode > CR:
		return CR // the master may have granted it: it excludes less than CW and PR both
	}
	return l.mode
}

// check is invariant 1: what is granted is compatible, provisional grants
// included where every claim was right.
func (s *sim) check(m *model) {
	for _, n := range s.c.nodes {
		for _, name := range n.conflicts {
			cm := s.model(name)
			cm.conflicts++
			cm.overlap = 0
			cm.tainted = "conflict"
			s.logf("node %d: conflict about %q", n.id, name)
			if !s.reuse {
				s.fail("conflict about %q, and no name was used wrongly", name)
			}
		}
		n.conflicts = n.conflicts[:0]
	}
	keep := m.locks[:0]
	for _, l := range m.locks {
		if !l.gone {
			keep = append(keep, l)
		}
	}
	m.locks = keep
	for i, a := range m.locks {
		for _, b := range m.locks[:i] {
			if Compatible(a.effective(), b.effective()) {
				continue
			}
			if s.reuse && (a.open || b.open) {
				if m.overlap == 0 {
					s.stats.overlaps++
				}
				s.logf("overlap %q: node %d %v (id %#x, open %v), node %d %v (id %#x, open %v)",
					m.name, a.n.id, a.mode, a.id, a.open, b.n.id, b.mode, b.id, b.open)
				m.overlap = s.c.now
				m.tainted = "overlap"
				continue
			}
			s.fail("%q: node %d holds %v (id %#x) and node %d holds %v (id %#x)",
				m.name, a.n.id, a.mode, a.id, b.n.id, b.mode, b.id)
		}
	}
}

// completed sees each completion before the lock takes it over.
func (s *sim) completed(l *tlock, c *Completion) {
	m := s.model(l.name)
	s.stats.completions++
	s.logf("node %d %q %#x: %v, %v to %v, token %#x, bits %#x", l.n.id, l.name, l.id, c.Status, l.from, c.Mode, c.Token, c.Bits)
	if c.Bits&wire.BitDemoted != 0 {
		s.stats.demoted++
	}
	switch c.Status {
	case wire.OK:
	case wire.Deadlock:
		s.stats.deadlocks++
		return
	default:
		return
	}
	if l.from != NoMode && valueOpOf(l.from, c.Mode) == valueWrite && l.flags&(ValBlk|IvValBlk) != 0 {
		m.writes = append(m.writes, l.write)
	}
	s.checkValue(m, l, c)
	switch {
	case m.tainted != "" || c.Bits&wire.BitOpenClaim != 0 && s.reuse:
	case exclusive(c.Mode) && (l.from == NoMode || l.from < c.Mode):
		if c.Token <= m.token {
			s.fail("%q: token %#x after %#x", m.name, c.Token, m.token)
		}
		m.token = c.Token
	case !Compatible(c.Mode, PW) && !exclusive(c.Mode) && c.Token < m.token:
		s.fail("%q: token %#x of a %v below %#x", m.name, c.Token, c.Mode, m.token)
	}
}

// checkValue is invariant 4. A reader may miss only writes of holders that
// its mode does not exclude.
func (s *sim) checkValue(m *model, l *tlock, c *Completion) {
	if c.Bits&wire.BitValue == 0 {
		if c.Value != nil {
			s.fail("%q: a value without its bit", m.name)
		}
		return
	}
	if l.flags&ValBlk == 0 || len(c.Value) != testValueLen {
		s.fail("%q: value of %d bytes, flags %#x", m.name, len(c.Value), l.flags)
		return
	}
	if m.tainted != "" || s.reuse && c.Bits&wire.BitOpenClaim != 0 {
		return
	}
	i := binary.LittleEndian.Uint64(c.Value)
	if i == 0 || i > uint64(len(m.writes)) || m.writes[i-1].invalid {
		s.fail("%q: value %d was never written, %d were", m.name, i, len(m.writes))
		return
	}
	s.stats.validReads++
	for k, w := range m.writes[i:] {
		if !w.claimed && !Compatible(c.Mode, w.mode) {
			s.fail("%q: read %d in %v, but a holder of %v has written %d", m.name, i, c.Mode, w.mode, int(i)+k+1)
		}
	}
}

func runSim(t *testing.T, reuse bool, without Rules, seeds, steps int) (stats simStats) {
	t.Helper()
	first, last := uint64(1), uint64(seeds)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	for seed := first; seed <= last; seed++ {
		if failed := newSim(t, seed, reuse, without, &stats).run(steps); failed != "" {
			t.Fatalf("seed %d: %s", seed, failed)
		}
	}
	return stats
}

func TestSimFresh(t *testing.T) {
	st := runSim(t, false, 0, simSeeds, simSteps)
	t.Logf("%+v", st)
	if *seedFlag == 0 && (st.claims == 0 || st.held == 0 || st.validReads == 0 || st.deadlocks == 0 || st.demoted == 0 || st.resent == 0) {
		t.Errorf("something never happened: %+v", st)
	}
	if st.lost != 0 || st.adopted != 0 {
		t.Errorf("claims were rejected, and no name was used wrongly: %+v", st)
	}
}

func TestSimReuse(t *testing.T) {
	st := runSim(t, true, 0, simSeeds, simSteps)
	t.Logf("%+v", st)
	if *seedFlag == 0 && (st.adopted == 0 || st.lost == 0 || st.overlaps == 0) {
		t.Errorf("something never happened: %+v", st)
	}
}

// TestSimNeedsRules shows that the simulation can fail: it finds the rules that
// random programs run into. All rules have a script in gate_test.go or
// finding_test.go.
func TestSimNeedsRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		rule  Rules
		reuse bool
	}{
		{"fence", NoFence, false},
		{"unlock", NoGateUnlock, false},
		{"order", NoOrder, false},
		{"unique life", NoUniqueLife, false},
		{"idle test", NoIdleTest, true},
		{"not yet", NoNotYet, true},
		{"answers", GateAnswers, true},
		{"close at reject", CloseAtReject, true},
		{"forget unlock", ForgetUnlock, true},
		{"lock ids", NoLockIDs, true},
		{"fresh not master", FreshNotMaster, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stats simStats
			for seed := uint64(1); seed <= simSeeds; seed++ {
				if failed := newSim(t, seed, c.reuse, c.rule, &stats).run(simSteps); failed != "" {
					t.Logf("seed %d: %s", seed, failed)
					return
				}
			}
			t.Error("no seed has shown what the rule is for")
		})
	}
}
