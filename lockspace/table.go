package lockspace

import "bytes"

// resTable holds the resources, and finds them by name: open addressing with linear
// probing. A slot is small, and has no pointer for the garbage collector to follow. A
// part of the hash stands in it, so that looking for a name that is not there
// touches no resource, which may lie in another core's cache. An insert
// allocates only when the table doubles; what was in it then moves bit by bit with the
// next inserts, as nobody is to wait for the move of a million names.
type resTable struct {
	slots []resSlot // power of two long, at most 3/4 full, small ones 1/2
	n     int
	free  []uint32 // numbers in the slab
	moved int      // slots of old that have been looked at
	slab  slab[resource]
	old   []resSlot // of before it doubled: what has not moved yet; nil: all has
}

type resSlot struct {
	hash uint32 // slotHash, of which the table's length takes a part
	at   uint32 // in the slab, plus 1; 0: free; or leftSlot
}

// leftSlot marks a slot of an old table of which nothing is left, but which others may
// have been driven past.
const leftSlot = ^uint32(0)

// moveSlots is how many slots of an old table an insert moves.
const moveSlots = 8

const (
	tableMin    = 64
	tableSparse = 4096
)

// slotHash makes the hash that chooses a slot. No bits of a name's hash can be taken as they
// are: some have chosen the shard, and are the same in all its names.
func slotHash(hash uint64) uint32 { return uint32(hash * 0x9e3779b97f4a7c15 >> 32) }

func (t *resTable) find(hash uint64, name []byte) *resource {
	if t.n == 0 {
		return nil
	}
	mask := uint32(len(t.slots) - 1)
	part := slotHash(hash)
	for i := part & mask; t.slots[i].at != 0; i = (i + 1) & mask {
		if s := t.slots[i]; s.hash == part {
			if r := t.slab.at(s.at - 1); r.hash == hash && bytes.Equal(r.name(), name) {
				return r
			}
		}
	}
	if t.old != nil {
		return t.findOld(hash, name)
	}
	return nil
}

// findOld finds what has not moved yet.
func (t *resTable) findOld(hash uint64, name []byte) *resource {
	mask := uint32(len(t.old) - 1)
	part := slotHash(hash)
	for i := part & mask; t.old[i].at != 0; i = (i + 1) & mask {
		if s := t.old[i]; s.hash == part && s.at != leftSlot {
			if r := t.slab.at(s.at - 1); r.hash == hash && bytes.Equal(r.name(), name) {
				return r
			}
		}
	}
	return nil
}

// get gives an empty resource, in no slot.
func (t *resTable) get() *resource {
	if n := len(t.free); n > 0 {
		r := t.slab.at(t.free[n-1])
		t.free = t.free[:n-1]
		r.nameState = nameState{} // release has seen to the rest
		return r
	}
	at := t.slab.n
	r := t.slab.add()
	r.at = at
	return r
}

// insert enters a resource that get has given.
func (t *resTable) insert(r *resource) {
	if t.full() {
		t.move(len(t.old)) // has moved by now
		t.old, t.slots, t.moved = t.slots, make([]resSlot, max(tableMin, 2*len(t.slots))), 0
	}
	if t.old != nil {
		t.move(moveSlots)
	}
	t.put(resSlot{slotHash(r.hash), r.at + 1})
	t.n++
}

// full says that another name needs a larger table. One that fits the first cache of a
// processor is kept half empty: names meet less often, which costs more than a miss there.
func (t *resTable) full() bool {
	if len(t.slots) <= tableSparse {
		return 2*(t.n+1) > len(t.slots)
	}
	return 4*(t.n+1) > 3*len(t.slots)
}

// move moves what is in the next n slots of the old table.
func (t *resTable) move(n int) {
	for end := min(len(t.old), t.moved+n); t.moved < end; t.moved++ {
		if s := &t.old[t.moved]; s.at != 0 && s.at != leftSlot {
			t.put(*s)
			s.at = leftSlot
		}
	}
	if t.moved == len(t.old) {
		t.old = nil
	}
}

