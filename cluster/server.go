package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// ServerConfig says how a voter runs.
type ServerConfig struct {
	Store     uint64 // number of Storage; the low 16 bits are the node id
	Seed      uint64 // of election times: another one on each voter
	Tick      int64  // ns between two ticks: 1 ms to 10 s
	Elections int    // ticks without the leader before an election: 3 to 100; each voter waits up to twice that
	// FenceLate is how late, in ns, a member's next renewal may be before its fence is
	// ordered (Output.Fence); 0: never, time alone fences. It counts from when the
	// renewal is due by the lease that is agreed, which this voter's node may not know.
	FenceLate int64
	// Bars says that a member whose end has come is out only when it has also been kept
	// from what the members share (Output.Bar): its lease binds those that look at it,
	// and not what is under way to a disk.
	Bars bool
	// Logf is told what Raft does, nil: nobody is.
	Logf func(format string, args ...any)

	// Without is the rules that do not hold, for tests.
	Without Rules
	// Applied is shown each version of the state as it comes, for tests; nil: nobody
	// looks. It must neither change it nor keep it.
	Applied func(*State)
}

// Output is what a Server or a Member wants done.
type Output struct {
	Messages []Message
	// Fence names instances to fence by a fence agent. Once that has confirmed
	// that the instance does nothing any more, call Server.FenceDone; if it
	// fails, nothing: the end of the lease will do.
	Fence []uint64
	// Bar names instances to keep from what the members share. It is tried until it has
	// succeeded, which Server.BarDone is told, or Server.Bars says that it is not wanted.
	Bar []uint64
}

// Server is a voter's part of the agreement: Raft, the replicated state, and as
// leader the leases. It is pure: it is given messages and time, and gives out
// messages. It is not safe for use by several goroutines.
//
// Each now is a reading of CLOCK_BOOTTIME in ns, made after the message or tick
// that it comes with was in hand. After an error the Server is done for.
type Server struct {
	cfg   ServerConfig
	store Storage
	rn    *raft.RawNode
	rng   *rand.Rand

	state   *State // Cluster is 0 until a snapshot has come
	history history
	conf    *pb.ConfState // who votes, in Raft
	applied uint64
	snapped uint64 // index of the last snapshot

	now, ticked  int64
	looked       int64 // when this voter last looked who is silent, or would have as leader
	ticks        int   // since the leader was heard of
	electAt      int   // ticks
	lead         uint64
	led          *leadership // nil: not the leader
	out          Output
	failed       error
	messageBytes []byte
	addrs        map[uint16]string // of voters, as they say themselves: one that is to go is in State no more
}

// snapshotEvery is the number of entries between two snapshots, and of those
// that are kept behind one for voters that are a little late.
const snapshotEvery = 256

// NewServer starts a voter from what its store holds. An empty store is that of
// a node that is not a voter yet; a snapshot will come.
func NewServer(cfg ServerConfig, store Storage) (*Server, error) {
	if NodeOf(cfg.Store) == 0 || cfg.Store>>16 == 0 || cfg.Tick < 1e6 || cfg.Tick > 10e9 || cfg.Elections < 3 || cfg.Elections > 100 {
		return nil, fmt.Errorf("%w: %+v", ErrInvalid, cfg)
	}
	s := &Server{
		cfg: cfg, store: store, rng: rand.New(rand.NewPCG(cfg.Seed, cfg.Store)), state: &State{}, addrs: map[uint16]string{},
	}
	snap, err := store.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("cluster: reading the store: %w", err)
	}
	if !raft.IsEmptySnap(snap) {
		if err := s.restore(snap); err != nil {
			return nil, err
		}
	}
	return s, s.guard(func() (err error) {
		s.rn, err = raft.NewRawNode(&raft.Config{
			ID: cfg.Store, ElectionTick: cfg.Elections, HeartbeatTick: 1, Storage: present{store, s}, Applied: s.applied,
			MaxSizePerMsg: 64 << 10, MaxInflightMsgs: 64, MaxUncommittedEntriesSize: 1 << 20,
			CheckQuorum: true, PreVote: true, StepDownOnRemoval: true, DisableProposalForwarding: true,
			Logger: raftLogger{cfg.Logf},
		})
		s.rest()
		if v := s.conf.GetVoters(); len(v) == 1 && v[0] == cfg.Store {
			s.electAt = 0 // there is nobody to wait for
		}
		return err
	})
}

