package byterange

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// Owner is who locks. Locks of one owner never exclude each other.
type Owner struct {
	Node   uint64 // node instance
	Handle uint64 // lock id of the handle through which it locks
	Number uint64 // the program's own number, like a process id
}

func (o Owner) compare(p Owner) int {
	return cmp.Or(cmp.Compare(o.Node, p.Node), cmp.Compare(o.Handle, p.Handle), cmp.Compare(o.Number, p.Number))
}

// Held is a lock and its owner.
type Held struct {
	Owner Owner
	Lock
}

// String gives "write 0-9 of owner 5 of node 2".
func (h Held) String() string {
	return fmt.Sprintf("%v of owner %d of node %d", h.Lock, h.Owner.Number, h.Owner.Node&0xffff)
}

// Request is a lock that is wanted. It belongs to the table while it waits.
type Request struct {
	Owner Owner
	Lock
	ID     uint64 // unique among the requests of a handle
	queued bool
	Parked bool // nobody has been asked yet: it keeps its place, no more, and is neither granted nor waited for

	// The caller's own; not looked at here.
	Tag   uint64
	Flags uint32
	Hops  uint8
	Sent  bool
}

// Table is the byte-range locks of one resource. The zero Table is empty.
type Table struct {
	owners []*party   // sorted; those without locks and requests are dropped
	queue  []*Request // in the order in which they came
	n      int        // locks
	gives  uint64     // how often somebody has given something up; From begins it
}

// From makes an empty table that counts what is given up from n on: for a
// resource that has had a table before, from its Gives.
func From(n uint64) Table { return Table{gives: n} }

// Gives counts how often somebody has given something up, and is above all
// that Block has given.
func (t *Table) Gives() uint64 { return t.gives + 1 }

// party is an owner with its locks and the requests of it that wait.
type party struct {
	Owner
	set   set
	waits []*Request
	gave  uint64 // what Table.gives was when it last gave something up, or came
}

// find gives the place of an owner, and itself or nil.
func (t *Table) find(o Owner) (int, *party) {
	i := sort.Search(len(t.owners), func(i int) bool { return t.owners[i].compare(o) >= 0 })
	if i < len(t.owners) && t.owners[i].Owner == o {
		return i, t.owners[i]
	}
	return i, nil
}

func (t *Table) party(o Owner) *party {
	i, p := t.find(o)
	if p == nil {
		p = &party{Owner: o, gave: t.gives}
		t.owners = slices.Insert(t.owners, i, p)
	}
	return p
}

func (t *Table) locks(o Owner) set {
	if _, p := t.find(o); p != nil {
		return p.set
	}
	return nil
}

// drop forgets an owner that has nothing.
func (t *Table) drop(o Owner) {
	if i, p := t.find(o); p != nil && len(p.set) == 0 && len(p.waits) == 0 {
		t.owners = slices.Delete(t.owners, i, i+1)
	}
}

// Empty says that nobody has or wants anything.
func (t *Table) Empty() bool { return len(t.owners) == 0 }

// Len gives the number of locks.
func (t *Table) Len() int { return t.n }

// Waiting gives the requests that wait, in order. They must not be changed
// but through the table, which changes the slice.
func (t *Table) Waiting() []*Request { return t.queue }

// Grows gives by how many Set would make the table longer.
func (t *Table) Grows(o Owner, typ Type, r Range) int {
	c := t.locks(o).plan(typ, r)
	return c.grows()
}

// Set makes typ what o has of r: a grant, whatever others have, or with None
// an unlock. It may split what o had, and joins neighbours.
func (t *Table) Set(o Owner, typ Type, r Range) {
	p := t.party(o)
	if t.GivesUp(o, typ, r) {
		t.gives++
		p.gave = t.gives
	}
	t.n -= len(p.set)
	p.set = p.set.put(typ, r)
	t.n += len(p.set)
	t.drop(o)
}

// Conflict gives the lock that is in the way of a lock for o: of those of
// other owners the one that starts first (F_GETLK).
func (t *Table) Conflict(o Owner, typ Type, r Range) (first Held, found bool) {
	for _, p := range t.owners {
		if p.Owner == o {
			continue
		}
		if l, ok := p.set.conflict(typ, r); ok && (!found || l.Start < first.Start) {
			first, found = Held{p.Owner, l}, true
		}
	}
	return first, found
}

