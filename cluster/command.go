package cluster

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Kind says what a command does.
type Kind uint8

const (
	// Join makes Instance a member. With the low 16 bits 0 it gets an id: the
	// lowest that is free. With Raft it gets a vote if there are too few. ErrBusy
	// while an earlier start of the node may hold its lease.
	Join Kind = 1 + iota
	// Leave ends the membership of Instance, which lets go of everything first.
	// Its vote goes too, unless KeepVote.
	Leave
	// Remove ends membership and vote of node ID: it is sent no renewals from
	// now on, and is out when its lease has ended or it is fenced.
	Remove
	// Promote gives node ID, a member with a store, a vote.
	Promote
	// Open lets Instance take part in lockspace Space, with configuration Config.
	Open
	// Close ends that.
	Close
	// Expire ends the membership of Instance: its lease has ended. The leader
	// alone proposes it.
	Expire
	// Fenced ends the membership of Instance: a fence agent has confirmed that it
	// does nothing any more. The leader alone proposes it.
	Fenced
	// NewView gives Space a view of the same members with a new epoch, because the
	// tokens of the present one are near their end (lockspace.Stats.TokensLeft).
	NewView
	kindEnd
)

var kindNames = [kindEnd]string{"", "join", "leave", "remove", "promote", "open", "close", "expire", "fenced", "new view"}

