package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// ringEnv makes the test binary a client that holds locks, which it takes through a
// ring, and takes more until it is killed: the node's address.
const ringEnv = "LOCKIFY_TEST_RING"

// ringProcess is that client.
func ringProcess(addr string) int {
	ctx := context.Background()
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	c, err := lockify.Dial(ctx, addr)
	if err != nil {
		return fail(err)
	}
	s, err := c.Open(ctx, testSpace)
	if err != nil {
		return fail(err)
	}
	if !c.Session().Ring() {
		return fail(errors.New("no ring"))
	}
	for i := range 100 {
		if _, err := s.Lock(ctx, "held-"+strconv.Itoa(i), lockify.EX); err != nil {
			return fail(err)
		}
	}
	fmt.Println("has them")
	return fail(keepBusy(ctx, s)) // until it is killed, in the middle of something
}

// kill -9 of a client in the middle of a request: all that it held is free, and the
// node gives its ring to the next one.
func TestKilledRingClient(t *testing.T) {
	d := daemontest.Start(t, "--id", "1", "--admin", "127.0.0.1:0", "--rings", "2",
		"--clients", "unix://"+filepath.Join(t.TempDir(), "n.sock"))
	c, s, _ := sessionsOf(t, d.Client)
	if !c.Session().Ring() {
		t.Fatal("no ring")
	}
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), ringEnv+"="+d.Client)
		p := daemontest.Run(t, cmd)
		p.Out.Await(t, 0, "has them")
		_, err := s.TryLock(t.Context(), "held-7", lockify.EX)
		if !errors.Is(err, lockify.ErrWouldBlock) {
			t.Fatalf("TryLock of what the other one holds: %v", err)
		}
		p.Signal(t, syscall.SIGKILL)
		for i := range 100 {
			unlock(t, lock(t, s, "held-"+strconv.Itoa(i), lockify.EX))
		}
		unlock(t, lock(t, s, "busy", lockify.EX))
	}
}

// kill -9 of the daemon: who waits in a ring hears of it, and goes on in the next one.
func TestKilledRingDaemon(t *testing.T) {
	args := []string{"--id", "1", "--admin", "127.0.0.1:0", "--clients", "unix://" + filepath.Join(t.TempDir(), "n.sock")}
	d := daemontest.Start(t, args...)
	c, s, sessions := sessionsOf(t, d.Client)
	for range 3 {
		inWay := make(chan bool, 1)
		held := lock(t, s, "held", lockify.EX, lockify.OnBlocking(func(*lockify.Lock, lockify.Mode) { inWay <- true }))
		old := c.Session()
		ctx, cancel := context.WithCancel(t.Context())
		waits, busy := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := s.Lock(ctx, "held", lockify.EX)
			waits <- err
		}()
		go func() { busy <- keepBusy(ctx, s) }()
		hear(t, "the one that waits", inWay)
		d.Signal(t, syscall.SIGKILL)
		hear(t, "the loss", held.Lost())
		hear(t, "the end of the session", old.Lost())
		if err := hear(t, "the end of the wait", waits); !errors.Is(err, lockify.ErrSessionLost) {
			t.Errorf("who waits hears %v", err)
		}
		cancel() // what begins between two sessions waits for the next one
		err := hear(t, "the end of the work", busy)
		if !errors.Is(err, lockify.ErrSessionLost) && !errors.Is(err, lockify.ErrLost) && !errors.Is(err, context.Canceled) {
			t.Errorf("the work ends with %v", err)
		}
		d = daemontest.Start(t, args...)
		if !hear(t, "a session", sessions).Ring() {
			t.Error("the next session has no ring")
		}
		unlock(t, lock(t, s, "held", lockify.EX))
	}
	c.Close()
}

// keepBusy takes and releases a lock until that fails.
func keepBusy(ctx context.Context, s *lockify.Lockspace) error {
	for {
		l, err := s.Lock(ctx, "busy", lockify.EX)
		if err == nil {
			err = l.Unlock(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// Clients for whom there is no ring use the socket; so do those who want it.
func TestRingsEnd(t *testing.T) {
	for _, rings := range []int{0, 2} {
		d := daemontest.Start(t, "--id", "1", "--admin", "127.0.0.1:0", "--rings", strconv.Itoa(rings),
			"--clients", "unix://"+filepath.Join(t.TempDir(), "n.sock"))
		for i := range 4 {
			c, s, _ := sessionsOf(t, d.Client)
			if got := c.Session().Ring(); got != (i < rings) {
				t.Errorf("client %d of a node with %d rings: ring %t", i, rings, got)
			}
			unlock(t, lock(t, s, "name", lockify.EX))
		}
		c, s, _ := sessionsOf(t, d.Client+"?ring=off")
		if c.Session().Ring() {
			t.Error("a ring with ?ring=off")
		}
		unlock(t, lock(t, s, "name", lockify.EX))
	}
}
