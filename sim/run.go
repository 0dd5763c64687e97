package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Config fixes a run.
type Config struct {
	Seed    uint64
	Profile string
	Steps   int    // before everything is wound down
	Mutant  string // a deliberate bug to run with; "": none
	Trace   bool   // keep a line for each event

	script []action     // in place of random programs
	until  int64        // script: when everything is wound down, in place of Steps
	spare  map[int]bool // faults that do not happen, by number
}

// Result is the outcome of a run.
type Result struct {
	Steps   int    // also those while everything was wound down
	Hash    uint64 // of all events
	Failure *Failure
	Stats   Stats
	Evals   [invariants]uint64
}

// Stats shows that runs do what they are meant to.
type Stats struct {
	Completions   uint64 `json:"completions"`
	ValidReads    uint64 `json:"valid_reads"` // of lock value blocks
	Deadlocks     uint64 `json:"deadlocks"`
	Demoted       uint64 `json:"demoted"`
	Claims        uint64 `json:"claims"`
	Adopted       uint64 `json:"claims_adopted"`
	Lost          uint64 `json:"claims_lost"`
	Resent        uint64 `json:"notify_resent"`
	Held          uint64 `json:"held"` // messages that have waited for the fence
	Overlaps      uint64 `json:"overlaps"`
	Conflicts     uint64 `json:"conflicts"`
	Cuts          uint64 `json:"cuts"`
	Pauses        uint64 `json:"pauses"`
	Rests         uint64 `json:"rests"`
	Crashes       uint64 `json:"crashes"`
	Isolated      uint64 `json:"isolated"` // nodes cut off until their lease had run out
	Views         uint64 `json:"views"`
	Delegated     uint64 `json:"delegated"`
	Taken         uint64 `json:"range_taken"`
	ByteGrants    uint64 `json:"byte_grants"` // unlocks and tests too
	ByteDeadlocks uint64 `json:"byte_deadlocks"`
	Joins         uint64 `json:"joins"`  // of instances
	Fenced        uint64 `json:"fenced"` // that have ended while their processes went on
	Leaves        uint64 `json:"leaves"`
	Stops         uint64 `json:"stops"` // of processes
	Splits        uint64 `json:"splits"`
	Wiped         uint64 `json:"wiped"`   // stores
	Ended         uint64 `json:"ended"`   // by fence agents
	Posted        uint64 `json:"posted"`  // names that others learn through byte ranges
	Circles       uint64 `json:"circles"` // deadlocks across names that were reported
	Retired       uint64 `json:"retired"` // names
	Kept          uint64 `json:"kept"`    // retirements that ended otherwise
	Again         uint64 `json:"again"`   // names created again
	TakenOver     uint64 `json:"taken_over"`
	TimedOut      uint64 `json:"timed_out"`
	Phantoms      uint64 `json:"phantoms"` // that were none at the second look
}

func (s *Stats) add(st *lockspace.Stats) {
	s.Claims += st.ClaimsMade
	s.Adopted += st.ClaimsAdopted
	s.Lost += st.ClaimsLost
	s.Resent += st.NotifyResent
	s.Held += st.HeldTotal
	s.Phantoms += st.Phantoms
}

// run is a cluster that runs.
type run struct {
	cfg Config
	p   *Profile
	flaw
	wire         bool // messages are encoded
	dueState     lockspace.ResourceState
	shards       int
	valueLen     int
	driftAllowed int64
	rule         lockspace.RangeRule
	calls        []*rangeCall
	byteCalls    []*byteCall
	retires      []*retireCall
	unlocking    *lock // its program is just doing that, or leaving it

	now    int64
	seq    uint64
	net    heap // arrivals
	timers heap
	nodes  []*node
	pairs  []pair
	view   *lockspace.View
	prog   *rand.Rand // what programs do
	env    *rand.Rand // the cluster, and when something happens to nodes and links
	fate   *rand.Rand // what happens: of each fault its own, so that others can be left out
	faults int        // so far

	names     map[string]*name
	order     []*name // in the order in which they came up
	touched   []*name
	locks     []*lock // by number
	created   int
	weights   []int // by operation
	checks    []checker
	queues    order
	excl      *exclusion
	circles   *deadlocks
	late      bool // a claim that is confirmed now is so old that this proves little
	closedWas uint64
	council   *council // nil: the simulator decides on views
	ending    bool
	pausedTo  int64
	endsAt    int64 // when everything began to be wound down, or the run failed

	steps     int
	hash      uint64
	failed    *Failure
	stats     Stats
	evals     [invariants]uint64
	lines     []line
	recording bool
	recorded  []action
	msg       wire.Msg
	free      [][]byte
	scratch   []byte
}

