package lockify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNodeCloses: what a program sees when its node ends.
func TestNodeCloses(t *testing.T) {
	for _, transport := range transports() {
		t.Run(transport, func(t *testing.T) {
			nodes := startCluster(t, clusterOptions{nodes: 2, transport: transport})
			e := &env{ctx: testContext(t), nodes: nodes}
			client := dialNode(t, nodes[0], "unix", transport)
			remote, err := client.Open(e.ctx, "test")
			expect(t, "Open", err, nil)
			embedded := e.open(t, 0, "test")
			other := e.open(t, 1, "test")

			held := e.must(t, other, "held", EX)
			for _, s := range []*Lockspace{remote, embedded} {
				name, ended := "own-embedded", ErrClosed
				if s == remote { // whose client now looks for another session
					name, ended = "own-remote", ErrSessionLost
				}
				l := e.must(t, s, name, EX)
				defer func() {
					wait(t, e.ctx, "the loss", l.Lost())
					expect(t, "Unlock", l.Unlock(e.ctx), ErrLost)
					expect(t, "Convert", l.Convert(e.ctx, NL), ErrLost)
					if s == embedded {
						_, err := s.Lock(e.ctx, "new", EX)
						expect(t, "Lock", err, ErrClosed)
					}
					done := make(chan error, 1)
					s.LockAsync("new", EX, func(_ *Lock, err error) { done <- err })
					expect(t, "LockAsync", wait(t, e.ctx, "the outcome", done), ended)
					expect(t, "Barrier", s.Barrier(e.ctx), ended)
				}()
			}
			waiting := []<-chan outcome{begin(e.ctx, remote, "held", EX), begin(e.ctx, embedded, "held", EX)}
			until(t, e.ctx, "two requests that wait", func() bool {
				return len(resource(t, nodes, "test", "held").Waiting) == 2
			})
			expect(t, "Close", nodes[0].Close(e.ctx), nil)
			expect(t, "Lock that waited", wait(t, e.ctx, "its end", waiting[0]).err, ErrSessionLost)
			expect(t, "Lock that waited", wait(t, e.ctx, "its end", waiting[1]).err, ErrClosed)
			wait(t, e.ctx, "the session's end", client.Session().Lost())
			until(t, e.ctx, "that the other node knows", func() bool {
				r := resource(t, nodes[1:], "test", "held")
				return r.Role == "" || len(r.Waiting) == 0
			})
			e.unlock(t, held)
			expect(t, "second Close", nodes[0].Close(e.ctx), ErrClosed)
			_, err = nodes[0].Open(e.ctx, "test")
			expect(t, "Open", err, ErrClosed)
		})
	}
}

// TestClientCloses: the node releases the locks of a client that has gone,
// and withdraws what it waited for.
func TestClientCloses(t *testing.T) {
	for _, transport := range transports() {
		t.Run(transport, func(t *testing.T) {
			nodes := startCluster(t, clusterOptions{nodes: 2, transport: transport})
			e := &env{ctx: testContext(t), nodes: nodes}
			client := dialNode(t, nodes[0], "tcp", transport)
			mine, err := client.Open(e.ctx, "test")
			expect(t, "Open", err, nil)
			other := e.open(t, 1, "test")
			held := e.must(t, other, "held", EX)
			var locks []*Lock
			for _, name := range []string{"a", "b", "c"} {
				locks = append(locks, e.must(t, mine, name, EX))
			}
			waiting := begin(e.ctx, mine, "held", EX)
			until(t, e.ctx, "the request", func() bool { return len(resource(t, nodes, "test", "held").Waiting) == 1 })
			expect(t, "Close", client.Close(), nil)
			for _, l := range locks {
				wait(t, e.ctx, "the loss", l.Lost())
				e.unlock(t, e.must(t, other, l.Name(), EX))
			}
			expect(t, "the request", wait(t, e.ctx, "its end", waiting).err, ErrClosed)
			e.unlock(t, held)
			e.unlock(t, e.must(t, other, "held", EX))
			until(t, e.ctx, "that no lock is left", func() bool { return countLocks(nodes) == 0 })
			if n := nodes[0].Stats().Sessions; n != 0 {
				t.Fatalf("%d sessions", n)
			}
			expect(t, "second Close", client.Close(), nil)
		})
	}
}

