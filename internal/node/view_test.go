package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// outcome is what an Owner hears.
type outcome struct {
	id, tag uint64
	status  lockspace.Status
	lost    bool
}

// listener is an Owner that passes on what it hears.
type listener chan outcome

func (l listener) Complete(id, tag uint64, c *lockspace.Completion) {
	l <- outcome{id: id, tag: tag, status: c.Status}
}
func (l listener) Blocking(uint64, lockspace.Mode)                {}
func (l listener) Confirmed(uint64)                               {}
func (l listener) Lost(id uint64)                                 { l <- outcome{id: id, lost: true} }
func (l listener) Bytes(id, tag uint64, o *lockspace.ByteOutcome) {}

// world is a cluster in one process whose views the test decides.
type world struct {
	t      testing.TB
	net    engine.Transport
	epoch  uint64
	nodes  map[uint16]*Node
	props  Props
	tracer trace.Tracer    // nil: no spans
	olds   map[uint16]bool // nodes that start as an older version, which has no claims
}

func newWorld(t testing.TB, ids ...uint16) *world {
	w := unstarted(t)
	for _, id := range ids {
		w.start(id)
	}
	w.view()
	return w
}

func unstarted(t testing.TB) *world {
	return &world{t: t, net: engine.NewPlain(), nodes: map[uint16]*Node{}, props: Props{ValueLen: 16}}
}

