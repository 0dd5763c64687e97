package lockify

import (
	"context"
	"sync"
	"testing"
	"time"
)

// testCancelWaiting: the end of its context withdraws a request in the
// cluster, and lets those behind it go on.
func testCancelWaiting(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	holder := e.must(t, e.a, name, PR, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	ctx, cancel := context.WithCancel(e.ctx)
	first := begin(ctx, e.b, name, EX)
	wait(t, e.ctx, "the blocking call", asked)
	second := begin(e.ctx, e.b, name, PR) // fits the holder, but stands behind
	until(t, e.ctx, "two requests that wait", func() bool {
		return len(resource(t, e.nodes, "test", name).Waiting) == 2
	})
	cancel()
	expect(t, "the first", wait(t, e.ctx, "its end", first).err, context.Canceled)
	got := wait(t, e.ctx, "the grant", second)
	expect(t, "the second", got.err, nil)
	if r := resource(t, e.nodes, "test", name); len(r.Waiting) != 0 || len(r.Granted) != 2 {
		t.Fatalf("%d wait, %d are granted", len(r.Waiting), len(r.Granted))
	}
	e.unlock(t, got.l)
	e.unlock(t, holder)
}

func testCancelAsync(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	holder := e.must(t, e.a, name, EX, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	done := make(chan outcome, 1)
	l := e.b.LockAsync(name, EX, func(l *Lock, err error) { done <- outcome{l, err} })
	wait(t, e.ctx, "the blocking call", asked)
	l.Cancel()
	got := wait(t, e.ctx, "the outcome", done)
	expect(t, "LockAsync", got.err, ErrCancelled)
	if got.l != nil {
		t.Fatal("a lock with an error")
	}
	expect(t, "Unlock", l.Unlock(e.ctx), ErrNotHeld)
	e.unlock(t, holder)
	e.unlock(t, e.must(t, e.b, name, EX))
}

// testCancelConvert: a conversion that is withdrawn leaves the lock as it was,
// and the next operation waits until that is sure.
func testCancelConvert(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	holder := e.must(t, e.a, name, PR, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	l := e.must(t, e.b, name, CR)
	ctx, cancel := context.WithCancel(e.ctx)
	ch := beginConvert(ctx, l, EX)
	wait(t, e.ctx, "the blocking call", asked)
	cancel()
	expect(t, "the conversion", wait(t, e.ctx, "its end", ch), context.Canceled)
	e.convert(t, l, PR)
	if l.Mode() != PR {
		t.Fatalf("mode %s", l.Mode())
	}
	// An unlock is not lost, though nobody has time for it.
	ctx, cancel = context.WithCancel(e.ctx)
	ch = beginConvert(ctx, l, EX)
	until(t, e.ctx, "the conversion", func() bool { return len(resource(t, e.nodes, "test", name).Convert) == 1 })
	cancel()
	expect(t, "the conversion", wait(t, e.ctx, "its end", ch), context.Canceled)
	if err := l.Unlock(ctx); err != nil {
		expect(t, "Unlock", err, context.Canceled)
	}
	e.unlock(t, holder)
	e.unlock(t, e.must(t, e.a, name, EX)) // granted when the other has gone
}

func testEndedContext(t *testing.T, e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	name := e.name()
	_, err := e.a.Lock(ctx, name, EX)
	expect(t, "Lock", err, context.Canceled)
	l := e.must(t, e.a, name, NL)
	expect(t, "Convert", l.Convert(ctx, EX), context.Canceled)
	if err := l.Unlock(ctx); err != nil {
		expect(t, "Unlock", err, context.Canceled)
	}
	e.unlock(t, e.must(t, e.b, name, EX)) // it has gone all the same
}

// TestGrantCrossesCancel: a grant that is on its way while its request is
// withdrawn is given back.
func TestGrantCrossesCancel(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 2, transport: "plain", delay: func(from, to int) time.Duration {
		return 100 * time.Millisecond
	}})
	e := &env{ctx: testContext(t), nodes: nodes}
	e.a, e.b = e.open(t, 0, "test"), e.open(t, 1, "test")
	for range 10 {
		name := nameWithDirectory(t, 1, 2)
		asked := make(chan Mode, 9)
		holder := e.must(t, e.a, name, EX, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
		ctx, cancel := context.WithCancel(e.ctx)
		ch := begin(ctx, e.b, name, EX)
		wait(t, e.ctx, "the blocking call", asked)
		e.unlock(t, holder) // node 1 is master: the grant leaves now
		cancel()
		got := wait(t, e.ctx, "the end of Lock", ch)
		if got.err == nil { // this machine was slower than the delay
			e.unlock(t, got.l)
			continue
		}
		expect(t, "Lock", got.err, context.Canceled)
		e.unlock(t, e.must(t, e.a, name, EX)) // it comes back
		return
	}
	t.Fatal("no grant has crossed a cancel")
}

// TestCancelStorm withdraws requests at any moment and looks for what is left.
func TestCancelStorm(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		const goroutines, rounds = 8, 60
		names := []string{"s0", "s1", "s2"}
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				s := []*Lockspace{e.a, e.b}[g%2]
				for i := range rounds {
					ctx, cancel := context.WithCancel(e.ctx)
					ch := begin(ctx, s, names[(g+i)%len(names)], []Mode{EX, PR, CW}[i%3])
					go cancel()
					if got := <-ch; got.err == nil {
						if err := got.l.Unlock(e.ctx); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		for _, name := range names { // each can be had, so nothing holds it
			e.unlock(t, e.must(t, e.a, name, EX))
			e.unlock(t, e.must(t, e.b, name, EX))
		}
		until(t, e.ctx, "that no lock is left", func() bool { return countLocks(e.nodes) == 0 })
	})
}

// countLocks gives the locks in all tables of all nodes.
func countLocks(nodes []*Node) (n int) {
	for _, nd := range nodes {
		for _, sp := range nd.Stats().Spaces {
			for _, sh := range sp.Shards {
				n += sh.Locks
			}
		}
	}
	return n
}
