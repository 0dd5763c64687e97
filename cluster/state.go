package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Limits of the replicated state. With all of them reached it is below MaxPayload,
// so that a snapshot is one message.
const (
	MaxNodes  = 2048
	MaxVoters = 7
	MaxSpaces = 1024
	MaxAddr   = 100 // bytes of an address
	maxPast   = MaxNodes
	maxName   = 64  // bytes of a lockspace's name
	maxConfig = 256 // bytes of a lockspace's configuration
	maxEpoch  = 1<<24 - 1
	// lastOpen is the last epoch at which a lockspace can be opened: all who have
	// one open can still leave it.
	lastOpen = maxEpoch - MaxNodes*MaxSpaces
	// MaxPayload is the longest message of this package, in bytes.
	MaxPayload = 1<<20 - 4096
)

// State is what all members agree on. It changes by commands that Raft has
// ordered, each applied in the same way by everybody, and by nothing else.
type State struct {
	Cluster uint64 // number of the cluster, random, never 0
	Terms   Terms
	Want    int    // so many voters are made of the nodes that can be
	Version uint64 // commands that have changed something, from 1
	Epoch   uint64 // the highest that a view of any lockspace has had, 0: there was none
	Nodes   []Node // members, by id
	Voters  []Voter
	Spaces  []Space // by name
	// Past are the instances that have gone last, one for each node id, the
	// latest at the end. A join of theirs that comes late makes no member.
	Past []uint64
}

// Node is a member: a node with a lease.
type Node struct {
	ID       uint16
	Instance uint64 // this start of it; the low 16 bits are ID
	Features uint64 // what it understands, as in the handshake of links
	Addr     string // where its links are dialled
	Raft     uint64 // number of its store, 0: it has none and cannot vote
	Req      uint64 // its last command that has been applied
	Removing bool   // an operator wants it out: no renewals any more
}

// Voter is a node with a vote. It has it also while it is not a member: a voter
// that has crashed comes back.
type Voter struct {
	ID   uint16
	Raft uint64 // number of its store: a store that is lost is another voter
	Addr string
}

// Space is a lockspace that is open somewhere.
type Space struct {
	Name   string
	Config []byte   // the first to open it decides; opaque here
	Epoch  uint64   // of its present view; the next one's is one higher
	Since  uint64   // version of the state that made this view
	Joined []uint16 // ids of the members that have it open, rising
}

// NewState gives the state of a new cluster without voters, where something else than
// Raft puts the commands in order. Its number is random and not 0. Zero Terms:
// DefaultTerms.
func NewState(cluster uint64, terms Terms) (*State, error) {
	if terms == (Terms{}) {
		terms = DefaultTerms()
	}
	if cluster == 0 {
		return nil, fmt.Errorf("%w: a cluster without a number", ErrInvalid)
	}
	return &State{Cluster: cluster, Terms: terms}, terms.check()
}

// NodeOf gives the node id in an instance or in the number of a store.
func NodeOf(instance uint64) uint16 { return uint16(instance) }

// Node gives the member with an id, nil: there is none.
func (s *State) Node(id uint16) *Node {
	i, ok := slices.BinarySearchFunc(s.Nodes, id, func(n Node, id uint16) int { return cmp.Compare(n.ID, id) })
	if !ok {
		return nil
	}
	return &s.Nodes[i]
}

// Member gives the member with an instance, nil: it is none, or not any more.
func (s *State) Member(instance uint64) *Node {
	if n := s.Node(NodeOf(instance)); n != nil && n.Instance == instance {
		return n
	}
	return nil
}

// Voter gives the voter with a node id, nil: there is none.
func (s *State) Voter(id uint16) *Voter {
	for i := range s.Voters {
		if s.Voters[i].ID == id {
			return &s.Voters[i]
		}
	}
	return nil
}

// Space gives an open lockspace, nil: nobody has it open.
func (s *State) Space(name string) *Space {
	i, ok := slices.BinarySearchFunc(s.Spaces, name, func(sp Space, name string) int { return cmp.Compare(sp.Name, name) })
	if !ok {
		return nil
	}
	return &s.Spaces[i]
}

// HasOpen says whether a node takes part in a lockspace.
func (s *State) HasOpen(space string, id uint16) bool {
	sp := s.Space(space)
	if sp == nil {
		return false
	}
	_, joined := slices.BinarySearch(sp.Joined, id)
	return joined
}

// View gives the present view of a lockspace.
func (s *State) View(space string) (*lockspace.View, error) {
	sp := s.Space(space)
	if sp == nil {
		return nil, fmt.Errorf("%w: lockspace %q is not open", ErrInvalid, space)
	}
	return lockspace.NewView(sp.Epoch, s.members(sp))
}

// Views gives the views that this version has made of lockspaces which an instance
// has open; nil: it has none of them, or is no member.
func (s *State) Views(instance uint64) (views []SpaceView) {
	n := s.Member(instance)
	if n == nil {
		return nil
	}
	for i := range s.Spaces {
		sp := &s.Spaces[i]
		if _, joined := slices.BinarySearch(sp.Joined, n.ID); joined && sp.Since == s.Version {
			views = append(views, SpaceView{sp.Name, sp.Epoch, s.members(sp)})
		}
	}
	return views
}

// members gives those who have a lockspace open. Both lists rise.
func (s *State) members(sp *Space) []lockspace.Member {
	list := make([]lockspace.Member, 0, len(sp.Joined))
	for i := range s.Nodes {
		if k := len(list); k < len(sp.Joined) && sp.Joined[k] == s.Nodes[i].ID {
			list = append(list, lockspace.Member{ID: s.Nodes[i].ID, Instance: s.Nodes[i].Instance})
		}
	}
	return list
}

// Features gives what all members understand: what is not in it must not be
// written into anything that another node reads.
func (s *State) Features() uint64 {
	all := ^uint64(0)
	for i := range s.Nodes {
		all &= s.Nodes[i].Features
	}
	return all
}

// Clone gives a copy that shares nothing that changes.
func (s *State) Clone() *State {
	c := *s
	c.Past = slices.Clone(s.Past)
	c.Nodes, c.Voters, c.Spaces = slices.Clone(s.Nodes), slices.Clone(s.Voters), slices.Clone(s.Spaces)
	for i := range c.Spaces {
		c.Spaces[i].Joined = slices.Clone(c.Spaces[i].Joined)
	}
	return &c
}
