package lockify

import (
	"context"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/engine"
)

// guardWorld is a client with a lock, and a disk whose requests may be held.
type guardWorld struct {
	t     *testing.T
	ctx   context.Context
	clock lateClock
	space *Lockspace
	lock  *Lock
	disk  *blockdev.Fault
	ring  *blockdev.Ring
}

// newGuardWorld gives a lock in EX whose node has a lease of an hour.
func newGuardWorld(t *testing.T, opts ...Option) *guardWorld {
	t.Helper()
	w := &guardWorld{t: t, ctx: testContext(t)}
	net := engine.NewMem()
	memNode(t, net, "a").SetLease(engine.BootTime() + int64(time.Hour))
	c, _ := dialMem(t, net, "tcp://a:1", w.clock.option())
	w.space = openMem(t, c)
	var err error
	w.lock, err = w.space.Lock(w.ctx, "disk", EX, opts...)
	expect(t, "Lock", err, nil)
	m, err := blockdev.NewMemory(1<<20, 512)
	expect(t, "NewMemory", err, nil)
	w.disk, err = blockdev.NewFault(w.ctx, m, 1, false)
	expect(t, "NewFault", err, nil)
	w.ring, err = w.disk.NewRing(w.ctx, blockdev.RingConfig{Depth: 8})
	expect(t, "NewRing", err, nil)
	t.Cleanup(func() { w.ring.Close(); w.disk.Close() })
	return w
}

// start submits a request.
func (w *guardWorld) start(g *Guarded, op blockdev.Op) {
	w.t.Helper()
	s := g.GetSQE()
	s.Op, s.Buf = op, make([]byte, 512)
	if _, err := w.ring.Submit(); err != nil {
		w.t.Fatal(err)
	}
}

// end waits for the end of a request.
func (w *guardWorld) end(want blockdev.Status) {
	w.t.Helper()
	expect(w.t, "Wait", w.ring.Wait(w.ctx, 1), nil)
	if c, ok := w.ring.Peek(); !ok || c.Status != want {
		w.t.Fatalf("a request ends with %v, not %v", c.Status, want)
	}
}

func (w *guardWorld) do(g *Guarded, op blockdev.Op, want blockdev.Status) {
	w.t.Helper()
	w.start(g, op)
	w.end(want)
}

// TestGuardModes: what a holder may do to the disk in which mode, and that each
// conversion needs another guard.
func TestGuardModes(t *testing.T) {
	w := newGuardWorld(t)
	const ok, no = blockdev.OK, blockdev.StatusGuarded
	for _, tc := range []struct {
		mode        Mode
		read, write blockdev.Status
	}{{EX, ok, ok}, {PW, ok, ok}, {CW, ok, ok}, {PR, ok, no}, {CR, ok, no}, {NL, no, no}, {EX, ok, ok}} {
		before := Guard(w.lock, w.ring)
		token := w.lock.Token()
		if tc.mode != w.lock.Mode() {
			expect(t, "Convert", w.lock.Convert(w.ctx, tc.mode), nil)
		}
		g := Guard(w.lock, w.ring)
		if w.lock.Token() != token {
			w.do(before, blockdev.Read, no)
			expect(t, "the guard of before", before.Err(), ErrStale)
		} else if g != before {
			t.Error("another guard for the same token")
		}
		w.do(g, blockdev.Read, tc.read)
		w.do(g, blockdev.Write, tc.write)
	}
	g := Guard(w.lock, w.ring)
	expect(t, "Unlock", w.lock.Unlock(w.ctx), nil)
	w.do(g, blockdev.Read, no)
	expect(t, "the guard", g.Err(), ErrNotHeld)
	again, err := w.space.Lock(w.ctx, "disk", EX)
	expect(t, "Lock", err, nil)
	w.do(g, blockdev.Read, no)
	w.do(Guard(again, w.ring), blockdev.Write, ok)
}

// TestGuardUnderWay: a lock is not given up while its requests are under way.
func TestGuardUnderWay(t *testing.T) {
	w := newGuardWorld(t)
	g := Guard(w.lock, w.ring)
	w.disk.Set(blockdev.Rule{Hold: true})
	w.start(g, blockdev.Write)
	expect(t, "Unlock", w.lock.Unlock(w.ctx), ErrBusy)
	expect(t, "Convert", w.lock.Convert(w.ctx, NL), ErrBusy)
	w.disk.Release()
	w.end(blockdev.OK)
	expect(t, "Unlock", w.lock.Unlock(w.ctx), nil)
}