// maxDeliveries bounds what a cluster may send without anybody asking.
const maxDeliveries = 200_000

// Run executes one run.
func Run(cfg Config) (*Result, error) {
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	r.all()
	return r.result(), nil
}

func (r *run) result() *Result {
	return &Result{Steps: r.steps, Hash: r.hash, Failure: r.failed, Stats: r.stats, Evals: r.evals}
}

func newRun(cfg Config) (*run, error) {
	r := &run{cfg: cfg, p: profileOf(cfg.Profile), names: map[string]*name{}, now: 1e9}
	if r.p == nil {
		return nil, fmt.Errorf("sim: no profile %q", cfg.Profile)
	}
	if cfg.Mutant != "" {
		m := mutantOf(cfg.Mutant)
		if m == nil {
			return nil, fmt.Errorf("sim: no mutant %q", cfg.Mutant)
		}
		r.flaw = m.flaw
	}
	if r.p.Ranges {
		r.rule = lockspace.RangeFirst('/')
	}
	r.env = rand.New(rand.NewPCG(cfg.Seed, 1))
	r.prog = rand.New(rand.NewPCG(cfg.Seed, 2))
	r.fate = rand.New(rand.NewPCG(cfg.Seed, 0))
	r.wire = r.env.IntN(2) == 0
	r.shards = 1 + r.env.IntN(r.p.MaxShards)
	r.valueLen = []int{8, 32, 64, 256, 8, 8, 16, 0}[r.env.IntN(8)]
	r.weights = make([]int, len(ops))
	for i := range ops {
		r.weights[i] = ops[i].weight
		if w, ok := r.p.Weights[ops[i].name]; ok {
			r.weights[i] = w
		}
	}
	r.driftAllowed = 2 * r.p.Drift * (claimAge / 1_000_000) // two clocks, that many parts per million each
	if err := r.makeNodes(); err != nil {
		return nil, err
	}
	r.checks = newCheckers(r)
	r.excl = r.checks[0].(*exclusion)
	r.queues.r = r
	if r.p.Council != nil {
		r.council = newCouncil(r)
	}
	r.startTimers()
	return r, nil
}

func (r *run) makeNodes() error {
	count := r.p.MinNodes + r.env.IntN(r.p.MaxNodes-r.p.MinNodes+1)
	var members []lockspace.Member
	for i := range count {
		n := &node{id: uint16(i + 1), instance: 7<<16 | uint64(i+1)}
		n.r, n.limit = r, 1000
		n.offset = r.env.Int64N(1e12)
		if r.p.Drift > 0 {
			n.drift = r.env.Int64N(2*r.p.Drift+1) - r.p.Drift
		}
		if r.bug == bugDrift {
			n.drift = []int64{-300_000, 300_000}[i%2]
		}
		if r.p.Council != nil {
			n.drift = r.councilDrift()
		}
		members = append(members, lockspace.Member{ID: n.id, Instance: n.instance})
		r.nodes = append(r.nodes, n)
	}
	for from := range count + 1 {
		for to := range count + 1 {
			r.pairs = append(r.pairs, pair{from: from, to: to})
		}
	}
	var err error
	if r.view, err = lockspace.NewView(1, members); err != nil {
		return err
	}
	for _, n := range r.nodes {
		if r.p.Council == nil {
			if err := n.start(r.view); err != nil {
				return err
			}
		}
		for i := range r.p.Roots {
			text := fmt.Sprintf("p%d", i)
			if r.p.Ranges {
				text = rangeKey(i%rangeKeys) + text
			}
			nm := r.nameOf(text)
			nm.root = true
			n.learn(nm)
		}
	}
	return nil
}

// all is a whole run.
func (r *run) all() {
	defer func() {
		if p := recover(); p != nil {
			r.fail(inPanic, nil, "panic: %v", p)
		}
	}()
	if r.council != nil {
		r.council.begin()
	}
	for r.failed == nil && r.goesOn() && r.step() {
	}
	r.endsAt = r.now
	if r.failed == nil {
		r.windDown()
	}
}

