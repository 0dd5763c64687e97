package main

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// sessionsOf connects to daemons and opens the test's lockspace.
func sessionsOf(t *testing.T, addrs string) (*lockify.Client, *lockify.Lockspace, <-chan *lockify.Session) {
	t.Helper()
	sessions := make(chan *lockify.Session, 10)
	c, err := lockify.Dial(t.Context(), addrs, lockify.OnSession(func(s *lockify.Session) { sessions <- s }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := c.Open(t.Context(), testSpace)
	if err != nil {
		t.Fatal(err)
	}
	return c, s, sessions
}

// hear waits within the test's patience.
func hear[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	select {
	case v = <-ch:
	case <-ctx.Done():
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

// kill -9 of the daemon and another start of it: the lock is lost, what waits fails,
// and the client is there again by itself.
func TestClientOutlivesDaemon(t *testing.T) {
	args := []string{"--id", "1", "--admin", "127.0.0.1:0", "--clients", "unix://" + filepath.Join(t.TempDir(), "n.sock")}
	d := daemontest.Start(t, args...)
	_, s, sessions := sessionsOf(t, d.Client)
	for range 3 {
		held := lock(t, s, "held", lockify.EX)
		waits := make(chan error, 1)
		s.LockAsync("held", lockify.PR, func(_ *lockify.Lock, err error) { waits <- err })
		d.Signal(t, syscall.SIGKILL)
		hear(t, "the loss", held.Lost())
		if err := hear(t, "the end of the request", waits); !errors.Is(err, lockify.ErrSessionLost) {
			t.Errorf("the request ends with %v", err)
		}
		d = daemontest.Start(t, args...)
		hear(t, "a session", sessions)
		l := lock(t, s, "held", lockify.EX)
		if err := held.Unlock(t.Context()); !errors.Is(err, lockify.ErrLost) {
			t.Errorf("unlock of the old lock: %v", err)
		}
		unlock(t, l)
	}
}

// The daemon of a client dies for good: it goes on with the next address.
func TestClientChangesDaemon(t *testing.T) {
	one := daemontest.Cluster(t, 1)[0]
	two := daemontest.Cluster(t, 1)[0]
	c, s, sessions := sessionsOf(t, one.Client+","+two.Client)
	held := lock(t, s, "held", lockify.EX)
	if a := c.Session().Addr(); a != one.Client {
		t.Fatalf("session at %s", a)
	}
	one.Signal(t, syscall.SIGKILL)
	hear(t, "the loss", held.Lost())
	if a := hear(t, "a session", sessions).Addr(); a != two.Client {
		t.Fatalf("session at %s", a)
	}
	unlock(t, lock(t, s, "held", lockify.EX))
}