// TestGuardLost: when the lock is lost a waiting program gets its requests back, those
// that have not started never do, and other locks' go on.
func TestGuardLost(t *testing.T) {
	w := newGuardWorld(t)
	other := newGuardWorld(t)
	g := Guard(w.lock, w.ring)
	w.disk.Set(blockdev.Rule{Hold: true})
	for i, flags := range []blockdev.Flags{blockdev.Link, 0, 0, blockdev.Drain} {
		s := g.GetSQE()
		if i == 2 {
			s.Gate = (*gate)(Guard(other.lock, w.ring))
		}
		s.PrepWrite(0, make([]byte, 512))
		s.Flags, s.UserData = flags, uint64(i)
	}
	_, err := w.ring.Submit()
	expect(t, "Submit", err, nil)
	s := w.lock.at.(*seat).s
	go s.end(errLease)
	expect(t, "Wait", w.ring.Wait(w.ctx, 3), nil)
	want := map[uint64]blockdev.Status{0: blockdev.StatusCanceled, 1: blockdev.StatusGuarded, 3: blockdev.StatusGuarded}
	for range 3 {
		c, _ := w.ring.Peek()
		if st, ok := want[c.UserData]; !ok || st != c.Status {
			t.Errorf("request %d: %v", c.UserData, c.Status)
		}
		delete(want, c.UserData)
	}
	expect(t, "the guard", g.Err(), ErrLost)
	w.disk.Release()
	w.end(blockdev.OK) // of the other lock
	if n := w.lock.guarded.Load() + other.lock.guarded.Load(); n != 0 {
		t.Errorf("%d requests are said to be under way", n)
	}
}

// TestGuardClock: no request starts whose lease may have ended before it is at the disk,
// though nobody has said that it has.
func TestGuardClock(t *testing.T) {
	w := newGuardWorld(t)
	g := Guard(w.lock, w.ring)
	g.Margin = 10 * time.Minute
	sure := time.Hour - 2*time.Hour/leaseDrift // what the client believes of an hour
	w.clock.by.Store(int64(sure - 11*time.Minute))
	w.do(g, blockdev.Write, blockdev.OK)
	w.clock.by.Store(int64(sure - 9*time.Minute))
	w.do(g, blockdev.Write, blockdev.StatusGuarded)
	expect(t, "the guard", g.Err(), ErrLost)
	if !w.lock.Valid() {
		t.Fatal("the lock itself is lost before its time")
	}
	w.clock.by.Store(int64(time.Hour))
	g.Margin = 0
	w.do(g, blockdev.Write, blockdev.StatusGuarded)
	if w.lock.Valid() {
		t.Fatal("the lock outlives its lease")
	}
}

// TestGuardAllocs: a guard costs no memory for each request.
func TestGuardAllocs(t *testing.T) {
	w := newGuardWorld(t)
	m, err := blockdev.NewMemory(1<<20, 512)
	expect(t, "NewMemory", err, nil)
	ring, err := m.NewRing(w.ctx, blockdev.RingConfig{Depth: 1})
	expect(t, "NewRing", err, nil)
	defer ring.Close()
	g, buf := Guard(w.lock, ring), make([]byte, 512)
	if n := testing.AllocsPerRun(200, func() {
		g.GetSQE().PrepWrite(0, buf)
		ring.Submit()
		if c, ok := ring.Peek(); !ok || c.Status != blockdev.OK {
			t.Error(c.Status)
		}
	}); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// TestGuardsOfClosedRings: a lock keeps nothing of rings that are closed, and does not call the program
// for them when it ends.
func TestGuardsOfClosedRings(t *testing.T) {
	w := newGuardWorld(t)
	notified := make(chan struct{}, 100)
	for range 10 {
		r, err := w.disk.NewRing(w.ctx, blockdev.RingConfig{Notify: func() { notified <- struct{}{} }})
		expect(t, "NewRing", err, nil)
		Guard(w.lock, r)
		expect(t, "Close", r.Close(), nil)
	}
	g := Guard(w.lock, w.ring)
	if n := len(w.lock.guards); n != 1 || w.lock.guards[0] != g {
		t.Errorf("%d guards are kept", n)
	}
	r, err := w.disk.NewRing(w.ctx, blockdev.RingConfig{Notify: func() { notified <- struct{}{} }})
	expect(t, "NewRing", err, nil)
	Guard(w.lock, r)
	expect(t, "Close", r.Close(), nil)
	r.Recheck() // as at the lock's end
	if len(notified) > 0 {
		t.Error("a closed ring notifies")
	}
}
