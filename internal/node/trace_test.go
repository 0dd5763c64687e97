package node

import (
	"fmt"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// tracedWorld is a world whose nodes make spans.
func tracedWorld(t *testing.T, olds map[uint16]bool, ids ...uint16) (*world, *tracetest.SpanRecorder) {
	spans := tracetest.NewSpanRecorder()
	w := unstarted(t)
	w.olds = olds
	w.tracer = sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test")
	for _, id := range ids {
		w.start(id)
	}
	w.view()
	return w, spans
}

// askTraced asks for a lock as part of a trace that begins here.
func (w *world) askTraced(id uint16, name string, mode lockspace.Mode) listener {
	w.t.Helper()
	_, span := w.tracer.Start(w.t.Context(), fmt.Sprint("program of node ", id))
	span.End()
	l, lock := make(listener, 10), new(uint64)
	w.open(id).LockTraced(&lockspace.Request{Mode: mode, User: Owner(l), Tag: 1}, name, 0, lock, TraceIn(span.SpanContext()))
	return l
}

// traced gives how many operations a node follows.
func (w *world) traced(id uint16) int {
	st := w.nodes[id].Space("space").Stats()
	return st.Traced
}

// endedWith gives the spans of a name that have ended so.
func endedWith(spans *tracetest.SpanRecorder, name, outcome string) (all []sdk.ReadOnlySpan) {
	for _, s := range spans.Ended() {
		for _, a := range s.Attributes() {
			if s.Name() == name && a.Key == KeyOutcome && a.Value.AsString() == outcome {
				all = append(all, s)
			}
		}
	}
	return all
}

// A master dies: who has waited there asks again, and its trace goes on at the next one.
func TestTraceNextMaster(t *testing.T) {
	w, spans := tracedWorld(t, nil, 1, 2, 3)
	hold(t, w.open(3), "name", lockspace.EX, 0)
	asks := []listener{w.askTraced(1, "name", lockspace.CR), w.askTraced(2, "name", lockspace.CR)}
	await(t, func() bool { return w.traced(3) == 2 })
	w.crash(3)
	w.view()
	for _, l := range asks {
		if o := hear(t, l); o.status != wire.OK {
			t.Errorf("got %+v", o)
		}
	}
	await(t, func() bool { return w.traced(1)+w.traced(2) == 0 })
	if n := len(endedWith(spans, "lockify.master.lock", "granted")); n == 0 || n > 2 {
		t.Errorf("%d spans of the next master", n)
	}
}

// A requester dies: its master does not follow it any more.
func TestTraceOfTheDead(t *testing.T) {
	w, spans := tracedWorld(t, nil, 1, 2)
	hold(t, w.open(1), "name", lockspace.EX, 0)
	w.askTraced(2, "name", lockspace.CR)
	await(t, func() bool { return w.traced(1) == 1 })
	w.crash(2)
	w.view()
	if n := w.traced(1); n != 0 {
		t.Errorf("%d operations are followed", n)
	}
	if n := len(endedWith(spans, "lockify.master.lock", "the members of the cluster have changed")); n != 1 {
		t.Errorf("%d spans have ended so", n)
	}
	if l := w.askTraced(1, "other", lockspace.EX); hear(t, l).status != wire.OK {
		t.Error("no lock")
	}
	w.nodes[1].Fence(ErrFenced)
	if n := w.traced(1); n != 0 {
		t.Errorf("%d operations are followed behind the fence", n)
	}
}

// A node of an older version hears of no trace.
func TestTraceOldNode(t *testing.T) {
	w, _ := tracedWorld(t, map[uint16]bool{2: true}, 1, 2)
	for i := range 16 { // some have their directory there
		if o := hear(t, w.askTraced(1, fmt.Sprint("name-", i), lockspace.EX)); o.status != wire.OK {
			t.Fatalf("got %+v", o)
		}
	}
	st := w.nodes[1].Space("space").Stats()
	if st.Sent[wire.Lookup] == 0 || st.Sent[wire.Trace] != 0 {
		t.Errorf("%d LOOKUP, %d TRACE", st.Sent[wire.Lookup], st.Sent[wire.Trace])
	}
}

// What the release fence holds back is a grant span of that length.
func TestTraceHeldGrant(t *testing.T) {
	w, spans := tracedWorld(t, nil, 1, 2)
	sp := w.open(1)
	hold(t, sp, "name", lockspace.CR, 0)
	fence := w.nodes[1].common.forShard(&sp.clocks)
	claim, ok := fence.OpenClaim()
	if !ok {
		t.Fatal("no claim")
	}
	l := w.askTraced(2, "name", lockspace.CR)
	await(t, func() bool {
		n := uint64(0)
		for _, s := range sp.Stats().Shards {
			n += s.HeldTotal
		}
		return n > 0
	})
	silent(t, "the fence is closed", l)
	fence.CloseClaim(claim)
	if o := hear(t, l); o.status != wire.OK {
		t.Fatalf("got %+v", o)
	}
	for _, s := range spans.Ended() {
		if s.Name() != "lockify.master.grant" {
			continue
		}
		for _, a := range s.Attributes() {
			if a.Key == keyHeld && (a.Value.AsInt64() <= 0 || s.EndTime().Sub(s.StartTime()).Nanoseconds() < a.Value.AsInt64()) {
				t.Errorf("held for %d ns, a span from %v to %v", a.Value.AsInt64(), s.StartTime(), s.EndTime())
			}
		}
		return
	}
	t.Error("no span of the grant")
}

// However many are traced, a shard follows so many.
func TestTraceBound(t *testing.T) {
	r := &runner{}
	for i := range 2*maxTraced + 1 {
		r.follow(traceKey{node: 1, lock: uint64(i)}, &traced{stage: stageNamed})
		if len(r.traces) > maxTraced {
			t.Fatalf("%d are followed", len(r.traces))
		}
	}
	var none trace.SpanContext
	if TraceIn(none) != nil {
		t.Error("a span that nobody sees is followed")
	}
}

// PutSpan and spanOf: the bytes on the wire are those of the IDs.
func TestSpanOnTheWire(t *testing.T) {
	at := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, SpanID: trace.SpanID{17, 18, 19, 20, 21, 22, 23, 24},
		TraceFlags: trace.FlagsSampled, Remote: true,
	})
	m := wire.Msg{Type: wire.TraceReq, Req: 7}
	PutSpan(&m, at)
	b := m.Append(nil)
	var got wire.Msg
	if _, err := got.Decode(b); err != nil || !spanOf(&got).Equal(at) {
		t.Errorf("%v, %v; want %v", spanOf(&got), err, at)
	}
	if id := at.TraceID(); string(b[4:20]) != string(id[:]) {
		t.Errorf("bytes %x", b)
	}
}
