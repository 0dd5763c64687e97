package lockify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/wire"
)

// The client's belief ends before the lease, whatever the clocks do within their
// bound and however long question and answer are under way.
func TestLeaseArithmetic(t *testing.T) {
	for range 20000 {
		r := rand.Float64() * 0.1 // the bound of clocks
		rate := func() float64 { return 1 - r + rand.Float64()*2*r }
		nodeRate, clientRate := rate(), rate()
		lease := 1e8 + rand.Float64()*1e11 // real ns, from the node's renewal at 0
		held := lease * (1 - r)            // on the node's clock
		asked := rand.Float64() * lease    // real times
		got := asked + rand.Float64()*rand.Float64()*lease
		left := max(held-got*nodeRate, 0)
		sent := rand.Int64N(1 << 60) // on the client's clock
		ends := asked + float64(leaseUntil(sent, uint64(left))-sent)/clientRate
		if ends > max(lease, asked) {
			t.Fatalf("bound %v, rates %v and %v: asked at %v, node has it at %v, %v left: the client ends at %v, the lease at %v",
				r, nodeRate, clientRate, asked, got, left, ends, lease)
		}
		if whole := leaseUntil(sent, uint64(left)) - sent; float64(whole) < left*0.997-3 {
			t.Fatalf("of %v only %d are used", left, whole)
		}
	}
	for left, want := range map[uint64]int64{0: 7, 1: 7, noEnd - 1: 7 + noEnd - 1 - noEnd/leaseDrift*2 - 2, noEnd: noEnd, 1<<64 - 1: noEnd} {
		if got := leaseUntil(7, left); got != want {
			t.Errorf("%d left: until %d, want %d", left, got, want)
		}
	}
	for left, want := range map[time.Duration]time.Duration{
		time.Hour: latest, 4 * time.Second: time.Second, 40 * time.Millisecond: soonest, -time.Hour: soonest, noEnd: latest,
	} {
		if got := renewAfter(int64(left)); got != int64(want) {
			t.Errorf("%v left: renewal after %v, want %v", left, time.Duration(got), want)
		}
	}
}

// lateClock is a clock that can be put forward, as if the process had been stopped.
type lateClock struct{ by atomic.Int64 }

func (c *lateClock) option() DialOption {
	return DialOption{clock: func() int64 { return engine.BootTime() + c.by.Load() }}
}

// A client that was stopped for longer than the lease finds that as soon as it uses a
// lock, by whatever it asks first.
func TestLeaseEndsWhileStopped(t *testing.T) {
	uses := map[string]func(t *testing.T, ctx context.Context, l *Lock){
		"Valid": func(t *testing.T, _ context.Context, l *Lock) {
			if l.Valid() {
				t.Error("valid")
			}
		},
		"Lost": func(t *testing.T, _ context.Context, l *Lock) {
			if !isClosed(l.Lost()) {
				t.Error("not lost")
			}
		},
		"Mode": func(t *testing.T, _ context.Context, l *Lock) {
			if l.Mode() == EX {
				t.Error("still in EX")
			}
		},
		"Convert": func(t *testing.T, ctx context.Context, l *Lock) { expect(t, "Convert", l.Convert(ctx, PR), ErrLost) },
		"Unlock":  func(t *testing.T, ctx context.Context, l *Lock) { expect(t, "Unlock", l.Unlock(ctx), ErrLost) },
		"Lock": func(t *testing.T, ctx context.Context, l *Lock) {
			other, err := l.space.Lock(ctx, "other", EX) // in the next session
			expect(t, "Lock", err, nil)
			expect(t, "Unlock", other.Unlock(ctx), nil)
		},
		"a frame": func(t *testing.T, ctx context.Context, l *Lock) {
			at := l.at.(*seat)
			at.s.post(at.space, &wire.Msg{Type: wire.Ping, Num: 1})
			wait(t, ctx, "the loss", l.Lost())
		},
	}
	for what, use := range uses {
		t.Run(what, func(t *testing.T) {
			ctx, net := testContext(t), engine.NewMem()
			memNode(t, net, "a").SetLease(engine.BootTime() + int64(time.Hour))
			var clock lateClock
			c, sessions := dialMem(t, net, "tcp://a:1", clock.option())
			s := openMem(t, c)
			first := c.Session()
			held, err := s.Lock(ctx, "held", EX)
			expect(t, "Lock", err, nil)
			kept := held.Lost()
			clock.by.Store(int64(59 * time.Minute))
			if !held.Valid() || held.Mode() != EX || isClosed(held.Lost()) {
				t.Fatal("lost before its time")
			}
			clock.by.Store(int64(time.Hour))
			use(t, ctx, held)
			if held.Valid() {
				t.Error("valid again")
			}
			wait(t, ctx, "the loss", kept)
			wait(t, ctx, "the end", first.Lost())
			expect(t, "the session", first.Err(), ErrSessionLost)
			wait(t, ctx, "a session", sessions)
			again, err := s.Lock(ctx, "held", EX)
			expect(t, "Lock", err, nil)
			if !again.Valid() || held.Valid() {
				t.Errorf("the new lock is valid: %v, the old one: %v", again.Valid(), held.Valid())
			}
		})
	}
}

