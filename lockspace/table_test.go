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
