package lockify

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/node"
)

// byteWaits says how many requests wait for a byte range of a name, as its
// master sees it.
func byteWaits(t testing.TB, nodes []*Node, space, name string) (n int) {
	for _, r := range resource(t, nodes, space, name).Bytes {
		if r.Waiting {
			n++
		}
	}
	return n
}

func (e *env) openBytes(t testing.TB, s *Lockspace, name string) *ByteRanges {
	t.Helper()
	r, err := s.OpenByteRanges(e.ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// beginBytes starts a ByteRanges.Lock beside the test.
func beginBytes(ctx context.Context, r *ByteRanges, owner OwnerID, t RangeType, start, length int64) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- r.Lock(ctx, owner, t, start, length) }()
	return ch
}

func TestByteRanges(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		t.Run("use", func(t *testing.T) { testByteRanges(t, e) })
		t.Run("arguments", func(t *testing.T) { testByteArguments(t, e) })
		t.Run("context", func(t *testing.T) { testByteContext(t, e) })
		t.Run("close", func(t *testing.T) { testByteClose(t, e) })
		t.Run("deadlock", func(t *testing.T) { testByteDeadlock(t, e) })
	})
}

func testByteRanges(t *testing.T, e *env) {
	for range 4 { // so that either node is master of some
		name := e.name()
		a, b := e.openBytes(t, e.a, name), e.openBytes(t, e.b, name)
		expect(t, "Lock", a.Lock(e.ctx, 1, WriteRange, 0, 100), nil)
		expect(t, "Lock", a.Lock(e.ctx, 2, ReadRange, 200, 0), nil)
		expect(t, "Lock", b.Lock(e.ctx, 1, ReadRange, 300, -50), nil)
		err := b.TryLock(e.ctx, 1, WriteRange, 50, 100)
		expect(t, "TryLock", err, ErrWouldBlock)
		if want := "owner 1 on node 1 has a write lock on bytes 0-99"; !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
		for _, c := range []struct {
			r             *ByteRanges
			owner         OwnerID
			typ           RangeType
			start, length int64
			want          RangeLock
			found         bool
		}{
			{b, 1, ReadRange, 90, 100, RangeLock{1, 1, WriteRange, 0, 100}, true},
			{b, 1, WriteRange, 200, 0, RangeLock{1, 2, ReadRange, 200, 0}, true},
			{a, 2, WriteRange, 200, 0, RangeLock{2, 1, ReadRange, 250, 50}, true},
			{b, 1, ReadRange, 100, 0, RangeLock{}, false},
		} {
			l, found, err := c.r.Test(e.ctx, c.owner, c.typ, c.start, c.length)
			if l != c.want || found != c.found || err != nil {
				t.Errorf("Test(%v %v %d %d): %+v %v %v, want %+v %v", c.owner, c.typ, c.start, c.length, l, found, err, c.want, c.found)
			}
		}
		waiting := beginBytes(e.ctx, b, 3, WriteRange, 40, 20)
		until(t, e.ctx, "a request that waits", func() bool { return byteWaits(t, e.nodes, "test", name) == 1 })
		expect(t, "Unlock", a.Unlock(e.ctx, 1, 40, 20), nil)
		expect(t, "the one that waited", wait(t, e.ctx, "the grant", waiting), nil)
		expect(t, "TryLock", a.TryLock(e.ctx, 9, ReadRange, 45, 1), ErrWouldBlock)
		expect(t, "Close", a.Close(e.ctx), nil)
		expect(t, "TryLock", b.TryLock(e.ctx, 1, WriteRange, 250, 0), nil)
		expect(t, "Close", b.Close(e.ctx), nil)
		until(t, e.ctx, "that nothing is left", func() bool {
			return len(resource(t, e.nodes, "test", name).Bytes) == 0 && len(resource(t, e.nodes, "test", name).Granted) == 0
		})
	}
}

