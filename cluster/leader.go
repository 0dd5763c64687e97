package cluster

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// leadership is what a leader knows and its successor will not.
type leadership struct {
	term  uint64
	ready bool  // all that was decided before is applied
	since int64 // the election, and pauses

	heard  map[uint64]int64     // instance: its last renewal, or its join, and pauses
	known  map[uint64]uint64    // instance: the version it has, or will have
	doomed map[uint64]*sentence // instance: on its way out; it gets no renewals
	asked  []ask                // commands that are proposed
	fresh  []renewal            // renewals that came since the last question to the quorum
	asking []renewal            // those the quorum is being asked about
	read   uint64               // number of that question
	again  bool                 // it must be asked again: the voters have changed
	readAt uint64               // what must be applied before they are answered, 0: no quorum yet
	told   bool                 // the members know where it stands
	pushed int64                // when the members were last told what has been decided
	conf   int                  // ticks until voters are changed again
	lost   map[uint64]int       // voter: ticks for which a snapshot has been on its way
}

// sentence is why and since when an instance is to go.
type sentence struct {
	fenced bool // a fence agent has confirmed it
	asked  bool // its bar is ordered
	barred bool // and done
	wait   int  // ticks until it is proposed again
}

type renewal struct {
	from uint16
	addr string
	m    message
}

type ask struct {
	from     uint16
	addr     string
	instance uint64
	seq      uint64
}

// Limits of what a leader keeps: nodes that keep to the protocol have one
// renewal, or a few that were late, and one command each.
const (
	maxRenewals = 4 * MaxNodes
	maxAsks     = 4 * MaxNodes
)

// roleChanged begins or ends a leadership.
func (s *Server) roleChanged(st *raft.SoftState) {
	s.lead = st.Lead
	s.rest()
	switch leads := st.RaftState == raft.StateLeader; {
	case !leads:
		s.led = nil
	case s.led == nil || s.led.term != s.rn.BasicStatus().GetTerm():
		s.led = &leadership{
			term: s.rn.BasicStatus().GetTerm(), since: s.now,
			heard: map[uint64]int64{}, known: map[uint64]uint64{}, doomed: map[uint64]*sentence{}, lost: map[uint64]int{},
		}
	}
}

// onRenew takes a renewal: it is stamped now, and answered when a quorum has
// confirmed that this voter led after it came.
func (s *Server) onRenew(from uint16, addr string, m *message) {
	l := s.led
	if l == nil {
		s.send(from, addr, &message{kind: msgRenewed, instance: m.instance, seq: m.seq, status: statusNotLeader})
		return
	}
	if from != NodeOf(m.instance) || len(l.fresh) >= maxRenewals || m.cluster != s.state.Cluster {
		return
	}
	if l.doomed[m.instance] != nil && s.cfg.Without&RuleCondemned == 0 {
		return
	}
	r := renewal{from, addr, *m}
	if n := s.state.Member(m.instance); n != nil && !n.Removing {
		l.heard[m.instance] = s.now
		l.known[m.instance] = m.version
	}
	if s.cfg.Without&RuleQuorum != 0 {
		s.renewed(&r)
		return
	}
	l.fresh = append(l.fresh, r)
}

// confirm answers the renewals that a quorum has confirmed, and asks it about
// the next ones: one question at a time, about all that have come meanwhile.
func (s *Server) confirm() {
	l := s.led
	if l.readAt != 0 && s.applied >= l.readAt {
		for i := range l.asking {
			s.renewed(&l.asking[i])
		}
		l.asking, l.readAt = l.asking[:0], 0
	}
	switch {
	case len(l.asking) > 0 && l.readAt == 0 && l.again:
	case len(l.asking) == 0 && len(l.fresh) > 0 && l.ready:
		l.asking, l.fresh = l.fresh, l.asking
	default:
		return
	}
	l.read++
	l.again = false
	s.rn.ReadIndex(binary.LittleEndian.AppendUint64(nil, l.read))
}

// votersChanged has a question asked again that is under way. Raft goes on to wait for the answer
// of a voter that has been removed, if no other one is left to give it.
func (s *Server) votersChanged() {
	if s.led != nil {
		s.led.again = true
	}
}

// quorumSaid notes the answer of the quorum.
func (s *Server) quorumSaid(rs *raft.ReadState) {
	if l := s.led; l != nil && len(rs.RequestCtx) == 8 && binary.LittleEndian.Uint64(rs.RequestCtx) == l.read && len(l.asking) > 0 {
		l.readAt = rs.Index
	}
}

