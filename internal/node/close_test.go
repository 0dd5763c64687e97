package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// polity is a Provider whose state the test changes. It lets its node open what it wants; how Close
// ends, the test says.
type polity struct {
	cluster.Provider
	t        *testing.T
	h        cluster.Handler
	instance uint64
	closes   chan closing

	telling sync.Mutex // in order, one after the other

	mu    sync.Mutex
	state *cluster.State
	views []cluster.SpaceView // not told yet
}

func (p *polity) Open(_ context.Context, space string, config []byte) error {
	p.decide(&cluster.Command{Kind: cluster.Open, Instance: p.instance, Space: space, Config: config})
	p.tell()
	return nil
}

func (p *polity) Do(_ context.Context, c cluster.Command) error {
	q := closing{c.Space, make(chan error)}
	p.closes <- q
	return <-q.answer
}

// closing is a question to leave a lockspace.
type closing struct {
	space  string
	answer chan error
}

func (p *polity) State() *cluster.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.Clone()
}

func (p *polity) decide(c *cluster.Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st, _, _ := p.state.Apply(c); st != cluster.StatusOK {
		p.t.Errorf("%v: %v", c.Kind, st.Err())
	}
	p.views = append(p.views, p.state.Views(p.instance)...)
}

// tell tells the node all that has been decided.
func (p *polity) tell() {
	p.telling.Lock()
	defer p.telling.Unlock()
	p.mu.Lock()
	state, views := p.state.Clone(), p.views
	p.views = nil
	p.mu.Unlock()
	p.h.Agreed(state, views)
}

// other is another member, which does not run.
func (p *polity) other(id uint16, features uint64) (instance uint64) {
	instance = NewInstance(id)
	p.decide(&cluster.Command{Kind: cluster.Join, Instance: instance, Features: features, Addr: "127.0.0.1:1"})
	return instance
}

// newPolity starts a node.
func newPolity(t *testing.T) (*Node, *polity) {
	p := &polity{t: t, closes: make(chan closing, 10)}
	n, err := Start(t.Context(), Config{
		ID: 1, Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), CloseAfter: time.Hour,
		Join: func(instance uint64, h cluster.Handler) (cluster.Provider, error) {
			p.h, p.instance = h, instance
			var err error
			p.state, err = cluster.NewState(1, cluster.Terms{})
			p.decide(&cluster.Command{Kind: cluster.Join, Instance: instance, Features: wire.Features, Addr: "127.0.0.1:1"})
			return p, err
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.links.Close(ended()) })
	p.tell()
	return n, p
}

// hourLater lets a lockspace be unused for an hour.
func (s *Space) hourLater() {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	s.usedAt -= int64(time.Hour)
}

