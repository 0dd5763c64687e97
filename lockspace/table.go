package lockspace

import "bytes"

// resTable finds resources by name: open addressing with linear probing. The
// hash stands beside the pointer, so that looking for a name that is not there
// touches no resource, which may lie in another core's cache. An insert
// allocates only when the table doubles.
type resTable struct {
	slots []resSlot // power of two long, at most 3/4 full
	n     int
}

type resSlot struct {
	hash uint64
	r    *resource // nil: free
}

const tableMin = 64

func (t *resTable) find(hash uint64, name []byte) *resource {
	if t.n == 0 {
		return nil
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; t.slots[i].r != nil; i = (i + 1) & mask {
		if s := &t.slots[i]; s.hash == hash && bytes.Equal(s.r.name(), name) {
			return s.r
		}
	}
	return nil
}

func (t *resTable) insert(r *resource) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.grow()
	}
	t.put(resSlot{r.hash, r})
	t.n++
}

func (t *resTable) put(s resSlot) {
	mask := uint64(len(t.slots) - 1)
	i := s.hash & mask
	for t.slots[i].r != nil {
		i = (i + 1) & mask
	}
	t.slots[i] = s
}

// remove frees r's slot and closes the gap: an entry behind it moves up unless
// that would put it before the slot its hash asks for.
func (t *resTable) remove(r *resource) {
	mask := uint64(len(t.slots) - 1)
	gap := r.hash & mask
	for t.slots[gap].r != r {
		gap = (gap + 1) & mask
	}
	t.n--
	for i := (gap + 1) & mask; t.slots[i].r != nil; i = (i + 1) & mask {
		if home := t.slots[i].hash & mask; (i-home)&mask >= (i-gap)&mask {
			t.slots[gap] = t.slots[i]
			gap = i
		}
	}
	t.slots[gap] = resSlot{}
}

func (t *resTable) grow() {
	old := t.slots
	t.slots = make([]resSlot, max(tableMin, 2*len(old)))
	for _, s := range old {
		if s.r != nil {
			t.put(s)
		}
	}
}

// all lists the resources, so that they can be freed in a walk.
func (t *resTable) all() []*resource {
	list := make([]*resource, 0, t.n)
	for _, slot := range t.slots {
		if slot.r != nil {
			list = append(list, slot.r)
		}
	}
	return list
}

// lockTable finds locks by owner and id. Chains run through the locks
// themselves: a new lock is never looked for first.
type lockTable struct {
	slots []*Lock
	n     int
}

func lockHash(owner, id uint64) uint64 { return mix(owner ^ id) }

func (t *lockTable) find(owner, id uint64) *Lock {
	if t.n == 0 {
		return nil
	}
	for l := t.slots[lockHash(owner, id)&uint64(len(t.slots)-1)]; l != nil; l = l.hashNext {
		if l.id == id && l.owner == owner {
			return l
		}
	}
	return nil
}

func (t *lockTable) insert(l *Lock) {
	if t.n >= len(t.slots) {
		t.grow()
	}
	slot := &t.slots[lockHash(l.owner, l.id)&uint64(len(t.slots)-1)]
	l.hashNext, *slot = *slot, l
	t.n++
}

func (t *lockTable) remove(l *Lock) {
	for p := &t.slots[lockHash(l.owner, l.id)&uint64(len(t.slots)-1)]; *p != nil; p = &(*p).hashNext {
		if *p == l {
			*p, l.hashNext = l.hashNext, nil
			t.n--
			return
		}
	}
}

func (t *lockTable) grow() {
	old := t.slots
	t.slots = make([]*Lock, max(tableMin, 2*len(old)))
	for _, l := range old {
		for l != nil {
			next := l.hashNext
			slot := &t.slots[lockHash(l.owner, l.id)&uint64(len(t.slots)-1)]
			l.hashNext, *slot = *slot, l
			l = next
		}
	}
}