// keepLease renews the lease of n until the test, or what is returned, ends it.
func keepLease(t *testing.T, n *node.Node, length time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	renew := func() { n.SetLease(engine.BootTime() + int64(length)) }
	renew()
	go func() {
		defer close(done)
		tick := time.NewTicker(length / 20)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				renew()
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// awaitAsked waits until a session has asked for its lease n times, or has ended.
func awaitAsked(t *testing.T, ctx context.Context, s *Session, n uint64) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for asked(s) < n && !isClosed(s.Lost()) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it has asked %d times, not %d", asked(s), n)
		}
	}
}

// longerLeases calls f with a short lease, and if that was lost, which is right where the
// machine stands still for so long, with longer ones.
func longerLeases(t *testing.T, f func(t *testing.T, length time.Duration) (kept bool)) {
	length := 1200 * time.Millisecond
	for ; !f(t, length); length *= 4 {
		if length > 15*time.Second {
			t.Fatal("lost while the node is there")
		}
		t.Logf("a lease of %v was lost", length)
	}
}

// asked gives how often a session has asked for its lease.
func asked(s *Session) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease.seq
}

// As long as the node is heard a lock outlives its lease many times; when nothing is
// heard any more it is lost at its end, as is what waits.
func TestLeaseEndsInSilence(t *testing.T) { longerLeases(t, leaseEndsInSilence) }

func leaseEndsInSilence(t *testing.T, length time.Duration) (kept bool) {
	ctx, net := testContext(t), engine.NewMem()
	keepLease(t, memNode(t, net, "a"), length)
	c, sessions := dialMem(t, net, "tcp://a:1")
	s := openMem(t, c)
	first := c.Session()
	held, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	awaitAsked(t, ctx, first, asked(first)+5) // each time after a quarter of what is left
	if !held.Valid() {
		return false
	}
	waits := make(chan error, 1)
	s.LockAsync("held", PR, func(_ *Lock, err error) { waits <- err })
	net.Freeze(true)
	wait(t, ctx, "the loss", held.Lost())
	expect(t, "the request", wait(t, ctx, "its end", waits), ErrSessionLost)
	net.Freeze(false)
	wait(t, ctx, "a session", sessions)
	l, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	expect(t, "Unlock", l.Unlock(ctx), nil)
	return true
}

// Who holds nothing asks nothing; its next request asks in front of itself, and may
// take its time.
func TestLeaseIdle(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	n := memNode(t, net, "a")
	n.SetLease(engine.BootTime() + int64(time.Hour))
	var clock lateClock
	c, _ := dialMem(t, net, "tcp://a:1", clock.option())
	s := openMem(t, c)
	first := c.Session()
	for i := range 3 {
		n.SetLease(engine.BootTime() + int64(time.Duration(i+2)*time.Hour)) // the node's clock stands still, the client's not
		before := asked(first)
		clock.by.Add(int64(2 * time.Hour))
		l, err := s.Lock(ctx, "name", EX)
		expect(t, "Lock", err, nil)
		if !l.Valid() || asked(first) <= before || c.Session() != first {
			t.Errorf("round %d: valid %v, asked %d times, session %d", i, l.Valid(), asked(first)-before, c.Session().ID())
		}
		expect(t, "Unlock", l.Unlock(ctx), nil)
	}
}