func testByteArguments(t *testing.T, e *env) {
	r := e.openBytes(t, e.a, e.name())
	lock := func(owner OwnerID, typ RangeType, start, length int64) error {
		return r.Lock(e.ctx, owner, typ, start, length)
	}
	for _, c := range []struct {
		want error
		says string
		err  error
	}{
		{ErrBytes, "starts before byte 0: start -1, length 1", lock(1, WriteRange, -1, 1)},
		{ErrBytes, "starts before byte 0: start 5, length -6", lock(1, WriteRange, 5, -6)},
		{ErrBytes, "ends behind the last byte: start 9223372036854775807, length 2", lock(1, ReadRange, math.MaxInt64, 2)},
		{ErrOwner, "owner 0, must be 1 to 4294967295", lock(0, WriteRange, 0, 1)},
		{ErrMode, "type 0, must be", lock(1, 0, 0, 1)},
		{ErrMode, "type 3, must be", r.TryLock(e.ctx, 1, 3, 0, 1)},
		{ErrOwner, "owner 0", r.Unlock(e.ctx, 0, 0, 1)},
		{ErrBytes, "unlock bytes", r.Unlock(e.ctx, 1, -1, 1)},
		{ErrMode, "test bytes", func() error { _, _, err := r.Test(e.ctx, 1, 7, 0, 1); return err }()},
	} {
		expect(t, c.says, c.err, c.want)
		expect(t, c.says, c.err, ErrInvalid)
		if !strings.Contains(c.err.Error(), c.says) || !strings.Contains(c.err.Error(), r.Name()) {
			t.Errorf("error %q does not say %q, or not of which", c.err, c.says)
		}
	}
	_, err := e.a.OpenByteRanges(e.ctx, "")
	expect(t, "OpenByteRanges without a name", err, ErrName)
	ended, cancel := context.WithCancel(e.ctx)
	cancel()
	expect(t, "Lock with an ended context", r.Lock(ended, 1, WriteRange, 0, 1), context.Canceled)
	_, err = e.a.OpenByteRanges(ended, "x")
	expect(t, "OpenByteRanges with an ended context", err, context.Canceled)
	for i := range int64(2000) {
		if err = r.Lock(e.ctx, 1, WriteRange, 2*i, 1); err != nil {
			break
		}
	}
	expect(t, "too many ranges", err, ErrLimit)
	if !strings.Contains(err.Error(), "room for 1024 ranges") {
		t.Error(err)
	}
	expect(t, "Close", r.Close(e.ctx), nil)
	expect(t, "second Close", r.Close(e.ctx), ErrNotHeld)
	expect(t, "Lock", lock(1, WriteRange, 0, 1), ErrNotHeld)
}

// A request whose context ends is withdrawn; what it got all the same is given
// back before the owner's next one.
func testByteContext(t *testing.T, e *env) {
	for range 4 {
		name := e.name()
		a, b := e.openBytes(t, e.a, name), e.openBytes(t, e.b, name)
		expect(t, "Lock", a.Lock(e.ctx, 1, WriteRange, 0, 10), nil)
		ctx, cancel := context.WithCancel(e.ctx)
		waiting := beginBytes(ctx, b, 1, WriteRange, 5, 10)
		until(t, e.ctx, "a request that waits", func() bool { return byteWaits(t, e.nodes, "test", name) == 1 })
		cancel()
		expect(t, "the request", wait(t, e.ctx, "its end", waiting), context.Canceled)
		until(t, e.ctx, "that it is withdrawn", func() bool { return byteWaits(t, e.nodes, "test", name) == 0 })
		expect(t, "Unlock", a.Unlock(e.ctx, 1, 0, 0), nil)
		expect(t, "Lock of another", a.Lock(e.ctx, 2, WriteRange, 0, 0), nil)
		expect(t, "Unlock", a.Unlock(e.ctx, 2, 0, 0), nil)
		for range 20 { // the grant and the end cross
			ctx, cancel := context.WithCancel(e.ctx)
			done := beginBytes(ctx, b, 1, WriteRange, 0, 10)
			cancel()
			if wait(t, e.ctx, "its end", done) == nil {
				expect(t, "Unlock", b.Unlock(e.ctx, 1, 0, 10), nil)
			}
			expect(t, "the owner's next", b.Lock(e.ctx, 1, WriteRange, 0, 10), nil)
			expect(t, "TryLock of another", a.TryLock(e.ctx, 2, ReadRange, 0, 1), ErrWouldBlock)
			expect(t, "Unlock", b.Unlock(e.ctx, 1, 0, 10), nil)
			expect(t, "Lock of another", a.Lock(e.ctx, 2, WriteRange, 0, 0), nil)
			expect(t, "Unlock", a.Unlock(e.ctx, 2, 0, 0), nil)
		}
		expect(t, "Close", a.Close(e.ctx), nil)
		expect(t, "Close", b.Close(e.ctx), nil)
	}
}