// renewed answers a renewal. Who has been doomed since is not answered at all.
func (s *Server) renewed(r *renewal) {
	a := &message{kind: msgRenewed, instance: r.m.instance, seq: r.m.seq, version: r.m.version}
	n := s.state.Member(r.m.instance)
	switch {
	case s.led.doomed[r.m.instance] != nil && n != nil && s.cfg.Without&RuleCondemned == 0:
		return
	case n == nil || n.Removing:
		a.status = statusMember
	case r.m.version == 0:
		a.body, a.version = s.state.Append(nil), s.state.Version
	default:
		events, ok := s.history.since(r.m.version)
		if a.events = events; !ok {
			a.status = statusBehind
		}
	}
	if a.status == StatusOK {
		s.led.known[r.m.instance] = max(s.state.Version, r.m.version)
	}
	s.send(r.from, r.addr, a)
}

// push tells the members what has been decided. Often is soon enough: what is
// decided within a fraction of a tick travels together.
func (s *Server) push(ticking bool) {
	l := s.led
	if l == nil || !l.ready || l.told && !ticking && s.now-l.pushed < s.cfg.Tick/8 {
		return
	}
	if !l.told {
		s.announce()
		return
	}
	for i := range s.state.Nodes {
		n := &s.state.Nodes[i]
		known, ok := l.known[n.Instance]
		if !ok || known == 0 || known >= s.state.Version {
			continue
		}
		if events, ok := s.history.since(known); ok {
			l.pushed = s.now
			l.known[n.Instance] = s.state.Version
			s.send(n.ID, n.Addr, &message{kind: msgEvents, instance: n.Instance, version: known, events: events})
		}
	}
}

// announce tells the members where a new leader stands: whoever lacks something
// renews at once, and is told.
func (s *Server) announce() {
	s.led.told = true
	for i := range s.state.Nodes {
		n := &s.state.Nodes[i]
		if _, ok := s.led.known[n.Instance]; !ok {
			s.led.known[n.Instance] = s.state.Version
			s.send(n.ID, n.Addr, &message{kind: msgEvents, instance: n.Instance, version: s.state.Version})
		}
	}
}

// onAsk proposes a command.
func (s *Server) onAsk(from uint16, addr string, m *message) {
	a := &message{kind: msgAnswer, instance: m.instance, seq: m.seq}
	c, err := DecodeCommand(m.body)
	switch l := s.led; {
	case l == nil || !l.ready:
		a.status = statusNotLeader
	case m.cluster == 0 && (err != nil || c.Kind != Join):
		a.status = statusOther
	case err != nil || !c.askedBy(m) || from != 0 && from != NodeOf(m.instance):
		a.status = statusInvalid
	case len(l.asked) >= maxAsks:
		a.status = statusLimit
	default:
		k := ask{from, addr, m.instance, m.seq}
		if slices.ContainsFunc(l.asked, func(o ask) bool { return o.instance == k.instance && o.seq == k.seq }) {
			return // it is on its way
		}
		if s.rn.Propose(slices.Clone(m.body)) == nil {
			l.asked = append(l.asked, k)
		}
		return
	}
	s.send(from, addr, a)
}

// askedBy says that a member may ask for c in message m.
func (c *Command) askedBy(m *message) bool {
	switch c.Kind {
	case Join:
		return c.From == 0 && c.Instance == m.instance
	case Leave, Open, Close, NewView:
		return c.From == m.instance && c.Instance == m.instance && c.Req == m.seq
	case Remove, Promote:
		return c.From == m.instance && c.Req == m.seq
	}
	return false
}

// decided answers the node that has asked for a command.
func (l *leadership) decided(s *Server, c *Command, status Status, id uint16) {
	asker := c.From
	switch c.Kind {
	case Join:
		asker = c.Instance
		if n := s.state.Node(id); status == StatusOK && n != nil {
			l.heard[n.Instance] = s.now
		}
	case Expire, Fenced, Leave:
		delete(l.heard, c.Instance)
		delete(l.known, c.Instance)
		delete(l.doomed, c.Instance)
	}
	i := slices.IndexFunc(l.asked, func(a ask) bool { return a.instance == asker && a.seq == c.Req })
	if i < 0 {
		return
	}
	a := l.asked[i]
	l.asked = slices.Delete(l.asked, i, i+1)
	s.send(a.from, a.addr, &message{kind: msgAnswer, instance: a.instance, seq: a.seq, status: status, id: id, version: s.state.Version})
}

// deadline is when the lease of a member has surely ended, if nothing is heard
// of it (Terms has the argument).
func (s *Server) deadline(n *Node) int64 {
	last := s.led.heard[n.Instance]
	if s.cfg.Without&RuleElectionWait == 0 {
		last = max(last, s.led.since)
	}
	if s.cfg.Without&RuleWait != 0 {
		return last + s.state.Terms.Lease/2
	}
	return last + s.state.Terms.over(s.cfg.Without)
}

