package node

import (
	"bytes"
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
)

// This file is delegated name ranges. A range belongs to the node, not to the
// program that has asked for it: it stays when that one ends, and every
// program of the node may give it back.

// Delegate has the range with this key handed to this node. The outcome goes
// to owner.Complete with lock id 0, perhaps before Delegate returns; see
// lockspace.Shard.Delegate. key is not kept.
func (s *Space) Delegate(owner Owner, key []byte, tag uint64) {
	s.rangeOp(&Op{kind: opDelegate, owner: owner, name: key, tag: tag}, nil)
}

// Return gives a range back; see lockspace.Shard.Return. Otherwise it is like
// Delegate.
func (s *Space) Return(owner Owner, key []byte, tag uint64) {
	s.rangeOp(&Op{kind: opReturn, owner: owner, name: key, tag: tag}, nil)
}

func (s *Space) rangeOp(op *Op, b *batch) {
	s.runnerOf(op.name, lockspace.Hash(op.name)).submit(op, b)
}

// Ranges lists the ranges that are delegated to this node, or by it, by key.
func (s *Space) Ranges() []lockspace.RangeInfo {
	all := []lockspace.RangeInfo{}
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			r.shard.Ranges(func(i lockspace.RangeInfo) bool {
				all = append(all, i)
				return true
			})
		})
	}
	slices.SortFunc(all, func(a, b lockspace.RangeInfo) int { return bytes.Compare(a.Key, b.Key) })
	return all
}