// Close ends what waits, that of the lockspace too.
func testByteClose(t *testing.T, e *env) {
	for _, whole := range []bool{false, true} {
		s := e.open(t, 0, "closing")
		other := e.open(t, 1, "closing")
		name := e.name()
		a, b := e.openBytes(t, s, name), e.openBytes(t, other, name)
		expect(t, "Lock", b.Lock(e.ctx, 1, WriteRange, 0, 10), nil)
		expect(t, "Lock", a.Lock(e.ctx, 1, WriteRange, 20, 10), nil)
		waiting := beginBytes(e.ctx, a, 2, ReadRange, 0, 0)
		until(t, e.ctx, "a request that waits", func() bool { return byteWaits(t, e.nodes, "closing", name) == 1 })
		if whole {
			expect(t, "Close", s.Close(e.ctx), nil)
		} else {
			expect(t, "Close", a.Close(e.ctx), nil)
		}
		expect(t, "the request", wait(t, e.ctx, "its end", waiting), ErrClosed)
		if isClosed(a.Lost()) {
			t.Error("given up, and lost")
		}
		expect(t, "Lock", b.Lock(e.ctx, 1, WriteRange, 0, 0), nil)
		expect(t, "Close", b.Close(e.ctx), nil)
	}
}

func testByteDeadlock(t *testing.T, e *env) {
	name := e.name()
	a, b := e.openBytes(t, e.a, name), e.openBytes(t, e.b, name)
	expect(t, "Lock", a.Lock(e.ctx, 1, WriteRange, 0, 1), nil)
	expect(t, "Lock", b.Lock(e.ctx, 1, WriteRange, 1, 1), nil)
	waiting := beginBytes(e.ctx, a, 1, WriteRange, 1, 1)
	until(t, e.ctx, "a request that waits", func() bool { return byteWaits(t, e.nodes, "test", name) == 1 })
	err := b.Lock(e.ctx, 1, ReadRange, 0, 1)
	expect(t, "the other way round", err, ErrDeadlock)
	checkCycle(t, err, []DeadlockEdge{{
		Name: name, Bytes: true,
		Waiter: DeadlockParty{Node: 2, Owner: 1, Mode: PR, Length: 1}, Holder: DeadlockParty{Node: 1, Owner: 1, Mode: EX, Length: 1},
	}, {
		Name: name, Bytes: true,
		Waiter: DeadlockParty{Node: 1, Owner: 1, Mode: EX, Start: 1, Length: 1},
		Holder: DeadlockParty{Node: 2, Owner: 1, Mode: EX, Start: 1, Length: 1},
	}}, e.dial != nil)
	expect(t, "Unlock", b.Unlock(e.ctx, 1, 0, 0), nil)
	expect(t, "the one that waited", wait(t, e.ctx, "the grant", waiting), nil)
	expect(t, "Close", a.Close(e.ctx), nil)
	expect(t, "Close", b.Close(e.ctx), nil)
}

// The end of a client, or of a node, ends its ranges.
func TestByteRangesLost(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 2, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	client := dialNode(t, nodes[0], "unix", "plain")
	mine, err := client.Open(e.ctx, "test")
	expect(t, "Open", err, nil)
	embedded, other := e.open(t, 0, "test"), e.open(t, 1, "test")
	b := e.openBytes(t, other, "x")
	expect(t, "Lock", b.Lock(e.ctx, 1, WriteRange, 0, 10), nil)

	r := e.openBytes(t, mine, "x")
	expect(t, "Lock", r.Lock(e.ctx, 1, WriteRange, 50, 10), nil)
	waiting := beginBytes(e.ctx, r, 1, WriteRange, 0, 1)
	until(t, e.ctx, "a request that waits", func() bool { return byteWaits(t, nodes, "test", "x") == 1 })
	expect(t, "Close", client.Close(), nil)
	expect(t, "the request", wait(t, e.ctx, "its end", waiting), ErrClosed)
	wait(t, e.ctx, "the loss", r.Lost())
	expect(t, "Lock", r.Lock(e.ctx, 1, WriteRange, 50, 10), ErrClosed)
	expect(t, "Lock", b.Lock(e.ctx, 2, WriteRange, 50, 10), nil)

	r = e.openBytes(t, embedded, "x")
	expect(t, "Lock", r.Lock(e.ctx, 1, WriteRange, 80, 10), nil)
	waiting = beginBytes(e.ctx, r, 1, WriteRange, 0, 1)
	until(t, e.ctx, "a request that waits", func() bool { return byteWaits(t, nodes, "test", "x") == 1 })
	expect(t, "Close", nodes[0].Close(e.ctx), nil)
	expect(t, "the request", wait(t, e.ctx, "its end", waiting), ErrClosed)
	wait(t, e.ctx, "the loss", r.Lost())

	nodes[1].n.Fence(node.ErrFenced)
	wait(t, e.ctx, "the loss", b.Lost())
	expect(t, "Lock", b.Lock(e.ctx, 1, WriteRange, 90, 10), ErrLost)
	expect(t, "Unlock", b.Unlock(e.ctx, 1, 0, 10), ErrLost)
}
