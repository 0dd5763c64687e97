package node

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file makes the spans of traced operations. Shards know nothing of them: what they
// say and hear passes here, and a lock's id, which each message about it has, tells which
// operation it belongs to. TRACE goes in front of such a message to a node that makes
// spans, too:
//
//	program                  lockify.lock
//	its node                   lockify.node.lock           queued, if it waits at the master
//	directory node               lockify.directory.lookup  until it answers, or passes the request on
//	master                         lockify.master.lock     until the answer leaves
//	master                           lockify.master.grant  while the release fence holds it back
//
// Byte ranges are lockify.bytes.lock and so on; their requests go to the master at once.
//
// A master that its requester knows already is a child of the requester's span. Where
// nothing is traced, a runner looks at a length that is 0, and that is all.

// Tracing makes a node take part in traces.
type Tracing struct {
	Tracer trace.Tracer
	Ratio  float64 // of clients' requests that bring no span: for how many a trace begins here, 0 to 1
}

// TracerName is the instrumentation scope of all spans.
const TracerName = "github.com/lockify-dlm/lockify"

// Trace is that an operation is traced.
type Trace struct {
	at   trace.SpanContext // the parent of what happens for it at other nodes
	span trace.Span        // ended with the operation; nil: the program does that
}

// TraceIn gives the Trace of an operation of a program on this node that is part of the
// span at; nil: at is not sampled.
func TraceIn(at trace.SpanContext) *Trace {
	if !at.IsSampled() {
		return nil
	}
	return &Trace{at: at}
}

// Keys of attributes.
const (
	KeyName      = attribute.Key("lockify.name")
	KeyMode      = attribute.Key("lockify.mode")
	KeyOutcome   = attribute.Key("lockify.outcome")
	keyLockspace = attribute.Key("lockify.lockspace")
	keyNode      = attribute.Key("lockify.node")
	keyMessages  = attribute.Key("lockify.messages")
	keyToken     = attribute.Key("lockify.token")
	keyHeld      = attribute.Key("lockify.held_ns")
	keyType      = attribute.Key("lockify.type")
	keyBytes     = attribute.Key("lockify.bytes")
)

// TracedName gives a name as it stands in attributes, which are text: a collector gets nothing of what is
// sent together with one that is not.
func TracedName(name []byte) string {
	if utf8.Valid(name) {
		return string(name)
	}
	return strconv.Quote(string(name))
}

// TracedSpace gives the attribute of a lockspace.
func TracedSpace(name string) attribute.KeyValue {
	return keyLockspace.String(TracedName([]byte(name)))
}

// traceKey names an operation of any node: one at a time runs on a lock, but any number of
// byte ranges.
type traceKey struct {
	node uint16 // the requester
	lock uint64
	req  uint64 // of a byte range: here its tag, at its master the number on the wire; 0: the lock's
}

// stage is what this node has to do with a traced operation.
type stage uint8

const (
	stageNamed  stage = iota // TRACE has come, what it is about has not
	stageHere                // a program of this node waits for it
	stageLookup              // this is its directory node
	stageMaster
)

// traced is a traced operation that a shard knows of.
type traced struct {
	stage stage
	at    trace.SpanContext // parent of what others do about it; stageNamed: of what comes here
	span  trace.Span        // nil: none of this node
	what  string            // lock, convert, unlock; bytes.lock and so on
	began time.Time
	epoch uint64 // not of stageHere: of the view in which its TRACE was sent
}

// maxTraced bounds the traced operations that a shard knows of.
const maxTraced = 4096

// traceOf gives the trace of a client's request, nil: it has none.
func (s *session) traceOf(sp *sessionSpace, m *wire.Msg, what string) *Trace {
	t := s.node.cfg.Tracing
	if t == nil {
		return nil
	}
	ctx := context.Background()
	switch parent := s.trace; {
	case parent != nil && parent.Req == m.Req:
		ctx = trace.ContextWithRemoteSpanContext(ctx, spanOf(parent))
	case t.Ratio == 0 || rand.Float64() >= t.Ratio:
		return nil
	}
	s.trace = nil
	if m.Flags&lockspace.Orphan != 0 {
		return nil // the lock goes on under another id
	}
	_, span := t.Tracer.Start(ctx, "lockify.node."+what, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		keyNode.Int(int(s.node.cfg.ID)), TracedSpace(sp.space.name),
	))
	tracedWhat(span, m)
	return &Trace{span.SpanContext(), span}
}

// tracedWhat says what a request asks for.
func tracedWhat(span trace.Span, m *wire.Msg) {
	switch m.Type {
	case wire.RangeReq, wire.RangeOp:
		span.SetAttributes(RangeKeys(m.Ranges.At(0))...)
	case wire.Unlock, wire.UnlockReq:
	default:
		span.SetAttributes(KeyMode.String(lockspace.Mode(m.Mode).String()))
	}
}

