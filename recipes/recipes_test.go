package recipes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
)

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // bounds a test that hangs
	t.Cleanup(cancel)
	return ctx
}

// spaces gives the lockspace of two nodes and of a client of the first. stop ends the
// client's session.
func spaces(t *testing.T) (list []*lockify.Lockspace, stop func()) {
	t.Helper()
	ctx, dir := testContext(t), t.TempDir()
	addr := func(what string, i int) string {
		return fmt.Sprintf("unix://%s", filepath.Join(dir, fmt.Sprint(what, i)))
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	var nodes []*lockify.Node
	for i := 1; i <= 2; i++ {
		n, err := lockify.StartNode(ctx, lockify.Config{
			ID: uint16(i), Listen: addr("n", i), Clients: []string{addr("c", i)}, Logger: quiet,
			Peers: []lockify.Peer{{ID: uint16(3 - i), Addr: addr("n", 3-i)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(ctx) })
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		s, err := n.Open(ctx, "recipes")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	c, err := lockify.Dial(ctx, addr("c", 1), lockify.OneSession())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := c.Open(ctx, "recipes")
	if err != nil {
		t.Fatal(err)
	}
	return append(list, s), func() { nodes[0].Close(ctx) }
}

// isLost waits for the end of a lock.
func isLost(t *testing.T, lost <-chan struct{}) {
	t.Helper()
	select {
	case <-lost:
	case <-testContext(t).Done():
		t.Fatal("not lost")
	}
}

// TestMutexes: a counter without any other protection counts right.
func TestMutexes(t *testing.T) {
	ctx := testContext(t)
	list, _ := spaces(t)
	var counter atomic.Int64 // only so that the race detector, which sees no sockets, is content
	var tokens sync.Map
	var wg sync.WaitGroup
	for _, space := range list {
		m, rw := NewMutex(space, "counter"), NewRWMutex(space, "counter")
		for k := range 4 {
			wg.Go(func() {
				for range 50 {
					var err error
					switch k {
					case 0:
						m.Locker().Lock()
						tokens.Store(m.Token(), true)
						counter.Store(counter.Load() + 1)
						m.Locker().Unlock()
					case 1:
						rw.Locker().Lock()
						counter.Store(counter.Load() + 1)
						rw.Locker().Unlock()
					case 2:
						rw.RLocker().Lock()
						if before := counter.Load(); before != counter.Load() {
							t.Error("somebody wrote")
						}
						rw.RLocker().Unlock()
					case 3:
						for err = m.TryLock(ctx); errors.Is(err, lockify.ErrWouldBlock); err = m.TryLock(ctx) {
						}
						counter.Store(counter.Load() + 1)
						err = errors.Join(err, m.Unlock(ctx))
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	n := 0
	tokens.Range(func(any, any) bool { n++; return true })
	if counter.Load() != 3*3*50 || n != 3*50 {
		t.Fatalf("%d, want %d; %d tokens", counter.Load(), 3*3*50, n)
	}
}

func TestMutexErrors(t *testing.T) {
	ctx := testContext(t)
	list, stop := spaces(t)
	a, b := NewMutex(list[2], "name"), NewRWMutex(list[1], "name")
	if err := errors.Join(a.Unlock(ctx), b.RUnlock(ctx)); !errors.Is(err, lockify.ErrNotHeld) {
		t.Fatal(err)
	}
	if err := a.Lock(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.TryRLock(ctx); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Fatal(err)
	}
	soon, cancel := context.WithCancel(ctx)
	cancel()
	if err := b.RLock(soon); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	stop()
	isLost(t, a.Lost())
	if err := a.Unlock(ctx); !errors.Is(err, lockify.ErrLost) {
		t.Fatal(err)
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, lockify.ErrSessionLost) && !errors.Is(err, lockify.ErrLost) {
			t.Fatalf("panic: %v", err)
		}
	}()
	a.Locker().Lock()
	t.Fatal("locked without a node")
}

func TestHold(t *testing.T) {
	ctx := testContext(t)
	list, stop := spaces(t)
	held, release, err := Hold(ctx, list[2], "name", lockify.PR)
	if err != nil || held.Err() != nil {
		t.Fatal(err, held.Err())
	}
	if err := release(); err != nil || !errors.Is(held.Err(), context.Canceled) {
		t.Fatal(err, held.Err())
	}
	if held, release, err = Hold(ctx, list[2], "name", lockify.EX); err != nil {
		t.Fatal(err)
	}
	stop()
	isLost(t, held.Done())
	if err := context.Cause(held); !errors.Is(err, lockify.ErrLost) {
		t.Fatal(err)
	}
	if err := release(); !errors.Is(err, lockify.ErrLost) {
		t.Fatal(err)
	}
}

// TestSemaphore: no more have a permit than there are, and all get one in the end.
func TestSemaphore(t *testing.T) {
	ctx := testContext(t)
	list, stop := spaces(t)
	for _, c := range []struct {
		name    string
		permits int
		good    bool
	}{
		{"", 1, false}, {strings.Repeat("x", 62), 10, true}, {strings.Repeat("x", 62), 11, false}, {strings.Repeat("x", 64), 1, false},
	} {
		if _, err := NewSemaphore(list[0], c.name, c.permits); (err == nil) != c.good || !c.good && !errors.Is(err, lockify.ErrName) {
			t.Errorf("a name of %d bytes, %d permits: %v", len(c.name), c.permits, err)
		}
	}
	if _, err := NewSemaphore(list[0], "s", 0); !errors.Is(err, lockify.ErrInvalid) {
		t.Fatal(err)
	}
	const permits = 3
	room := make(chan struct{}, permits)
	var wg sync.WaitGroup
	for _, space := range list {
		s, err := NewSemaphore(space, "s", permits)
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			wg.Go(func() {
				for range 20 {
					p, err := s.Acquire(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					select {
					case room <- struct{}{}:
					default:
						t.Error("more have a permit than there are")
					}
					<-room
					if err := p.Unlock(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	all, _ := NewSemaphore(list[2], "s", permits)
	for range permits { // not TryAcquire: some may be on their way back, granted beside the first
		if _, err := all.Acquire(ctx); err != nil {
			t.Fatal(err)
		}
	}
	other, _ := NewSemaphore(list[1], "s", permits)
	if _, err := other.TryAcquire(ctx); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Fatal(err)
	}
	waits, cancel := context.WithCancel(ctx)
	ended := make(chan error)
	go func() {
		_, err := other.Acquire(waits)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	stop()
	if _, err := all.Acquire(ctx); err == nil {
		t.Fatal("a permit without a session")
	}
}

func TestBarrier(t *testing.T) {
	ctx := testContext(t)
	list, stop := spaces(t)
	up, other := NewBarrier(list[2], "b"), NewBarrier(list[1], "b")
	if err := errors.Join(other.Wait(ctx), up.Raise(ctx)); err != nil {
		t.Fatal(err)
	}
	passed := make(chan error)
	for range 3 {
		go func() { passed <- other.Wait(ctx) }()
	}
	if _, err := list[1].TryLock(ctx, "b", lockify.CR); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Fatal(err)
	}
	if err := up.Lower(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-passed; err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := up.Raise(ctx); err == nil {
		t.Fatal("raised without a session")
	}
}

func TestElection(t *testing.T) {
	ctx := testContext(t)
	list, _ := spaces(t)
	who := func(i int) string {
		t.Helper()
		value, ok, err := NewElection(list[i], "chief").Leader(ctx)
		if err != nil || !ok {
			return fmt.Sprint(ok, err)
		}
		return string(value[:1])
	}
	if got := who(0); got != "false <nil>" {
		t.Fatal(got)
	}
	a, b := NewElection(list[0], "chief"), NewElection(list[2], "chief")
	first, err := a.Campaign(ctx, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	type won struct {
		lock *lockify.Lock
		err  error
	}
	next := make(chan won)
	go func() {
		lock, err := b.Campaign(ctx, []byte("b"))
		next <- won{lock, err}
	}()
	for i := range list { // whether b waits already or not
		for range 50 {
			if got := who(i); got != "a" {
				t.Fatal(i, got)
			}
		}
	}
	if err := a.Resign(ctx, first); err != nil {
		t.Fatal(err)
	}
	second := <-next
	if second.err != nil || second.lock.Token() <= first.Token() || who(1) != "b" {
		t.Fatal(second.err, who(1))
	}
	if err := b.Resign(ctx, second.lock); err != nil {
		t.Fatal(err)
	}
	if got := who(1); got != "false <nil>" {
		t.Fatal(got)
	}
	if _, err := a.Campaign(ctx, make([]byte, list[0].ValueSize()+1)); !errors.Is(err, lockify.ErrInvalid) {
		t.Fatal(err)
	}
	if _, err := b.Campaign(ctx, []byte("c")); err != nil { // nobody is in the way
		t.Fatal(err)
	}
}