func (t *resTable) put(s resSlot) {
	mask := uint32(len(t.slots) - 1)
	i := s.hash & mask
	for t.slots[i].at != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

// remove frees r's slot.
func (t *resTable) remove(r *resource) {
	t.n--
	if i, ok := slotOfResource(t.slots, r); ok {
		t.closeGap(i)
		return
	}
	i, _ := slotOfResource(t.old, r)
	t.old[i].at = leftSlot
}

func slotOfResource(slots []resSlot, r *resource) (i uint32, ok bool) {
	mask := uint32(len(slots) - 1)
	for i = slotHash(r.hash) & mask; slots[i].at != 0; i = (i + 1) & mask {
		if slots[i].at == r.at+1 {
			return i, true
		}
	}
	return 0, false
}

// closeGap frees a slot: an entry behind it moves up unless that would put it before the
// slot its hash asks for.
func (t *resTable) closeGap(gap uint32) {
	mask := uint32(len(t.slots) - 1)
	for i := (gap + 1) & mask; t.slots[i].at != 0; i = (i + 1) & mask {
		if home := t.slots[i].hash & mask; (i-home)&mask >= (i-gap)&mask {
			t.slots[gap] = t.slots[i]
			gap = i
		}
	}
	t.slots[gap] = resSlot{}
}

// each calls f for all resources until it returns false. f may free them.
func (t *resTable) each(f func(r *resource) bool) {
	for at := range t.slab.n {
		if r := t.slab.at(at); r.state != freed && !f(r) {
			return
		}
	}
}

// lockTable holds the locks, and finds them by owner and id. Chains run through the
// locks themselves: a new lock is never looked for first. When it doubles, the chains are
// split bit by bit with the next inserts.
//
// Locks go by their numbers in the slab, plus 1; 0: none. A pointer costs more to write, while
// the collector runs, and has it look through the slots.
type lockTable struct {
	slots []uint32
	n     int
	free  uint32 // chained by hashNext
	split int    // chains of old that have been
	slab  slab[Lock]
	old   []uint32 // of before it doubled; nil: all have been split
}

// chainMax is how long chains are on average, at most.
const chainMax = 2

// splitChains is how many chains of an old table an insert splits.
const splitChains = 4

// lockHash takes the upper bits, which all of owner and id have a part in: ids are counted.
func lockHash(owner, id uint64) uint64 { return (owner ^ id) * 0x9e3779b97f4a7c15 >> 32 }

func (t *lockTable) slot(owner, id uint64) *uint32 {
	h := lockHash(owner, id)
	if t.old != nil {
		if i := h & uint64(len(t.old)-1); i >= uint64(t.split) {
			return &t.old[i]
		}
	}
	return &t.slots[h&uint64(len(t.slots)-1)]
}

func (t *lockTable) find(owner, id uint64) *Lock {
	if t.n == 0 {
		return nil
	}
	for at := *t.slot(owner, id); at != 0; {
		l := t.slab.at(at - 1)
		if l.id == id && l.owner == owner {
			return l
		}
		at = l.hashNext
	}
	return nil
}

// get gives an empty lock, in no chain.
func (t *lockTable) get() *Lock {
	if t.free == 0 {
		l := t.slab.add()
		l.at = t.slab.n
		return l
	}
	l := t.slab.at(t.free - 1)
	t.free = l.hashNext
	l.lockState = lockState{}
	return l
}

// put takes a lock back that get has given. No pointer is in it.
func (t *lockTable) put(l *Lock) { l.hashNext, t.free = t.free, l.at }

// insert enters a lock that get has given.
func (t *lockTable) insert(l *Lock) {
	if t.n >= chainMax*len(t.slots) {
		t.splitSome(len(t.old)) // have been by now
		t.old, t.slots, t.split = t.slots, make([]uint32, max(tableMin, 2*len(t.slots))), 0
	}
	if t.old != nil {
		t.splitSome(splitChains)
	}
	slot := t.slot(l.owner, l.id)
	l.hashNext, *slot = *slot, l.at
	t.n++
}

// splitSome splits the next n chains of the old table.
func (t *lockTable) splitSome(n int) {
	for ; n > 0 && t.split < len(t.old); n-- {
		at := t.old[t.split]
		t.split++
		for at != 0 {
			l := t.slab.at(at - 1)
			next := l.hashNext
			slot := t.slot(l.owner, l.id)
			l.hashNext, *slot = *slot, at
			at = next
		}
	}
	if t.split == len(t.old) {
		t.old = nil
	}
}

func (t *lockTable) remove(l *Lock) {
	for p := t.slot(l.owner, l.id); *p != 0; p = &t.slab.at(*p - 1).hashNext {
		if *p == l.at {
			*p = l.hashNext
			t.n--
			return
		}
	}
}

// each calls f for all locks.
func (t *lockTable) each(f func(l *Lock)) {
	for at := range t.slab.n {
		if l := t.slab.at(at); l.res != nil {
			f(l)
		}
	}
}
