package lockspace

import "math/bits"

// This file counts how long things take, in the time that the host gives. What is done
// within its entry point has taken no time by that: the host may look at the clock itself
// before and after some of them.

// Buckets is how many buckets of a Histogram have an upper bound.
const Buckets = 28

// Histogram counts times by how long they are.
type Histogram struct {
	Counts [Buckets + 1]uint64 // element i: up to BucketBound(i), and more than the one before; the last: more than all
	Nanos  uint64              // all of them added up, in ns
}

// BucketBound gives the upper bound, inclusive, of bucket i, 0 to Buckets-1, in ns: 128,
// and twice as much for each further one, up to 17 s.
func BucketBound(i int) int64 { return 128 << i }

// Observe counts n times of ns each. One below 0 counts as 0.
func (h *Histogram) Observe(ns int64, n uint64) {
	ns = max(ns, 0)
	h.Counts[min(bits.Len64(uint64(max(ns, 1)-1)>>7), Buckets)] += n
	h.Nanos += uint64(ns) * n
}

// Add counts what o has counted.
func (h *Histogram) Add(o *Histogram) {
	for i := range o.Counts {
		h.Counts[i] += o.Counts[i]
	}
	h.Nanos += o.Nanos
}

// Total gives how many times have been counted.
func (h *Histogram) Total() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Way is how a program's request, or conversion, has come to its grant.
type Way uint8

const (
	AtOnce  Way = iota // without a message, under a mastership that is confirmed
	Claimed            // without a message, under a claim that is open
	Asked              // another node was asked, and granted at once
	Waited             // for other holders, or for a recovery
	Ways
)

var wayNames = [Ways]string{"at-once", "claimed", "asked", "waited"}

func (w Way) String() string { return wayNames[w] }

// pace is how the running operation of a local lock goes, as a set.
type pace uint8

const (
	slow   pace = 1 << iota // its entry point has returned
	queued                  // it has had to stand in a queue
)

// began notes what has become of an operation of a local lock by the end of its entry
// point: it has been granted, has been refused (then l is free), or goes on.
func (s *Shard) began(l *Lock) {
	switch {
	case l.res == nil:
	case l.wanted != NoMode:
		l.pace |= slow
		l.since = s.now
		s.pending++
	case l.res.state == claimed:
		s.quick[Claimed]++
	default:
		s.quick[AtOnce]++
	}
}

// enqueue lets l wait in q, and notes that.
func (s *Shard) enqueue(l *Lock, q *queue) {
	if l.pace&slow == 0 {
		l.since = s.now // else it has begun before, and comes again
	}
	l.pace |= queued
	l.enqueue(q)
}

// over notes that the operation of l has ended, in a grant or not.
func (s *Shard) over(l *Lock, granted bool) {
	was := l.pace
	l.pace = 0
	if was&slow == 0 {
		return // began says the rest
	}
	s.pending--
	if !granted {
		return
	}
	way := Asked
	if was&queued != 0 || l.hops == 0 {
		way = Waited
	}
	s.stats.Grants[way].Observe(s.now-l.since, 1)
}

// Quick is Stats.Quick.
func (s *Shard) Quick() [2]uint64 { return s.quick }

// Pending is how many operations of this node's locks have begun and are not over.
func (s *Shard) Pending() int { return s.pending }

// Began says when the running operation of lock id has really begun, should the time that
// its entry point was given have been an older one.
func (s *Shard) Began(now int64, id uint64) {
	s.now = now
	if l := s.own(id); l != nil && l.pace != 0 {
		l.since = now
	}
}
