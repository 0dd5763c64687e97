package node

import (
	"fmt"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is byte ranges: how requests reach the shard and outcomes leave
// it, for embedded programs and for clients.

// Bytes asks for something with a byte range through lock id, the handle; see
// lockspace.ByteRequest for the rest. rec.Owner is below 1<<32, and one of the
// numbers of lockspace.Request.Owner. The outcome goes to owner.Bytes, perhaps before Bytes
// returns; whatever is wrong with the request is said there, too. t may be nil.
func (s *Space) Bytes(owner Owner, id uint64, rec wire.RangeRec, flags uint32, tag uint64, t *Trace) {
	var buf [wire.RangeRecSize]byte
	s.other(&Op{
		kind: opBytes, flags: flags, id: id, tag: tag, owner: owner, value: wire.RangeList(buf[:0]).Append(rec), trace: t,
	}, nil)
}

// CancelBytes withdraws request tag of a handle. It has no outcome itself.
func (s *Space) CancelBytes(owner Owner, id, tag uint64) {
	s.other(&Op{kind: opCancelBytes, id: id, tag: tag, owner: owner}, nil)
}

// execBytes runs a request inside the shard.
func (r *runner) execBytes(now int64, op *Op) {
	rec := wire.RangeList(op.value).At(0)
	q := lockspace.ByteRequest{
		Lock: op.id, Owner: rec.Owner, Type: byterange.Type(rec.Type),
		Range: byterange.Range{Start: rec.Start, End: rec.End}, Flags: op.flags, Tag: op.tag,
	}
	if st := r.shard.Bytes(now, &q); st != wire.OK {
		r.Bytes(op.owner, op.id, op.tag, refusedBytes(&q, st))
	}
}

// refusedBytes is the outcome of a request that was refused at once.
func refusedBytes(q *lockspace.ByteRequest, st lockspace.Status) *lockspace.ByteOutcome {
	return &lockspace.ByteOutcome{Status: st, Text: q.Explain(st)}
}

// Bytes passes the outcome of a request for a byte range on.
func (r *runner) Bytes(user any, id, tag uint64, o *lockspace.ByteOutcome) {
	if o.Status == wire.Deadlock {
		r.deadlock(id, o.Cycle)
	}
	if len(r.traces) != 0 {
		r.traceBytes(id, tag, o)
	}
	user.(Owner).Bytes(id, tag, o)
	r.heard(user)
}

// bytes takes a client's request on.
func (sp *sessionSpace) bytes(m *wire.Msg) {
	s := sp.session
	if n := m.Ranges.Len(); n != 1 {
		s.failBytes(sp.space.id, m, wire.BadBytes, fmt.Sprintf("%d ranges, must be 1", n))
		return
	}
	rec := m.Ranges.At(0)
	xid, ok := s.xid(rec.Owner)
	if !ok {
		s.failBytes(sp.space.id, m, wire.BadOwner, badOwner(rec.Owner))
		return
	}
	rec.Owner = xid
	if !sp.more(m, byterange.Type(rec.Type) != byterange.None) {
		return
	}
	if !sp.has(m.Lock) {
		sp.space.other(&Op{kind: opRefuseBytes, id: m.Lock, tag: m.Req, owner: sp}, &s.batch)
		return
	}
	var buf [wire.RangeRecSize]byte
	sp.space.other(&Op{
		kind: opBytes, flags: m.Flags, id: m.Lock, tag: m.Req, owner: sp, value: wire.RangeList(buf[:0]).Append(rec),
		trace: s.traceOf(sp, m, bytesWhat(m.Flags, rec)),
	}, &s.batch)
}

// failBytes completes a request that never began.
func (s *session) failBytes(space uint32, m *wire.Msg, st wire.Status, text string) {
	s.send(space, &wire.Msg{Type: wire.RangeAst, Lock: m.Lock, Req: m.Req, Status: st, Text: []byte(text)})
}

// Bytes answers a request for a byte range (Owner).
func (sp *sessionSpace) Bytes(id, tag uint64, o *lockspace.ByteOutcome) {
	m := wire.Msg{Type: wire.RangeAst, Lock: id, Req: tag, Status: o.Status, Hops: o.Hops, Text: []byte(o.Text), Path: o.Cycle}
	if b := &o.Blocker; b.Type != byterange.None {
		m.Instance = b.Owner.Node
		m.Ranges = m.Ranges.Append(wire.RangeRec{
			Owner: uint64(uint32(b.Owner.Number)), Start: b.Start, End: b.End, Type: uint8(b.Type), // without the session's part
		})
	}
	s := sp.session
	s.mu.Lock()
	sp.answered()
	s.append(sp.space.id, &m)
	s.mu.Unlock()
}

// Bytes hears nothing.
func (nobody) Bytes(id, tag uint64, o *lockspace.ByteOutcome) {}