func (w *world) start(id uint16) *Node {
	w.t.Helper()
	features := wire.Features
	if w.olds[id] {
		features = wire.FeatureCompress
	}
	var tracing *Tracing
	if w.tracer != nil {
		tracing = &Tracing{Tracer: w.tracer}
	}
	n, err := Start(w.t.Context(), Config{
		ID: id, Tracing: tracing, Listen: "127.0.0.1:0", Transport: w.net, Shards: 1 + int(id)%2, Features: features, Logger: slog.New(slog.DiscardHandler),
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes[id] = n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members = agreed{}
	if _, err := n.openLocked("space", w.props); err != nil { // its view comes by Install
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { n.links.Close(ended()) })
	return n
}

// agreed is an opener that says yes.
type agreed struct{}

func (agreed) Open(context.Context, string, []byte) error { return nil }

// ended gives a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// crash ends a node without a word.
func (w *world) crash(id uint16) {
	w.nodes[id].links.Close(ended())
	delete(w.nodes, id)
}

// view installs the next view, of all nodes that run, everywhere at once.
func (w *world) view() {
	w.t.Helper()
	w.epoch++
	var members []lockspace.Member
	for id, n := range w.nodes {
		members = append(members, lockspace.Member{ID: id, Instance: n.Instance()})
	}
	v, err := lockspace.NewView(w.epoch, members)
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, n := range w.nodes {
		wg.Go(func() {
			if err := n.Install(w.peersOf(n), []SpaceView{{"space", v}}); err != nil {
				w.t.Error(err)
			}
		})
	}
	wg.Wait()
}

func (w *world) peersOf(n *Node) (peers []Peer) {
	for id, other := range w.nodes {
		if other != n {
			peers = append(peers, Peer{ID: id, Addr: other.LinkAddr(), Instance: other.Instance()})
		}
	}
	return peers
}

func (w *world) open(id uint16) *Space {
	w.t.Helper()
	s, err := w.nodes[id].Open(w.t.Context(), "space", w.props)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func hear(t testing.TB, l listener) outcome {
	t.Helper()
	select {
	case o := <-l:
		return o
	case <-time.After(30 * time.Second):
		t.Fatal("nothing heard")
		return outcome{}
	}
}

// hold takes a lock and returns when it is granted.
func hold(t testing.TB, s *Space, name string, mode lockspace.Mode, flags uint32) (listener, uint64) {
	t.Helper()
	l := make(listener, 10)
	id := s.Lock(l, []byte(name), mode, flags, 0, 0, 1)
	if o := hear(t, l); o.status != wire.OK {
		t.Fatalf("%s: %+v", name, o)
	}
	return l, id
}

// await lets others run until ok.
func await(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok() && !t.Failed(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("nothing goes on")
		}
	}
}

func silent(t *testing.T, what string, l listener) {
	t.Helper()
	select {
	case o := <-l:
		t.Errorf("%s: %+v", what, o)
	default:
	}
}

// TestViewWithoutANode: who waits for a dead node's lock gets it, who holds a lock
// that a dead node was the master of keeps it, and others still wait for it.
func TestViewWithoutANode(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	one, two, three := w.open(1), w.open(2), w.open(3)
	const names = 40
	var waits, kept, wants []listener
	var ids []uint64
	for i := range names {
		name := fmt.Sprint("dead ", i)
		hold(t, three, name, lockspace.EX, lockspace.NewName*uint32(i%2))
		l := make(listener, 10)
		one.Lock(l, []byte(name), lockspace.PR, 0, 0, 0, 2)
		waits = append(waits, l)
		hold(t, three, fmt.Sprint("kept ", i), lockspace.NL, 0) // makes node 3 its master
		l, id := hold(t, one, fmt.Sprint("kept ", i), lockspace.EX, 0)
		kept, ids = append(kept, l), append(ids, id)
	}
	w.crash(3)
	w.view()
	for i := range names {
		if o := hear(t, waits[i]); o.status != wire.OK {
			t.Errorf("name %d of the dead node: %+v", i, o)
		}
		l := make(listener, 10)
		two.Lock(l, []byte(fmt.Sprint("kept ", i)), lockspace.PR, 0, 0, 0, 3)
		wants = append(wants, l)
	}
	hold(t, two, "another", lockspace.EX, 0) // behind all of the above
	for i := range names {
		silent(t, fmt.Sprint("granted against a lock that is held: ", i), wants[i])
		silent(t, fmt.Sprint("lost: ", i), kept[i])
		one.Unlock(kept[i], ids[i], 0, nil, 4)
	}
	for i := range names {
		if o := hear(t, wants[i]); o.status != wire.OK {
			t.Errorf("name %d: %+v", i, o)
		}
	}
}

// TestViewWithANewStart: a node that comes back takes part, and finds what others hold.
func TestViewWithANewStart(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	one := w.open(1)
	var held []uint64
	l := make(listener, 1000)
	for i := range 60 {
		held = append(held, one.Lock(l, []byte(fmt.Sprint(i)), lockspace.EX, lockspace.NewName, 0, 0, 1))
		hear(t, l)
	}
	w.crash(2)
	w.view()
	w.start(2)
	w.view()
	two := w.open(2)
	for i := range held {
		m := make(listener, 10)
		two.Lock(m, []byte(fmt.Sprint(i)), lockspace.EX, lockspace.NoQueue, 0, 0, 1)
		if o := hear(t, m); o.status != wire.WouldBlock {
			t.Fatalf("name %d: %+v", i, o)
		}
		one.Unlock(l, held[i], 0, nil, 2)
		hear(t, l)
		hold(t, two, fmt.Sprint(i), lockspace.EX, 0)
	}
}

// TestViewsUnderLoad changes the view again and again while programs lock; no two hold
// a name at the same time, and everybody goes on.
func TestViewsUnderLoad(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	const names = 30
	var holders [names]atomic.Int32
	var stop atomic.Bool
	var done [2]atomic.Uint64
	var wg sync.WaitGroup
	for c := range 4 {
		s := w.open(uint16(1 + c%2))
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(c)))
			l := make(listener, 10)
			for !stop.Load() {
				i := rng.IntN(names)
				id := s.Lock(l, []byte(fmt.Sprint(i)), lockspace.EX, 0, 0, 0, 1)
				if o := <-l; o.status != wire.OK {
					t.Errorf("lock: %+v", o)
					return
				}
				if n := holders[i].Add(1); n != 1 {
					t.Errorf("%d hold name %d", n, i)
				}
				holders[i].Add(-1)
				s.Unlock(l, id, 0, nil, 2)
				if o := <-l; o.status != wire.Unlocked {
					t.Errorf("unlock: %+v", o)
					return
				}
				done[c%2].Add(1)
			}
		})
	}
	for round := range 6 {
		if w.nodes[3] != nil {
			third := w.open(3)
			for i := range names {
				third.Lock(make(listener, 10), []byte(fmt.Sprint(i)), lockspace.EX, 0, 0, 0, 1) // some are granted, for good
			}
			w.crash(3)
		} else {
			w.start(3)
		}
		w.view()
		want := [2]uint64{done[0].Load() + 200, done[1].Load() + 200}
		for c := range done {
			await(t, func() bool { return done[c].Load() >= want[c] })
		}
		if t.Failed() {
			t.Fatal("round", round)
		}
	}
	stop.Store(true)
	wg.Wait()
}

