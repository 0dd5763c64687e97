package lockify

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestErrorsNameTheLock: whatever an operation comes to, its error begins with what was asked
// of which lock, says so once, and is what it was.
func TestErrorsNameTheLock(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		name := e.name()
		e.must(t, e.b, name, PR)
		l := e.must(t, e.a, name, PR)
		ended, cancel := context.WithCancel(e.ctx)
		cancel()
		late, cancel := context.WithDeadline(e.ctx, time.Now().Add(-time.Second))
		defer cancel()
		soon := func() context.Context {
			ctx, cancel := context.WithTimeout(e.ctx, 10*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}
		lock := func(ctx context.Context, opts ...Option) error {
			_, err := e.a.Lock(ctx, name, EX, opts...)
			return err
		}
		checkNamed(t, `lock of "`+name+`": `, []namedCase{
			{context.Canceled, lock(ended)},
			{context.DeadlineExceeded, lock(late)},
			{context.DeadlineExceeded, lock(soon())},
			{ErrWouldBlock, lock(e.ctx, NoQueue())},
			{ErrTimedOut, lock(e.ctx, Timeout(time.Millisecond))},
			{ErrNoOrphan, lock(e.ctx, AdoptOrphan())},
		})
		checkNamed(t, `convert of "`+name+`": `, []namedCase{
			{context.Canceled, l.Convert(ended, EX)},
			{context.DeadlineExceeded, l.Convert(soon(), EX)},
			{ErrWouldBlock, l.Convert(e.ctx, EX, NoQueue())},
			{ErrTimedOut, l.Convert(e.ctx, EX, Timeout(time.Millisecond))},
		})
		e.unlock(t, l)
		checkNamed(t, `unlock of "`+name+`": `, []namedCase{{ErrNotHeld, l.Unlock(e.ctx)}})
		testNamedBytes(t, e, name, ended, soon())
		e.a.Close(e.ctx)
		checkNamed(t, `lock of "`+name+`" in "test": `, []namedCase{{ErrClosed, lock(e.ctx)}})
	})
}

type namedCase struct{ want, err error }

func checkNamed(t *testing.T, head string, all []namedCase) {
	t.Helper()
	quoted := head[strings.Index(head, `"`) : strings.LastIndex(head, `"`)+1]
	for _, c := range all {
		expect(t, head, c.err, c.want)
		if text := c.err.Error(); !strings.HasPrefix(text, head) || strings.Count(text, quoted) != 1 {
			t.Errorf("%q, want %s once, in front", text, head)
		}
	}
}

func testNamedBytes(t *testing.T, e *env, name string, ended, soon context.Context) {
	t.Helper()
	here, there := e.openBytes(t, e.a, name), e.openBytes(t, e.b, name)
	owner := e.a.NewOwner()
	expect(t, "Lock", there.Lock(e.ctx, e.b.NewOwner(), WriteRange, 0, 10), nil)
	checkNamed(t, `lock bytes of "`+name+`": `, []namedCase{
		{context.Canceled, here.Lock(ended, owner, WriteRange, 0, 1)},
		{context.DeadlineExceeded, here.Lock(soon, owner, WriteRange, 0, 1)},
		{ErrWouldBlock, here.TryLock(e.ctx, owner, WriteRange, 0, 1)},
		{ErrOwner, here.Lock(e.ctx, 0, WriteRange, 0, 1)},
	})
	expect(t, "Close", here.Close(e.ctx), nil)
	checkNamed(t, `lock bytes of "`+name+`": `, []namedCase{{ErrNotHeld, here.Lock(e.ctx, owner, WriteRange, 0, 1)}})
}

// TestNamedErrorOfLostSession: what waits when the session ends says of which lock, and is
// ErrSessionLost and ErrLost; a deadlock is still a DeadlockError.
func TestNamedErrorOfLostSession(t *testing.T) {
	for _, err := range []error{ErrSessionLost, &DeadlockError{}} {
		named := opLock.of(strings.Repeat("x", 100), err)
		var d *DeadlockError
		if !errors.Is(named, err) || errors.Is(err, ErrLost) != errors.Is(named, ErrLost) || errors.As(err, &d) != errors.As(named, &d) {
			t.Errorf("%v is not %v any more", named, err)
		}
		if want := `lock of "` + strings.Repeat("x", 64) + `": ` + err.Error(); named.Error() != want {
			t.Errorf("%q, want %q", named, want)
		}
	}
}
