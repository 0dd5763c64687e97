package lockspace

import (
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is byte ranges at the master.

// onRangeOp is a request of another node's handle.
func (s *Shard) onRangeOp(owner uint64, hash uint64, m *wire.Msg) {
	if s.recovering && s.notYet(s.find(hash, m.Name), owner, m) {
		return
	}
	l := s.lock(owner, m.Lock)
	if l == nil || l.res.hash != hash || !s.sameLife(l.res.life, m.Life) || !l.res.mastered() ||
		l.granted == NoMode || m.Ranges.Len() != 1 || m.Ranges.At(0).Owner == 0 {
		s.stats.Ignored++
		return
	}
	r := l.res
	s.needBytes(r)
	b, h := r.bytes, handle{owner, m.Lock}
	if m.Req <= b.last[h] && !s.off(RepeatBytes) {
		s.stats.Ignored++ // sent twice
		return
	}
	if b.last == nil {
		b.last = map[handle]uint64{}
	}
	b.last[h] = m.Req
	rec := m.Ranges.At(0)
	w := &byterange.Request{
		Owner: byterange.Owner{Node: owner, Handle: m.Lock, Number: rec.Owner}, Lock: rangeOf(rec),
		ID: m.Req, Flags: m.Flags & byteFlags, Hops: m.Hops,
	}
	if m.Bits&wire.BitNoReply != 0 {
		w.Flags |= byteSilent
	}
	s.bytesHere(r, w)
}

// onRangeCancel withdraws a request that waits here.
func (s *Shard) onRangeCancel(owner uint64, hash uint64, m *wire.Msg) {
	if s.recovering && s.notYet(s.find(hash, m.Name), owner, m) {
		return
	}
	l := s.lock(owner, m.Lock)
	if l == nil || l.res.hash != hash || !s.sameLife(l.res.life, m.Life) || l.res.bytes == nil || !l.res.mastered() {
		s.stats.Ignored++
		return
	}
	r := l.res
	w := r.bytes.Find(owner, m.Lock, m.Req)
	if w == nil {
		s.stats.Ignored++ // the answer has crossed it
		return
	}
	r.bytes.Remove(w)
	s.bytesDone(r, w, &ByteOutcome{Status: wire.Cancelled}, ungated)
}

// bytesHere runs a request on the master's table.
func (s *Shard) bytesHere(r *resource, w *byterange.Request) {
	b := r.bytes
	blocker, blocked := b.Conflict(w.Owner, w.Type, w.Range)
	o := ByteOutcome{Blocker: blocker}
	switch {
	case w.Flags&TestRange != 0:
		gate := ungated
		if !blocked {
			gate = s.unless(NoGateByteGrant) // that a range is free is news, too
		}
		s.bytesDone(r, w, &o, gate)
	case b.overfull(w):
		o.Status = wire.Limit
		s.bytesDone(r, w, &o, ungated)
	case !blocked:
		s.grantBytesTo(r, w)
	case w.Flags&NoQueue != 0:
		o.Status = wire.WouldBlock
		s.bytesDone(r, w, &o, ungated)
	case len(b.Waiting()) >= MaxByteQueue:
		o.Status = wire.Limit
		s.bytesDone(r, w, &o, ungated)
	default:
		s.waitBytes(r, w)
	}
}

// waitBytes lets w wait, unless it would wait for itself.
func (s *Shard) waitBytes(r *resource, w *byterange.Request) {
	if path := r.bytes.Deadlock(w); path != nil {
		s.refuseBytes(r, w, path)
		return
	}
	if w.Owner.Node == s.cfg.Self {
		s.lastByteReq++
		w.ID = s.lastByteReq
	}
	r.bytes.Push(w)
}

// overfull says that w would make the table larger than it may be. The owner's
// node keeps the handle's limit itself: only a broken one comes to it here. An
// unlock is within it.
func (b *byteLocks) overfull(w *byterange.Request) bool {
	grows := b.Grows(w.Owner, w.Type, w.Range)
	if grows <= 0 {
		return false
	}
	locks, _ := b.Handle(w.Owner.Node, w.Owner.Handle)
	return locks+grows > wire.MaxRanges ||
		w.Flags&byteSilent == 0 && w.Type != byterange.None && b.Len()+grows > MaxByteLocks
}

// grantBytesTo grants w, in the way of which nothing is, and those that can go
// on because it gives something up.
func (s *Shard) grantBytesTo(r *resource, w *byterange.Request) {
	gives := r.bytes.GivesUp(w.Owner, w.Type, w.Range)
	s.setBytes(r, w)
	if gives {
		s.grantBytes(r, w.Range)
	}
}

// setBytes gives w what it asks for.
func (s *Shard) setBytes(r *resource, w *byterange.Request) {
	gate := ungated
	if w.Type != byterange.None {
		gate = s.unless(NoGateByteGrant)
	}
	r.bytes.Set(w.Owner, w.Type, w.Range)
	s.bytesDone(r, w, &ByteOutcome{}, gate)
	s.recheckBytes(r, w.Owner)
}

// grantBytes grants what waited for a byte of freed.
func (s *Shard) grantBytes(r *resource, freed byterange.Range) {
	b := r.bytes
	for w := b.Next(freed); w != nil; w = b.Next(freed) {
		if b.GivesUp(w.Owner, w.Type, w.Range) {
			freed = byterange.Range{Start: min(freed.Start, w.Start), End: max(freed.End, w.End)}
		}
		b.Remove(w)
		s.setBytes(r, w)
	}
}

// recheckBytes looks for deadlocks that a grant has made: of an owner that has
// got something while it waits for something else.
func (s *Shard) recheckBytes(r *resource, o byterange.Owner) {
	b := r.bytes
	for _, w := range b.Waits(o) {
		if path := b.Deadlock(w); path != nil {
			b.Remove(w)
			s.refuseBytes(r, w, path)
		}
	}
}

// refuseBytes ends w, which waits for itself.
func (s *Shard) refuseBytes(r *resource, w *byterange.Request, circle []byterange.Wait) {
	o := ByteOutcome{Status: wire.Deadlock, Blocker: circle[0].Blocker.Held}
	for i := range circle[:min(len(circle), wire.MaxEdges)] {
		e := byteEdge(r, circle[i].Waiter, &circle[i].Blocker)
		o.Cycle = o.Cycle.Append(&e)
	}
	s.bytesDone(r, w, &o, ungated)
}

// bytesDone tells the owner of w that it has ended.
func (s *Shard) bytesDone(r *resource, w *byterange.Request, o *ByteOutcome, gate gating) {
	if w.Owner.Node == s.cfg.Self {
		s.endByteWait(w)
		o.Hops = w.Hops
		if l := s.lock(s.cfg.Self, w.Owner.Handle); l != nil {
			s.host.Bytes(l.user, s.handle(l), w.Tag, o)
		}
		return
	}
	if w.Flags&byteSilent != 0 {
		return
	}
	m := wire.Msg{
		Type: wire.RangeDone, Life: r.life, Lock: w.Owner.Handle, Req: w.ID, Status: o.Status, Hops: w.Hops + 1,
		Path: o.Cycle,
	}
	if o.Blocker.Type != byterange.None {
		m.Instance = o.Blocker.Owner.Node
		m.Ranges = rangeRec(nil, o.Blocker.Owner, o.Blocker.Lock)
	}
	s.send(r, wire.NodeOf(w.Owner.Node), &m, gate)
}
