package lockspace

import "bytes"

// resTable finds resources by name. Chains run through the resources
// themselves, so that an insert allocates only when the table doubles.
type resTable struct {
	slots []*resource
	n     int
}

const tableMin = 64

func (t *resTable) find(hash uint64, name []byte) *resource {
	if t.n == 0 {
		return nil
	}
	for r := t.slots[hash&uint64(len(t.slots)-1)]; r != nil; r = r.hashNext {
		if r.hash == hash && bytes.Equal(r.name(), name) {
			return r
		}
	}
	return nil
}

func (t *resTable) insert(r *resource) {
	if t.n >= len(t.slots) {
		t.grow()
	}
	slot := &t.slots[r.hash&uint64(len(t.slots)-1)]
	r.hashNext, *slot = *slot, r
	t.n++
}

func (t *resTable) remove(r *resource) {
	for p := &t.slots[r.hash&uint64(len(t.slots)-1)]; *p != nil; p = &(*p).hashNext {
		if *p == r {
			*p, r.hashNext = r.hashNext, nil
			t.n--
			return
		}
	}
}

func (t *resTable) grow() {
	old := t.slots
	t.slots = make([]*resource, max(tableMin, 2*len(old)))
	for _, r := range old {
		for r != nil {
			next := r.hashNext
			slot := &t.slots[r.hash&uint64(len(t.slots)-1)]
			r.hashNext, *slot = *slot, r
			r = next
		}
	}
}

// lockTable finds locks by owner and id, in the same way.
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
