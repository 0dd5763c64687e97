package lockify

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/wire"
)

// memNode runs a cluster of one node that serves clients at an address of net.
func memNode(t *testing.T, net *engine.Mem, addr string) *node.Node {
	t.Helper()
	members, err := cluster.Static(1)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), node.Config{
		ID: 1, Clients: []string{"tcp://" + addr + ":1"}, Transport: net, Logger: slog.New(slog.DiscardHandler),
	}, members)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNode(t, n) })
	return n
}

func closeNode(t *testing.T, n *node.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
}

// dialMem connects to addresses of net; sessions hears of each session but the first.
func dialMem(t *testing.T, net *engine.Mem, addrs string, opts ...DialOption) (c *Client, sessions chan *Session) {
	t.Helper()
	sessions = make(chan *Session, 100)
	opts = append(opts, DialOption{via: net}, OnSession(func(s *Session) { sessions <- s }))
	c, err := Dial(testContext(t), addrs, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, sessions
}

func openMem(t *testing.T, c *Client, opts ...SpaceOption) *Lockspace {
	t.Helper()
	s, err := c.Open(testContext(t), "test", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The connection breaks: all is lost at once, then there is a new session, in which
// the lockspace is open, and nothing is locked.
func TestReconnect(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	memNode(t, net, "a")
	other, _ := dialMem(t, net, "tcp://a:1")
	c, sessions := dialMem(t, net, "tcp://a:1")
	s := openMem(t, c)
	e := &env{ctx: ctx}
	first := c.Session()
	held, free := e.must(t, s, "held", EX), e.must(t, s, "free", PR)
	r, err := s.OpenByteRanges(ctx, "bytes")
	expect(t, "OpenByteRanges", err, nil)
	waiting, converts := make(chan error, 1), make(chan error, 1)
	s.LockAsync("held", PR, func(_ *Lock, err error) { waiting <- err })
	blocker := e.must(t, openMem(t, other), "free", PR)
	free.ConvertAsync(EX, func(err error) { converts <- err })

	net.Cut()
	wait(t, ctx, "the loss", held.Lost())
	wait(t, ctx, "the loss", r.Lost())
	wait(t, ctx, "the end", first.Lost())
	expect(t, "Err", first.Err(), ErrSessionLost)
	expect(t, "the request", wait(t, ctx, "its end", waiting), ErrSessionLost)
	expect(t, "the conversion", wait(t, ctx, "its end", converts), ErrSessionLost)
	wait(t, ctx, "the other client's loss", blocker.Lost())

	second := wait(t, ctx, "a session", sessions)
	if second == first || second.ID() == first.ID() || second.Addr() != "tcp://a:1" || second.Err() != nil {
		t.Fatalf("session %d at %s, %v, after %d", second.ID(), second.Addr(), second.Err(), first.ID())
	}
	now, err := c.AwaitSession(ctx)
	if err != nil || now != second || c.Session() != second {
		t.Fatalf("the present session is %v, %v, want %v", now, err, second)
	}
	again := e.must(t, s, "held", EX)
	for _, l := range []*Lock{held, free} {
		expect(t, "Unlock of an old lock", l.Unlock(ctx), ErrLost)
		expect(t, "Convert of an old lock", l.Convert(ctx, NL), ErrLost)
	}
	expect(t, "Lock of old bytes", r.Lock(ctx, 1, WriteRange, 0, 1), ErrSessionLost)
	expect(t, "Close of old bytes", r.Close(ctx), ErrLost)
	if isClosed(again.Lost()) || again.Mode() != EX {
		t.Fatal("the old lock's end is the new one's")
	}
	e.unlock(t, again)
}

// A node that has started anew gives out the same lock ids again. A lock of the old
// session has nothing to do with them, even if its operation was begun before.
func TestReconnectSameIDs(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	n := memNode(t, net, "a")
	c, sessions := dialMem(t, net, "tcp://a:1")
	s := openMem(t, c)
	e := &env{ctx: ctx}
	old := e.must(t, s, "name", EX)
	old.mu.Lock()
	at, id := old.at, old.id
	old.mu.Unlock()
	closeNode(t, n)
	wait(t, ctx, "the loss", old.Lost())
	memNode(t, net, "a")
	wait(t, ctx, "a session", sessions)
	l := e.must(t, s, "name", EX)
	if l.id != id {
		t.Fatalf("the new lock has the id %#x, not %#x: this tests nothing", l.id, id)
	}
	// As an Unlock of the old one that was on its way when the session ended.
	late := &Lock{space: s, id: id, at: at, op: opUnlock}
	late.grant.Pending = true
	at.unlock(late, Option{}, false)
	expect(t, "Barrier", s.Barrier(ctx), nil)
	other, _ := dialMem(t, net, "tcp://a:1")
	_, err := openMem(t, other).TryLock(ctx, "name", PR)
	expect(t, "TryLock", err, ErrWouldBlock)
	e.unlock(t, l)
}

// Without a session: what may wait does, until its context ends; the rest fails.
func TestBetweenSessions(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	n := memNode(t, net, "a")
	c, _ := dialMem(t, net, "tcp://a:1")
	s := openMem(t, c)
	first := c.Session()
	closeNode(t, n)
	wait(t, ctx, "the end", first.Lost())
	ended, cancel := context.WithCancel(ctx)
	short := watched{ended, make(chan struct{}, 10)}
	lock, open := begin(short, s, "name", EX), make(chan error, 1)
	go func() {
		_, err := c.Open(short, "other")
		open <- err
	}()
	failed := make(chan error, 1)
	s.LockAsync("name", EX, func(_ *Lock, err error) { failed <- err })
	expect(t, "LockAsync", wait(t, ctx, "its end", failed), ErrSessionLost)
	expect(t, "Barrier", s.Barrier(ctx), ErrSessionLost)
	wait(t, ctx, "one that waits", short.waits)
	wait(t, ctx, "the other one", short.waits)
	cancel()
	for _, err := range []error{wait(t, ctx, "the end", lock).err, wait(t, ctx, "the end", open)} {
		expect(t, "what waited", err, context.Canceled)
		expect(t, "what waited", err, ErrSessionLost)
	}

	closing := openSecond(t, c, s)
	lock = begin(ctx, closing, "name", EX)
	expect(t, "Close of the lockspace", closing.Close(ctx), nil)
	expect(t, "Lock", wait(t, ctx, "its end", lock).err, ErrClosed)

	lock = begin(ctx, s, "name", EX)
	memNode(t, net, "a")
	got := wait(t, ctx, "the lock", lock)
	expect(t, "Lock", got.err, nil)
	expect(t, "Unlock", got.l.Unlock(ctx), nil)
}

// watched says when somebody waits for the context's end.
type watched struct {
	context.Context
	waits chan struct{}
}

// Done implements context.Context.
func (w watched) Done() <-chan struct{} {
	w.waits <- struct{}{}
	return w.Context.Done()
}

// openSecond gives a second handle of a lockspace that is open without a session.
func openSecond(t *testing.T, c *Client, s *Lockspace) *Lockspace {
	t.Helper()
	r := &remote{c: c}
	r.ls = &Lockspace{name: s.name, props: s.props, be: r, calls: &c.calls}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spaces[r] = struct{}{}
	return r.ls
}

// Addresses are tried in turn. A lockspace that the next node has with other
// properties fails when it is used, the others work; so does what hears of conflicts.
func TestReconnectElsewhere(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	n := memNode(t, net, "a")
	memNode(t, net, "b")
	there, _ := dialMem(t, net, "tcp://nobody:1,tcp://b:1")
	if a := there.Session().Addr(); a != "tcp://b:1" {
		t.Fatalf("dialled %s", a)
	}
	openMem(t, there, ValueSize(64))
	c, sessions := dialMem(t, net, "tcp://a:1,tcp://b:1")
	s := openMem(t, c)
	conflicts := make(chan Conflict, 1)
	fits, err := c.Open(ctx, "fits", OnConflict(func(c Conflict) { conflicts <- c }))
	expect(t, "Open", err, nil)
	closeNode(t, n)
	second := wait(t, ctx, "a session", sessions)
	if second.Addr() != "tcp://b:1" {
		t.Fatalf("the session is at %s", second.Addr())
	}
	_, err = s.Lock(ctx, "name", EX)
	expect(t, "Lock", err, ErrMismatch)
	failed := make(chan error, 1)
	s.LockAsync("name", EX, func(_ *Lock, err error) { failed <- err })
	expect(t, "LockAsync", wait(t, ctx, "its end", failed), ErrMismatch)
	expect(t, "Purge", s.Purge(ctx, 1, 0), ErrMismatch)
	expect(t, "Close", s.Close(ctx), nil)
	l, err := fits.Lock(ctx, "name", EX)
	expect(t, "Lock", err, nil)
	var todo callList
	if err := second.message(wire.SpaceID("fits"), &wire.Msg{Type: wire.ConflictAst, Name: []byte("name"), Num: 7}, &todo); err != nil {
		t.Fatal(err)
	}
	c.calls.add(todo...)
	if got := wait(t, ctx, "the conflict", conflicts); got != (Conflict{fits, "name", 7}) {
		t.Errorf("heard of %v", got)
	}
	expect(t, "Unlock", l.Unlock(ctx), nil)
}

// Close ends the search for a session, also for those who wait for one.
func TestCloseBetweenSessions(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	n := memNode(t, net, "a")
	c, _ := dialMem(t, net, "tcp://a:1")
	s := openMem(t, c)
	closeNode(t, n)
	wait(t, ctx, "the end", c.Session().Lost())
	lock := begin(ctx, s, "name", EX)
	expect(t, "Close", c.Close(), nil)
	expect(t, "Lock", wait(t, ctx, "its end", lock).err, ErrClosed)
	_, err := c.AwaitSession(ctx)
	expect(t, "AwaitSession", err, ErrClosed)
	_, err = c.Open(ctx, "test")
	expect(t, "Open", err, ErrClosed)
	expect(t, "second Close", c.Close(), nil)
}

// A client of one session does not look for another.
func TestOneSession(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	memNode(t, net, "a")
	c, sessions := dialMem(t, net, "tcp://a:1", OneSession())
	s := openMem(t, c)
	first := c.Session()
	net.Cut()
	wait(t, ctx, "the end", first.Lost())
	_, err := s.Lock(ctx, "name", EX)
	expect(t, "Lock", err, ErrSessionLost)
	_, err = c.Open(ctx, "test")
	expect(t, "Open", err, ErrSessionLost)
	_, err = c.AwaitSession(ctx)
	expect(t, "AwaitSession", err, ErrSessionLost)
	if errors.Is(err, ErrClosed) || c.Session() != first || len(sessions) != 0 {
		t.Errorf("%v, session %d after %d, %d callbacks", err, c.Session().ID(), first.ID(), len(sessions))
	}
	expect(t, "Close", c.Close(), nil)
}

// A persistent lock outlives its session, and the next one can take it over.
func TestAdoptInNextSession(t *testing.T) {
	ctx, net := testContext(t), engine.NewMem()
	memNode(t, net, "a")
	c, sessions := dialMem(t, net, "tcp://a:1")
	s := openMem(t, c)
	e := &env{ctx: ctx}
	kept, lost := e.must(t, s, "kept", EX, Persistent()), e.must(t, s, "lost", EX)
	net.Cut()
	wait(t, ctx, "the loss", kept.Lost())
	wait(t, ctx, "the loss", lost.Lost())
	wait(t, ctx, "a session", sessions)
	e.unlock(t, e.must(t, s, "lost", EX)) // so the old session's end has been dealt with
	expect(t, "Unlock of the old lock", kept.Unlock(ctx), ErrLost)
	_, err := s.TryLock(ctx, "kept", PR)
	expect(t, "TryLock", err, ErrWouldBlock)
	l := e.must(t, s, "kept", EX, AdoptOrphan())
	if l.Mode() != EX || isClosed(l.Lost()) {
		t.Errorf("adopted in %s", l.Mode())
	}
	e.unlock(t, l)
	_, err = s.Lock(ctx, "kept", EX, AdoptOrphan())
	expect(t, "AdoptOrphan once more", err, ErrNoOrphan)
}

// Attempts come slower and slower, to a bound, and not all at once.
func TestPause(t *testing.T) {
	seen := map[time.Duration]bool{}
	for n := range 100 {
		d := pause(n)
		most := min(firstPause<<min(n, 20), lastPause)
		if d < most/2 || d > most {
			t.Errorf("pause %d is %v, want %v to %v", n, d, most/2, most)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d different pauses", len(seen))
	}
}
