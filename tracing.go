package lockify

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file makes the spans of a program. Its nodes hear of those that are sampled, and
// make their own, as children; see internal/node/trace.go.

// WithTracerProvider makes a span of OpenTelemetry for each Lock, Convert and Unlock, as a
// child of the one in the call's context, for the asynchronous ones, which have none (see
// ChildOf), and for what is done with byte ranges. If it is sampled, and the client's node
// makes spans (tracing_endpoint of its configuration), it and the other nodes that take
// part go on with it.
func WithTracerProvider(p trace.TracerProvider) DialOption { return DialOption{traces: p} }

// ChildOf makes the span of LockAsync, ConvertAsync or UnlockAsync, which lasts until done
// is called, a child of the one in ctx; without it, it begins a trace. Nothing else is
// taken from ctx: its end does not withdraw the operation. Calls with a context take the
// span from there.
func ChildOf(ctx context.Context) Option {
	at := trace.SpanContextFromContext(ctx)
	return Option{parent: &at}
}

// spans gives the maker of a lockspace's spans, nil: there is none.
func spans(p trace.TracerProvider) trace.Tracer {
	if p == nil {
		return nil
	}
	return p.Tracer(node.TracerName)
}

// beginSpan begins the span of an operation.
func (s *Lockspace) beginSpan(ctx context.Context, what opKind, name string, mode Mode) (context.Context, trace.Span) {
	ctx, span := s.tracer.Start(ctx, "lockify."+what.String(), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		node.TracedSpace(s.name), node.KeyName.String(node.TracedName([]byte(name))),
	))
	if what != opUnlock {
		span.SetAttributes(node.KeyMode.String(mode.String()))
	}
	return ctx, span
}

// endSpan ends it. It has the lock's name already.
func endSpan(span trace.Span, what opKind, err error) {
	var named *opError
	if errors.As(err, &named) {
		err = named.err
	}
	switch {
	case err == nil && what == opUnlock:
		node.EndSpan(span, wire.Unlocked)
		return
	case err == nil:
		node.EndSpan(span, wire.OK)
		return
	case errors.Is(err, ErrWouldBlock), errors.Is(err, ErrCancelled), errors.Is(err, context.Canceled): // as was asked for
	default:
		span.SetStatus(codes.Error, err.Error())
	}
	span.SetAttributes(node.KeyOutcome.String(err.Error()))
	span.End()
}

// traced gives o as part of span.
func traced(o Option, span trace.Span) Option {
	if at := span.SpanContext(); at.IsSampled() { // else nobody will see what others do for it
		o.span = &at
	}
	return o
}

func (s *Lockspace) lockTraced(ctx context.Context, name string, mode Mode, opts []Option) (l *Lock, err error) {
	ctx, span := s.beginSpan(ctx, opLock, name, mode)
	defer func() { endSpan(span, opLock, err) }()
	if err := s.ready(ctx); err != nil {
		return nil, opLock.of(name, err)
	}
	o := traced(merge(opts), span)
	if l, err = s.newLock(name, mode, &o); err != nil {
		return nil, err
	}
	wake := l.wake
	if err := l.await(ctx, true, s.be.lock(l, mode, o, false), wake); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Lock) convertTraced(ctx context.Context, mode Mode, opts []Option) error {
	ctx, span := l.space.beginSpan(ctx, opConvert, l.name, mode)
	err := l.convert(ctx, mode, traced(merge(opts), span))
	endSpan(span, opConvert, err)
	return err
}

func (l *Lock) unlockTraced(ctx context.Context, opts []Option) error {
	ctx, span := l.space.beginSpan(ctx, opUnlock, l.name, lockspace.NL)
	o := traced(merge(opts), span)
	err := l.unlock(ctx, &o)
	endSpan(span, opUnlock, err)
	return err
}

// beginAsync begins the span of an operation without a context, with o as its options. end
// is to be called with what it came to.
func (s *Lockspace) beginAsync(what opKind, name string, mode Mode, o *Option) (end func(error)) {
	ctx := context.Background()
	if o.parent != nil {
		ctx = trace.ContextWithSpanContext(ctx, *o.parent)
	}
	_, span := s.beginSpan(ctx, what, name, mode)
	*o = traced(*o, span)
	return func(err error) { endSpan(span, what, err) }
}

// asyncTraced gives what is to be called instead of done.
func (s *Lockspace) asyncTraced(what opKind, name string, mode Mode, o *Option, done func(error)) func(error) {
	end := s.beginAsync(what, name, mode, o)
	return func(err error) { end(err); done(err) }
}

// beginBytes begins the span of an operation on a byte range; see beginAsync.
func (s *Lockspace) beginBytes(ctx context.Context, what, name string, rec wire.RangeRec, o *Option) (end func(error)) {
	what = "bytes." + what
	_, span := s.tracer.Start(ctx, "lockify."+what, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		append(node.RangeKeys(rec), node.TracedSpace(s.name), node.KeyName.String(node.TracedName([]byte(name))))...,
	))
	*o = traced(*o, span)
	return func(err error) {
		if err == nil {
			node.EndBytesSpan(span, what, wire.OK)
			return
		}
		endSpan(span, opLock, err)
	}
}

// inTrace gives the operation's part in a trace, for the node in this process.
func (o *Option) inTrace() *node.Trace {
	if o.span == nil {
		return nil
	}
	return node.TraceIn(*o.span)
}

// putSpan has a request bring its span; see Session.start.
func (o *Option) putSpan(m *wire.Msg) {
	if o.span != nil {
		node.PutSpan(m, *o.span)
	}
}
