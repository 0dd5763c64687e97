package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is POSIX byte-range locks as their owner's node sees them;
// bytemaster.go is the master's side, package byterange the table.
//
// Ranges belong to a handle: any granted lock, usually in NL, which pins the
// resource and says where requests go. They end with it. Requests run beside
// the lock's own operations, each with a number of its own.

// byteLocks is the byte ranges of a resource: at the master those of all
// nodes. Elsewhere it is what the master has granted to handles of this node,
// in the master's order, and the requests that it has not answered.
type byteLocks struct {
	byterange.Table
	last map[handle]uint64 // master: the last request of another node's handle
}

type handle struct{ node, lock uint64 }

// Limits of byte ranges; wire.MaxRanges is that of a handle.
const (
	MaxByteLocks = 1 << 16 // ranges of a resource; an unlock may go beyond
	MaxByteQueue = 1 << 12 // requests that wait for a resource
	maxByteWaits = 1024    // requests of a handle that wait or are under way
)

// ByteRequest asks for something with a range of bytes.
type ByteRequest struct {
	Lock  uint64 // the handle: a granted lock of this node
	Owner uint64 // who locks, unique within the node instance, not 0; the same numbers as Request.Owner
	Type  byterange.Type
	Range byterange.Range
	Flags uint32 // NoQueue: WouldBlock instead of waiting (F_SETLK); TestRange: ask only (F_GETLK)
	Tag   uint64 // given back with the completion; CancelBytes finds a request by it
}

// ByteOutcome is the end of a ByteRequest.
type ByteOutcome struct {
	Status  Status
	Hops    uint8          // one-way messages between nodes that the request waited for
	Blocker byterange.Held // WouldBlock, Deadlock, test: a lock that is in the way; type None: there is none
	Text    string         // of a request that was refused at once: what is wrong with it
	Cycle   wire.Path      // Deadlock: who waits for whom, valid during the call; of a long circle the first MaxEdges
}

const byteFlags = NoQueue | TestRange

// Bits in a byterange.Request's flags that do not travel.
const (
	byteSilent    uint32 = 1 << 31 // its owner has completed it already
	byteWithdrawn uint32 = 1 << 30 // a cancel is on its way
)

// Bytes locks, unlocks (type None) or tests a range of bytes: fcntl(2)'s
// F_SETLKW, F_SETLK and F_GETLK. The completion goes to Host.Bytes, perhaps
// before Bytes returns, unless a status other than OK is returned: NoLock (no
// such handle), Busy (it is not granted yet), BadOwner, BadMode (of the type),
// BadBytes, BadFlags (ByteRequest.Explain tells more), Limit. Completions: OK,
// WouldBlock, Deadlock, Cancelled, Limit, LostLock. Nothing runs under an open
// claim: requests wait until it is closed.
func (s *Shard) Bytes(now int64, q *ByteRequest) Status {
	s.now = now
	l := s.own(q.Lock)
	switch {
	case l == nil:
		return wire.NoLock
	case l.granted == NoMode:
		return wire.Busy
	}
	if st := q.check(); st != wire.OK {
		return st
	}
	r := l.res
	s.needBytes(r)
	w := &byterange.Request{
		Owner: byterange.Owner{Node: s.cfg.Self, Handle: l.id, Number: q.Owner},
		Lock:  byterange.Lock{Type: q.Type, Range: q.Range},
		Tag:   q.Tag, Flags: q.Flags,
	}
	if r.bytes.full(w) {
		s.tidyBytes(r)
		return wire.Limit
	}
	s.startBytes(r, w)
	if w.Queued() && w.Flags&TestRange == 0 && w.Type != byterange.None && !s.errs(ForgetByteWait) {
		s.startByteWait(l, w)
	}
	s.tidyBytes(r)
	s.finish()
	return wire.OK
}