// RangeKeys gives the attributes of a byte range.
func RangeKeys(rec wire.RangeRec) []attribute.KeyValue {
	return []attribute.KeyValue{
		keyType.String(byterange.Type(rec.Type).String()),
		keyBytes.String(byterange.Range{Start: rec.Start, End: rec.End}.String()),
	}
}

// Names of what is asked for with a byte range, in those of spans.
const (
	bytesLock   = "bytes.lock"
	bytesUnlock = "bytes.unlock"
	bytesTest   = "bytes.test"
)

// bytesWhat gives that name.
func bytesWhat(flags uint32, rec wire.RangeRec) string {
	switch {
	case flags&lockspace.TestRange != 0:
		return bytesTest
	case byterange.Type(rec.Type) == byterange.None:
		return bytesUnlock
	}
	return bytesLock
}

// traceReq keeps what a client says of the request behind it.
func (s *session) traceReq(m *wire.Msg) {
	if s.node.cfg.Tracing != nil && spanOf(m).IsValid() && spanOf(m).IsSampled() {
		s.trace = &wire.Msg{Other: m.Other, Num: m.Num, Req: m.Req, Seq: m.Seq}
	}
}

// PutSpan puts a span into a TRACE or a TRACE_REQ.
func PutSpan(m *wire.Msg, at trace.SpanContext) {
	id, span := at.TraceID(), at.SpanID()
	le := binary.LittleEndian
	m.Other = wire.Life{Instance: le.Uint64(id[:]), Counter: le.Uint64(id[8:])}
	m.Seq, m.Num = le.Uint64(span[:]), uint32(at.TraceFlags())
}

// spanOf is the reverse of PutSpan.
func spanOf(m *wire.Msg) trace.SpanContext {
	var id trace.TraceID
	var span trace.SpanID
	le := binary.LittleEndian
	le.PutUint64(id[:], m.Other.Instance)
	le.PutUint64(id[8:], m.Other.Counter)
	le.PutUint64(span[:], m.Seq)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: span, TraceFlags: trace.TraceFlags(m.Num), Remote: true,
	})
}

// LockTraced is LockHere for an operation that is traced: its outcome always goes to
// Owner.Complete.
func (s *Space) LockTraced(q *lockspace.Request, name string, wait time.Duration, id *uint64, t *Trace) {
	q.Name, q.Here = bytesOf(name), nil
	q.Hash = lockspace.Hash(q.Name)
	r := s.runnerOf(q.Name, q.Hash)
	*id = r.newID()
	op := lockOp(q, wait, *id)
	op.trace = t
	r.submit(op, nil)
}

// UnlockTraced is Unlock for one that is traced.
func (s *Space) UnlockTraced(owner Owner, id uint64, flags uint32, value []byte, tag uint64, t *Trace) {
	op := unlockOp(owner, id, flags, value, tag)
	op.trace = t
	s.other(op, nil)
}

// followHere sees the beginning of an operation of this node.
func (r *runner) followHere(op *Op) {
	e := &traced{stage: stageHere, at: op.trace.at, span: op.trace.span}
	if e.span != nil {
		name := op.name
		if op.kind != opLock {
			name = r.shard.NameOf(op.id)
		}
		e.span.SetAttributes(KeyName.String(TracedName(name)))
	}
	key := traceKey{node: r.node.cfg.ID, lock: op.id}
	if op.kind == opBytes {
		key.req, e.what = op.tag, bytesWhat(op.flags, wire.RangeList(op.value).At(0))
	}
	r.follow(key, e)
}

// follow remembers an operation. One that was not heard of again gives way.
func (r *runner) follow(key traceKey, e *traced) {
	if old := r.traces[key]; old != nil {
		old.end("asked again")
	} else if len(r.traces) >= maxTraced {
		r.forgetTraces("not followed any more: too many", func(key traceKey, e *traced) bool { return true })
	}
	if r.traces == nil {
		r.traces = map[traceKey]*traced{}
	}
	if key.req != 0 && r.traces[key] == nil {
		r.tracedBytes++
	}
	r.traces[key] = e
}

// unfollow forgets an operation.
func (r *runner) unfollow(key traceKey) {
	if key.req != 0 && r.traces[key] != nil {
		r.tracedBytes--
	}
	delete(r.traces, key)
}

// endBytes ends the spans of what a handle that has gone has waited for.
func (r *runner) endBytes(handle traceKey) {
	r.forgetTraces("its handle was closed", func(key traceKey, _ *traced) bool {
		return key.req != 0 && key.node == handle.node && key.lock == handle.lock
	})
}