// testCloseSpace: Close gives all up, and the handle is of no use any more.
func testCloseSpace(t *testing.T, e *env) {
	s := e.open(t, 0, "closing")
	other := e.open(t, 1, "closing")
	var locks []*Lock
	for range 5 {
		locks = append(locks, e.must(t, s, e.name(), EX))
	}
	expect(t, "Close", s.Close(e.ctx), nil)
	expect(t, "second Close", s.Close(e.ctx), nil)
	for _, l := range locks {
		expect(t, "Unlock", l.Unlock(e.ctx), ErrNotHeld)
		if isClosed(l.Lost()) {
			t.Fatal("given up by its owner, and lost")
		}
		e.unlock(t, e.must(t, other, l.Name(), EX))
	}
	_, err := s.Lock(e.ctx, e.name(), EX)
	expect(t, "Lock", err, ErrClosed)
	again := e.open(t, 0, "closing")
	e.unlock(t, e.must(t, again, locks[0].Name(), EX))
}

// testCloseEnded: a Close whose context has ended gives up everything, too. By chance the
// node's answer may come before the context is looked at, so there are several.
func testCloseEnded(t *testing.T, e *env) {
	ended, cancel := context.WithCancel(e.ctx)
	cancel()
	other := e.open(t, 1, "closing")
	for range 4 {
		s := e.open(t, 0, "closing")
		l := e.must(t, s, e.name(), EX)
		if err := s.Close(ended); err != nil {
			expect(t, "Close", err, context.Canceled)
		}
		if l.Valid() {
			t.Fatal("valid, though its lockspace is closed")
		}
		expect(t, "Unlock", l.Unlock(e.ctx), ErrNotHeld)
		expect(t, "Barrier", s.Barrier(e.ctx), ErrClosed)
		e.unlock(t, e.must(t, other, l.Name(), EX))
	}
}

func testCloseWhileWaiting(t *testing.T, e *env) {
	s := e.open(t, 0, "closing")
	other := e.open(t, 1, "closing")
	for range 4 { // so that either node is master of some
		name := e.name()
		held := e.must(t, other, name, PR)
		conv := e.must(t, s, name, NL)
		lock := begin(e.ctx, s, name, EX)
		convert := beginConvert(e.ctx, conv, EX)
		until(t, e.ctx, "two that wait", func() bool {
			r := resource(t, e.nodes, "closing", name)
			return len(r.Waiting) == 1 && len(r.Convert) == 1
		})
		expect(t, "Close", s.Close(e.ctx), nil)
		expect(t, "Lock", wait(t, e.ctx, "its end", lock).err, ErrClosed)
		expect(t, "Convert", wait(t, e.ctx, "its end", convert), ErrClosed)
		expect(t, "Unlock", conv.Unlock(e.ctx), ErrNotHeld)
		until(t, e.ctx, "that they are gone", func() bool {
			r := resource(t, e.nodes, "closing", name)
			return len(r.Waiting)+len(r.Convert) == 0 && len(r.Granted) == 1
		})
		e.unlock(t, held)
		s = e.open(t, 0, "closing")
	}
	expect(t, "Close", s.Close(e.ctx), nil)
}

