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

// atDone is a context that ends as soon as somebody waits for its end; then f runs.
type atDone struct {
	context.Context
	f     func()
	ended bool
}

func (c *atDone) Done() <-chan struct{} {
	c.f()
	c.ended = true
	return closedChan
}

func (c *atDone) Err() error {
	if c.ended {
		return context.Canceled
	}
	return nil
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
		ctx := &atDone{Context: testContext(t), f: func() { u.end(l) }}
		expect(t, "Convert", l.Convert(ctx, PR), nil)
	}
}

// silent answers nothing, and tells of each unlock.
type silent struct {
	hasty
	unlocks chan *Lock
}

func (silent) cancel(uint64, uint64) {}

func (s silent) lock(l *Lock, _ Mode, _ Option, _ bool) (b begun) {
	l.at = s
	return b
}

func (silent) convert(*Lock, Mode, Option, bool) (b begun) { return b }

func (s silent) unlock(l *Lock, _ Option, _ bool) (b begun) {
	s.unlocks <- l
	return b
}

// TestUnlockOfWhoHasLeft: an unlock that waits for the end of an operation is the next one,
// whoever wants another. It begins on another goroutine, so each way is tried many times.
func TestUnlockOfWhoHasLeft(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	told := OnBlocking(func(*Lock, Mode) { t.Error("the callback of a lock that the program never gets") })
	for _, test := range []struct {
		name  string
		leave func(ctx context.Context, s silent) *Lock // with an operation running
	}{
		{"lock", func(ctx context.Context, s silent) *Lock {
			var l *Lock
			_, err := (&Lockspace{be: catching{s, &l}}).Lock(&atDone{Context: ctx, f: func() {}}, "name", EX, told)
			expect(t, "Lock", err, context.Canceled)
			return l
		}},
		{"conversion", func(ctx context.Context, s silent) *Lock {
			l := s.held(&Lockspace{})
			l.at = s
			expect(t, "Convert", l.Convert(&atDone{Context: ctx, f: func() {}}, PR), context.Canceled)
			expect(t, "Unlock", l.Unlock(ended), context.Canceled)
			return l
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := testContext(t)
			for range 64 {
				s := silent{unlocks: make(chan *Lock, 1)}
				l := test.leave(ctx, s)
				l.complete(1, nil, wire.OK, &lockspace.Completion{Mode: EX})
				if todo := l.blocked(EX); todo.f != nil {
					todo.f(nil)
				}
				expect(t, "another operation", l.begin(&Option{}, opConvert, NL, nil, nil), ErrBusy)
				wait(t, ctx, "the unlock", s.unlocks)
			}
		})
	}
}

// catching gives the lock that is asked for.
type catching struct {
	silent
	l **Lock
}

func (c catching) lock(l *Lock, mode Mode, o Option, later bool) begun {
	*c.l = l
	return c.silent.lock(l, mode, o, later)
}

// TestOutcomeOfLost: what a request comes to whose answer is overtaken by the loss of the
// lock, as by the session's end between the two.
func TestOutcomeOfLost(t *testing.T) {
	for _, why := range []error{ErrSessionLost, ErrClosed, ErrLost} {
		s := &Lockspace{be: silent{}}
		ended := make(chan error, 1)
		l := s.LockAsync("name", EX, func(_ *Lock, err error) { ended <- err })
		l.takenAway(why)
		todo := l.complete(1, nil, wire.OK, &lockspace.Completion{Mode: EX})
		todo.f(todo.err)
		expect(t, "LockAsync", <-ended, why)
		if l.Valid() || !isClosed(l.Lost()) {
			t.Fatal("not lost")
		}
	}
}
