package byterange

// maxEdges bounds the search for a deadlock: edges of the wait-for graph that
// one request looks at. A cycle that is longer to find stays.
const maxEdges = 1 << 14

// Wait is that a request waits for the owner of a lock in its way.
type Wait struct {
	Waiter  *Request
	Blocker Block
}

// Deadlock says whether q, which does not wait yet, would wait for itself: a
// lock in its way belongs to an owner that waits, for an owner that waits, ...
// for q's owner. An owner is the same here through whatever handle of its node.
// It gives who waits for whom, from q to q's owner; nil: there is no such way.
// (The kernel's posix_locks_deadlock, for requests that wait for several owners.)
func (t *Table) Deadlock(q *Request) []Wait {
	s := search{t: t, goal: q.Owner.anyHandle(), seen: map[Owner]bool{}, edges: maxEdges}
	if !s.from(q) {
		return nil
	}
	return s.path
}

// Block is that a lock is in the way of a request. Since counts what its owner
// has given up: as long as it stays the same, nothing of that, so that what was in
// the way of a request is still.
type Block struct {
	Held
	Since uint64
}

// Blocks calls f for each owner that is in the way of q, with one of his locks.
func (t *Table) Blocks(q *Request, f func(Block)) {
	for _, p := range t.owners {
		if p.Owner == q.Owner {
			continue
		}
		if l, ok := p.set.conflict(q.Type, q.Range); ok {
			f(Block{Held{p.Owner, l}, p.gave})
		}
	}
}

type search struct {
	t     *Table
	goal  Owner
	seen  map[Owner]bool
	path  []Wait
	edges int
}

// anyHandle is who stands behind an owner.
func (o Owner) anyHandle() Owner {
	o.Handle = 0
	return o
}

// from looks for the goal behind a request.
func (s *search) from(q *Request) bool {
	for _, p := range s.t.owners {
		if p.Owner == q.Owner || s.seen[p.anyHandle()] || s.edges == 0 {
			continue
		}
		s.edges--
		l, ok := p.set.conflict(q.Type, q.Range)
		if !ok {
			continue
		}
		s.path = append(s.path, Wait{q, Block{Held{p.Owner, l}, p.gave}})
		who := p.anyHandle()
		if who == s.goal {
			return true
		}
		s.seen[who] = true
		if s.behind(who) {
			return true
		}
		s.path = s.path[:len(s.path)-1]
	}
	return false
}

// behind looks for the goal behind all that an owner waits for.
func (s *search) behind(who Owner) bool {
	for _, p := range s.t.owners {
		if len(p.waits) == 0 || p.anyHandle() != who {
			continue
		}
		for _, w := range p.waits {
			if !w.Parked && s.from(w) {
				return true
			}
		}
	}
	return false
}
