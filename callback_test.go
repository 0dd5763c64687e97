package lockify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// testAsync submits many operations and hears of each once.
func testAsync(t *testing.T, e *env) {
	const n = 300
	got := make(chan outcome, n)
	for i := range n {
		s := []*Lockspace{e.a, e.b}[i%2]
		s.LockAsync(fmt.Sprintf("async-%d", i), EX, func(l *Lock, err error) { got <- outcome{l, err} })
	}
	seen := map[string]bool{}
	ended := make(chan error, n)
	for range n {
		o := wait(t, e.ctx, "an outcome", got)
		expect(t, "LockAsync", o.err, nil)
		if seen[o.l.Name()] {
			t.Fatalf("%q twice", o.l.Name())
		}
		seen[o.l.Name()] = true
		o.l.ConvertAsync(PR, func(err error) {
			if err != nil {
				ended <- err
				return
			}
			o.l.UnlockAsync(func(err error) { ended <- err })
		})
	}
	for range n {
		expect(t, "Convert and Unlock", wait(t, e.ctx, "an end", ended), nil)
	}
}

// TestCallbacksInOrder: the callbacks of one client come one at a time, in the
// order of what they tell.
func TestCallbacksInOrder(t *testing.T) {
	const n = 5000
	var c calls
	var inside atomic.Int32
	next := 0 // without a mutex, for the race detector
	var wg sync.WaitGroup
	wg.Add(n)
	for i := range n {
		c.add(call{f: func(error) {
			defer wg.Done()
			if inside.Add(1) != 1 {
				t.Error("two callbacks at the same time")
			}
			if next != i {
				t.Errorf("callback %d in place %d", i, next)
			}
			next++
			inside.Add(-1)
		}})
	}
	wg.Wait()
}

// TestCallbackUsesLock: a callback may wait for operations, and other clients'
// callbacks do not wait for it.
func TestCallbackUsesLock(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	open := func() *Lockspace {
		s, err := dialNode(t, nodes[0], "unix", "plain").Open(e.ctx, "test")
		expect(t, "Open", err, nil)
		return s
	}
	a, b, c := open(), open(), open()
	inside, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	e.must(t, a, "one", EX, OnBlocking(func(l *Lock, _ Mode) {
		defer close(done)
		close(inside)
		<-goOn
		if err := l.Convert(e.ctx, NL); err != nil {
			t.Error(err)
		}
	}))
	e.must(t, b, "two", EX, OnBlocking(func(l *Lock, _ Mode) { l.Unlock(e.ctx) }))
	first := begin(e.ctx, c, "one", EX)
	wait(t, e.ctx, "the first callback", inside)
	e.must(t, c, "two", EX) // needs the second callback while the first is there
	close(goOn)
	expect(t, "the first", wait(t, e.ctx, "the grant", first).err, nil)
	wait(t, e.ctx, "the end of the first callback", done)
}

// TestPanicInCallback: it must end the program, loudly.
func TestPanicInCallback(t *testing.T) {
	const variable = "LOCKIFY_TEST_PANIC"
	if os.Getenv(variable) != "" {
		panicInCallback(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPanicInCallback$")
	cmd.Env = append(os.Environ(), variable+"=1", "TMPDIR="+t.TempDir()) // what the child leaves goes with its parent's
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Fatalf("the program ended with %v, output:\n%s", err, out)
	}
	if s := string(out); !strings.Contains(s, "panic: at the disco") || !strings.Contains(s, "callback_test.go") {
		t.Fatalf("output without the panic or its stack:\n%s", s)
	}
}

func panicInCallback(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	s := e.open(t, 0, "test")
	e.must(t, s, "x", EX, OnBlocking(func(*Lock, Mode) { panic("at the disco") }))
	_, err := s.Lock(context.Background(), "x", EX)
	t.Fatalf("the program lives on: %v", err)
}