// GivesUp says whether Set would let others lock something that they cannot
// now: an unlock of what o has, or a downgrade.
func (t *Table) GivesUp(o Owner, typ Type, r Range) bool {
	switch typ {
	case None:
		return t.locks(o).overlap(None, r)
	case Read:
		return t.locks(o).overlap(Write, r)
	}
	return false
}

// Covers says whether o has each byte of r with typ or a stronger type.
func (t *Table) Covers(o Owner, typ Type, r Range) bool { return t.locks(o).covers(typ, r) }

// Busy says that requests of o wait.
func (t *Table) Busy(o Owner) bool {
	_, p := t.find(o)
	return p != nil && len(p.waits) != 0
}

// Push lets q wait, behind all others.
func (t *Table) Push(q *Request) {
	p := t.party(q.Owner)
	p.waits = append(p.waits, q)
	t.queue = append(t.queue, q)
	q.queued = true
}

// Queued says that q waits in a table.
func (q *Request) Queued() bool { return q.queued }

// Remove ends the wait of q.
func (t *Table) Remove(q *Request) {
	q.queued = false
	i := slices.Index(t.queue, q)
	t.queue = slices.Delete(t.queue, i, i+1)
	_, p := t.find(q.Owner)
	i = slices.Index(p.waits, q)
	p.waits = slices.Delete(p.waits, i, i+1)
	t.drop(q.Owner)
}

// Find gives a handle's request that waits, nil if there is none.
func (t *Table) Find(node, handle, id uint64) *Request {
	for _, q := range t.queue {
		if q.ID == id && q.Owner.Handle == handle && q.Owner.Node == node {
			return q
		}
	}
	return nil
}

// Waits gives the requests with which o waits, through whatever handle of its
// node, but those that are parked, in order.
func (t *Table) Waits(o Owner) (out []*Request) {
	for _, q := range t.queue {
		if q.Owner.anyHandle() == o.anyHandle() && !q.Parked {
			out = append(out, q)
		}
	}
	return out
}

// Next gives the first request that waits for a byte of freed with nothing in
// its way, nil if there is none.
func (t *Table) Next(freed Range) *Request {
	for _, q := range t.queue {
		if q.Parked || !q.overlaps(freed) {
			continue
		}
		if _, blocked := t.Conflict(q.Owner, q.Type, q.Range); !blocked {
			return q
		}
	}
	return nil
}

// span gives the owners of a handle, which stand together.
func (t *Table) span(node, handle uint64) (lo, hi int) {
	lo, _ = t.find(Owner{node, handle, 0})
	hi = lo
	for hi < len(t.owners) && t.owners[hi].Node == node && t.owners[hi].Handle == handle {
		hi++
	}
	return lo, hi
}

// Handle gives the number of locks and of waiting requests of a handle.
func (t *Table) Handle(node, handle uint64) (locks, waiting int) {
	lo, hi := t.span(node, handle)
	for _, p := range t.owners[lo:hi] {
		locks += len(p.set)
		waiting += len(p.waits)
	}
	return locks, waiting
}

// Handles gives the handles that have or want anything, each once, as owners
// without a number.
func (t *Table) Handles() (out []Owner) {
	for _, p := range t.owners {
		h := Owner{Node: p.Node, Handle: p.Handle}
		if n := len(out); n == 0 || out[n-1] != h {
			out = append(out, h)
		}
	}
	return out
}

// Within gives the locks of o on bytes of r, cut to r.
func (t *Table) Within(o Owner, r Range) (out []Lock) {
	s := t.locks(o)
	for i := s.first(r.Start); i < len(s) && s[i].Start <= r.End; i++ {
		out = append(out, Lock{s[i].Type, Range{max(s[i].Start, r.Start), min(s[i].End, r.End)}})
	}
	return out
}

// DropHandle takes all locks of a handle away, and gives its requests that
// waited, in order.
func (t *Table) DropHandle(node, handle uint64) (waited []*Request) {
	lo, hi := t.span(node, handle)
	for _, p := range t.owners[lo:hi] {
		t.n -= len(p.set)
	}
	t.owners = slices.Delete(t.owners, lo, hi)
	t.queue = slices.DeleteFunc(t.queue, func(q *Request) bool {
		mine := q.Owner.Node == node && q.Owner.Handle == handle
		if mine {
			q.queued = false
			waited = append(waited, q)
		}
		return mine
	})
	return waited
}

// Each calls f for each lock, by owner and start, until f returns false.
func (t *Table) Each(f func(Held) bool) {
	for _, p := range t.owners {
		for _, l := range p.set {
			if !f(Held{p.Owner, l}) {
				return
			}
		}
	}
}
