package lockspace

import (
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is requests for byte ranges as parts of a circle through several
// names: deadlock.go says how it is found. A circle within one name is found when
// it comes about (bytemaster.go), so that no path goes round in one.
//
// A waiting request waits for the owners of the ranges in its way, and for nobody
// else: those that came before it are not ahead of it. An edge stays as long as
// its blocker gives nothing up, which the table counts for each owner; the edge
// carries that number in place of the number of an operation.

// extendBytes is extend for a request for a byte range.
func (s *Shard) extendBytes(r *resource, w *byterange.Request, round uint32, path wire.Path) {
	switch {
	case w.Parked:
		return
	case path.Len() == wire.MaxEdges:
		s.stats.ProbesDropped++
		return
	}
	found := s.byteBlockers(r, w, round)
	for i := range found {
		e := byteEdge(r, w, &found[i])
		long := path[:len(path):len(path)].Append(&e)
		origin := long.At(0).Waiter
		if s.follow(&origin, round, long) {
			return
		}
	}
}

// byteBlockers gives what is in the way of w, or, if that is of more than
// probeFanout owners, a part of it that each round chooses anew.
func (s *Shard) byteBlockers(r *resource, w *byterange.Request, round uint32) (found []byterange.Block) {
	r.bytes.Blocks(w, func(b byterange.Block) {
		s.deadlocks.work--
		found = append(found, b)
	})
	if n := len(found); n > probeFanout {
		from := int(uint64(round) * probeFanout % uint64(n))
		found = append(found[from:], found[:from]...)[:probeFanout]
	}
	return found
}

// byteEdge says that w waits for the owner of a range.
func byteEdge(r *resource, w *byterange.Request, b *byterange.Block) wire.Edge {
	return wire.Edge{
		Name: r.name(), Life: r.life, Bytes: true,
		Waiter:  byteParty(&w.Owner, uint32(w.ID), w.Lock),
		Blocker: byteParty(&b.Owner, uint32(b.Since), b.Lock),
	}
}

func byteParty(o *byterange.Owner, op uint32, l byterange.Lock) wire.Party {
	mode := EX
	if l.Type == byterange.Read {
		mode = PR
	}
	return wire.Party{
		Instance: o.Node, Lock: o.Handle, Op: op, Owner: o.Number, Mode: uint8(mode), Start: l.Start, End: l.End,
	}
}

// byteHolder is byteParty undone.
func byteHolder(p *wire.Party) (byterange.Owner, byterange.Type, byterange.Range) {
	t := byterange.Write
	if Mode(p.Mode) == PR {
		t = byterange.Read
	}
	return byterange.Owner{Node: p.Instance, Handle: p.Lock, Number: p.Owner}, t, byterange.Range{Start: p.Start, End: p.End}
}

// byteRequest finds a request that waits at its master, by the lower half of its
// number.
func (r *resource) byteRequest(node, handle uint64, id uint32) *byterange.Request {
	if r.bytes == nil {
		return nil
	}
	for _, w := range r.bytes.Waiting() {
		if uint32(w.ID) == id && w.Owner.Handle == handle && w.Owner.Node == node && !w.Parked {
			return w
		}
	}
	return nil
}

// bytesStand says whether an edge of byte ranges that was seen before is still
// there.
func (s *Shard) bytesStand(r *resource, e *wire.Edge) (found bool) {
	w := r.byteRequest(e.Waiter.Instance, e.Waiter.Lock, e.Waiter.Op)
	if w == nil {
		return false
	}
	r.bytes.Blocks(w, func(b byterange.Block) {
		o := &b.Owner
		found = found || o.Node == e.Blocker.Instance && o.Handle == e.Blocker.Lock && o.Number == e.Blocker.Owner &&
			uint32(b.Since) == e.Blocker.Op
	})
	return found
}

// endDeadlockedBytes is endDeadlocked for a request for a byte range. Nobody waits
// for it to go.
func (s *Shard) endDeadlockedBytes(path wire.Path) {
	e := path.At(0)
	r := s.ofEdge(e)
	if r == nil {
		s.stats.Ignored++
		return
	}
	w := r.byteRequest(e.Waiter.Instance, e.Waiter.Lock, e.Waiter.Op)
	if w == nil {
		s.stats.Ignored++
		return
	}
	s.stats.Deadlocks++
	o := ByteOutcome{Status: wire.Deadlock, Cycle: path}
	o.Blocker, _ = r.bytes.Conflict(w.Owner, w.Type, w.Range)
	r.bytes.Remove(w)
	s.bytesDone(r, w, &o, ungated)
	s.tidyBytes(r)
}
