package lockify

import (
	"context"
	"testing"
)

// twice gives two ways to open lockspaces on the first node as the same program, and one on
// the second node as another.
func twice(t *testing.T, e *env) (open func() *Lockspace, other *Lockspace) {
	t.Helper()
	const space = "twice"
	var who interface {
		Open(context.Context, string, ...SpaceOption) (*Lockspace, error)
	} = e.nodes[0]
	if e.dial != nil {
		who = e.dial(t, 0)
	}
	return func() *Lockspace {
		t.Helper()
		s, err := who.Open(e.ctx, space)
		expect(t, "Open", err, nil)
		return s
	}, e.open(t, 1, space)
}

// TestOneOfTwoLockspaces: who closes one of two Lockspaces of a name gives up what is its
// own, and nothing of the other's.
func TestOneOfTwoLockspaces(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		open, other := twice(t, e)
		a, b := open(), open()
		mine, conv, kept := e.must(t, a, "mine", EX), e.must(t, a, "held", NL), e.must(t, a, "kept", EX, Persistent())
		bytes, err := a.OpenByteRanges(e.ctx, "bytes")
		expect(t, "OpenByteRanges", err, nil)
		expect(t, "lock bytes", bytes.Lock(e.ctx, 1, WriteRange, 0, 0), nil)
		theirs, held := e.must(t, b, "theirs", EX), e.must(t, other, "held", PR)
		lock, convert := begin(e.ctx, a, "held", EX), beginConvert(e.ctx, conv, EX)
		stays := begin(e.ctx, b, "held", EX)
		until(t, e.ctx, "three that wait", func() bool {
			r := resource(t, e.nodes, "twice", "held")
			return len(r.Waiting) == 2 && len(r.Convert) == 1
		})

		expect(t, "Close", a.Close(e.ctx), nil)
		expect(t, "Lock", wait(t, e.ctx, "its end", lock).err, ErrClosed)
		expect(t, "Convert", wait(t, e.ctx, "its end", convert), ErrClosed)
		for _, l := range []*Lock{mine, conv, kept} {
			expect(t, "Unlock", l.Unlock(e.ctx), ErrNotHeld)
		}
		e.unlock(t, e.must(t, other, "mine", EX))
		free, err := other.OpenByteRanges(e.ctx, "bytes")
		expect(t, "OpenByteRanges", err, nil)
		expect(t, "lock bytes", free.Lock(e.ctx, 1, WriteRange, 0, 0), nil)

		if !theirs.Valid() {
			t.Fatal("a lock of the other Lockspace is not valid")
		}
		e.unlock(t, theirs)
		e.unlock(t, e.must(t, b, "more", EX))
		e.unlock(t, held)
		got := wait(t, e.ctx, "the grant", stays)
		expect(t, "Lock of the other Lockspace", got.err, nil)
		expect(t, "Close", b.Close(e.ctx), nil)
		e.unlock(t, e.must(t, other, "held", EX))
		e.unlock(t, e.must(t, open(), "kept", EX, AdoptOrphan()))
	})
}

// TestCloseAndOpenMeet closes a Lockspace while a request of its own is answered and another
// of the name is opened. Where they meet is up to chance, so it is tried many times.
func TestCloseAndOpenMeet(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		open, other := twice(t, e)
		next := open()
		for range 200 {
			name, s := e.name(), next
			lock := begin(e.ctx, s, name, EX)
			closed := make(chan error, 1)
			go func() { closed <- s.Close(e.ctx) }()
			next = open()
			expect(t, "Close", wait(t, e.ctx, "its end", closed), nil)
			if got := wait(t, e.ctx, "the end of Lock", lock); got.err != nil {
				expect(t, "Lock", got.err, ErrClosed)
			}
			e.unlock(t, e.must(t, next, name, EX))
			e.unlock(t, e.must(t, other, name, EX))
		}
	})
}

// TestRequestBehindClose: a request that has begun before Close, and is sent behind it, does
// not wait for a lock that nobody wants.
func TestRequestBehindClose(t *testing.T) {
	e := &env{ctx: testContext(t), nodes: startCluster(t, clusterOptions{nodes: 2, transport: "plain"})}
	e.dial = func(t testing.TB, node int) *Client { return dialNode(t, e.nodes[node], "unix", "plain") }
	open, other := twice(t, e)
	s := open()
	open() // stays open
	e.must(t, other, "held", EX)
	l, err := s.newLock("held", EX, &Option{})
	expect(t, "newLock", err, nil)
	r := s.be.(*remote)
	at := r.at.Load()
	expect(t, "Close", s.Close(e.ctx), nil)
	r.at.Store(at) // as r.lock has seen it
	expect(t, "Lock", l.await(e.ctx, true, r.lock(l, EX, Option{}, false), l.wake), ErrClosed)
}
