package cluster

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
)

// This file is a whole cluster in one process, from a seed: servers and members
// of several machines, a network, clocks that drift, and faults. check_test.go
// says what must be true, simrun_test.go runs it.

const (
	ms      = int64(1e6)
	simTick = 20 * ms
)

// profile is a kind of run.
type profile struct {
	stores, plain int // machines with a store and without
	want          int // voters
	length        int64
	faultEvery    int64 // mean time between faults, 0: none
	drift         int64 // of the clocks, ppm; the agreed bound is terms.DriftPPM
	terms         Terms
	fences        bool // a fence agent confirms
	bars          bool // there is a disk that members are kept from
	spaces        int
	openers       int // 1 in so many machines opens lockspaces; 0: all
	off           Rules
	forget        int // a store forgets what its voter has voted when it crashes, 1 in n; 0: never
}

func quickTerms() Terms { return Terms{Lease: 1000 * ms, DriftPPM: 50_000, Margin: 2 * ms} }

type event struct {
	at  int64
	seq uint64
	do  func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// world is a run.
type world struct {
	p        profile
	rng      *rand.Rand
	now      int64 // real time
	seq      uint64
	events   eventHeap
	machines []*machine
	starts   uint64 // of processes and memberships: makes instances
	calm     bool   // no faults any more
	wiped    uint64 // a store that is lost and still has a vote, 0: none
	check    checks
	stats    stats
	digest   uint64
	trace    []string
	failure  string
}

type stats struct {
	steps, messages, crashes, wipes, pauses, cuts, expired, fenced, barred, joins, versions, epochs int
}

// machine is a computer: it may be down, or stopped for a while.
type machine struct {
	w       *world
	id      uint16
	skew    int64 // of its clock, ppm
	offset  int64
	up      bool
	stopped bool
	waiting []func() // what has come while it was stopped
	life    int      // of the process: what is from an earlier one does not reach it
	disk    *simDisk // nil: none
	server  *Server
	member  *Member
	lives   []*simLease // of all its memberships, also past ones
	leaves  []uint64    // instances that have asked to go
	want    []bool      // lockspaces it wants open
	busy    bool        // a command of its is under way
	cutTo   []bool      // machines that its messages do not reach
}

// simLease is what a membership, and its clients, believe of the lease, though
// the process may have died.
type simLease struct {
	instance uint64
	until    int64 // by the machine's clock
	epochs   map[string]uint64
}

// simDisk is a store that may forget.
type simDisk struct {
	*Memory
	store uint64
	undo  func() // forgets what it has voted, and in which terms, since its process has started
}

func (d *simDisk) Save(hs *pb.HardState, entries []*pb.Entry, snap *pb.Snapshot) error {
	old, _, err := d.InitialState()
	if err != nil {
		return err
	}
	if d.undo == nil && old != nil {
		d.undo = func() {
			hs, _, _ := d.InitialState()
			_ = d.SetHardState(Committed(old, hs.GetCommit()))
		}
	}
	return d.Memory.Save(hs, entries, snap)
}

func newWorld(seed uint64, p profile) *world {
	w := &world{p: p, rng: rand.New(rand.NewPCG(seed, 4)), check: newChecks()}
	n := p.stores + p.plain
	for i := range n {
		m := &machine{w: w, id: uint16(i + 1), cutTo: make([]bool, n), want: make([]bool, p.spaces)}
		if p.drift > 0 {
			m.skew = w.rng.Int64N(2*p.drift+1) - p.drift
			if w.rng.IntN(2) == 0 { // the bound itself shows most
				m.skew = p.drift * int64(1-2*w.rng.IntN(2))
			}
		}
		m.offset = w.rng.Int64N(1000 * ms)
		w.machines = append(w.machines, m)
		if i < p.stores {
			m.disk = &simDisk{Memory: NewMemory(), store: w.number(m.id)}
		}
	}
	first := w.machines[0]
	if err := Found(first.disk, Birth{Cluster: 7, Terms: p.terms, Want: p.want, Store: first.disk.store, Addr: first.addr()}); err != nil {
		panic(err)
	}
	for _, m := range w.machines {
		w.after(w.rng.Int64N(300*ms), func() { m.boot() })
	}
	if p.faultEvery > 0 {
		w.after(2000*ms, w.fault)
	}
	return w
}

// number makes a number of a store or an instance.
func (w *world) number(id uint16) uint64 {
	w.starts++
	return w.starts<<16 | uint64(id)
}

func (w *world) after(d int64, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.now + d, w.seq, do})
}