// excuse takes a pause of this voter off the silence of all: what came meanwhile is not
// read yet. A part of each pause counts (excusePause), so that a leader which has one after
// the other, on a busy machine, does not wait for the dead for ever.
func (l *leadership) excuse(pause, now int64) {
	l.since = min(l.since+pause, now)
	for instance, at := range l.heard {
		l.heard[instance] = min(at+pause, now)
	}
}

// leaderTick is a tick of the leader: it dooms members whose leases have ended,
// orders fences and bars, and sees to the voters.
func (s *Server) leaderTick() {
	l := s.led
	if !l.ready {
		return
	}
	for i := range s.state.Nodes {
		n := &s.state.Nodes[i]
		silent := s.now - max(l.heard[n.Instance], l.since)
		d := l.doomed[n.Instance]
		if d == nil && s.cfg.FenceLate > 0 && silent >= s.state.Terms.due()+s.cfg.FenceLate {
			d = &sentence{}
			l.doomed[n.Instance] = d
			s.out.Fence = append(s.out.Fence, n.Instance)
		}
		over := s.now >= s.deadline(n)
		if over && d == nil {
			d = &sentence{}
			l.doomed[n.Instance] = d
		}
		if d == nil || !over && !d.fenced {
			continue
		}
		if s.cfg.Bars && !d.barred && s.cfg.Without&RuleBar == 0 {
			if !d.asked {
				d.asked = true
				s.out.Bar = append(s.out.Bar, n.Instance)
			}
			continue
		}
		if d.wait--; d.wait < 0 {
			c := Command{Kind: Expire, Instance: n.Instance}
			if d.fenced {
				c.Kind = Fenced
			}
			d.wait = s.cfg.Elections
			_ = s.rn.Propose(c.Append(nil)) // dropped: again later
		}
	}
	s.seeToVoters()
}

// fenced notes the word of a fence agent.
func (l *leadership) fenced(instance uint64) {
	if d := l.doomed[instance]; d != nil {
		d.fenced, d.wait = true, 0
	}
}

// seeToVoters brings Raft's voters nearer to those of the state, one at a time:
// a new one first learns the log, then one that is not wanted goes, then the
// new one counts.
func (s *Server) seeToVoters() {
	l := s.led
	s.repeatSnapshots()
	if l.conf--; l.conf > 0 {
		return
	}
	change := func(t pb.ConfChangeType, store uint64) {
		l.conf = 3
		_ = s.rn.ProposeConfChange(&pb.ConfChange{Type: t.Enum(), NodeId: new(store)}) // refused: again later
	}
	wanted := func(store uint64) bool {
		v := s.state.Voter(NodeOf(store))
		return v != nil && v.Raft == store
	}
	voters, learners := s.conf.GetVoters(), s.conf.GetLearners()
	for _, v := range s.state.Voters {
		if !slices.Contains(voters, v.Raft) && !slices.Contains(learners, v.Raft) {
			change(pb.ConfChangeAddLearnerNode, v.Raft)
			return
		}
	}
	for _, store := range slices.Concat(learners, voters) {
		if wanted(store) || !s.manage(store) {
			continue
		}
		// Who leads does not take its own vote: as its log may be longer than that
		// of the one voter that is left, who has not heard that it is alone, neither
		// could be elected (found by the simulation). The next leader does.
		if store == s.cfg.Store && s.cfg.Without&RuleOthersVote == 0 {
			s.resign()
			l.conf = 3
			return
		}
		change(pb.ConfChangeRemoveNode, store)
		return
	}
	ready := uint64(0)
	s.rn.WithProgress(func(store uint64, _ raft.ProgressType, p tracker.Progress) {
		if p.IsLearner && wanted(store) && p.RecentActive && p.State == tracker.StateReplicate && p.Match >= s.snapped {
			ready = store
		}
	})
	if ready != 0 {
		change(pb.ConfChangeAddNode, ready)
	}
}

// manage says that the voters other than store can decide without it: a majority
// of them answers.
func (s *Server) manage(store uint64) bool {
	rest, active := 0, 0
	s.rn.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if p.IsLearner || id == store {
			return
		}
		rest++
		if p.RecentActive || id == s.cfg.Store {
			active++
		}
	})
	return 2*active > rest
}

// repeatSnapshots sends a snapshot again that has not been heard of for the
// time of an election.
func (s *Server) repeatSnapshots() {
	s.rn.WithProgress(func(store uint64, _ raft.ProgressType, p tracker.Progress) {
		if p.State != tracker.StateSnapshot {
			delete(s.led.lost, store)
		} else if s.led.lost[store]++; s.led.lost[store] >= s.cfg.Elections {
			delete(s.led.lost, store)
			s.rn.ReportSnapshot(store, raft.SnapshotFailure)
		}
	})
}