// State gives what this voter knows to be agreed. It is valid until the next
// call, and must not be changed; Cluster is 0 if it knows nothing yet.
func (s *Server) State() *State { return s.state }

// Leader gives the node id of the leader, 0: not known; self: it is this voter,
// and all that was decided before its election is applied.
func (s *Server) Leader() (id uint16, self bool) {
	return NodeOf(s.lead), s.led != nil && s.led.ready
}

// Voters gives the numbers of the stores that have a vote as far as this voter knows:
// those of State().Voters, but for changes that are still under way. The list is
// valid until the next call, and must not be changed.
func (s *Server) Voters() []uint64 { return s.conf.GetVoters() }

// Votes says that this voter's own vote counts, or will, as far as it knows. A node that
// leaves for good waits until it does not: the others may need it to agree on that.
func (s *Server) Votes() bool {
	return slices.Contains(s.conf.GetVoters(), s.cfg.Store) && !s.alone()
}

// alone says that there is no other voter, nor is one to come.
func (s *Server) alone() bool {
	return len(s.conf.GetVoters()) == 1 && len(s.conf.GetLearners()) == 0 && len(s.state.Voters) == 1 && s.state.Voters[0].Raft == s.cfg.Store
}

// Tick tells the time. It is called each ServerConfig.Tick, or more often.
func (s *Server) Tick(now int64) (Output, error) {
	return s.run(now, func() error {
		if s.ticked != 0 && now-s.ticked < s.cfg.Tick {
			return nil
		}
		s.ticked = now
		s.ticks++
		if s.led != nil {
			s.rn.Tick()
			return nil
		}
		// The clock of Raft's own elections stands in for ours, so that a seed
		// decides them; it only says here for how long the leader was silent.
		s.rn.TickQuiesced()
		if s.ticks >= s.electAt && slices.Contains(s.conf.GetVoters(), s.cfg.Store) {
			s.rest()
			return s.rn.Campaign()
		}
		return nil
	}, s.leaderTick)
}

// rest lets this voter wait for the leader from now on.
func (s *Server) rest() {
	s.ticks, s.electAt = 0, s.cfg.Elections+s.rng.IntN(s.cfg.Elections)
}

// Deliver takes a message of this package from another node, or from this one.
// from is its id, 0 if it has none yet. addr comes back with the answer. payload
// is not kept. What is wrong with it is an error of the sender: it is dropped.
func (s *Server) Deliver(now int64, from uint16, addr string, payload []byte) (Output, error) {
	return s.run(now, func() error {
		m, err := decodeMessage(payload)
		if err != nil || m.cluster != s.state.Cluster && m.cluster != 0 && s.state.Cluster != 0 {
			return nil
		}
		switch m.kind {
		case msgRaft:
			s.onRaft(from, addr, m)
		case msgRenew:
			s.onRenew(from, addr, m)
		case msgAsk:
			s.onAsk(from, addr, m)
		}
		return nil
	}, nil)
}

// Resign lets another voter lead, if one is as far as this one: whoever is about
// to stop does this first, so that nobody has to wait for an election.
func (s *Server) Resign(now int64) (Output, error) {
	return s.run(now, func() error {
		s.resign()
		return nil
	}, nil)
}

func (s *Server) resign() {
	best, match := uint64(0), uint64(0)
	s.rn.WithProgress(func(store uint64, _ raft.ProgressType, p tracker.Progress) {
		if store != s.cfg.Store && !p.IsLearner && p.RecentActive && p.Match > match {
			best, match = store, p.Match
		}
	})
	if s.led != nil && best != 0 {
		s.rn.TransferLeader(best)
	}
}

// FenceDone says that a fence agent has confirmed that instance, which was named
// by Output.Fence, does nothing any more.
func (s *Server) FenceDone(now int64, instance uint64) (Output, error) {
	return s.run(now, func() error {
		if s.led != nil {
			s.led.fenced(instance)
		}
		return nil
	}, s.leaderTick)
}

// BarDone says that instance, which was named by Output.Bar, reaches nothing any more
// of what the members share.
func (s *Server) BarDone(now int64, instance uint64) (Output, error) {
	return s.run(now, func() error {
		if s.Bars(instance) {
			d := s.led.doomed[instance]
			d.barred, d.wait = true, 0
		}
		return nil
	}, s.leaderTick)
}

