package lockify

import (
	"errors"
	"fmt"
	"testing"
)

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
	ended := make(chan error, n+1)
	sent := make(chan uint64, 1)
	begin := c.Session().conn.Stats().FramesIn
	frames := func() uint64 { return c.Session().conn.Stats().FramesOut }
	s.LockAsync("first", EX, func(_ *Lock, err error) {
		before := frames()
		for i := range n {
			s.LockAsync(fmt.Sprint(i), EX, func(_ *Lock, err error) { ended <- err })
		}
		for err == nil { // until the last one is held, as the other client sees it
			l, busy := watch.TryLock(e.ctx, fmt.Sprint(n-1), EX)
			if errors.Is(busy, ErrWouldBlock) {
				break
			}
			if err = busy; err == nil {
				err = l.Unlock(e.ctx)
			}
		}
		sent <- frames() - before
		ended <- err
	})
	for range n + 1 {
		expect(t, "LockAsync", wait(t, e.ctx, "an end", ended), nil)
	}
	if got := wait(t, e.ctx, "the count", sent); got > n/10 { // one, if the machine is not busy
		t.Errorf("%d requests of one callback have left in %d frames", n, got)
	}
	if in := c.Session().conn.Stats().FramesIn - begin; in > n/5 {
		t.Errorf("%d answers have come in %d frames", n+1, in)
	}
}
