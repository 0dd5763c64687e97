package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// rawClient is a client that says what the test wants.
type rawClient struct {
	t     testing.TB
	c     *engine.FrameConn
	heard chan wire.Msg
	space uint32
}

func (r *rawClient) OnOpen(*engine.FrameConn)         {}
func (r *rawClient) OnIdle(*engine.FrameConn)         {}
func (r *rawClient) OnClose(*engine.FrameConn, error) { close(r.heard) }

func (r *rawClient) OnFrame(_ *engine.FrameConn, h *wire.Header, payload []byte) error {
	var it wire.Messages
	var m wire.Msg
	it.Reset(h, payload)
	for {
		ok, err := it.Next(&m)
		if err != nil || !ok {
			return err
		}
		kept := m
		kept.Text = append([]byte(nil), m.Text...)
		kept.Name, kept.Value = nil, nil
		r.heard <- kept
	}
}

// dialRaw connects to a node and opens a lockspace.
func dialRaw(t testing.TB, n *Node) *rawClient {
	t.Helper()
	network, rest := address.Split(n.cfg.Clients[0])
	r := &rawClient{t: t, heard: make(chan wire.Msg, 1<<16)}
	c, err := engine.DialFrames(t.Context(), engine.NewPlain(), network, rest, r)
	if err != nil {
		t.Fatal(err)
	}
	r.c = c
	t.Cleanup(c.Close)
	r.send(0, wire.Msg{Type: wire.Hello, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax), Features: wire.FeatureLease, Text: []byte("raw")})
	r.hear(wire.Welcome)
	r.send(0, wire.Msg{Type: wire.OpenSpace, Req: 1, Text: []byte("a")})
	m := r.hear(wire.SpaceOpened)
	if m.Status != wire.OK {
		t.Fatalf("open: %v %s", m.Status, m.Text)
	}
	r.space = m.Num
	return r
}

func (r *rawClient) send(space uint32, msgs ...wire.Msg) {
	r.t.Helper()
	frame := wire.ReserveHeader(nil)
	for i := range msgs {
		frame = msgs[i].Append(frame)
	}
	wire.SealFrame(frame, &wire.Header{Version: wire.HelloVersion, Kind: wire.KindClient, Count: uint16(len(msgs)), Lockspace: space})
	if err := r.c.Send(frame); err != nil {
		r.t.Fatal(err)
	}
}

// hear gives the next message of a type.
func (r *rawClient) hear(typ wire.Type) wire.Msg {
	r.t.Helper()
	end := time.After(30 * time.Second)
	for {
		select {
		case m, ok := <-r.heard:
			if !ok {
				r.t.Fatalf("the connection has ended, without %v", typ)
			}
			if m.Type == typ {
				return m
			}
		case <-end:
			r.t.Fatalf("no %v", typ)
		}
	}
}

// lock asks for a lock and gives the answer.
func (r *rawClient) lock(req uint64, name string, mode lockspace.Mode, flags uint32) wire.Msg {
	r.t.Helper()
	r.send(r.space, wire.Msg{Type: wire.LockReq, Req: req, Mode: uint8(mode), Flags: flags, Name: []byte(name)})
	return r.hear(wire.Ast)
}

// fixedPair is two nodes of a fixed membership, with clients on both. What they say to each
// other goes through the gate.
func fixedPair(t testing.TB, change func(*Config)) (n [2]*Node, g *gate) {
	t.Helper()
	inst := [2]uint64{NewInstance(1), NewInstance(2)}
	v, err := lockspace.NewView(1, []lockspace.Member{{ID: 1, Instance: inst[0]}, {ID: 2, Instance: inst[1]}})
	if err != nil {
		t.Fatal(err)
	}
	g = newGate(t)
	dir := t.TempDir()
	for i := range n {
		o := 1 - i
		cfg := Config{
			ID: uint16(i + 1), Instance: inst[i], Listen: "127.0.0.1:0", Shards: 1, Logger: slog.New(slog.DiscardHandler),
			Peers:   []Peer{{ID: uint16(o + 1), Addr: g.ln.Addr().String(), Instance: inst[o]}},
			Clients: []string{fmt.Sprintf("unix://%s/s%d", dir, i)},
		}
		if change != nil {
			change(&cfg)
		}
		if n[i], err = Start(t.Context(), cfg, v); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n[i].links.Close(ended()) })
	}
	g.lead(n[1].LinkAddr())
	for _, n := range n {
		if err := n.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return n, g
}

