package recipes

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/lockify-dlm/lockify"
)

// restarted gives the lockspace of a client, and restart, which ends its node, so that all
// locks are lost, and gives the lockspace at the next one.
func restarted(t *testing.T) (space *lockify.Lockspace, restart func() *lockify.Lockspace) {
	t.Helper()
	ctx, addr := testContext(t), "unix://"+filepath.Join(t.TempDir(), "c")
	start := func() *lockify.Node {
		n, err := lockify.StartNode(ctx, lockify.Config{
			ID: 1, Clients: []string{addr}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(ctx) })
		return n
	}
	open := func(n interface {
		Open(context.Context, string, ...lockify.SpaceOption) (*lockify.Lockspace, error)
	}) *lockify.Lockspace {
		s, err := n.Open(ctx, "recipes")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	n := start()
	c, err := lockify.Dial(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return open(c), func() *lockify.Lockspace {
		n.Close(ctx)
		return open(start())
	}
}

// TestMutexUnlockOfLost: who has lost a mutex does not unlock that of the next holder.
func TestMutexUnlockOfLost(t *testing.T) {
	type mutex interface {
		Lock(context.Context) error
		TryLock(context.Context) error
		Unlock(context.Context) error
	}
	for name, make := range map[string]func(*lockify.Lockspace) mutex{
		"mutex":  func(s *lockify.Lockspace) mutex { return NewMutex(s, "name") },
		"writer": func(s *lockify.Lockspace) mutex { return NewRWMutex(s, "name") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			expect := func(what string, err, want error) {
				t.Helper()
				if !errors.Is(err, want) {
					t.Fatalf("%s: error %v, want %v", what, err, want)
				}
			}
			space, restart := restarted(t)
			m := make(space)
			expect("Lock", m.Lock(ctx), nil)
			other := make(restart())
			taken := func() { // waits until somebody else has it
				for err := other.TryLock(ctx); !errors.Is(err, lockify.ErrWouldBlock); err = other.TryLock(ctx) {
					expect("TryLock of another program", err, nil)
					expect("its Unlock", other.Unlock(ctx), nil)
					runtime.Gosched()
				}
			}
			soon, cancel := context.WithCancel(ctx)
			second := lock(soon, m)
			taken()
			cancel()
			expect("Lock before the first holder's Unlock", <-second, context.Canceled)
			expect("Lock of another program", other.Lock(ctx), nil)
			expect("Unlock of another program", other.Unlock(ctx), nil)
			expect("TryLock before the first holder's Unlock", m.TryLock(ctx), lockify.ErrWouldBlock)
			second = lock(ctx, m)
			taken()
			expect("Unlock of the first holder", m.Unlock(ctx), lockify.ErrLost)
			expect("Lock of the second holder", <-second, nil)
			expect("TryLock of another program", other.TryLock(ctx), lockify.ErrWouldBlock)
			expect("Unlock of the second holder", m.Unlock(ctx), nil)
			expect("Lock of another program", other.Lock(ctx), nil)
		})
	}
}

// lock locks m beside the test.
func lock(ctx context.Context, m interface{ Lock(context.Context) error }) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- m.Lock(ctx) }()
	return ch
}
