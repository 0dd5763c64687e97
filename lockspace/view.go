package lockspace

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/lockify-dlm/lockify/wire"
)

// Hash is the hash of a resource name. All nodes use the same: it chooses the
// table slot (slotHash), and that of a name's range key (RangeRule.Route; without
// a rule it is the same hash) the directory node (top) and the shard (middle).
func Hash(name []byte) uint64 { return xxhash.Sum64(name) }

const (
	dirSlotBits = 12
	dirSlots    = 1 << dirSlotBits
)

// ShardOf gives the shard, 0 to shards-1, of a name with this routing hash.
func ShardOf(hash uint64, shards int) int { return int(uint32(hash>>20) % uint32(shards)) }

// Member is one node of a view.
type Member struct {
	ID       uint16 // 1 to 65535
	Instance uint64 // of this start of the node; its low 16 bits are ID; 0, if the view never changes: not known
}

// View is an agreed list of members. It is not changed after NewView.
type View struct {
	Epoch   uint64 // 1 and up, below 1<<24 (it is the upper part of a token)
	Members []Member
	slots   [dirSlots]uint16
	sole    uint16            // the only member, 0: there are several
	ids     map[uint16]uint64 // node id: instance
}

// NewView builds a view: each of 4096 slots of the hash range goes to the
// member with the highest weight for it (rendezvous hashing), so that a
// member's coming or going moves only its own slots.
func NewView(epoch uint64, members []Member) (*View, error) {
	if epoch == 0 || epoch >= 1<<24 {
		return nil, fmt.Errorf("lockspace: epoch %d is not between 1 and %d", epoch, 1<<24-1)
	}
	if len(members) == 0 {
		return nil, errors.New("lockspace: a view needs a member")
	}
	v := &View{Epoch: epoch, Members: members, ids: map[uint16]uint64{}}
	for _, m := range members {
		if _, twice := v.ids[m.ID]; m.ID == 0 || twice {
			return nil, fmt.Errorf("lockspace: member id %d is zero or used twice", m.ID)
		}
		v.ids[m.ID] = m.Instance
	}
	if len(members) == 1 {
		v.sole = members[0].ID
	}
	for slot := range v.slots {
		var best uint64
		for _, m := range members {
			if w := mix(uint64(slot)<<16 | uint64(m.ID)); w >= best {
				best, v.slots[slot] = w, m.ID
			}
		}
	}
	return v, nil
}

// Directory gives the node that is the directory of a name with this routing
// hash.
func (v *View) Directory(hash uint64) uint16 {
	if v.sole != 0 { // slots says the same, and is not in the cache
		return v.sole
	}
	return v.slots[slotOf(hash)]
}

// HasInstance says whether a node instance is a member. An older start of a member is
// not. In a view that names no instance for a node each of its starts is.
func (v *View) HasInstance(instance uint64) bool {
	known, ok := v.ids[wire.NodeOf(instance)]
	return ok && (known == instance || known == 0)
}

// Instance gives the instance of the member with a node id, 0: no such member.
func (v *View) Instance(id uint16) uint64 { return v.ids[id] }

// slotOf gives the slot of a hash.
func slotOf(hash uint64) uint64 { return hash >> (64 - dirSlotBits) }

// Has says that node id is a member.
func (v *View) Has(id uint16) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.ID == id })
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