// forgetTraces ends the spans of all operations that which says.
func (r *runner) forgetTraces(outcome string, which func(traceKey, *traced) bool) {
	for key, e := range r.traces {
		if which(key, e) {
			e.end(outcome)
			r.unfollow(key)
		}
	}
}

// traceView ends the spans of what is begun anew with the next view, and of who has gone.
// What was sent in that view has perhaps come before it.
func (r *runner) traceView(v *lockspace.View) {
	r.forgetTraces("the members of the cluster have changed", func(key traceKey, e *traced) bool {
		return e.stage != stageHere && e.epoch < v.Epoch && (e.stage != stageMaster || !v.Has(key.node))
	})
}

// end ends the span, if there is one.
func (e *traced) end(outcome string) {
	if e.span != nil {
		e.span.SetAttributes(KeyOutcome.String(outcome))
		e.span.End()
	}
}

// EndSpan ends a span with the outcome of an operation.
func EndSpan(span trace.Span, st wire.Status) {
	outcome := st.String()
	switch st {
	case wire.OK:
		outcome = "granted"
	case wire.Unlocked, wire.WouldBlock, wire.Cancelled:
	default:
		span.SetStatus(codes.Error, outcome)
	}
	span.SetAttributes(KeyOutcome.String(outcome))
	span.End()
}

// EndBytesSpan is EndSpan for what may have been done with a byte range.
func EndBytesSpan(span trace.Span, what string, st wire.Status) {
	switch {
	case st == wire.OK && what == bytesTest:
		span.SetAttributes(KeyOutcome.String("tested"))
		span.End()
		return
	case st == wire.OK && what == bytesUnlock:
		st = wire.Unlocked
	}
	EndSpan(span, st)
}

func (r *runner) endTrace(key traceKey, st wire.Status) {
	if e := r.traces[key]; e != nil {
		if e.span != nil {
			EndBytesSpan(e.span, e.what, st)
		}
		r.unfollow(key)
	}
}

// traceComplete sees the end of an operation of this node.
func (r *runner) traceComplete(id uint64, c *lockspace.Completion) {
	key := traceKey{node: r.node.cfg.ID, lock: id}
	if e := r.traces[key]; e != nil && e.span != nil {
		e.span.SetAttributes(keyMessages.Int(int(c.Hops)))
		if c.Status == wire.OK {
			e.span.SetAttributes(keyToken.Int64(int64(c.Token)))
		}
	}
	r.endTrace(key, c.Status)
}

// traceBytes is traceComplete for a byte range.
func (r *runner) traceBytes(id, tag uint64, o *lockspace.ByteOutcome) {
	key := traceKey{r.node.cfg.ID, id, tag}
	if e := r.traces[key]; e != nil && e.span != nil {
		e.span.SetAttributes(keyMessages.Int(int(o.Hops)))
	}
	r.endTrace(key, o.Status)
}

// traceNamed is a TRACE.
func (r *runner) traceNamed(epoch uint64, m *wire.Msg) {
	key := traceKey{node: wire.NodeOf(m.Instance), lock: m.Lock}
	at := spanOf(m)
	if r.node.cfg.Tracing == nil || key.node == r.node.cfg.ID || !at.IsValid() || !at.IsSampled() {
		return
	}
	r.follow(key, &traced{stage: stageNamed, at: at, epoch: epoch})
}

// deliverTraced is message while there are traced operations.
func (r *runner) deliverTraced(from lockspace.Origin, hash uint64, m *wire.Msg) {
	key, at := traceKey{node: wire.NodeOf(from.Instance), lock: m.Lock}, stageNamed
	switch m.Type {
	case wire.Lookup:
		at = stageLookup
	case wire.Relay:
		key.node = wire.NodeOf(m.Instance)
		if wire.Type(m.Num) == wire.Lookup {
			at = stageLookup
		}
	case wire.Fwd:
		key.node, at = wire.NodeOf(m.Instance), stageMaster
	case wire.Request, wire.Convert, wire.Unlock:
		at = stageMaster
	case wire.RangeOp:
		if m.Ranges.Len() == 1 { // else it is refused
			at = stageMaster
		}
	case wire.Queued:
		key.node = r.node.cfg.ID
		if e := r.traces[key]; e != nil && e.stage == stageHere && e.span != nil {
			e.span.AddEvent("queued", trace.WithAttributes(attribute.Int("lockify.master", int(wire.NodeOf(from.Instance)))))
		}
	}
	e := r.traces[key]
	if at == stageNamed || e == nil || e.stage != stageNamed {
		e = nil
	} else {
		r.beginTrace(e, at, m)
		if m.Type == wire.RangeOp { // the next one of its handle may come before it ends
			r.unfollow(key)
			key.req = m.Req
			r.follow(key, e)
		}
	}
	r.shard.Deliver(r.now(), from, hash, m)
	if m.Type == wire.Unlock && r.tracedBytes != 0 {
		r.endBytes(key)
	}
	if e != nil && r.traces[key] == e {
		switch {
		case m.Type == wire.Unlock:
			r.endTrace(key, wire.Unlocked)
		case (m.Type == wire.Convert || m.Type == wire.RangeOp) && m.Bits&wire.BitNoReply != 0:
			r.endTrace(key, wire.OK)
		}
	}
}