// run goes on until a time, or the first failure.
func (w *world) run(until int64) {
	for len(w.events) > 0 && w.events[0].at <= until && w.failure == "" {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		w.stats.steps++
		e.do()
	}
	w.now = max(w.now, until)
}

func (w *world) tracef(format string, args ...any) {
	line := fmt.Sprintf("%9.3f ms  ", float64(w.now)/1e6) + fmt.Sprintf(format, args...)
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", w.digest, line)
	w.digest = h.Sum64()
	if w.trace = append(w.trace, line); len(w.trace) > 400 {
		w.trace = w.trace[200:]
	}
}

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
		w.tracef("FAILURE: %s", w.failure)
	}
}

func (m *machine) addr() string { return fmt.Sprintf("m%d", m.id) }

// clock gives the machine's reading of real time t.
func (m *machine) clock() int64 { return m.offset + m.w.now + m.w.now/1_000_000*m.skew }

// boot starts the process.
func (m *machine) boot() {
	if m.up {
		return
	}
	m.up, m.life = true, m.life+1
	m.w.tracef("machine %d boots", m.id)
	if m.disk != nil {
		s, err := NewServer(ServerConfig{
			Store: m.disk.store, Seed: m.w.rng.Uint64(), Tick: simTick, Elections: 5,
			FenceLate: m.fenceLate(), Bars: m.w.p.bars, Without: m.w.p.off, Logf: m.logf(),
			Applied: func(st *State) { m.w.check.state(m, "server", st) },
		}, m.disk)
		if err != nil {
			m.w.fail("machine %d: %v", m.id, err)
			return
		}
		m.server = s
	}
	m.join()
	m.tickLater()
}

func (m *machine) fenceLate() int64 {
	if m.w.p.fences {
		return m.w.p.terms.Lease * 3 / 10
	}
	return 0
}

// join begins a new membership in a running process.
func (m *machine) join() {
	cfg := MemberConfig{
		Instance: m.w.number(m.id), Addr: m.addr(), Cluster: 7, Retry: 100 * ms, Without: m.w.p.off,
		Applied: func(st *State) { m.w.check.state(m, "member", st) },
	}
	if m.disk != nil {
		cfg.Store = m.disk.store
	}
	for _, o := range m.w.machines {
		if o.disk != nil {
			cfg.Contacts = append(cfg.Contacts, Contact{o.id, o.addr()})
		}
	}
	member, err := NewMember(cfg)
	if err != nil {
		panic(err)
	}
	m.member, m.busy = member, false
	m.lives = append(m.lives, &simLease{instance: cfg.Instance, epochs: map[string]uint64{}})
	m.w.stats.joins++
}

// run does something in the process, now or when it goes on.
func (m *machine) run(do func()) {
	life := m.life
	guarded := func() {
		if m.up && m.life == life {
			do()
		}
	}
	if m.stopped {
		m.waiting = append(m.waiting, guarded)
		return
	}
	guarded()
}

// tickLater lets the machine's own clock tick.
func (m *machine) tickLater() {
	life := m.life
	m.w.after(simTick+m.w.rng.Int64N(ms), func() {
		if m.up && m.life == life {
			m.run(m.tick)
			m.tickLater()
		}
	})
}

func (m *machine) tick() {
	if m.server != nil {
		m.fromServer(m.server.Tick(m.clock()))
	}
	m.send(m.member.Tick(m.clock()).Messages)
	m.observe()
	if m.member.phase == Ended {
		if m.w.rng.IntN(10) == 0 {
			m.w.tracef("machine %d joins anew after: %v", m.id, m.member.reason)
			m.join()
		}
		return
	}
	m.program()
}

// program opens and closes lockspaces.
func (m *machine) program() {
	if m.busy || len(m.want) == 0 || m.w.p.openers > 0 && int(m.id)%m.w.p.openers != 0 || m.member.phase != Active || m.w.rng.IntN(15) != 0 {
		return
	}
	k := m.w.rng.IntN(len(m.want))
	c := Command{Kind: Open, Space: fmt.Sprintf("space%d", k), Config: []byte{1}}
	if sp := m.member.state.Space(c.Space); sp != nil && slices.Contains(sp.Joined, m.id) {
		c.Kind = Close
	}
	if m.w.calm && c.Kind == Close {
		return
	}
	if _, out, err := m.member.Ask(m.clock(), c); err == nil {
		m.busy = true
		m.want[k] = c.Kind == Open
		m.send(out.Messages)
	}
}