// gate passes bytes on, as long as it is not shut.
type gate struct {
	ln      net.Listener
	mu      sync.Mutex
	changed sync.Cond
	to      string
	shut    bool
	done    bool
	conns   []net.Conn
}

func newGate(t testing.TB) *gate {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{ln: ln}
	g.changed.L = &g.mu
	var all sync.WaitGroup
	all.Go(func() { g.accept(&all) })
	t.Cleanup(func() {
		ln.Close()
		g.mu.Lock()
		g.done = true
		for _, c := range g.conns {
			c.Close()
		}
		g.changed.Broadcast()
		g.mu.Unlock()
		all.Wait()
	})
	return g
}

func (g *gate) accept(all *sync.WaitGroup) {
	for {
		in, err := g.ln.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		for g.to == "" && !g.done {
			g.changed.Wait()
		}
		out, err := net.Dial("tcp", g.to)
		if err != nil || g.done {
			in.Close()
			g.mu.Unlock()
			continue
		}
		g.conns = append(g.conns, in, out)
		g.mu.Unlock()
		all.Go(func() { g.pass(in, out) })
		all.Go(func() { g.pass(out, in) })
	}
}

func (g *gate) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		g.mu.Lock()
		for g.shut && !g.done {
			g.changed.Wait()
		}
		g.mu.Unlock()
		if _, werr := to.Write(buf[:n]); werr != nil || err != nil {
			return
		}
	}
}

func (g *gate) lead(to string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.to = to
	g.changed.Broadcast()
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.changed.Broadcast()
}

// fill queues so many MiB for a node.
func fill(n *Node, to uint16, mib int) {
	for range mib << 20 / lookSize {
		n.sendLook(to, lookPiece, 99, make([]byte, lookSize))
	}
}

// TestClogged: a client's request is refused when another node takes nothing more, before the
// link to that one fails; what gives something up is not.
func TestClogged(t *testing.T) {
	n, g := fixedPair(t, nil)
	c := dialRaw(t, n[0])
	held := c.lock(2, "held", lockspace.NL, 0)
	g.set(true)
	fill(n[0], 2, 40)
	if m := c.lock(3, "x", lockspace.EX, 0); m.Status != wire.Limit {
		t.Errorf("a lock: %v %s", m.Status, m.Text)
	}
	c.send(0, wire.Msg{Type: wire.BarrierReq, Req: 4})
	if m := c.hear(wire.Ast); m.Req != 4 || m.Status != wire.Limit {
		t.Errorf("a barrier: %v %s", m.Status, m.Text)
	}
	c.send(c.space, wire.Msg{Type: wire.UnlockReq, Req: 5, Lock: held.Lock})
	g.set(false)
	if m := c.hear(wire.Ast); m.Req != 5 || m.Status != wire.Unlocked {
		t.Errorf("an unlock: %v %s", m.Status, m.Text)
	}
	await(t, func() bool { return !n[0].links.Clogged() })
	if m := c.lock(6, "x", lockspace.EX, 0); m.Status != wire.OK {
		t.Errorf("a lock later: %v %s", m.Status, m.Text)
	}
}

