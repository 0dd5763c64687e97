package byterange

import (
	"slices"
	"sort"
)

// set is the locks of one owner: sorted, disjoint, and as few as can be.
type set []Lock

// change is what put does to a set: locks lo to hi are replaced.
type change struct {
	lo, hi int
	with   [3]Lock
	n      int // of with
}

func (c *change) add(l Lock) {
	if c.n > 0 {
		if p := &c.with[c.n-1]; p.Type == l.Type && p.End == l.Start-1 {
			p.End = l.End
			return
		}
	}
	c.with[c.n] = l
	c.n++
}

// grows gives by how many the set becomes longer; it may be negative.
func (c *change) grows() int { return c.n - (c.hi - c.lo) }

// first gives the index of the first lock that ends at byte b or behind it.
func (s set) first(b int64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].End >= b })
}

// plan works out what it takes for r to have type t: what it overlaps is cut,
// and neighbours of its type are joined to it.
func (s set) plan(t Type, r Range) (c change) {
	c.lo = s.first(r.Start)
	c.hi = c.lo
	for c.hi < len(s) && s[c.hi].Start <= r.End {
		c.hi++
	}
	overlapped := s[c.lo:c.hi]
	if c.lo > 0 && t != None && s[c.lo-1].Type == t && s[c.lo-1].End == r.Start-1 {
		c.lo--
		c.add(s[c.lo])
	}
	if len(overlapped) > 0 && overlapped[0].Start < r.Start {
		c.add(Lock{overlapped[0].Type, Range{overlapped[0].Start, r.Start - 1}})
	}
	if t != None {
		c.add(Lock{t, r})
	}
	if n := len(overlapped); n > 0 && overlapped[n-1].End > r.End {
		c.add(Lock{overlapped[n-1].Type, Range{r.End + 1, overlapped[n-1].End}})
	} else if c.hi < len(s) && t != None && s[c.hi].Type == t && s[c.hi].Start-1 == r.End {
		c.add(s[c.hi])
		c.hi++
	}
	return c
}

func (s set) put(t Type, r Range) set {
	c := s.plan(t, r)
	return slices.Replace(s, c.lo, c.hi, c.with[:c.n]...)
}

// conflict gives the first lock that excludes a lock of type t on r.
func (s set) conflict(t Type, r Range) (Lock, bool) {
	for i := s.first(r.Start); i < len(s) && s[i].Start <= r.End; i++ {
		if s[i].Type.excludes(t) {
			return s[i], true
		}
	}
	return Lock{}, false
}

// overlap says whether any lock of type t, or of any type if that is None, has
// a byte of r.
func (s set) overlap(t Type, r Range) bool {
	for i := s.first(r.Start); i < len(s) && s[i].Start <= r.End; i++ {
		if t == None || s[i].Type == t {
			return true
		}
	}
	return false
}

// covers says whether each byte of r is locked with type t or a stronger one.
func (s set) covers(t Type, r Range) bool {
	next := r.Start // first byte not yet seen to be locked
	for i := s.first(r.Start); i < len(s) && s[i].Start <= next && s[i].Type >= t; i++ {
		if s[i].End >= r.End {
			return true
		}
		next = s[i].End + 1
	}
	return false
}