// full says that the handle of w has as much as it may have. A request under
// way may add two ranges: the master, which may have granted it already, never
// has more for a handle than fit into one message.
func (b *byteLocks) full(w *byterange.Request) bool {
	locks, waiting := b.Handle(w.Owner.Node, w.Owner.Handle)
	if waiting >= maxByteWaits {
		return true
	}
	if w.Flags&TestRange != 0 {
		return false
	}
	grows := 2
	if !b.Busy(w.Owner) {
		grows = b.Grows(w.Owner, w.Type, w.Range)
	}
	return grows > 0 && locks+2*waiting+grows > wire.MaxRanges
}

func (s *Shard) startBytes(r *resource, w *byterange.Request) {
	switch {
	case r.state == master || r.state == claimed && s.off(ClaimBytes):
		s.bytesHere(r, w)
	case s.bytesAtOnce(r, w):
	case r.state == remote:
		s.sendBytes(r, w)
	default:
		w.Parked = true
		r.bytes.Push(w)
	}
}

// bytesAtOnce completes what needs no answer of the master: what changes
// nothing, and what only gives something up. It may not while a request of the
// owner is under way, or this node would apply the two in another order than
// the master: an unlock would overtake the grant that it follows there.
func (s *Shard) bytesAtOnce(r *resource, w *byterange.Request) bool {
	b := r.bytes
	switch {
	case w.Flags&TestRange != 0,
		b.Busy(w.Owner) && !s.off(OvertakeBytes),
		w.Type != byterange.None && !b.Covers(w.Owner, w.Type, w.Range):
		return false
	}
	if b.GivesUp(w.Owner, w.Type, w.Range) || b.Busy(w.Owner) {
		if r.state != remote {
			return false
		}
		w.Flags |= byteSilent
		s.bytesMessage(r, w)
		b.Set(w.Owner, w.Type, w.Range)
	}
	s.bytesDone(r, w, &ByteOutcome{}, ungated)
	return true
}

// sendBytes asks the master, and waits for its answer.
func (s *Shard) sendBytes(r *resource, w *byterange.Request) {
	w.Sent = true
	w.Hops++
	s.bytesMessage(r, w)
	r.bytes.Push(w)
}

// bytesMessage sends RANGE. What gives something up waits for the fence.
func (s *Shard) bytesMessage(r *resource, w *byterange.Request) {
	s.lastByteReq++ // rising in the order in which they are sent, also if it is sent again
	w.ID = s.lastByteReq
	m := wire.Msg{
		Type: wire.RangeOp, Life: r.life, Lock: w.Owner.Handle, Req: w.ID, Flags: w.Flags & byteFlags, Hops: w.Hops,
		Ranges: rangeRec(nil, w.Owner, w.Lock),
		Seq:    w.Tag, // does not travel: see Host.Send
	}
	if w.Flags&byteSilent != 0 {
		m.Bits = wire.BitNoReply
		var was wire.RangeList
		for _, l := range r.bytes.Within(w.Owner, w.Range) {
			was = rangeRec(was, w.Owner, l)
		}
		m.Value = was // does not travel: see undoHeld
	}
	gate := ungated
	if w.Flags&TestRange == 0 && (w.Type == byterange.None || r.bytes.GivesUp(w.Owner, w.Type, w.Range)) {
		gate = s.unless(NoGateBytes)
	}
	s.send(r, r.life.Node(), &m, gate)
}

// rangeRec encodes a range behind list.
func rangeRec(list wire.RangeList, o byterange.Owner, l byterange.Lock) wire.RangeList {
	return list.Append(wire.RangeRec{Owner: o.Number, Start: l.Start, End: l.End, Type: uint8(l.Type)})
}

// rangeOf decodes a range.
func rangeOf(rec wire.RangeRec) byterange.Lock {
	return byterange.Lock{Type: byterange.Type(rec.Type), Range: byterange.Range{Start: rec.Start, End: rec.End}}
}

// resumeBytes asks for what could not be asked for, under a claim or without a
// master, in order.
func (s *Shard) resumeBytes(r *resource) {
	if r.bytes == nil || r.state != master && r.state != remote {
		return
	}
	for _, w := range slices.Clone(r.bytes.Waiting()) {
		if !w.Parked {
			continue
		}
		r.bytes.Remove(w)
		w.Parked = false
		s.startBytes(r, w)
	}
	s.tidyBytes(r)
}