// goesOn says whether the time to wind everything down has not come yet.
func (r *run) goesOn() bool {
	if r.cfg.script == nil {
		return r.steps < r.cfg.Steps
	}
	next := r.now
	switch {
	case r.busy() && len(r.timers.list) > 0:
		next = min(r.net.list[0].at, r.timers.list[0].at)
	case len(r.timers.list) > 0:
		next = r.timers.list[0].at
	}
	return next <= r.cfg.until
}

// step lets the next thing happen.
func (r *run) step() bool {
	switch {
	case r.busy() && (len(r.timers.list) == 0 || r.net.list[0].before(&r.timers.list[0])):
		r.arrival()
	case len(r.timers.list) > 0:
		e := r.timers.pop()
		r.now = max(r.now, e.at)
		if r.timer(&e) {
			r.stepped()
		}
	default:
		return false
	}
	return true
}

// arrival takes the next message off the network.
func (r *run) arrival() {
	e := r.net.pop()
	r.now = max(r.now, e.at)
	typ := e.lane.packets[0].typ
	if !r.arrive(e.lane) {
		return
	}
	if e.lane.name != nil && !asks(typ) {
		r.touch(e.lane.name)
	}
	r.stepped()
}

// stepped ends a step: what can be checked now is.
func (r *run) stepped() {
	r.steps++
	r.evals[inPanic]++
	for _, nm := range r.touched {
		nm.touched = false
		for _, c := range r.checks {
			c.stepped(nm)
		}
	}
	r.touched = r.touched[:0]
	r.excl.look()
}

// mixIn makes x part of the hash of the run.
func (r *run) mixIn(x uint64) { r.hash = mix(r.hash ^ x ^ uint64(r.now)<<20) }

// before and afterDelivery enclose a delivery, for the oracle.
func (r *run) before(n *node, nm *name) {
	r.queues.begin(n, nm)
	st := &r.queues.before
	r.late = st.Role == "claimed" && n.now()-st.ClaimedAt+r.driftAllowed > r.p.IdleAfter/lockspace.IdleShare
}

// ordinary says that the sender was in the same view, and nothing has to wait
// for the end of a recovery.
func (r *run) afterDelivery(n *node, nm *name, from uint64, m *wire.Msg, ordinary bool) {
	r.queues.message(from, m, ordinary)
	if r.p.Reuse && r.late && r.queues.last == "master" {
		r.excl.late(nm)
	}
}

// completions and basts tell the oracle what a shard has said.
func (r *run) completions(l *lock, c *lockspace.Completion) {
	switch c.Status {
	case wire.Deadlock:
		r.stats.Deadlocks++
		if l.owner != 0 {
			l.n.yield(l.owner)
		}
		if p := c.Cycle; len(p) > 0 && p.At(0).Life.Instance == l.n.instance { // else its master has been asked
			r.circles.reported(p, l.from != lockspace.NoMode)
		}
	case wire.TimedOut:
		r.stats.TimedOut++
		if l.deadline == 0 || l.n.now() < l.deadline {
			r.fail(inStatus, l.name, "lock %d: timed out before its deadline", l.num)
		}
	case wire.Cancelled:
		if !l.withdrawn {
			r.fail(inStatus, l.name, "lock %d: cancelled, and nobody has asked for that", l.num)
		}
	}
	if c.Bits&wire.BitDemoted != 0 {
		r.stats.Demoted++
	}
	if c.Status == wire.OK && l.flags&lockspace.WantBast != 0 {
		l.bast = true
	}
	r.queues.completion(l, c)
}

func (r *run) basts(l *lock, mode lockspace.Mode) { r.queues.bast(l, mode) }

// Add adds what another run did.
func (s *Stats) Add(o *Stats) {
	a, b := s.fields(), o.fields()
	for i := range a {
		*a[i] += *b[i]
	}
}

func (s *Stats) fields() []*uint64 {
	return []*uint64{
		&s.Completions, &s.ValidReads, &s.Deadlocks, &s.Demoted, &s.Claims, &s.Adopted, &s.Lost, &s.Resent, &s.Held,
		&s.Overlaps, &s.Conflicts, &s.Cuts, &s.Pauses, &s.Rests, &s.Crashes, &s.Isolated, &s.Views, &s.Delegated, &s.Taken,
		&s.ByteGrants, &s.ByteDeadlocks, &s.Posted,
		&s.Circles, &s.Phantoms, &s.Retired, &s.Kept, &s.Again, &s.TakenOver, &s.TimedOut,
		&s.Joins, &s.Fenced, &s.Leaves, &s.Stops, &s.Splits, &s.Wiped, &s.Ended,
	}
}
