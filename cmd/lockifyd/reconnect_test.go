package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
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

// A daemon is stopped. Its client lets go by itself, before another node's client has
// the lock; when the daemon goes on, the client is back, and finds the lock taken.
func TestClientOfStoppedDaemon(t *testing.T) {
	c := daemontest.NewJoined(t, 3, lease)
	_, s, sessions := sessionsOf(t, c.Nodes[2].Client)
	_, other, _ := sessionsOf(t, c.Nodes[0].Client)
	held := lock(t, s, "held", lockify.EX)
	if !held.Valid() {
		t.Fatal("not valid")
	}
	c.Nodes[2].Signal(t, syscall.SIGSTOP)
	l := lock(t, other, "held", lockify.EX)
	if held.Valid() {
		t.Error("two holders")
	}
	hear(t, "the loss", held.Lost())
	c.Nodes[2].Signal(t, syscall.SIGCONT)
	hear(t, "a session", sessions)
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	if _, err := s.TryLock(ctx, "held", lockify.PR); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Errorf("a lock that the other client holds: %v", err)
	}
	if l.Token() <= held.Token() || !l.Valid() || held.Valid() {
		t.Errorf("tokens %d and %d, valid %v and %v", held.Token(), l.Token(), held.Valid(), l.Valid())
	}
	unlock(t, l)
	unlock(t, lock(t, s, "held", lockify.EX))
}

// Most nodes die. A client of one that is left loses its lock and hears why, until the
// others are back: then it goes on by itself.
func TestClientWithoutQuorum(t *testing.T) {
	c := daemontest.NewJoined(t, 3, lease)
	_, s, sessions := sessionsOf(t, c.Nodes[0].Client)
	held := lock(t, s, "held", lockify.EX)
	for _, d := range c.Nodes[1:] {
		d.Signal(t, syscall.SIGKILL)
		d.Wait(t)
	}
	hear(t, "the loss", held.Lost())
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	for { // its node's lease outlives the client's, then it starts anew, and is not there for a moment
		err := openOnce(ctx, c.Nodes[0].Client)
		if errors.Is(err, lockify.ErrNoQuorum) && strings.HasPrefix(err.Error(), "lockify: no quorum since 2") {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("open without quorum: %v", err)
		}
	}
	if len(sessions) != 0 {
		t.Error("a session without quorum")
	}
	c.Restart(t, 1)
	c.Restart(t, 2)
	unlock(t, lock(t, s, "held", lockify.EX))
	hear(t, "a session", sessions)
}

// openOnce tries to open the test's lockspace, in one session.
func openOnce(ctx context.Context, addr string) error {
	c, err := lockify.Dial(ctx, addr, lockify.OneSession())
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Open(ctx, testSpace)
	return err
}
