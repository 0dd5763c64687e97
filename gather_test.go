package lockify

import (
	"errors"
	"fmt"
	"testing"
)

// untilHeld waits until name is held, as another client sees it.
func untilHeld(e *env, s *Lockspace, name string) error {
	for {
		l, err := s.TryLock(e.ctx, name, EX)
		if errors.Is(err, ErrWouldBlock) {
			return nil
		}
		if err == nil {
			err = l.Unlock(e.ctx)
		}
		if err != nil {
			return err
		}
	}
}

// TestGathered: what a callback asks for leaves together, and one that waits for others
// does not keep it for itself.
func TestGathered(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	c, other := dialNode(t, nodes[0], "unix", "plain"), dialNode(t, nodes[0], "unix", "plain")
	s, err := c.Open(e.ctx, "test")
	expect(t, "Open", err, nil)
	watch, err := other.Open(e.ctx, "test")
	expect(t, "Open", err, nil)

	const n = 50
	ended := make(chan error, n+2)
	sent := make(chan uint64, 1)
	begin := c.Session().conn.Stats().FramesIn
	frames := func() uint64 { return c.Session().conn.Stats().FramesOut }
	s.LockAsync("first", EX, func(_ *Lock, err error) {
		before := frames()
		for i := range n {
			s.LockAsync(fmt.Sprint(i), EX, func(_ *Lock, err error) { ended <- err })
		}
		err = errors.Join(err, untilHeld(e, watch, fmt.Sprint(n-1)))
		sent <- frames() - before
		s.LockAsync("late", EX, func(_ *Lock, err error) { ended <- err })
		ended <- errors.Join(err, untilHeld(e, watch, "late"))
	})
	for range n + 2 {
		expect(t, "LockAsync", wait(t, e.ctx, "an end", ended), nil)
	}
	if got := wait(t, e.ctx, "the count", sent); got > n/10 { // one, if the machine is not busy
		t.Errorf("%d requests of one callback have left in %d frames", n, got)
	}
	if in := c.Session().conn.Stats().FramesIn - begin; in > n/5 {
		t.Errorf("%d answers have come in %d frames", n+1, in)
	}
}

// TestLongCallback: a callback that takes long does not keep the connection from being read.
// Only the node's word that a claim is known lets it end, of which no request hears.
func TestLongCallback(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 2, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	for _, addr := range []string{"ring", "unix"} {
		t.Run(addr, func(t *testing.T) {
			c := dialNode(t, nodes[0], addr, "plain")
			s, err := c.Open(e.ctx, "test")
			expect(t, "Open", err, nil)
			ended := make(chan error, 1)
			left := 200
			var next func(last *Lock, err error)
			next = func(last *Lock, err error) { // in a row, so that the worker expects each answer soon
				if err == nil && last != nil {
					select {
					case <-last.Confirmed():
					case <-e.ctx.Done():
						err = e.ctx.Err()
					}
				}
				if left--; left == 0 || err != nil {
					ended <- err
					return
				}
				s.LockAsync(nameWithDirectory(t, 2, 2), EX, next, New())
			}
			s.LockAsync("first", EX, func(_ *Lock, err error) { next(nil, err) })
			expect(t, "in a row", wait(t, e.ctx, "the last callback", ended), nil)
		})
	}
}
