package store

import (
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/lockify-dlm/lockify/cluster"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal encodes a message with its checksum behind it.
func seal(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	c := crc32.Checksum(b, castagnoli)
	return append(b, byte(c), byte(c>>8), byte(c>>16), byte(c>>24)), nil
}

// unseal decodes what seal has made.
func unseal(what string, b []byte, m proto.Message) error {
	n := len(b) - 4
	if n < 0 {
		return fmt.Errorf("%s is too short", what)
	}
	c := crc32.Checksum(b[:n], castagnoli)
	if uint32(b[n])|uint32(b[n+1])<<8|uint32(b[n+2])<<16|uint32(b[n+3])<<24 != c {
		return fmt.Errorf("%s has a wrong checksum", what)
	}
	if err := proto.Unmarshal(b[:n], m); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Save stores a part of the log as a whole or not at all. It returns when it is
// durable.
func (s *Store) Save(hs *pb.HardState, entries []*pb.Entry, snap *pb.Snapshot) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if snap != nil {
			if err := putSnapshot(tx, snap); err != nil {
				return err
			}
			if err := cut(tx, 0, ^uint64(0)); err != nil {
				return err
			}
		}
		if hs != nil {
			if err := put(tx.Bucket(bucketState), keyOnly, hs); err != nil {
				return err
			}
		}
		if len(entries) == 0 {
			return nil
		}
		// What was there from the first one on was never committed.
		if err := cut(tx, entries[0].GetIndex(), ^uint64(0)); err != nil {
			return err
		}
		for _, e := range entries {
			if err := put(tx.Bucket(bucketLog), bytes8(e.GetIndex()), e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.Memory.Save(hs, entries, snap)
}

// Compact stores the voter's own snapshot, and forgets the entries that it
// stands for; the copy in memory keeps those after index.
func (s *Store) Compact(snap *pb.Snapshot, index uint64) error {
	hs, _, err := s.InitialState()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	last := snap.GetMetadata().GetIndex()
	err = s.update(func(tx *bbolt.Tx) error {
		hs := cluster.Committed(hs, last) // or the entries in between would be missing
		return errors.Join(put(tx.Bucket(bucketState), keyOnly, hs), putSnapshot(tx, snap), cut(tx, 0, last))
	})
	if err != nil {
		return err
	}
	return s.Memory.Compact(snap, index)
}

func put(b *bbolt.Bucket, key []byte, m proto.Message) error {
	v, err := seal(m)
	if err != nil {
		return err
	}
	return b.Put(key, v)
}

func putSnapshot(tx *bbolt.Tx, snap *pb.Snapshot) error {
	return put(tx.Bucket(bucketSnapshot), keyOnly, snap)
}

// cut deletes the entries with an index from first to last.
func cut(tx *bbolt.Tx, first, last uint64) error {
	c := tx.Bucket(bucketLog).Cursor()
	for k, _ := c.Seek(bytes8(first)); k != nil && number(k) <= last; k, _ = c.Seek(bytes8(first)) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// load reads the file into memory, and checks that nothing is missing.
func (s *Store) load() error {
	return s.db.View(func(tx *bbolt.Tx) error {
		state, snapshot, log := tx.Bucket(bucketState), tx.Bucket(bucketSnapshot), tx.Bucket(bucketLog)
		if state == nil || snapshot == nil || log == nil {
			return errors.New("a part of the file is missing")
		}
		var hs *pb.HardState
		if v := state.Get(keyOnly); v != nil {
			hs = &pb.HardState{}
			if err := unseal("the state", v, hs); err != nil {
				return err
			}
		}
		var snap *pb.Snapshot
		next := uint64(1)
		if v := snapshot.Get(keyOnly); v != nil {
			snap = &pb.Snapshot{}
			if err := unseal("the snapshot", v, snap); err != nil {
				return err
			}
			next = snap.GetMetadata().GetIndex() + 1
		}
		var entries []*pb.Entry
		err := log.ForEach(func(k, v []byte) error {
			e := &pb.Entry{}
			if err := unseal(fmt.Sprintf("entry %d", number(k)), v, e); err != nil {
				return err
			}
			if e.GetIndex() != next || number(k) != next {
				return fmt.Errorf("entry %d is missing", next)
			}
			next++
			entries = append(entries, e)
			return nil
		})
		if err != nil {
			return err
		}
		if hs.GetCommit() >= next {
			return fmt.Errorf("entry %d is missing, %d is committed", next, hs.GetCommit())
		}
		return s.Memory.Save(hs, entries, snap)
	})
}