// fromServer carries out what the server wants.
func (m *machine) fromServer(out Output, err error) {
	if err != nil {
		m.w.fail("machine %d: %v", m.id, err)
		return
	}
	m.send(out.Messages)
	for _, instance := range out.Fence {
		m.w.stats.fenced++
		m.w.after(m.w.rng.Int64N(100*ms), func() { m.w.fence(m, instance) })
	}
	for _, instance := range out.Bar {
		m.w.after(m.w.rng.Int64N(100*ms), func() { m.w.bar(m, instance) })
	}
	m.w.check.server(m)
}

// bar keeps an instance from the disk, which does not always answer.
func (w *world) bar(by *machine, instance uint64) {
	by.run(func() {
		switch {
		case by.server == nil || !by.server.Bars(instance):
		case w.rng.IntN(2) == 0:
			w.after(w.rng.Int64N(300*ms), func() { w.bar(by, instance) })
		default:
			w.tracef("instance %#x is barred", instance)
			w.stats.barred++
			w.check.barred[instance] = true
			by.fromServer(by.server.BarDone(by.clock(), instance))
		}
	})
}

// fence is a fence agent: it ends a process for good, then confirms.
func (w *world) fence(by *machine, instance uint64) {
	o := w.machines[NodeOf(instance)-1]
	if o.up && o.member.instance == instance {
		w.tracef("machine %d is fenced", o.id)
		o.crash(false)
		w.after(w.rng.Int64N(2*w.p.terms.Lease), func() { o.boot() })
	}
	w.check.gone[instance] = true
	by.run(func() {
		if by.server != nil {
			by.fromServer(by.server.FenceDone(by.clock(), instance))
		}
	})
}

// send puts messages on the network.
func (m *machine) send(list []Message) {
	for _, msg := range list {
		to := int(msg.To) - 1
		if msg.To == 0 {
			_, _ = fmt.Sscanf(msg.Addr, "m%d", &to)
			to--
		}
		if to < 0 || to >= len(m.w.machines) {
			m.w.fail("machine %d sends to nobody: %d %q", m.id, msg.To, msg.Addr)
			return
		}
		m.w.stats.messages++
		o := m.w.machines[to]
		copies := 1
		if o != m && m.cutTo[to] {
			continue
		}
		if o != m && !m.w.calm && m.w.p.faultEvery > 0 {
			switch m.w.rng.IntN(50) {
			case 0:
				continue
			case 1:
				copies = 2
			}
		}
		for range copies {
			m.w.after(m.delay(o), func() { o.run(func() { o.deliver(m, msg.Payload) }) })
		}
	}
}

// delay is mostly short.
func (m *machine) delay(o *machine) int64 {
	switch {
	case o == m:
		return 1000
	case m.w.calm || m.w.p.faultEvery == 0 || m.w.rng.IntN(20) != 0:
		return 100_000 + m.w.rng.Int64N(2*ms)
	}
	return m.w.rng.Int64N(400 * ms)
}

func (m *machine) deliver(from *machine, payload []byte) {
	switch {
	case !ForServer(payload):
		m.send(m.member.Deliver(m.clock(), payload).Messages)
		m.observe()
	case m.server != nil:
		m.fromServer(m.server.Deliver(m.clock(), from.id, from.addr(), payload))
	default:
		m.send(m.member.Refer(m.clock(), from.id, from.addr(), payload).Messages)
	}
}

// observe notes what the member believes, and what came of its commands.
func (m *machine) observe() {
	l := m.lives[len(m.lives)-1]
	for _, a := range m.member.Answers() {
		m.busy = a.Req == 0 && m.busy
		_ = a.Err
	}
	m.w.check.member(m, l)
}

// crash ends the process; wipe takes its store with it.
func (m *machine) crash(wipe bool) {
	m.up, m.stopped, m.waiting = false, false, nil
	m.server = nil
	if m.disk == nil {
		return
	}
	if m.disk.undo != nil && m.w.p.forget > 0 && m.w.rng.IntN(m.w.p.forget) == 0 {
		m.disk.undo()
	}
	m.disk.undo = nil
	if wipe {
		m.w.wiped = m.disk.store
		m.disk = &simDisk{Memory: NewMemory(), store: m.w.number(m.id)}
	}
}

// logf traces what Raft says, in a run of one seed.
func (m *machine) logf() func(string, ...any) {
	if *simSeed == 0 || m.w.p.faultEvery > 0 {
		return nil
	}
	return func(format string, args ...any) { m.w.tracef("machine %d: "+format, append([]any{m.id}, args...)...) }
}