// TestDialErrors: an address that cannot be right, and one where nobody is.
func TestDialErrors(t *testing.T) {
	ctx := testContext(t)
	for _, addr := range []string{"", "localhost:1", "http://x", "unix://", "tcp://", "unix:///x?ring=on", "tcp://x:1?ring=no"} {
		_, err := Dial(ctx, addr)
		expect(t, "Dial "+addr, err, ErrInvalid)
	}
	for addr, says := range map[string]string{
		"unix://tmp/x.sock":                   `address "unix://tmp/x.sock": the path "tmp/x.sock" of a socket must begin with /`,
		"unix:///x?ring=off,unix:///y/":       `address "unix:///y/": the path "/y/" is that of a directory`,
		"tcp://127.0.0.1:http":                `port "http" is no number`,
		"tcp://127.0.0.1:1,http://x:1":        `address "http://x:1": this is neither unix:///path nor tcp://host:port`,
		"unix://tmp/x?ring=off":               `address "unix://tmp/x": the path "tmp/x" of a socket must begin with /`,
		"unix:///" + strings.Repeat("x", 107): "the path of a socket has 108 bytes, at most 107",
	} {
		_, err := Dial(ctx, addr)
		expect(t, "Dial "+addr, err, ErrInvalid)
		if !strings.Contains(err.Error(), says) {
			t.Errorf("Dial %s: %q does not say %q", addr, err, says)
		}
	}
	_, err := Dial(ctx, "unix:///x", WithTransport("pigeon"))
	expect(t, "Dial with a strange transport", err, ErrInvalid)
	_, err = Dial(ctx, "unix:///x", WithName(string(make([]byte, 2000))))
	expect(t, "Dial with a long name", err, ErrInvalid)
	_, err = Dial(ctx, "unix://"+t.TempDir()+"/nobody")
	if err == nil || errors.Is(err, ErrInvalid) {
		t.Fatalf("Dial where nobody listens: %v", err)
	}
	nobody := "unix://" + t.TempDir() + "/"
	_, err = Dial(ctx, nobody+"1?ring=off,"+nobody+"2")
	expect(t, "Dial where nobody listens, twice", err, syscall.ENOENT)
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, "; lockify: dial "+nobody+"2: ") {
		t.Errorf("Dial where nobody listens, twice: %q", text)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = Dial(ended, "tcp://127.0.0.1:1")
	expect(t, "Dial with an ended context", err, context.Canceled)
}

// Two nodes open one lockspace with different value sizes at the same time:
// neither can know better, so nobody gets locks in it, and each is told why.
func TestNodesDisagree(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 2, transport: "plain", delay: func(from, to int) time.Duration {
		return 100 * time.Millisecond // so that both open it before they hear of each other
	}})
	ctx := testContext(t)
	var spaces []*Lockspace
	var name string
	for try := 0; len(spaces) < len(nodes); try++ {
		if try == 10 {
			t.Fatal("the second node has heard of the first one each time")
		}
		spaces, name = nil, fmt.Sprint("quarrel-", try)
		for i, n := range nodes {
			s, err := n.Open(ctx, name, ValueSize(32*(i+1)))
			if i == 1 && errors.Is(err, ErrMismatch) {
				break // this machine was slower than the delay
			}
			expect(t, "Open", err, nil)
			spaces = append(spaces, s)
		}
	}
	for _, s := range spaces {
		until(t, ctx, "the refusal of locks", func() bool {
			// A request made before the other node was heard of may wait for
			// it for ever: that is what the context is for.
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			_, err := s.Lock(short, "name", EX)
			return errors.Is(err, ErrMismatch) && strings.Contains(err.Error(), fmt.Sprintf("%q has values of %d bytes", name, s.ValueSize()))
		})
	}
}

// Asynchronous requests are bounded: what is too much fails and harms nothing.
func TestAsyncLimit(t *testing.T) {
	ctx := testContext(t)
	node := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})[0]
	s, err := dialNode(t, node, "unix", "plain").Open(ctx, "flood")
	expect(t, "Open", err, nil)
	held, err := s.Lock(ctx, "one", EX)
	expect(t, "Lock", err, nil)
	const extra = 100
	outcomes := make(chan error, maxRunning+extra)
	for range maxRunning + extra {
		s.LockAsync("one", PR, func(l *Lock, err error) { // all are granted at once, which takes less time
			if err == nil {
				l.UnlockAsync(func(error) {})
			}
			outcomes <- err
		})
	}
	refused := 0
	for range extra {
		if err := wait(t, ctx, "a refusal", outcomes); errors.Is(err, ErrLimit) {
			refused++
		}
	}
	if refused != extra {
		t.Errorf("%d refused with ErrLimit, want %d", refused, extra)
	}
	expect(t, "Unlock", held.Unlock(ctx), nil)
	for range maxRunning {
		if err := wait(t, ctx, "a grant", outcomes); err != nil {
			t.Fatal(err)
		}
	}
}