// TestLeaseEnds: a node whose lease is over loses its locks before it does anything
// else.
func TestLeaseEnds(t *testing.T) {
	w := newWorld(t, 1, 2)
	one := w.open(1)
	l, id := hold(t, one, "held", lockspace.EX, lockspace.NewName)
	w.nodes[1].SetLease(engine.BootTime())
	m := make(listener, 10)
	one.Lock(m, []byte("held"), lockspace.EX, 0, 0, 0, 2)
	if o := hear(t, l); !o.lost || o.id != id {
		t.Errorf("the holder hears %+v", o)
	}
	if o := hear(t, m); o.status != wire.ShuttingDown {
		t.Errorf("the next request ends with %+v", o)
	}
	n := w.nodes[1]
	n.Fence(ErrFenced)
	if _, err := n.Open(t.Context(), "other", w.props); !errors.Is(err, ErrFenced) {
		t.Errorf("open: %v", err)
	}
}

// TestInstallRefuses: a wrong view changes nothing.
func TestInstallRefuses(t *testing.T) {
	w := newWorld(t, 1, 2)
	n := w.nodes[1]
	peers := w.peersOf(n)
	view := func(space string, epoch uint64, members ...lockspace.Member) []SpaceView {
		v, err := lockspace.NewView(epoch, members)
		if err != nil {
			t.Fatal(err)
		}
		return []SpaceView{{space, v}}
	}
	self, other := lockspace.Member{ID: 1, Instance: n.Instance()}, lockspace.Member{ID: 2, Instance: w.nodes[2].Instance()}
	for what, c := range map[string]struct {
		views []SpaceView
		peers []Peer
	}{
		"a member that is none":           {view("space", 2, self, other), nil},
		"a view without the node":         {view("space", 2, other), peers},
		"another start":                   {view("space", 2, self, lockspace.Member{ID: 2, Instance: other.Instance + 1<<16}), peers},
		"a view left out":                 {view("space", 3, self, other), peers},
		"a lockspace that it has not got": {view("other", 2, self, other), peers},
	} {
		if err := n.Install(c.peers, c.views); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := n.Install(peers, view("space", 1, self)); err != nil {
		t.Errorf("an old view: %v", err)
	}
	if e := n.epoch.Load(); e != 1 {
		t.Errorf("epoch %d", e)
	}
}

// TestViewsAtOnce: of a peer that has started anew between two views that are
// installed together, only the new start gets messages.
func TestViewsAtOnce(t *testing.T) {
	w := newWorld(t, 1, 2)
	one := w.open(1)
	old := w.nodes[2].Instance()
	hold(t, w.open(2), "held", lockspace.EX, 0)
	w.crash(2)
	again := w.start(2)
	var views []SpaceView
	for i, members := range [][]lockspace.Member{
		{{ID: 1, Instance: w.nodes[1].Instance()}, {ID: 2, Instance: old}},
		{{ID: 1, Instance: w.nodes[1].Instance()}},
		{{ID: 1, Instance: w.nodes[1].Instance()}, {ID: 2, Instance: again.Instance()}},
	} {
		v, err := lockspace.NewView(w.epoch+uint64(i)+1, members)
		if err != nil {
			t.Fatal(err)
		}
		views = append(views, SpaceView{"space", v})
	}
	if err := w.nodes[1].Install(w.peersOf(w.nodes[1]), views); err != nil {
		t.Fatal(err)
	}
	if err := again.Install(w.peersOf(again), views[2:]); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		hold(t, one, fmt.Sprint("one ", i), lockspace.EX, lockspace.NewName*uint32(i%2))
		hold(t, w.open(2), fmt.Sprint("two ", i), lockspace.EX, lockspace.NewName*uint32(i%2))
	}
	hold(t, one, "held", lockspace.EX, 0)
}

// asked is a provider that notes what it is asked to do.
type asked struct {
	cluster.Provider
	commands chan cluster.Command
}

func (a asked) State() *cluster.State { return nil }

func (a asked) Do(_ context.Context, c cluster.Command) error {
	a.commands <- c
	return nil
}

// TestTokensNearTheirEnd: a new view is asked for while there are tokens left.
func TestTokensNearTheirEnd(t *testing.T) {
	w := newWorld(t, 1)
	n, s := w.nodes[1], w.open(1)
	a := asked{commands: make(chan cluster.Command, 10)}
	n.provider = a
	n.renewTokens()
	if len(a.commands) != 0 {
		t.Fatalf("asked for %+v", <-a.commands)
	}
	for _, r := range s.runners {
		r.wait(func(r *runner) { r.shard.Note((w.epoch+1)<<40 - tokensLow) })
	}
	n.renewTokens()
	if c := <-a.commands; c.Kind != cluster.NewView || c.Space != "space" {
		t.Errorf("asked for %+v", c)
	}
	w.view()
	n.renewTokens()
	if len(a.commands) != 0 {
		t.Errorf("asked again for %+v", <-a.commands)
	}
}
