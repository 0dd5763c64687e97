package cluster

import (
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Storage keeps what a voter must not forget: its part of the Raft log. What
// has been saved is there after a crash; so is what it has voted.
type Storage interface {
	raft.Storage
	// Save stores a part of the log as a whole or not at all: hs and snap may be
	// nil. It returns when it is durable. After an error the voter is done for.
	Save(hs *pb.HardState, entries []*pb.Entry, snap *pb.Snapshot) error
	// Compact stores the voter's own snapshot, all of which is committed, and may forget
	// entries up to index.
	Compact(snap *pb.Snapshot, index uint64) error
}

// Memory is a Storage that ends with the process. A voter that has only this is
// another voter when it starts again.
type Memory struct{ *raft.MemoryStorage }

// NewMemory gives an empty one.
func NewMemory() *Memory { return &Memory{raft.NewMemoryStorage()} }

// Save stores a part of the log.
func (m *Memory) Save(hs *pb.HardState, entries []*pb.Entry, snap *pb.Snapshot) error {
	if snap != nil {
		if err := m.ApplySnapshot(snap); err != nil {
			return err
		}
	}
	if hs != nil {
		if err := m.SetHardState(hs); err != nil {
			return err
		}
	}
	return m.Append(entries)
}

// Compact stores the voter's own snapshot.
func (m *Memory) Compact(snap *pb.Snapshot, index uint64) error {
	meta := snap.GetMetadata()
	if hs, _, err := m.InitialState(); err != nil {
		return err
	} else if err := m.SetHardState(Committed(hs, meta.GetIndex())); err != nil {
		return err
	}
	if _, err := m.CreateSnapshot(meta.GetIndex(), meta.GetConfState(), snap.GetData()); err != nil {
		return err
	}
	if first, err := m.FirstIndex(); err != nil || index < first {
		return err
	}
	return m.MemoryStorage.Compact(index)
}

// Committed gives hs with a commit index of at least index.
func Committed(hs *pb.HardState, index uint64) *pb.HardState {
	return &pb.HardState{Term: new(hs.GetTerm()), Vote: new(hs.GetVote()), Commit: new(max(hs.GetCommit(), index))}
}

// Birth is what a new cluster begins with.
type Birth struct {
	Cluster uint64 // random, not 0
	Terms   Terms
	Want    int    // voters, 1 to MaxVoters: odd numbers are worth their cost
	Store   uint64 // number of the first voter's store; the low 16 bits are its node id
	Addr    string // of the first voter
}

// Found makes a new cluster with one voter, who owns st, which must be empty.
func Found(st Storage, b Birth) error {
	switch {
	case b.Cluster == 0:
		return fmt.Errorf("%w: a cluster without a number", ErrInvalid)
	case b.Want < 1 || b.Want > MaxVoters:
		return fmt.Errorf("%w: %d voters, must be 1 to %d", ErrInvalid, b.Want, MaxVoters)
	case NodeOf(b.Store) == 0 || b.Store>>16 == 0:
		return fmt.Errorf("%w: %#x is no number of a store", ErrInvalid, b.Store)
	case len(b.Addr) > MaxAddr:
		return fmt.Errorf("%w: address of %d bytes, at most %d", ErrInvalid, len(b.Addr), MaxAddr)
	}
	if err := b.Terms.check(); err != nil {
		return err
	}
	if last, err := st.LastIndex(); err != nil || last != 0 {
		return fmt.Errorf("%w: the store is in use (%v)", ErrInvalid, err)
	}
	s := &State{
		Cluster: b.Cluster, Terms: b.Terms, Want: b.Want, Version: 1,
		Voters: []Voter{{NodeOf(b.Store), b.Store, b.Addr}},
	}
	snap := &pb.Snapshot{
		Data: appendSnapshot(nil, s, &history{}),
		Metadata: &pb.SnapshotMetadata{
			Index: new(uint64(1)), Term: new(uint64(1)), ConfState: &pb.ConfState{Voters: []uint64{b.Store}},
		},
	}
	return st.Save(&pb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(uint64(1))}, nil, snap)
}

// Alone says that st is of a cluster which no other node than id has ever been in, as far
// as its snapshot and the log behind that tell.
func Alone(st Storage, id uint16) (bool, error) {
	snap, err := st.Snapshot()
	if err != nil || raft.IsEmptySnap(snap) {
		return false, err
	}
	s, _, err := decodeSnapshot(snap.GetData())
	if err != nil {
		return false, fmt.Errorf("cluster: snapshot: %w", err)
	}
	if slices.ContainsFunc(s.Voters, func(v Voter) bool { return v.ID != id }) ||
		slices.ContainsFunc(s.Nodes, func(n Node) bool { return n.ID != id }) ||
		slices.ContainsFunc(s.Past, func(instance uint64) bool { return NodeOf(instance) != id }) {
		return false, nil
	}
	first := snap.GetMetadata().GetIndex() + 1
	last, err := st.LastIndex()
	if err != nil || last < first {
		return err == nil, err
	}
	entries, err := st.Entries(first, last+1, math.MaxUint64)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(entries, func(e *pb.Entry) bool {
		c, err := DecodeCommand(e.GetData())
		return e.GetType() == pb.EntryNormal && err == nil && c.Kind == Join && NodeOf(c.Instance) != id
	}), nil
}
