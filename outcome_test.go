package lockify

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// hasty ends an operation, and has somebody begin the next one, which does not end, before
// who has asked for the first can look: as a callback does.
type hasty struct {
	place
	backend
	st wire.Status
}

func (hasty) holds() bool                { return true }
func (hasty) full() bool                 { return false }
func (hasty) wait(context.Context) error { return nil }
func (hasty) cancel(uint64, uint64)      { panic("what was not to be withdrawn") }

func (h hasty) end(l *Lock) (b begun) {
	l.complete(1, outcomeError(h.st, "", wire.Path{}), h.st, &lockspace.Completion{Mode: EX})
	if err := l.begin(&Option{}, opConvert, NL, nil, nil); err != nil {
		panic(err)
	}
	return b
}

func (h hasty) lock(l *Lock, _ Mode, _ Option, _ bool) begun {
	l.at = h
	return h.end(l)
}

func (h hasty) convert(l *Lock, _ Mode, _ Option, _ bool) begun { return h.end(l) }
func (h hasty) unlock(l *Lock, _ Option, _ bool) begun          { return h.end(l) }

func (h hasty) held(s *Lockspace) *Lock {
	return &Lock{at: h, space: s, name: "name", id: 1, grant: lockspace.Grant{Mode: EX}}
}

// TestOutcomeIsKept: who has begun an operation gets its outcome, also if the next one runs
// already when he looks.
func TestOutcomeIsKept(t *testing.T) {
	heard := OnBlocking(func(*Lock, Mode) {})
	const (
		remote = iota
		traced
		here
	)
	for _, test := range []struct {
		name  string
		st    wire.Status
		where int
		run   func(ctx context.Context, h hasty, s *Lockspace, done func(error))
	}{
		{"lock", wire.OK, remote, func(ctx context.Context, _ hasty, s *Lockspace, done func(error)) {
			_, err := s.Lock(ctx, "name", EX, heard)
			done(err)
		}},
		{"traced lock", wire.OK, traced, func(ctx context.Context, _ hasty, s *Lockspace, done func(error)) {
			_, err := s.Lock(ctx, "name", EX, heard)
			done(err)
		}},
		{"asynchronous lock", wire.OK, here, func(_ context.Context, _ hasty, s *Lockspace, done func(error)) {
			s.LockAsync("name", EX, func(_ *Lock, err error) { done(err) }, heard)
		}},
		{"conversion", wire.WouldBlock, remote, func(ctx context.Context, h hasty, s *Lockspace, done func(error)) {
			done(h.held(s).Convert(ctx, EX))
		}},
		{"asynchronous conversion", wire.WouldBlock, here, func(_ context.Context, h hasty, s *Lockspace, done func(error)) {
			h.held(s).ConvertAsync(EX, done)
		}},
		{"unlock", wire.Limit, remote, func(ctx context.Context, h hasty, s *Lockspace, done func(error)) {
			done(h.held(s).Unlock(ctx))
		}},
		{"retirement", wire.Limit, here, func(ctx context.Context, h hasty, s *Lockspace, done func(error)) {
			done(h.held(s).Unlock(ctx, Retire()))
		}},
		{"asynchronous retirement", wire.Limit, here, func(_ context.Context, h hasty, s *Lockspace, done func(error)) {
			h.held(s).UnlockAsync(done, Retire())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := hasty{st: test.st}
			s := &Lockspace{be: h}
			switch test.where {
			case traced:
				s.tracer = noop.NewTracerProvider().Tracer("")
			case here:
				s.here = &embedded{}
			}
			ctx, cancel := context.WithCancel(testContext(t))
			ended := make(chan error, 1)
			go test.run(ctx, h, s, func(err error) { ended <- err })
			expect(t, "the outcome", wait(t, ctx, "the outcome", ended), statusErrors[test.st])
			cancel()
		})
	}
}

// atDone is a context that has ended as soon as somebody waits for its end; then f runs.
type atDone struct {
	context.Context
	f func()
}

func (c atDone) Done() <-chan struct{} {
	c.f()
	return closedChan
}

// unanswered begins operations that do not end.
type unanswered struct{ hasty }

func (unanswered) convert(*Lock, Mode, Option, bool) (b begun) { return b }

// TestOutcomeBeforeContext: an operation that has ended before its context is not withdrawn
// though another one runs. A select chooses by chance, so it is tried many times.
func TestOutcomeBeforeContext(t *testing.T) {
	for range 64 {
		u := unanswered{}
		l := u.held(&Lockspace{})
		l.at = u
		ctx := atDone{testContext(t), func() { u.end(l) }}
		expect(t, "Convert", l.Convert(ctx, PR), nil)
	}
}