// beginTrace begins the span of what has come for an operation of another node.
func (r *runner) beginTrace(e *traced, at stage, m *wire.Msg) {
	e.began = time.Now()
	name := "lockify.directory.lookup"
	e.what = "lock"
	switch m.Type {
	case wire.Convert:
		e.what = "convert"
	case wire.Unlock:
		e.what = "unlock"
	case wire.RangeOp:
		e.what = bytesWhat(m.Flags, m.Ranges.At(0))
	}
	if at == stageMaster {
		name = "lockify.master." + e.what
	}
	e.stage = at
	e.span = r.child(e.at, name, e.began, TracedName(m.Name))
	e.at = e.span.SpanContext()
	tracedWhat(e.span, m)
}

// child begins a span of this node.
func (r *runner) child(parent trace.SpanContext, what string, began time.Time, name string) trace.Span {
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	_, span := r.node.cfg.Tracing.Tracer.Start(ctx, what, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began),
		trace.WithAttributes(keyNode.Int(int(r.node.cfg.ID)), TracedSpace(r.space.name), KeyName.String(name)))
	return span
}

// traceSend sees what leaves for another node, and puts a TRACE in front of it.
func (r *runner) traceSend(to uint16, f *openFrame, m *wire.Msg) {
	key := traceKey{node: r.node.cfg.ID, lock: m.Lock}
	requester := r.node.cfg.Instance
	switch m.Type {
	case wire.Lookup, wire.Request, wire.Convert, wire.Unlock:
	case wire.RangeOp:
		key.req = m.Seq // see lockspace.Host.Send
	case wire.RangeDone:
		key.node, key.req = to, m.Req
	case wire.Fwd, wire.Relay:
		key.node, requester = wire.NodeOf(m.Instance), m.Instance
	case wire.You, wire.NotMaster, wire.Queued, wire.Denied, wire.Grant:
		key.node = to
	default:
		return
	}
	e := r.traces[key]
	switch {
	case e == nil:
	case key.node == to:
		r.traceAnswer(key, e, m)
	case e.stage == stageHere || e.stage == stageLookup:
		r.sendTrace(to, f, m, requester, e.at)
		if e.stage == stageLookup {
			e.end("passed on to node " + strconv.Itoa(int(to)))
			r.unfollow(key)
		}
	}
}

func (r *runner) sendTrace(to uint16, f *openFrame, m *wire.Msg, requester uint64, at trace.SpanContext) {
	if !r.node.peers.of(to).traces.Load() {
		return
	}
	t := wire.Msg{Type: wire.Trace, Name: m.Name, Instance: requester, Lock: m.Lock}
	PutSpan(&t, at)
	f.buf = t.Append(f.buf)
	f.count++
	r.sent[wire.Trace]++
}

// traceAnswer sees what this node answers to the requester of a traced operation.
func (r *runner) traceAnswer(key traceKey, e *traced, m *wire.Msg) {
	if e.stage != stageLookup && e.stage != stageMaster {
		return
	}
	now := time.Now()
	switch m.Type {
	case wire.You:
		e.end("the requester becomes master")
		r.unfollow(key)
		return
	case wire.NotMaster:
		e.end("not the master")
		r.unfollow(key)
		return
	}
	if e.stage == stageLookup { // the directory node is the master
		e.end("master here")
		e.stage, e.span = stageMaster, r.child(e.at, "lockify.master."+e.what, e.began, TracedName(m.Name))
		e.at = e.span.SpanContext()
	}
	switch m.Type {
	case wire.Queued:
		e.span.AddEvent("queued")
	case wire.Denied, wire.RangeDone:
		if held := int64(m.Wait); held != 0 { // of a range that is granted, or is free: see lockspace.Host.Send
			e.span.SetAttributes(keyHeld.Int64(held))
		}
		r.endTrace(key, m.Status)
	case wire.Grant:
		held := time.Duration(m.Wait) // see lockspace.Host.Send
		grant := r.child(e.at, "lockify.master.grant", now.Add(-held), TracedName(m.Name))
		grant.SetAttributes(KeyMode.String(lockspace.Mode(m.Mode).String()), keyToken.Int64(int64(m.Token)), keyHeld.Int64(int64(held)))
		grant.End()
		r.endTrace(key, wire.OK)
	}
}
