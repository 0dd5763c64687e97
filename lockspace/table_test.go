package lockspace

import (
	"encoding/binary"
	"testing"
)

// The names of one shard spread over the whole of a large table: what they have in common
// in their hashes does not drive them together. Else their runs have no end.
func TestTableSpread(t *testing.T) {
	const (
		slots = 1 << 22
		names = slots / 64
		parts = 16
	)
	for _, shards := range []int{1, 2, 3, 8, 256} {
		table := resTable{slots: make([]resSlot, slots)}
		var name [8]byte
		for i, n := uint64(0), 0; n < names; i++ {
			binary.LittleEndian.PutUint64(name[:], i)
			if hash := Hash(name[:]); ShardOf(hash, shards) == shards-1 {
				table.put(resSlot{slotHash(hash), 1})
				n++
			}
		}
		for part := range parts {
			taken := 0
			for _, s := range table.slots[part*slots/parts : (part+1)*slots/parts] {
				if s.at != 0 {
					taken++
				}
			}
			if want := names / parts; taken < want*9/10 || taken > want*11/10 {
				t.Errorf("%d shards: %d names are in part %d of the table, want some %d", shards, taken, part, want)
			}
		}
	}
}

// What doubles moves bit by bit: no insert moves a large table at once, and all is found
// and removed meanwhile.
func TestTablesGrow(t *testing.T) {
	const n = 100_000
	var names resTable
	var locks lockTable
	most := 0
	name := func(i int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(i)) }
	for i := range n {
		r := names.get()
		r.hash, r.nameLen = Hash(name(i)), uint8(copy(r.nameBuf[:], name(i)))
		l := locks.get()
		l.owner, l.id = 1, uint64(i)
		was, split := names.moved, locks.split
		names.insert(r)
		locks.insert(l)
		if names.old != nil && names.moved > was {
			most = max(most, names.moved-was)
		}
		if locks.old != nil && locks.split > split {
			most = max(most, locks.split-split)
		}
		if i%2 == 1 { // one that has come some time ago
			at := i / 2
			gone, lock := names.find(Hash(name(at)), name(at)), locks.find(1, uint64(at))
			if gone == nil || lock == nil {
				t.Fatalf("%d of %d: not found", at, i)
			}
			names.remove(gone)
			locks.remove(lock)
		}
	}
	if most == 0 || most > max(moveSlots, splitChains) {
		t.Errorf("an insert moves %d slots or chains", most)
	}
	for i := range n {
		if there := i >= n/2; (names.find(Hash(name(i)), name(i)) != nil) != there || (locks.find(1, uint64(i)) != nil) != there {
			t.Fatalf("%d: is there, or is not, but should be %v", i, there)
		}
	}
}