// TestOverrun: a node that has lost what was for a member is fenced, if that stays one.
func TestOverrun(t *testing.T) {
	defer func(was time.Duration) { overrunTime = was }(overrunTime)
	overrunTime = time.Millisecond
	n, g := fixedPair(t, nil)
	g.set(true)
	fill(n[0], 2, 80)
	select {
	case <-n[0].over:
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	if _, err := n[0].Open(t.Context(), "a", Props{}); !errors.Is(err, ErrFenced) || !errors.Is(err, engine.ErrOverrun) {
		t.Errorf("open: %v", err)
	}
}

// TestBarriersOfAClient: they are requests that wait, and end with the session.
func TestBarriersOfAClient(t *testing.T) {
	const most = 8
	n, _ := fixedPair(t, func(c *Config) { c.Limits.Waiting = most })
	c := dialRaw(t, n[0])
	space := n[1].Space("a")
	if space == nil {
		var err error
		if space, err = n[1].Open(t.Context(), "a", Props{}); err != nil {
			t.Fatal(err)
		}
	}
	// The other node is stopped: what is claimed stays open.
	release, inside := make(chan struct{}), make(chan struct{})
	go space.runners[0].wait(func(*runner) { close(inside); <-release })
	defer close(release)
	<-inside
	for i := range 100 { // one of them has its directory there
		if m := c.lock(uint64(10+i), fmt.Sprint(i), lockspace.EX, lockspace.NewName); m.Status != wire.OK {
			t.Fatalf("%v %s", m.Status, m.Text)
		}
	}
	for i := range most + 4 {
		c.send(0, wire.Msg{Type: wire.BarrierReq, Req: uint64(1000 + i)})
	}
	for i := range 4 {
		if m := c.hear(wire.Ast); m.Req != uint64(1000+most+i) || m.Status != wire.Limit {
			t.Errorf("request %d: %v %s", m.Req, m.Status, m.Text)
		}
	}
	count := func() int {
		n[0].mu.Lock()
		defer n[0].mu.Unlock()
		return len(n[0].barriers)
	}
	if got := count(); got != most {
		t.Errorf("%d barriers", got)
	}
	c.c.Close()
	await(t, func() bool { return count() == 0 })
}

// TestShutdownBesideRenewals: a client that renews its lease though it was told that its session
// is lost does not keep the node from ending.
func TestShutdownBesideRenewals(t *testing.T) {
	n, _ := fixedPair(t, nil)
	n[0].SetLease(engine.BootTime() + int64(time.Second))
	c := dialRaw(t, n[0])
	if m := c.lock(2, "x", lockspace.EX, 0); m.Status != wire.OK {
		t.Fatal(m.Status)
	}
	c.send(0, wire.Msg{Type: wire.LeaseReq, Req: 3})
	c.hear(wire.Lease)
	n[0].SetLease(engine.BootTime() + int64(time.Hour))
	closed := make(chan error, 1)
	go func() { closed <- n[0].Close(context.Background()) }()
	c.hear(wire.SessionLost)
	c.send(0, wire.Msg{Type: wire.LeaseReq, Req: 4})
	if m := c.hear(wire.Lease); m.Wait != 0 {
		t.Errorf("it was given %v more", time.Duration(m.Wait))
	}
	select {
	case <-closed: // the client has never gone
	case <-time.After(30 * time.Second):
		t.Error("the node waits for the client")
	}
}

// TestForcedUnlockOfConversion: nothing is remembered of a conversion whose lock is unlocked.
func TestForcedUnlockOfConversion(t *testing.T) {
	n, _ := fixedPair(t, nil)
	holder, c := dialRaw(t, n[1]), dialRaw(t, n[0])
	if m := holder.lock(2, "x", lockspace.PR, 0); m.Status != wire.OK {
		t.Fatal(m.Status)
	}
	m := c.lock(2, "x", lockspace.PR, 0)
	c.send(c.space, wire.Msg{Type: wire.ConvertReq, Req: 3, Lock: m.Lock, Mode: uint8(lockspace.EX)})
	c.send(c.space, wire.Msg{Type: wire.UnlockReq, Req: 4, Lock: m.Lock, Flags: lockspace.ForceUnlock})
	c.hear(wire.Ast)
	c.hear(wire.Ast)
	for _, s := range n[0].allSessions() {
		s.mu.Lock()
		for _, sp := range s.spaces {
			if len(sp.locks)+len(sp.waiting)+s.locks+s.waiting > 0 {
				t.Errorf("%d locks, %d requests that wait; counted: %d, %d", len(sp.locks), len(sp.waiting), s.locks, s.waiting)
			}
		}
		s.mu.Unlock()
	}
}

// TestConflictBesideGone: a wrong claim in a lockspace, and a client that goes while it opens it,
// do not wait for each other.
func TestConflictBesideGone(t *testing.T) {
	n, _ := fixedPair(t, nil)
	sp, err := n[0].Open(t.Context(), "a", Props{})
	if err != nil {
		t.Fatal(err)
	}
	s := &session{node: n[0], spaces: map[uint32]*sessionSpace{}, gone: true} // as its end leaves it
	var both sync.WaitGroup
	const rounds = 30_000
	both.Go(func() {
		for range rounds {
			s.add(sp, 0)
		}
	})
	both.Go(func() {
		for range rounds {
			sp.runners[0].wait(func(r *runner) { r.Conflict([]byte("name"), wire.Life{Instance: n[0].cfg.Instance}) })
		}
	})
	done := make(chan struct{})
	go func() { both.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("they wait for each other")
	}
}

// TestOpenBeforeJoined: nothing is kept of what a lockspace was to be like before the node may
// ask the others.
func TestOpenBeforeJoined(t *testing.T) {
	w := unstarted(t)
	n, err := Start(t.Context(), Config{ID: 1, Listen: "127.0.0.1:0", Transport: w.net, Shards: 1, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.links.Close(ended()) })
	if _, err := n.Open(t.Context(), "storage", Props{ValueLen: 1}); !errors.Is(err, errNotJoined) {
		t.Fatal(err)
	}
	if n.Space("storage") != nil {
		t.Error("it is there")
	}
}

// TestDiesInsideFrame: a client that dies within a frame is gone, and does not believe in its
// locks for as long as its lease.
func TestDiesInsideFrame(t *testing.T) {
	n, _ := fixedPair(t, func(c *Config) { c.Transport = engine.NewNetpoll() })
	n[0].SetLease(engine.BootTime() + int64(time.Hour))
	network, rest := address.Split(n[0].cfg.Clients[0])
	c, err := net.Dial(network, rest)
	if err != nil {
		t.Fatal(err)
	}
	write := func(space uint32, short int, m wire.Msg) {
		frame := m.Append(wire.ReserveHeader(nil))
		wire.SealFrame(frame, &wire.Header{Version: wire.HelloVersion, Kind: wire.KindClient, Count: 1, Lockspace: space})
		if _, err := c.Write(frame[:len(frame)-short]); err != nil {
			t.Fatal(err)
		}
	}
	space := wire.SpaceID("a")
	write(0, 0, wire.Msg{Type: wire.Hello, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax), Features: wire.FeatureLease, Text: []byte("dies")})
	write(0, 0, wire.Msg{Type: wire.OpenSpace, Req: 1, Text: []byte("a")})
	write(space, 0, wire.Msg{Type: wire.LeaseReq, Req: 2})
	write(space, 0, wire.Msg{Type: wire.LockReq, Req: 3, Mode: uint8(lockspace.EX), Name: []byte("x")})
	await(t, func() bool {
		s := n[0].allSessions()
		return len(s) == 1 && s[0].believes() > 0
	})
	write(space, 3, wire.Msg{Type: wire.LockReq, Req: 4, Mode: uint8(lockspace.EX), Name: []byte("y")})
	c.Close()
	if m := dialRaw(t, n[0]).lock(5, "x", lockspace.EX, 0); m.Status != wire.OK {
		t.Error(m.Status)
	}
}

// TestClientNameIsText: what a client calls itself is shown to people, and does nothing to their terminals.
func TestClientNameIsText(t *testing.T) {
	view, err := cluster.Static(1)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), Config{ID: 1, Clients: []string{"tcp://127.0.0.1:0"}, Logger: slog.New(slog.DiscardHandler)}, view)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(ended())
	network, rest := address.Split(n.ClientAddrs()[0].String())
	for name, want := range map[string]string{"lockctl.test": "lockctl.test", "a\x1b[2J\nb\xff": `a\x1b[2J\nb\xff`} {
		r := &rawClient{t: t, heard: make(chan wire.Msg, 10)}
		if r.c, err = engine.DialFrames(t.Context(), engine.NewPlain(), network, rest, r); err != nil {
			t.Fatal(err)
		}
		r.send(0, wire.Msg{Type: wire.Hello, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax), Text: []byte(name)})
		if got, _ := n.clientOf(r.hear(wire.Welcome).Instance); got != want {
			t.Errorf("client %q, want %q", got, want)
		}
		r.c.Close()
	}
}
