package lockify

import (
	"context"
	"testing"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/wire"
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

// slowNode opens lockspaces when it is told to, and tells of each message.
type slowNode struct {
	oldNode
	open  chan struct{}
	heard chan wire.Msg
}

func (n slowNode) OnFrame(c *engine.FrameConn, h *wire.Header, payload []byte) error {
	var it wire.Messages
	var m wire.Msg
	it.Reset(h, payload)
	for {
		ok, err := it.Next(&m)
		if err != nil || !ok {
			return err
		}
		answer := wire.Msg{Type: wire.Welcome, Instance: 1, Num: uint32(wire.VersionMax)}
		switch m.Type {
		case wire.OpenSpace:
			answer = wire.Msg{Type: wire.SpaceOpened, Req: m.Req, Num: wire.SpaceID(string(m.Text))}
			n.heard <- wire.Msg{Type: m.Type, Num: answer.Num}
			<-n.open
		case wire.CloseSpace:
			n.heard <- wire.Msg{Type: m.Type, Num: h.Lockspace}
			answer = wire.Msg{Type: wire.SpaceClosed, Req: m.Req}
		}
		frame := answer.Append(engine.GetBuf())
		wire.SealFrame(frame, &wire.Header{Version: 1, Kind: wire.KindClient, Count: 1, Lockspace: h.Lockspace})
		if err := c.Send(frame); err != nil {
			return err
		}
	}
}

// dialSlow dials a slowNode.
func dialSlow(t *testing.T) (context.Context, slowNode, *Client, *engine.Mem) {
	t.Helper()
	net := engine.NewMem()
	n := slowNode{open: make(chan struct{}), heard: make(chan wire.Msg, 10)}
	listener, err := engine.ListenFrames(net, "tcp", "a:1", n)
	expect(t, "ListenFrames", err, nil)
	t.Cleanup(func() { listener.Close() })
	c, _ := dialMem(t, net, "tcp://a:1")
	return testContext(t), n, c, net
}

// hears waits for a message about a lockspace.
func (n slowNode) hears(t *testing.T, ctx context.Context, want wire.Type, space string) {
	t.Helper()
	m := wait(t, ctx, "a message", n.heard)
	if m.Type != want || m.Num != wire.SpaceID(space) {
		t.Fatalf("the node hears %v of lockspace %#x, want %v of %#x", m.Type, m.Num, want, wire.SpaceID(space))
	}
}

// opens has c open a lockspace.
func (n slowNode) opens(t *testing.T, ctx context.Context, c *Client, space string) *Lockspace {
	t.Helper()
	go func() { n.open <- struct{}{} }()
	s, err := c.Open(ctx, space)
	expect(t, "Open", err, nil)
	n.hears(t, ctx, wire.OpenSpace, space)
	return s
}

// TestOpenedInVain: what a node opens for who does not wait for it any more is closed again, but not
// where another one has it open.
func TestOpenedInVain(t *testing.T) {
	ctx, n, c, _ := dialSlow(t)
	inVain := func(name string) { // until the answer is on its way
		t.Helper()
		soon, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() {
			_, err := c.Open(soon, name)
			ended <- err
		}()
		n.hears(t, ctx, wire.OpenSpace, name)
		cancel()
		expect(t, "Open", wait(t, ctx, "its end", ended), context.Canceled)
		n.open <- struct{}{}
	}
	inVain("one")
	n.hears(t, ctx, wire.CloseSpace, "one")
	two := n.opens(t, ctx, c, "two")
	inVain("two")
	inVain("three")
	n.hears(t, ctx, wire.CloseSpace, "three")
	expect(t, "Close", two.Close(ctx), nil)
	n.hears(t, ctx, wire.CloseSpace, "two")
}

// TestClosedWhileReopened: so is what it opens in a new session for who has closed it meanwhile.
func TestClosedWhileReopened(t *testing.T) {
	ctx, n, c, net := dialSlow(t)
	s := n.opens(t, ctx, c, "one")
	net.Cut()
	n.hears(t, ctx, wire.OpenSpace, "one")
	expect(t, "Close", s.Close(ctx), nil)
	n.open <- struct{}{}
	n.hears(t, ctx, wire.CloseSpace, "one")
}