// oldNode is a node from before leases, as far as a client notices, or with
// FeatureLease one that has none, and grants all the same.
type oldNode struct {
	heard    chan wire.Type
	features uint64
}

func (o oldNode) OnOpen(*engine.FrameConn)         {}
func (o oldNode) OnIdle(*engine.FrameConn)         {}
func (o oldNode) OnClose(*engine.FrameConn, error) {}
func (o oldNode) OnFrame(c *engine.FrameConn, h *wire.Header, payload []byte) error {
	var it wire.Messages
	var m wire.Msg
	it.Reset(h, payload)
	for {
		ok, err := it.Next(&m)
		if err != nil || !ok {
			return err
		}
		o.heard <- m.Type
		answer := wire.Msg{Req: m.Req}
		switch m.Type {
		case wire.Hello:
			answer = wire.Msg{Type: wire.Welcome, Instance: 1, Num: wire.VersionMax, Features: m.Features & o.features}
		case wire.LeaseReq:
			answer.Type = wire.Lease
		case wire.OpenSpace:
			answer.Type, answer.Num = wire.SpaceOpened, wire.SpaceID("test")
		case wire.LockReq:
			answer.Type, answer.Lock, answer.Mode = wire.Ast, 1, uint8(EX)
		default:
			return fmt.Errorf("%w: %v", wire.ErrType, m.Type)
		}
		frame := answer.Append(wire.ReserveHeader(nil))
		wire.SealFrame(frame, &wire.Header{Version: 1, Kind: wire.KindClient, Count: 1, Lockspace: h.Lockspace})
		if err := c.Send(frame); err != nil {
			return err
		}
	}
}

// A node that knows of no leases is not asked for one, and believed for ever.
func TestLeaseOldNode(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	old := oldNode{heard: make(chan wire.Type, 10), features: wire.FeatureClaims}
	listener, err := engine.ListenFrames(net, "tcp", "old:1", old)
	expect(t, "ListenFrames", err, nil)
	defer listener.Close()
	var clock lateClock
	c, _ := dialMem(t, net, "tcp://old:1", clock.option())
	l, err := openMem(t, c).Lock(ctx, "name", EX)
	expect(t, "Lock", err, nil)
	clock.by.Store(int64(1000 * time.Hour))
	if !l.Valid() {
		t.Error("lost")
	}
	for _, want := range []wire.Type{wire.Hello, wire.OpenSpace, wire.LockReq} {
		if got := wait(t, ctx, "a message", old.heard); got != want {
			t.Errorf("the node hears %v, want %v", got, want)
		}
	}
}

// A node that has no lease yet is asked in front of each request; what it grants then
// is not believed in.
func TestLeaseUnsure(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	unsure := oldNode{heard: make(chan wire.Type, 100), features: wire.FeatureLease}
	listener, err := engine.ListenFrames(net, "tcp", "a:1", unsure)
	expect(t, "ListenFrames", err, nil)
	defer listener.Close()
	c, _ := dialMem(t, net, "tcp://a:1", OneSession())
	s := openMem(t, c)
	l, err := s.Lock(ctx, "name", EX)
	if err == nil && (l.Valid() || !isClosed(l.Lost())) {
		t.Error("a lock of a node without a lease counts")
	}
	wait(t, ctx, "the end", c.Session().Lost())
	expect(t, "the session", c.Session().Err(), ErrSessionLost)
	for _, want := range []wire.Type{wire.Hello, wire.LeaseReq, wire.LeaseReq, wire.OpenSpace, wire.LeaseReq, wire.LockReq} {
		if got := wait(t, ctx, "a message", unsure.heard); got != want {
			t.Errorf("the node hears %v, want %v", got, want)
		}
	}
}

// oldClient is a client from before leases.
type oldClient struct{ heard chan wire.Msg }