func (k Kind) String() string {
	if k == 0 || k >= kindEnd {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Command changes the state. Fields that a kind does not name are ignored.
type Command struct {
	Kind     Kind
	Instance uint64
	From     uint64 // the member that asks, 0: none (Join, the leader itself)
	Req      uint64 // its number of the command, rising
	ID       uint16
	KeepVote bool
	Features uint64
	Raft     uint64 // number of the store; the low 16 bits are the node id, or 0 with that of Instance
	Addr     string
	Space    string
	Config   []byte
}

// Append encodes c behind b.
func (c *Command) Append(b []byte) []byte {
	b = append(b, formatVersion, byte(c.Kind))
	b = appendU64(b, c.From)
	b = appendUint(b, c.Req)
	switch c.Kind {
	case Join:
		b = appendU64(b, c.Instance)
		b = appendU64(b, c.Features)
		b = appendU64(b, c.Raft)
		b = appendBytes(b, c.Addr)
	case Leave:
		b = append(appendU64(b, c.Instance), boolByte(c.KeepVote))
	case Remove, Promote:
		b = appendUint(b, uint64(c.ID))
	case Open:
		b = appendU64(b, c.Instance)
		b = appendBytes(b, c.Space)
		b = appendBytes(b, c.Config)
	case Close, NewView:
		b = appendU64(b, c.Instance)
		b = appendBytes(b, c.Space)
	case Expire, Fenced:
		b = appendU64(b, c.Instance)
	}
	return b
}

// DecodeCommand reads what Append has written. b is not kept.
func DecodeCommand(b []byte) (*Command, error) {
	r := &reader{b: b}
	r.version()
	c := &Command{Kind: Kind(r.byte()), From: r.u64(), Req: r.uint(math.MaxUint64)}
	switch c.Kind {
	case Join:
		c.Instance, c.Features, c.Raft, c.Addr = r.u64(), r.u64(), r.u64(), string(r.bytes(MaxAddr))
		if r.err == nil && (c.Instance>>16 == 0 || c.Raft != 0 && (c.Raft>>16 == 0 || NodeOf(c.Raft) != NodeOf(c.Instance))) {
			r.fail("instance or store without a number, or of two nodes")
		}
	case Leave:
		c.Instance = r.u64()
		flag := r.byte()
		c.KeepVote = flag == 1
		if flag > 1 {
			r.fail("flag")
		}
	case Remove, Promote:
		c.ID = uint16(r.uint(math.MaxUint16))
	case Open:
		c.Instance, c.Space = r.u64(), string(r.bytes(maxName))
		c.Config = append([]byte(nil), r.bytes(maxConfig)...)
		if c.Space == "" {
			r.fail("lockspace without a name")
		}
	case Close, NewView:
		c.Instance, c.Space = r.u64(), string(r.bytes(maxName))
	case Expire, Fenced:
		c.Instance = r.u64()
	default:
		r.fail(c.Kind.String())
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	return c, nil
}

// Apply carries out a command, in the order that all have agreed on. It says whether
// that changed the state, which then has the next version. For Join, id is the node's.
func (s *State) Apply(c *Command) (st Status, id uint16, changed bool) { return s.apply(c, 0) }

// apply is Apply without the rules that are off.
func (s *State) apply(c *Command, off Rules) (st Status, id uint16, changed bool) {
	if from := s.Member(c.From); c.From != 0 && from == nil {
		return statusMember, 0, false
	} else if from != nil && c.Req <= from.Req && off&RuleOnce == 0 {
		return StatusOK, 0, false // it came before
	}
	switch c.Kind {
	case Join:
		st, id, changed = s.join(c, off)
	case Leave:
		if s.Member(c.Instance) == nil {
			return StatusOK, 0, false
		}
		s.drop(NodeOf(c.Instance))
		if !c.KeepVote && len(s.Voters) > 1 {
			s.dropVoter(NodeOf(c.Instance))
		}
		changed = true
	case Remove:
		st, changed = s.remove(c.ID)
	case Promote:
		st, changed = s.promote(c.ID)
	case Open:
		st, changed = s.open(c)
	case Close:
		changed = s.close(c)
	case NewView:
		sp := s.Space(c.Space)
		switch {
		case sp == nil || s.Member(c.Instance) == nil:
			return statusMember, 0, false
		case s.Epoch >= lastOpen:
			return statusLimit, 0, false
		}
		s.newView(sp)
		changed = true
	case Expire, Fenced:
		if changed = s.Member(c.Instance) != nil; changed {
			s.drop(NodeOf(c.Instance))
		}
	}
	if changed {
		s.Version++
		if from := s.Member(c.From); from != nil {
			from.Req = c.Req
		}
	}
	return st, id, changed
}

func (s *State) join(c *Command, off Rules) (Status, uint16, bool) {
	instance, store, id := c.Instance, c.Raft, NodeOf(c.Instance)
	if id == 0 {
		if id = s.allot(instance); id == 0 {
			return statusLimit, 0, false
		}
		instance |= uint64(id)
		if store != 0 {
			store |= uint64(id)
		}
	}
	if slices.Contains(s.Past, instance) && off&RuleNoReturn == 0 {
		return statusMember, id, false
	}
	if old := s.Node(id); old != nil {
		switch {
		case old.Instance == instance:
			return StatusOK, id, false
		case off&RuleInstance == 0:
			return statusBusy, id, false
		}
		s.drop(id)
	}
	if len(s.Nodes) >= MaxNodes {
		return statusLimit, 0, false
	}
	n := Node{ID: id, Instance: instance, Features: c.Features, Addr: c.Addr, Raft: store}
	i, _ := slices.BinarySearchFunc(s.Nodes, id, func(n Node, id uint16) int { return cmp.Compare(n.ID, id) })
	s.Nodes = slices.Insert(s.Nodes, i, n)
	switch v := s.Voter(id); {
	case v != nil && v.Raft != store && len(s.Voters) > 1: // its store is lost, and its vote with it
		s.dropVoter(id)
		if store != 0 {
			s.addVoter(&n)
		}
	case v != nil && v.Raft == store:
		v.Addr = c.Addr
	case v == nil && store != 0 && len(s.Voters) < s.Want:
		s.addVoter(&n)
	}
	return StatusOK, id, true
}

// allot gives the lowest free id, or that which this start has been given.
func (s *State) allot(instance uint64) uint16 {
	for i := range s.Nodes {
		if s.Nodes[i].Instance>>16 == instance>>16 {
			return s.Nodes[i].ID
		}
	}
	id := uint16(1)
	for s.Node(id) != nil || s.Voter(id) != nil {
		if id++; id > MaxNodes+MaxVoters {
			return 0
		}
	}
	return id
}

func (s *State) addVoter(n *Node) {
	s.Voters = append(s.Voters, Voter{n.ID, n.Raft, n.Addr})
	slices.SortFunc(s.Voters, func(a, b Voter) int { return cmp.Compare(a.ID, b.ID) })
}

func (s *State) dropVoter(id uint16) {
	s.Voters = slices.DeleteFunc(s.Voters, func(v Voter) bool { return v.ID == id })
}

// drop ends a membership, and makes the views that follow from it.
func (s *State) drop(id uint16) {
	s.Past = slices.DeleteFunc(s.Past, func(instance uint64) bool { return NodeOf(instance) == id })
	if len(s.Past) >= maxPast {
		s.Past = slices.Delete(s.Past, 0, 1)
	}
	s.Past = append(s.Past, s.Node(id).Instance)
	s.Nodes = slices.DeleteFunc(s.Nodes, func(n Node) bool { return n.ID == id })
	for i := range s.Spaces {
		s.leave(&s.Spaces[i], id)
	}
	s.forgetEmpty()
}

func (s *State) remove(id uint16) (Status, bool) {
	n, v := s.Node(id), s.Voter(id)
	switch {
	case n == nil && v == nil:
		return statusMember, false
	case v != nil && len(s.Voters) == 1:
		return statusLast, false
	case v == nil && n.Removing:
		return StatusOK, false
	}
	if n != nil {
		n.Removing = true
	}
	s.dropVoter(id)
	return StatusOK, true
}

func (s *State) promote(id uint16) (Status, bool) {
	n := s.Node(id)
	switch {
	case n == nil || n.Removing:
		return statusMember, false
	case s.Voter(id) != nil:
		return StatusOK, false
	case n.Raft == 0 || len(s.Voters) >= MaxVoters:
		return statusNoVote, false
	}
	s.addVoter(n)
	return StatusOK, true
}

func (s *State) open(c *Command) (Status, bool) {
	n := s.Member(c.Instance)
	if n == nil || n.Removing {
		return statusMember, false
	}
	if s.Epoch >= lastOpen {
		return statusLimit, false
	}
	sp := s.Space(c.Space)
	switch {
	case sp == nil && len(s.Spaces) >= MaxSpaces:
		return statusLimit, false
	case sp == nil:
		i, _ := slices.BinarySearchFunc(s.Spaces, c.Space, func(sp Space, name string) int { return cmp.Compare(sp.Name, name) })
		s.Spaces = slices.Insert(s.Spaces, i, Space{Name: c.Space, Config: c.Config, Epoch: s.Epoch})
		sp = &s.Spaces[i]
	case string(sp.Config) != string(c.Config):
		return statusConfig, false
	}
	i, joined := slices.BinarySearch(sp.Joined, n.ID)
	if joined {
		return StatusOK, false
	}
	sp.Joined = slices.Insert(sp.Joined, i, n.ID)
	s.newView(sp)
	return StatusOK, true
}

func (s *State) close(c *Command) bool {
	sp := s.Space(c.Space)
	if sp == nil || s.Member(c.Instance) == nil || !s.leave(sp, NodeOf(c.Instance)) {
		return false
	}
	s.forgetEmpty()
	return true
}

// leave takes a node out of a lockspace.
func (s *State) leave(sp *Space, id uint16) bool {
	i, joined := slices.BinarySearch(sp.Joined, id)
	if joined {
		sp.Joined = slices.Delete(sp.Joined, i, i+1)
		s.newView(sp)
	}
	return joined
}

// newView gives a lockspace its next view, in the version that is being made.
func (s *State) newView(sp *Space) {
	sp.Epoch++
	sp.Since = s.Version + 1
	s.Epoch = max(s.Epoch, sp.Epoch)
}

// forgetEmpty forgets lockspaces that nobody has open.
func (s *State) forgetEmpty() {
	s.Spaces = slices.DeleteFunc(s.Spaces, func(sp Space) bool { return len(sp.Joined) == 0 })
}
