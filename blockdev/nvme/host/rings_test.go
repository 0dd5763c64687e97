package host

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// mustRead reads through a ring.
func mustRead(t *testing.T, r *blockdev.Ring) {
	t.Helper()
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepRead(0, make([]byte, 512)) }), blockdev.OK)
}

// await takes events until one of this kind comes.
func await(events <-chan Event, kind EventKind) {
	for (<-events).Kind != kind {
	}
}

// A ring that is made right behind the close of one with the same queue ID is there, though the
// controller has not seen the end of the connection yet.
func TestQueueIDAgain(t *testing.T) {
	f := newFake(t)
	f.late = true
	d := openFake(t, f, func(c *Config) { c.Queues = 1 })
	for range 3 {
		r := newRing(t, d, blockdev.RingConfig{})
		mustRead(t, r)
		r.Close()
	}
	cmd := nvme.Command{Opcode: nvme.OpFlush, NSID: 1}
	for range 3 {
		if _, err := d.Command(testContext(t), &cmd, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// A queue ID that another one has is not waited for for ever.
func TestQueueIDTaken(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes busyTime")
	}
	f := newFake(t)
	f.onConnect = func() nvme.Status { return nvme.StatusSequence | nvme.DNR }
	d := openFake(t, f, nil)
	if _, err := d.NewRing(t.Context(), blockdev.RingConfig{}); err == nil {
		t.Fatal("a ring that the controller refuses")
	}
}

// While a ring is made, the controller is lost and made again: one of both connects the ring.
func TestLostWhileConnecting(t *testing.T) {
	f := newFake(t)
	events := make(chan Event, 100)
	var second atomic.Bool
	f.onConnect = func() nvme.Status {
		if !second.Swap(true) {
			f.cutAdmin()
			await(events, Restored)
		}
		return nvme.StatusSuccess
	}
	d := openFake(t, f, func(c *Config) { c.Notify = func(e Event) { events <- e } })
	mustRead(t, newRing(t, d, blockdev.RingConfig{}))
}

// A ring that is closed while the keeper connects it again keeps nobody from the controller.
func TestClosedWhileConnecting(t *testing.T) {
	f := newFake(t)
	events := make(chan Event, 100)
	var ring atomic.Pointer[blockdev.Ring]
	f.onConnect = func() nvme.Status {
		r := ring.Load()
		if r == nil {
			return nvme.StatusSuccess
		}
		r.Close()
		return nvme.StatusSequence | nvme.DNR // a ring that has the ID now was quicker
	}
	d := openFake(t, f, func(c *Config) { c.Notify = func(e Event) { events <- e } })
	ring.Store(newRing(t, d, blockdev.RingConfig{}))
	f.cutAdmin()
	for e := range events {
		if e.Kind == Refused {
			t.Fatal(e.Err)
		}
		if e.Kind == Restored {
			break
		}
	}
}

// A path that gives up while its part of a ring is connected leaves no connection behind.
func TestPathGivesUpWhileConnecting(t *testing.T) {
	f := newFake(t)
	events := make(chan Event, 100)
	f.onConnect = func() nvme.Status {
		f.listener.Close()
		f.cutAdmin()
		await(events, GaveUp)
		return nvme.StatusSuccess
	}
	p, err := OpenPaths(testContext(t), Config{Addr: f.start(), SubNQN: fakeNQN, Retry: -1, Notify: func(e Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if _, err := p.NewRing(testContext(t), blockdev.RingConfig{}); err == nil {
		t.Fatal("a ring without a controller")
	}
	ended := make(chan struct{})
	go func() { f.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("there is a connection that nobody has")
	}
}

// A request of a connection that is over, of which its ring has not heard yet, is not aborted over
// the new one: another command may have its number there.
func TestCancelAfterLoss(t *testing.T) {
	f := newFake(t)
	events := make(chan Event, 100)
	d := openFake(t, f, func(c *Config) { c.Notify = func(e Event) { events <- e } })
	r := newRing(t, d, blockdev.RingConfig{})
	f.mute.Store(true)
	s := r.GetSQE()
	s.PrepWrite(0, make([]byte, 512))
	s.UserData = 7
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	f.mute.Store(false)
	f.cut()
	await(events, Restored)
	r.Cancel(7)
	want(t, reap(t, r), blockdev.StatusCanceled)
	page := make([]byte, 512)
	if err := d.c.LogPage(testContext(t), nvme.LogPage{ID: nvme.LogSMART}, page); err != nil { // behind an Abort, if there was one
		t.Fatal(err)
	}
	if n := f.count(nvme.OpAbort); n != 0 {
		t.Fatal("it was aborted over a connection that does not know it")
	}
}