func (o oldClient) OnOpen(*engine.FrameConn)         {}
func (o oldClient) OnIdle(*engine.FrameConn)         {}
func (o oldClient) OnClose(*engine.FrameConn, error) {}
func (o oldClient) OnFrame(_ *engine.FrameConn, h *wire.Header, payload []byte) error {
	var m wire.Msg
	for len(payload) > 0 {
		n, err := m.Decode(payload)
		if err != nil {
			return err
		}
		o.heard <- wire.Msg{Type: m.Type, Status: m.Status}
		payload = payload[n:]
	}
	return nil
}

// A client that cannot read the status NoQuorum is told what it knows.
func TestNoQuorumOldClient(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	memNode(t, net, "a").Fence(node.ErrFenced)
	old := oldClient{heard: make(chan wire.Msg, 10)}
	conn, err := engine.DialFrames(ctx, net, "tcp", "a:1", old)
	expect(t, "DialFrames", err, nil)
	defer conn.Close()
	hello := wire.Msg{Type: wire.Hello, Num: wire.VersionRange(1, 1), Features: wire.FeatureClaims}
	frame := hello.Append(wire.ReserveHeader(nil))
	frame = (&wire.Msg{Type: wire.OpenSpace, Req: 1, Num: 32, Text: []byte("test")}).Append(frame)
	wire.SealFrame(frame, &wire.Header{Version: 1, Kind: wire.KindClient, Count: 2})
	expect(t, "Send", conn.Send(frame), nil)
	for _, want := range []wire.Msg{{Type: wire.Welcome}, {Type: wire.SpaceOpened, Status: wire.ShuttingDown}} {
		if got := wait(t, ctx, "an answer", old.heard); got.Type != want.Type || got.Status != want.Status {
			t.Errorf("it hears %v %v, want %v %v", got.Type, got.Status, want.Type, want.Status)
		}
	}
}

// A node is fenced: its clients lose all, hear why, and go where there is a quorum.
func TestNoQuorum(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	n := memNode(t, net, "a")
	c, sessions := dialMem(t, net, "tcp://a:1,tcp://b:1")
	s := openMem(t, c)
	first := c.Session()
	held, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	waits := make(chan error, 1)
	s.LockAsync("held", PR, func(_ *Lock, err error) { waits <- err })
	expect(t, "Barrier", s.Barrier(ctx), nil) // so the node has the request

	n.Fence(fmt.Errorf("%w: by the test", node.ErrFenced))
	wait(t, ctx, "the loss", held.Lost())
	wait(t, ctx, "the end", first.Lost())
	for what, err := range map[string]error{"session": first.Err(), "request": wait(t, ctx, "its end", waits)} {
		expect(t, what, err, ErrSessionLost)
		expect(t, what, err, ErrNoQuorum)
		if says := err.Error(); !strings.Contains(says, ": no quorum since 2") || !strings.Contains(says, "Z: node: fenced: by the test") {
			t.Errorf("%s: %s", what, says)
		}
	}

	until(t, ctx, "that the node has refused", func() bool {
		_, _, _, why := c.state()
		return errors.Is(why, ErrNoQuorum) && strings.Contains(why.Error(), "dial tcp://a:1")
	})
	ended, cancel := context.WithCancel(ctx)
	short := watched{ended, make(chan struct{}, 100)}
	lock := begin(short, s, "held", EX)
	wait(t, ctx, "one who waits", short.waits)
	cancel()
	err = wait(t, ctx, "the end", lock).err
	expect(t, "Lock", err, context.Canceled)
	expect(t, "Lock", err, ErrNoQuorum)

	memNode(t, net, "b")
	if a := wait(t, ctx, "a session", sessions).Addr(); a != "tcp://b:1" {
		t.Errorf("the session is at %s", a)
	}
	l, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	expect(t, "Unlock", l.Unlock(ctx), nil)
}

