package cluster

import (
	"fmt"
	"math"
)

// Append encodes s behind b.
func (s *State) Append(b []byte) []byte {
	b = append(b, formatVersion)
	b = appendU64(b, s.Cluster)
	b = appendUint(b, uint64(s.Terms.Lease))
	b = appendUint(b, uint64(s.Terms.DriftPPM))
	b = appendUint(b, uint64(s.Terms.Margin))
	b = appendUint(b, uint64(s.Want))
	b = appendUint(b, s.Version)
	b = appendUint(b, s.Epoch)
	b = appendUint(b, uint64(len(s.Nodes)))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		b = appendU64(b, n.Instance)
		b = appendU64(b, n.Features)
		b = appendBytes(b, n.Addr)
		b = appendU64(b, n.Raft)
		b = appendUint(b, n.Req)
		b = append(b, boolByte(n.Removing))
	}
	b = appendUint(b, uint64(len(s.Voters)))
	for _, v := range s.Voters {
		b = appendU64(b, v.Raft)
		b = appendBytes(b, v.Addr)
	}
	b = appendUint(b, uint64(len(s.Past)))
	for _, instance := range s.Past {
		b = appendU64(b, instance)
	}
	b = appendUint(b, uint64(len(s.Spaces)))
	for i := range s.Spaces {
		b = s.appendSpace(b, &s.Spaces[i])
	}
	return b
}

// appendSpace encodes a lockspace. Who has joined is one bit for each node.
func (s *State) appendSpace(b []byte, sp *Space) []byte {
	b = appendBytes(b, sp.Name)
	b = appendBytes(b, sp.Config)
	b = appendUint(b, sp.Epoch)
	b = appendUint(b, sp.Since)
	at := len(b)
	b = append(b, make([]byte, (len(s.Nodes)+7)/8)...)
	k := 0
	for i := range s.Nodes {
		if k < len(sp.Joined) && sp.Joined[k] == s.Nodes[i].ID {
			b[at+i/8] |= 1 << (i % 8)
			k++
		}
	}
	return b
}

// DecodeState reads what Append has written, and checks it: numbers rise, what
// is referred to is there.
func DecodeState(b []byte) (*State, error) {
	r := &reader{b: b}
	s := decodeState(r)
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return s, nil
}

func decodeState(r *reader) *State {
	r.version()
	s := &State{Cluster: r.u64()}
	s.Terms = Terms{int64(r.uint(maxLease)), uint32(r.uint(maxDriftPPM)), int64(r.uint(maxLease))}
	s.Want = int(r.uint(MaxVoters))
	s.Version = r.uint(math.MaxUint64)
	s.Epoch = r.uint(maxEpoch)
	if r.err == nil && (s.Cluster == 0 || s.Terms.check() != nil) {
		r.fail("no cluster number, or leases that cannot be")
	}
	n := r.count(MaxNodes, 27)
	for range n {
		s.decodeNode(r)
	}
	for range r.count(MaxVoters, 9) {
		v := Voter{Raft: r.u64(), Addr: string(r.bytes(MaxAddr))}
		v.ID = NodeOf(v.Raft)
		if v.ID == 0 || s.Voter(v.ID) != nil {
			r.fail("a voter without id, or twice")
		}
		s.Voters = append(s.Voters, v)
	}
	for range r.count(maxPast, 8) {
		s.Past = append(s.Past, r.u64())
	}
	for range r.count(MaxSpaces, 4) {
		s.decodeSpace(r)
	}
	return s
}

func (s *State) decodeNode(r *reader) {
	n := Node{Instance: r.u64(), Features: r.u64(), Addr: string(r.bytes(MaxAddr)), Raft: r.u64(), Req: r.uint(math.MaxUint64)}
	n.ID = NodeOf(n.Instance)
	flag := r.byte()
	n.Removing = flag == 1
	last := uint16(0)
	if k := len(s.Nodes); k > 0 {
		last = s.Nodes[k-1].ID
	}
	if n.ID <= last || flag > 1 {
		r.fail("nodes out of order")
	}
	s.Nodes = append(s.Nodes, n)
}

func (s *State) decodeSpace(r *reader) {
	sp := Space{Name: string(r.bytes(maxName)), Config: append([]byte(nil), r.bytes(maxConfig)...), Epoch: r.uint(s.Epoch), Since: r.uint(s.Version)}
	for i := range s.Nodes {
		if i%8 == 0 && len(r.b) <= i/8 {
			r.fail("too short")
			return
		}
		if r.b[i/8]>>(i%8)&1 != 0 {
			sp.Joined = append(sp.Joined, s.Nodes[i].ID)
		}
	}
	if size := (len(s.Nodes) + 7) / 8; r.err == nil {
		if size > 0 && len(s.Nodes)%8 != 0 && r.b[size-1]>>(len(s.Nodes)%8) != 0 {
			r.fail("bits without a node")
			return
		}
		r.b = r.b[size:]
	}
	if k := len(s.Spaces); sp.Name == "" || sp.Epoch == 0 || len(sp.Joined) == 0 || k > 0 && s.Spaces[k-1].Name >= sp.Name {
		r.fail("a lockspace that is empty or out of order")
	}
	s.Spaces = append(s.Spaces, sp)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
