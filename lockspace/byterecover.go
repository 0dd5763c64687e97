package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is byte ranges when members come or go. The node of a handle knows
// what the master has granted to it; if the master is lost, that is what the
// next one rebuilds. See entrust.go and recover.go for the locks themselves.

// reportBytes sends the ranges of this node's handles behind the REG with
// their locks, as the dead master knew them: before anything that is held back
// here (finding 1e).
func (s *Shard) reportBytes(r *resource, life wire.Life) {
	if r.bytes == nil && r.held == nil {
		return
	}
	var t byterange.Table
	if r.bytes != nil {
		r.bytes.Each(func(h byterange.Held) bool {
			t.Set(h.Owner, h.Type, h.Range)
			return true
		})
	}
	if !s.off(ReportReleased) {
		s.undoHeld(r, &t)
	}
	m := wire.Msg{Type: wire.RangeReg, Name: r.name(), Life: life}
	t.Each(func(h byterange.Held) bool {
		if m.Ranges.Len() == wire.MaxRanges || m.Ranges != nil && m.Lock != h.Owner.Handle {
			s.sendBare(life.Node(), &m)
			m.Ranges = nil
		}
		m.Lock, m.Ranges = h.Owner.Handle, rangeRec(m.Ranges, h.Owner, h.Lock)
		return true
	})
	if m.Ranges != nil {
		s.sendBare(life.Node(), &m)
	}
}

// undoHeld puts back into t what messages that are held for r's master give
// up: each carries what that was, which does not travel.
func (s *Shard) undoHeld(r *resource, t *byterange.Table) {
	var held []*wire.Msg
	for h := r.held; h != nil; h = h.resNext {
		for i := range h.msgs {
			if m := &h.msgs[i]; h.to == r.life.Node() && m.Life == r.life {
				held = append(held, m)
			}
		}
	}
	for _, m := range slices.Backward(held) {
		was := m.Ranges
		if m.Type == wire.RangeOp {
			was = m.Value
		} else if m.Type != wire.Unlock {
			continue
		}
		for i := range was.Len() {
			rec := was.At(i)
			l := rangeOf(rec)
			t.Set(byterange.Owner{Node: s.cfg.Self, Handle: m.Lock, Number: rec.Owner}, l.Type, l.Range)
		}
	}
}

// handleRanges encodes all that a handle of this node has.
func (r *resource) handleRanges(l *Lock) (list wire.RangeList) {
	if r.bytes == nil {
		return nil
	}
	r.bytes.Each(func(h byterange.Held) bool {
		if h.Owner.Handle == l.id && h.Owner.Node == l.owner {
			list = rangeRec(list, h.Owner, h.Lock)
		}
		return true
	})
	return list
}

// orphanBytes prepares the requests that the dead master has not answered to
// be asked anew. Those that were withdrawn end, and those that can only give
// something up are done: the dead master may have carried them out, and others may
// have been granted what they gave up.
func (s *Shard) orphanBytes(r *resource) {
	if r.bytes == nil {
		return
	}
	for _, w := range slices.Clone(r.bytes.Waiting()) {
		if s.perhapsReleased(r, w) && !s.off(AskReleases) {
			r.bytes.Remove(w)
			r.bytes.Set(w.Owner, w.Type, w.Range)
			s.bytesDone(r, w, &ByteOutcome{}, ungated)
			continue
		}
		if w.Sent, w.Parked = false, true; w.Flags&byteWithdrawn != 0 {
			r.bytes.Remove(w)
			s.bytesDone(r, w, &ByteOutcome{Status: wire.Cancelled}, ungated)
		}
	}
}

// perhapsReleased says that w may have reached the master that is dead, and gets its
// owner nothing that it has not. Behind another request of the owner for the same bytes
// that cannot be known: both are asked anew, in order.
func (s *Shard) perhapsReleased(r *resource, w *byterange.Request) bool {
	if !w.Sent || w.Flags&TestRange != 0 || w.Type != byterange.None && !r.bytes.Covers(w.Owner, w.Type, w.Range) {
		return false
	}
	for _, q := range r.bytes.Waiting() {
		if q == w {
			break
		}
		if q.Owner == w.Owner && q.Start <= w.End && w.Start <= q.End {
			return false
		}
	}
	for h := r.held; h != nil; h = h.resNext {
		for i := range h.msgs {
			if m := &h.msgs[i]; m.Type == wire.RangeOp && m.Lock == w.Owner.Handle && m.Req == w.ID {
				return false // it has not left
			}
		}
	}
	return true
}

// onRangeReg keeps the ranges of another node's handle on an orphaned name
// until the name is rebuilt.
func (s *Shard) onRangeReg(from uint64, hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	if r == nil || r.rec == nil || r.rec.life != m.Life {
		s.stats.Ignored++
		return
	}
	if s.keptBytes+m.Ranges.Len() > s.cfg.MaxLocks {
		s.overrun()
		return
	}
	s.keptBytes += m.Ranges.Len()
	r.rec.bytes = append(r.rec.bytes, earlyMsg{from, keep(m, r)})
}

// rebuildBytes makes a rebuilt name's ranges anew.
func (s *Shard) rebuildBytes(r *resource, reports []earlyMsg) {
	for i := range reports {
		e := &reports[i]
		l := s.lock(e.from, e.msg.Lock)
		if l == nil || l.res != r {
			s.stats.Ignored++
			continue
		}
		s.needBytes(r)
		for k := range e.msg.Ranges.Len() {
			rec := e.msg.Ranges.At(k)
			h := byterange.Held{
				Owner: byterange.Owner{Node: e.from, Handle: e.msg.Lock, Number: rec.Owner}, Lock: rangeOf(rec),
			}
			if _, bad := r.bytes.Conflict(h.Owner, h.Type, h.Range); bad || h.Owner.Number == 0 {
				s.stats.Ignored++
				continue
			}
			r.bytes.Set(h.Owner, h.Type, h.Range)
		}
	}
}

// dropByteReports forgets what the dead, or all, have reported of r's ranges.
func (s *Shard) dropByteReports(rec *recovery, dead func(from uint64) bool) {
	rec.bytes = slices.DeleteFunc(rec.bytes, func(e earlyMsg) bool {
		if !dead(e.from) {
			return false
		}
		s.keptBytes -= e.msg.Ranges.Len()
		return true
	})
}

// buryBytes takes the ranges of dead nodes' handles away, all before anybody
// gets what they had, and says whether there were any.
func (s *Shard) buryBytes(r *resource) (any bool) {
	if r.bytes == nil {
		return false
	}
	for _, h := range r.bytes.Handles() {
		if h.Node != s.cfg.Self && !s.view.HasInstance(h.Node) {
			r.bytes.DropHandle(h.Node, h.Handle)
			any = true
		}
	}
	return any
}

// fenceBytes ends a handle's requests on a fenced node.
func (s *Shard) fenceBytes(l *Lock) {
	if l.res.bytes == nil {
		return
	}
	for _, w := range l.res.bytes.DropHandle(l.owner, l.id) {
		s.endByteWait(w)
		s.host.Bytes(l.user, s.handle(l), w.Tag, &ByteOutcome{Status: wire.LostLock, Hops: w.Hops})
	}
}