// TestNoQuorumEmbedded: what is under way at an embedded node when that is fenced is lost, and says why.
func TestNoQuorumEmbedded(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 2, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	a, b := e.open(t, 0, "test"), e.open(t, 1, "test")
	shared, err := b.Lock(e.ctx, "x", PR)
	expect(t, "Lock", err, nil)
	other, err := a.Lock(e.ctx, "x", PR)
	expect(t, "Lock", err, nil)
	ends := make(chan error, 2)
	shared.ConvertAsync(EX, func(err error) { ends <- err })
	b.LockAsync("x", EX, func(_ *Lock, err error) { ends <- err })
	until(t, e.ctx, "both wait", func() bool {
		r := resource(t, nodes, "test", "x")
		return len(r.Waiting) == 1 && len(r.Convert) == 1
	})
	nodes[1].n.Fence(fmt.Errorf("%w: by the test", node.ErrFenced))
	for range 2 {
		err := wait(t, e.ctx, "the end", ends)
		expect(t, "what was under way", err, ErrLost)
		expect(t, "what was under way", err, ErrNoQuorum)
		if !strings.Contains(err.Error(), "by the test") {
			t.Error(err)
		}
	}
	expect(t, "Unlock", other.Unlock(e.ctx), nil)
}

// Open at a node without quorum waits, goes elsewhere, or fails at once if there is to
// be one session only.
func TestOpenNoQuorum(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	memNode(t, net, "a").Fence(node.ErrFenced)
	once, _ := dialMem(t, net, "tcp://a:1", OneSession())
	_, err := once.Open(ctx, "test")
	expect(t, "Open", err, ErrNoQuorum)
	if !strings.HasPrefix(err.Error(), "lockify: no quorum since 2") {
		t.Errorf("it says %q", err)
	}
	if err := once.Session().Err(); err != nil {
		t.Errorf("the session has ended: %v", err)
	}

	c, _ := dialMem(t, net, "tcp://a:1")
	ended, cancel := context.WithCancel(ctx)
	open := make(chan error, 1)
	go func() {
		_, err := c.Open(ended, "test")
		open <- err
	}()
	until(t, ctx, "that it was refused", func() bool { return errors.Is(c.Session().Err(), ErrNoQuorum) })
	cancel()
	expect(t, "Open", wait(t, ctx, "its end", open), context.Canceled)

	memNode(t, net, "b")
	both, _ := dialMem(t, net, "tcp://a:1,tcp://b:1")
	openMem(t, both)
	if a := both.Session().Addr(); a != "tcp://b:1" {
		t.Errorf("opened at %s", a)
	}
}

// In a program's own node the same is heard.
func TestEmbeddedNoQuorum(t *testing.T) {
	ctx := testContext(t)
	n := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})[0]
	s, err := n.Open(ctx, "test")
	expect(t, "Open", err, nil)
	l, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	if !l.Valid() {
		t.Fatal("not valid")
	}
	n.n.SetLease(engine.BootTime()) // it has ended; nobody has noticed yet
	if l.Valid() || l.Mode() == EX || !isClosed(l.Lost()) {
		t.Error("valid behind the end of the lease")
	}
	expect(t, "Unlock", l.Unlock(ctx), ErrLost)
	_, err = s.Lock(ctx, "other", EX)
	expect(t, "Lock", err, ErrNoQuorum)
	if !strings.HasPrefix(err.Error(), `lock of "other": lockify: no quorum since 2`) {
		t.Errorf("it says %q", err)
	}
	wait(t, ctx, "the end", n.Lost())
	_, err = n.Open(ctx, "third")
	expect(t, "Open", err, ErrNoQuorum)
}

// A node that is not yet a member can open nothing; its clients wait until it can.
func TestNotYetMember(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	n, err := node.Start(ctx, node.Config{
		ID: 1, Clients: []string{"tcp://a:1"}, Transport: net, Logger: slog.New(slog.DiscardHandler),
	}, nil)
	expect(t, "Start", err, nil)
	defer closeNode(t, n)
	once, _ := dialMem(t, net, "tcp://a:1", OneSession())
	_, err = once.Open(ctx, "test")
	expect(t, "Open", err, ErrNoQuorum)
	if !strings.HasPrefix(err.Error(), "lockify: no quorum since 2") || !strings.Contains(err.Error(), "not yet a member") {
		t.Errorf("it says %q", err)
	}
}