// closingSpace gives a lockspace that a node has asked to leave.
func closingSpace(t *testing.T, n *Node, p *polity) (*Space, closing) {
	t.Helper()
	s, err := n.Open(t.Context(), "space", Props{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.hourLater()
	n.closeUnused(time.Hour)
	return s, <-p.closes
}

// TestCloseUnused: a node asks to leave a lockspace that it has not used for long, until it knows
// that it has; who opens it meanwhile waits.
func TestCloseUnused(t *testing.T) {
	n, p := newPolity(t)
	s, err := n.Open(t.Context(), "space", Props{})
	if err != nil {
		t.Fatal(err)
	}
	l, id := hold(t, s, "name", lockspace.EX, 0)
	s.Unlock(l, id, 0, nil, 2)
	hear(t, l)
	old := p.other(2, wire.Features&^wire.FeatureClose)
	p.tell()
	s.Close()
	unasked := func(why string) {
		t.Helper()
		if n.closeUnused(time.Hour); s.closing != nil {
			t.Fatalf("it is closed %s", why)
		}
	}
	unasked("when it has just been used")
	s.hourLater()
	unasked("with a member that takes old messages for new")
	p.decide(&cluster.Command{Kind: cluster.Leave, Instance: old})
	p.tell()
	n.closeUnused(time.Hour)
	asked := <-p.closes

	if _, err := n.Open(ended(), "space", Props{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("opened while it is being closed: %v", err)
	}
	got := make(chan *Space)
	go func() {
		s, err := n.Open(t.Context(), "space", Props{ValueLen: 8})
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	asked.answer <- errNotKnown // so it asks again
	asked = <-p.closes
	// A member comes and goes in the meantime; its view is told when it has gone.
	guest := p.other(3, wire.Features)
	p.decide(&cluster.Command{Kind: cluster.Open, Instance: guest, Space: "space", Config: Props{}.config()})
	p.decide(&cluster.Command{Kind: cluster.Close, Instance: p.instance, Space: "space"})
	p.decide(&cluster.Command{Kind: cluster.Leave, Instance: guest})
	select {
	case <-got:
		t.Fatal("opened before it was closed")
	default:
	}
	p.tell()
	asked.answer <- nil
	again := <-got
	if why := n.Why(); why != nil {
		t.Fatalf("the node is out: %v", why)
	}
	if again == nil || again == s {
		t.Fatal("the lockspace that was closed")
	}
	if was, is := s.end(), again.lives(); was == 0 || is < was {
		t.Errorf("lives go on at %d, before up to %d", is, was)
	}
	l = make(listener, 1)
	s.Lock(l, []byte("name"), lockspace.EX, 0, 0, 0, 1)
	if o := hear(t, l); o.status != wire.ShuttingDown {
		t.Errorf("a lock in the lockspace that was closed: %+v", o)
	}
	hold(t, again, "name", lockspace.EX, 0)
}

// lives gives the least counter that the shards begin with.
func (s *Space) lives() uint64 {
	lives := ^uint64(0)
	for _, r := range s.runners {
		r.wait(func(r *runner) { lives = min(lives, r.shard.Lives()) })
	}
	return lives
}

// TestCloseBesidePrograms: from before anything is given back nobody uses the lockspace; if it is not
// closed after all, those who wait go on.
func TestCloseBesidePrograms(t *testing.T) {
	n, _ := newPolity(t)
	s, err := n.Open(t.Context(), "space", Props{})
	if err != nil {
		t.Fatal(err)
	}
	if n.beginClose(s, time.Hour) {
		t.Fatal("it is closed while it is used")
	}
	s.Close()
	s.hourLater()
	if !n.beginClose(s, time.Hour) {
		t.Fatal("it is not closed")
	}
	l := make(listener, 1) // of a program that has closed it, but is late
	s.Lock(l, []byte("name"), lockspace.EX, lockspace.NewName, 0, 0, 1)
	if o := hear(t, l); o.status != wire.ShuttingDown {
		t.Errorf("a lock while it is being closed: %+v", o)
	}
	got := make(chan *Space)
	go func() {
		s, err := n.Open(t.Context(), "space", Props{})
		if err != nil {
			t.Error(err)
		}
		got <- s
	}()
	if !s.giveBack() {
		t.Error("something is left")
	}
	n.goOn(s)
	if again := <-got; again != s {
		t.Error("opened anew, though it was not closed")
	}
	hold(t, s, "name", lockspace.EX, 0)
}

// TestOrphanWhileClosing: an orphan that comes last stays, whatever has been given back.
func TestOrphanWhileClosing(t *testing.T) {
	n, _ := newPolity(t)
	s, err := n.Open(t.Context(), "space", Props{})
	if err != nil {
		t.Fatal(err)
	}
	hold(t, s, "name", lockspace.EX, lockspace.Persistent)
	s.Leave(func(Owner) bool { return true })
	s.Close()
	s.hourLater()
	if n.closeUnused(time.Hour); !n.has(s) || s.closing != nil || s.orphans() != 1 {
		t.Errorf("%d orphans are left", s.orphans())
	}
}

func (s *Space) orphans() (n int) {
	for _, r := range s.runners {
		r.wait(func(r *runner) { n += r.shard.Orphans() })
	}
	return n
}

// TestOpenBeforeEnd: a lockspace that is closed is opened anew when its shards have ended, not
// before.
func TestOpenBeforeEnd(t *testing.T) {
	n, p := newPolity(t)
	s, asked := closingSpace(t, n, p)
	r := s.runners[0]
	for !r.enter() { // somebody is inside for long
		runtime.Gosched()
	}
	p.decide(&cluster.Command{Kind: cluster.Close, Instance: p.instance, Space: "space"})
	forgotten := make(chan struct{})
	go func() {
		n.forgetClosed(p.State())
		close(forgotten)
	}()
	await(t, func() bool { return r.inbox.Load() != nil }) // which waits for the shard
	if !n.has(s) {
		t.Error("it can be opened before its shards have ended")
	}
	r.leave(nil)
	<-forgotten
	if n.has(s) {
		t.Error("it stays")
	}
	asked.answer <- nil
}

// TestCloseAgain: when it is not known whether Close was carried out, that is not asked again once the
// node has seen that it was; and a node that is out of a lockspace that it uses does not go on.
func TestCloseAgain(t *testing.T) {
	n, p := newPolity(t)
	s, asked := closingSpace(t, n, p)
	p.decide(&cluster.Command{Kind: cluster.Close, Instance: p.instance, Space: "space"})
	p.tell()
	if _, err := n.Open(t.Context(), "space", Props{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		n.askClose("space", func() bool { return n.has(s) })
		close(ended)
	}()
	<-ended
	asked.answer <- errNotKnown
	p.decide(&cluster.Command{Kind: cluster.Close, Instance: p.instance, Space: "space"})
	p.tell()
	if why := n.Why(); why == nil || !strings.Contains(why.Error(), `"space" was closed on this node`) {
		t.Errorf("out of a lockspace that is used: %v", why)
	}
}

// TestStray: a lockspace that the node is in though it was told that it may not is left, and whoever
// opens it waits for that.
func TestStray(t *testing.T) {
	n, p := newPolity(t)
	stray := &cluster.Command{Kind: cluster.Open, Instance: p.instance, Space: "space", Config: Props{ValueLen: 1}.config()}
	p.decide(stray)
	p.tell()
	asked := <-p.closes
	p.decide(&cluster.Command{Kind: cluster.NewView, Instance: p.instance, Space: "space"})
	p.tell()
	got := make(chan error)
	go func() {
		_, err := n.Open(t.Context(), "space", Props{})
		got <- err
	}()
	p.decide(&cluster.Command{Kind: cluster.Close, Instance: p.instance, Space: "space"})
	select {
	case err := <-got:
		t.Fatalf("opened before it was left: %v", err)
	default:
	}
	p.tell()
	asked.answer <- nil
	if err := <-got; err != nil {
		t.Error(err)
	}
	if len(p.closes) > 0 {
		t.Error("asked twice")
	}
	if why := n.Why(); why != nil {
		t.Errorf("the node is out: %v", why)
	}
}

// TestStrayOfOtherProperties: a lockspace that the node was refused, and is in all the same, is not
// taken for the one of its name that it asks for now.
func TestStrayOfOtherProperties(t *testing.T) {
	n, p, asks := askingPolity(t)
	got := make(chan error)
	go func() {
		_, err := n.Open(t.Context(), "space", Props{ValueLen: 8})
		got <- err
	}()
	q := <-asks
	p.decide(&cluster.Command{Kind: cluster.Open, Instance: p.instance, Space: "space", Config: Props{ValueLen: 1}.config()})
	p.tell()
	if n.Space("space").isOpen() {
		t.Fatal("it is open")
	}
	q.answer <- cluster.ErrConfig
	if err := <-got; !errors.Is(err, ErrMismatch) {
		t.Fatalf("opened with values of 8 bytes, where 1 is agreed: %v", err)
	}
	asked := <-p.closes
	p.decide(&cluster.Command{Kind: cluster.Close, Instance: p.instance, Space: asked.space})
	p.tell()
	asked.answer <- nil
	if why := n.Why(); why != nil {
		t.Errorf("the node is out: %v", why)
	}
}

// TestRefusedWhileViewed: a lockspace of which a view has come stays until that is installed, though the
// cluster has refused it before.
func TestRefusedWhileViewed(t *testing.T) {
	n, p, asks := askingPolity(t)
	got := make(chan error)
	go func() {
		_, err := n.Open(t.Context(), "space", Props{})
		got <- err
	}()
	q := <-asks
	p.decide(&cluster.Command{Kind: cluster.Open, Instance: p.instance, Space: "space", Config: Props{}.config()})
	if !n.awaits(p.State().Space("space")) { // as in follow
		t.Fatal("it is not waited for")
	}
	q.answer <- cluster.ErrLimit
	if err := <-got; !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if n.Space("space") == nil {
		t.Fatal("it has been taken away")
	}
	p.tell()
	if _, err := n.Open(t.Context(), "space", Props{}); err != nil {
		t.Error(err)
	}
	if why := n.Why(); why != nil || len(p.closes) > 0 {
		t.Errorf("the node is out: %v; asked to leave: %t", why, len(p.closes) > 0)
	}
}

// askingPolity is newPolity where the test answers whether the node may open a lockspace.
func askingPolity(t *testing.T) (*Node, *polity, asker) {
	n, p := newPolity(t)
	asks := make(asker, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members = asks
	return n, p, asks
}

// TestRoom: where a node has no room for another lockspace, those that nobody uses make room at once.
func TestRoom(t *testing.T) {
	n, p := newPolity(t)
	const room = 32
	n.maxSpaces = room
	names := func(i int) string { return fmt.Sprint("space ", i) }
	for i := range room {
		s, err := n.Open(t.Context(), names(i), Props{})
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			s.Close()
		}
	}
	go func() {
		for q := range p.closes {
			p.decide(&cluster.Command{Kind: cluster.Close, Instance: p.instance, Space: q.space})
			p.tell()
			q.answer <- nil
		}
	}()
	for i := range room / 2 {
		if _, err := n.Open(t.Context(), names(room+i), Props{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Open(t.Context(), "one more", Props{}); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "32 lockspaces are in use on this node") {
		t.Errorf("the next one: %v", err)
	}
	close(p.closes)
}