// Bars says that this voter leads, and waits for BarDone of instance.
func (s *Server) Bars(instance uint64) bool {
	if s.led == nil {
		return false
	}
	d := s.led.doomed[instance]
	return d != nil && d.asked && !d.barred
}

// run does something, and what follows from it. then is what the leader does
// behind it: it may put out who is silent.
func (s *Server) run(now int64, do func() error, then func()) (Output, error) {
	s.now, s.out = max(s.now, now), Output{}
	if s.failed != nil {
		return s.out, s.failed
	}
	if then != nil {
		s.excusePause()
	}
	s.failed = s.guard(func() error {
		if err := do(); err != nil {
			return err
		}
		for first := true; ; first = false {
			if err := s.drain(); err != nil || s.led == nil {
				return err
			}
			if first && then != nil {
				then()
			}
			s.confirm()
			s.push(then != nil)
			if !s.rn.HasReady() {
				return nil
			}
		}
	})
	return s.out, s.failed
}

// excusePause comes before each look at who is silent: if the last one is some ticks ago,
// this voter was stopped, or is busy.
func (s *Server) excusePause() {
	late := s.now - s.looked - 4*s.cfg.Tick
	if s.led != nil && s.looked != 0 && late > 0 {
		s.led.excuse(late, s.now)
	}
	s.looked = s.now
}

// onRaft takes a message of Raft. Proposals do not travel, and nobody else
// decides who leads.
func (s *Server) onRaft(from uint16, addr string, m *message) {
	rm := &pb.Message{}
	if proto.Unmarshal(m.body, rm) != nil || rm.GetTo() != s.cfg.Store || NodeOf(rm.GetFrom()) != from || rm.GetFrom() == 0 {
		return
	}
	switch rm.GetType() {
	case pb.MsgApp, pb.MsgSnap, pb.MsgHeartbeat, pb.MsgVote, pb.MsgPreVote,
		pb.MsgAppResp, pb.MsgHeartbeatResp, pb.MsgVoteResp, pb.MsgPreVoteResp:
	case pb.MsgTimeoutNow: // the leader resigns
		if rm.GetFrom() != s.lead {
			return
		}
	default:
		return
	}
	if s.rn.Step(rm) != nil {
		return // of a voter that is none
	}
	s.addrs[from] = addr
	if st := s.rn.BasicStatus(); st.Lead == rm.GetFrom() && st.GetTerm() == rm.GetTerm() {
		s.rest()
	}
}

// drain carries out what Raft wants: first store, then send, then apply.
func (s *Server) drain() error {
	for s.rn.HasReady() {
		rd := s.rn.Ready()
		if err := s.save(&rd); err != nil {
			return err
		}
		if rd.SoftState != nil {
			s.roleChanged(rd.SoftState)
		}
		if !raft.IsEmptySnap(rd.Snapshot) {
			if err := s.restore(rd.Snapshot); err != nil {
				return err
			}
		}
		for _, m := range rd.Messages {
			s.sendRaft(m)
		}
		s.applyUncommitted(rd.Entries)
		for _, e := range rd.CommittedEntries {
			if err := s.apply(e); err != nil {
				return err
			}
		}
		for i := range rd.ReadStates {
			s.quorumSaid(&rd.ReadStates[i])
		}
		s.rn.Advance(rd)
	}
	return s.compact()
}

// save stores what must not be forgotten. A commit index alone may be: a voter would
// wait for its disk only to know what the others tell it again, and its node would
// learn of a view later than nodes without a vote. Not if a change of the voters is
// committed: a voter that has forgotten two of them could find itself elected by the
// voters of before, beside whom those of now elect (found by the simulation).
func (s *Server) save(rd *raft.Ready) error {
	hs := rd.HardState
	switch {
	case rd.MustSync || !raft.IsEmptySnap(rd.Snapshot):
	case slices.ContainsFunc(rd.CommittedEntries, isConfChange) && s.cfg.Without&RuleVotersKept == 0:
		hs = s.rn.BasicStatus().HardState
	default:
		return nil
	}
	if err := s.store.Save(hs, rd.Entries, rd.Snapshot); err != nil {
		return fmt.Errorf("cluster: the store of this voter: %w", err)
	}
	return nil
}

func isConfChange(e *pb.Entry) bool { return e.GetType() == pb.EntryConfChange }