// onRangeDone is the master's answer to a request of ours.
func (s *Shard) onRangeDone(hash uint64, m *wire.Msg) {
	l := s.lock(s.cfg.Self, m.Lock)
	if l == nil || l.res.hash != hash || l.res.bytes == nil || l.res.state != remote || l.res.life != m.Life {
		s.stats.Ignored++
		return
	}
	r := l.res
	w := r.bytes.Find(s.cfg.Self, m.Lock, m.Req)
	if w == nil {
		s.stats.Ignored++
		return
	}
	r.bytes.Remove(w)
	w.Hops = m.Hops
	o := ByteOutcome{Status: m.Status, Cycle: m.Path}
	if m.Ranges.Len() > 0 {
		o.Blocker.Owner = byterange.Owner{Node: m.Instance, Number: m.Ranges.At(0).Owner}
		o.Blocker.Lock = rangeOf(m.Ranges.At(0))
	}
	if o.Status == wire.OK && w.Flags&TestRange == 0 {
		r.bytes.Set(w.Owner, w.Type, w.Range)
	}
	s.bytesDone(r, w, &o, ungated)
	s.tidyBytes(r)
}

// CancelBytes withdraws a request of a handle that has not completed, the
// first one with this tag. It then completes as Cancelled, or as it would have
// if that came first. Returns OK, NoLock, or Invalid when there is none.
func (s *Shard) CancelBytes(now int64, id, tag uint64) Status {
	s.now = now
	l := s.own(id)
	if l == nil {
		return wire.NoLock
	}
	w := l.res.byteWait(l, tag)
	if w == nil {
		return wire.Invalid
	}
	r := l.res
	if w.Sent {
		if w.Flags&byteWithdrawn == 0 {
			w.Flags |= byteWithdrawn
			s.send(r, r.life.Node(), &wire.Msg{Type: wire.RangeCancel, Life: r.life, Lock: l.id, Req: w.ID}, ungated)
		}
		return wire.OK
	}
	r.bytes.Remove(w)
	s.bytesDone(r, w, &ByteOutcome{Status: wire.Cancelled}, ungated)
	s.tidyBytes(r)
	s.finish()
	return wire.OK
}

func (r *resource) byteWait(l *Lock, tag uint64) *byterange.Request {
	if r.bytes == nil {
		return nil
	}
	for _, w := range r.bytes.Waiting() {
		if w.Tag == tag && w.Owner.Handle == l.id && w.Owner.Node == l.owner {
			return w
		}
	}
	return nil
}

// hasBytes says that l is a handle in use.
func (l *Lock) hasBytes() bool {
	if l.res.bytes == nil {
		return false
	}
	locks, waiting := l.res.bytes.Handle(l.owner, l.id)
	return locks+waiting > 0
}

// dropBytes takes a handle's ranges away because the lock goes. Its requests
// end with st.
func (s *Shard) dropBytes(l *Lock, st Status) {
	r := l.res
	b := r.bytes
	if b == nil {
		return
	}
	delete(b.last, handle{l.owner, l.id})
	locks, _ := b.Handle(l.owner, l.id)
	for _, w := range b.DropHandle(l.owner, l.id) {
		if s.local(l) {
			s.bytesDone(r, w, &ByteOutcome{Status: st}, ungated)
		}
	}
	if locks > 0 && r.mastered() && !s.frozen {
		s.grantBytes(r, byterange.Range{End: byterange.Last})
	}
	s.tidyBytes(r)
}

// tidyBytes forgets an empty table.
func (s *Shard) tidyBytes(r *resource) {
	if b := r.bytes; b != nil && b.Empty() && len(b.last) == 0 {
		s.byteGives = max(s.byteGives, b.Gives())
		r.bytes = nil
	}
}

// needBytes makes a table for r if it has none.
func (s *Shard) needBytes(r *resource) {
	if r.bytes == nil {
		s.rarely(r).bytes = &byteLocks{Table: byterange.From(s.byteGives)}
	}
}
