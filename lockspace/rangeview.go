package lockspace

import (
	"maps"
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is what a new view does to ranges: it ends all delegations. The
// directory node of each key has its names again, its masters register with it
// as with any new directory node, and whoever had a range, and lives, asks for it
// again. So nobody needs to know who owned what when an owner dies.
//
// Only the directory node and the owner of a range know whether it was
// delegated, and a master whose entry has moved has not even heard of it. So in
// a lockspace with ranges, names that lie in one count as moved in each view.

// inRange says that a name lies in a range that can be delegated.
func (s *Shard) inRange(name []byte) bool {
	return s.cfg.Range != 0 && s.cfg.Range.IsKey(s.cfg.Range.Key(name)) && !s.off(TrustRanges)
}

// endDelegations is for a view that has just been put in force, before names
// are carried over.
func (s *Shard) endDelegations() {
	s.leaving = nil
	for _, key := range slices.Sorted(maps.Keys(s.ranges)) {
		switch k := s.ranges[key]; {
		case k.owner != s.cfg.Self:
			delete(s.ranges, key)
		case k.state == returning, k.unwanted: // so it has gone back
			delete(s.ranges, key)
			s.answerCallers(k, wire.OK, 0)
		default:
			k.state, k.lookups = asking, nil
		}
	}
}

// askAgainForRanges follows. The directory node, which waits for what this node
// registers, has it all before it gives a range away.
func (s *Shard) askAgainForRanges() {
	for _, key := range slices.Sorted(maps.Keys(s.ranges)) {
		if k := s.ranges[key]; k.state == asking {
			s.askFor(k)
		}
	}
}

// askFor asks the directory node for a range; that may be this node.
func (s *Shard) askFor(k *keyRange) {
	key := []byte(k.key)
	if dir := s.view.Directory(Hash(key)); dir != s.self {
		s.sendBare(dir, &wire.Msg{Type: wire.AskRange, Name: key})
		return
	}
	k.state, k.gen = owned, s.newGeneration()
	s.answerCallers(k, wire.OK, 0)
}

// fenceRanges ends what this node has to do with ranges, for good.
func (s *Shard) fenceRanges() {
	all := s.ranges
	s.ranges, s.leaving, s.home = nil, nil, nil
	for _, key := range slices.Sorted(maps.Keys(all)) {
		s.answerCallers(all[key], wire.ShuttingDown, 0)
	}
}