func (s *Server) sendRaft(m *pb.Message) {
	body, err := proto.Marshal(m)
	if err != nil {
		return // a message that cannot be marshalled is as good as lost
	}
	if m.GetType() == pb.MsgVoteResp && !m.GetReject() {
		s.rest()
	}
	id := NodeOf(m.GetTo())
	addr := s.addrs[id]
	if v := s.state.Voter(id); v != nil {
		addr = v.Addr
	}
	s.send(id, addr, &message{kind: msgRaft, body: body})
}

func (s *Server) send(to uint16, addr string, m *message) {
	m.cluster = s.state.Cluster
	if m.kind == msgRenewed || m.kind == msgAnswer {
		m.leader = NodeOf(s.lead)
		if v := s.state.Voter(m.leader); v != nil {
			m.addr = v.Addr
		}
	}
	s.messageBytes = m.append(s.messageBytes[:0])
	s.out.Messages = append(s.out.Messages, Message{To: to, Addr: addr, Payload: slices.Clone(s.messageBytes)})
}

func (s *Server) restore(snap *pb.Snapshot) error {
	state, history, err := decodeSnapshot(snap.GetData())
	if err != nil {
		return fmt.Errorf("cluster: snapshot: %w", err)
	}
	s.state, s.history = state, *history
	s.conf = snap.GetMetadata().GetConfState()
	s.applied = snap.GetMetadata().GetIndex()
	s.snapped = s.applied
	return nil
}

// apply carries out an entry of the log that all have, or will have.
func (s *Server) apply(e *pb.Entry) error {
	s.applied = e.GetIndex()
	switch e.GetType() {
	case pb.EntryConfChange:
		cc := &pb.ConfChange{}
		if err := proto.Unmarshal(e.GetData(), cc); err != nil {
			return fmt.Errorf("cluster: log: %w", err)
		}
		s.conf = s.rn.ApplyConfChange(cc)
		s.votersChanged()
	case pb.EntryNormal:
		if s.cfg.Without&RuleCommitted == 0 {
			if err := s.command(e.GetData()); err != nil {
				return err
			}
		}
	}
	if s.led != nil && e.GetTerm() == s.led.term {
		s.led.ready = true
	}
	return nil
}

// applyUncommitted is the mistake of applying what may yet be undone.
func (s *Server) applyUncommitted(entries []*pb.Entry) {
	if s.cfg.Without&RuleCommitted == 0 {
		return
	}
	for _, e := range entries {
		if e.GetType() == pb.EntryNormal {
			_ = s.command(e.GetData())
		}
	}
}

// command applies a command. All voters must come to the same: the leader has
// checked that it can be read, and who cannot read it is of an older version, and
// gives up rather than differ. A new leader begins with an entry without any.
func (s *Server) command(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	c, err := DecodeCommand(data)
	if err != nil {
		return fmt.Errorf("cluster: voter %#x gives up, its log has a decision of a newer version of lockify: %w", s.cfg.Store, err)
	}
	status, id, changed := s.state.apply(c, s.cfg.Without)
	if changed {
		s.history.add(s.state.Version, slices.Clone(data))
		if s.cfg.Applied != nil {
			s.cfg.Applied(s.state)
		}
	}
	if s.led != nil {
		s.led.decided(s, c, status, id)
	}
	return nil
}

// present is the store as Raft sees it: the snapshot for another voter is one of
// now, since one of before that voter was added would not tell it that it is one.
type present struct {
	Storage
	s *Server
}

// Snapshot gives a snapshot of all that is applied.
func (p present) Snapshot() (*pb.Snapshot, error) { return p.s.snapshot() }

func (s *Server) snapshot() (*pb.Snapshot, error) {
	term, err := s.store.Term(s.applied)
	return &pb.Snapshot{
		Data:     appendSnapshot(nil, s.state, &s.history),
		Metadata: &pb.SnapshotMetadata{Index: new(s.applied), Term: new(term), ConfState: s.conf},
	}, err
}

// compact makes a snapshot now and then.
func (s *Server) compact() error {
	if s.applied-s.snapped < snapshotEvery {
		return nil
	}
	snap, err := s.snapshot()
	if err != nil {
		return fmt.Errorf("cluster: the store of this voter: %w", err)
	}
	keep := s.applied - min(s.applied, snapshotEvery)
	if err := s.store.Compact(snap, keep); err != nil {
		return fmt.Errorf("cluster: the store of this voter: %w", err)
	}
	s.snapped = s.applied
	return nil
}
