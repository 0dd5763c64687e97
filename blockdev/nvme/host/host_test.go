package host

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func openFake(t *testing.T, f *fakeTarget, change func(*Config)) *Device {
	t.Helper()
	cfg := Config{Addr: f.start(), SubNQN: fakeNQN}
	if change != nil {
		change(&cfg)
	}
	d, err := Open(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func newRing(t *testing.T, d *Device, cfg blockdev.RingConfig) *blockdev.Ring {
	t.Helper()
	r, err := d.NewRing(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// do does one request.
func do(t *testing.T, r *blockdev.Ring, prep func(*blockdev.SQE)) blockdev.CQE {
	t.Helper()
	prep(r.GetSQE())
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	return reap(t, r)
}

func reap(t *testing.T, r *blockdev.Ring) blockdev.CQE {
	t.Helper()
	if err := r.Wait(testContext(t), 1); err != nil {
		t.Fatal(err)
	}
	c, ok := r.Peek()
	if !ok {
		t.Fatal("Wait has returned, but there is no CQE")
	}
	return c
}

func want(t *testing.T, c blockdev.CQE, st blockdev.Status) {
	t.Helper()
	if c.Status != st {
		t.Fatalf("status %v, want %v", c.Status, st)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func TestReadWrite(t *testing.T) {
	for _, tc := range []struct {
		name    string
		fake    func(*fakeTarget)
		digests bool
	}{
		{"plain", func(f *fakeTarget) {}, false},
		{"success", func(f *fakeTarget) { f.success = true }, false},
		{"digests", func(f *fakeTarget) { f.success = true }, true},
		{"pieces", func(f *fakeTarget) { f.piece, f.maxR2T, f.maxH2C, f.cpda = 1000, 12288, 4096, 31 }, true},
		{"no data in capsules", func(f *fakeTarget) { f.id.IOCCSZ = 4 }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t)
			tc.fake(f)
			d := openFake(t, f, func(c *Config) { c.HeaderDigest, c.DataDigest = tc.digests, tc.digests })
			r := newRing(t, d, blockdev.RingConfig{Depth: 8})
			for _, size := range []int{512, 4096, 65536, 1 << 20} {
				data, got := random(size), make([]byte, size)
				want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWrite(8192, data) }), blockdev.OK)
				want(t, do(t, r, func(s *blockdev.SQE) { s.PrepRead(8192, got) }), blockdev.OK)
				if !bytes.Equal(data, got) {
					t.Fatalf("%d bytes come back changed", size)
				}
				clear(got)
				parts := [][]byte{got[:100], nil, got[100:300], got[300:]}
				want(t, do(t, r, func(s *blockdev.SQE) { s.PrepReadv(8192, parts) }), blockdev.OK)
				if !bytes.Equal(data, got) {
					t.Fatalf("%d bytes come back changed into several buffers", size)
				}
				parts = [][]byte{data[:1], data[1:511], data[511:], nil}
				want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWritev(0, parts) }), blockdev.OK)
				if !bytes.Equal(f.has(0, size), data) {
					t.Fatalf("%d bytes from several buffers arrive changed", size)
				}
			}
		})
	}
}

func TestOtherOperations(t *testing.T) {
	f := newFake(t)
	r := newRing(t, openFake(t, f, nil), blockdev.RingConfig{Depth: 4})
	data := random(4096)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWrite(0, data) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepFlush() }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepCompare(0, data) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepVerify(0, 4<<20) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepDeallocate(512, 512) }), blockdev.OK)
	clear(data[512:1024])
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepCompare(0, data) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWriteZeroes(0, 4<<20) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepCompare(0, data) }), blockdev.StatusCompareFailure)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepCompareWrite(0, make([]byte, 4096), data) }), blockdev.OK)
	if !bytes.Equal(f.has(0, 4096), data) {
		t.Fatal("compare and write has not written")
	}
}

func TestManyAtATime(t *testing.T) {
	f := newFake(t)
	f.success = true
	r := newRing(t, openFake(t, f, nil), blockdev.RingConfig{Depth: 300}) // more than MQES
	bufs := make([][]byte, 300)
	for i := range bufs {
		bufs[i] = random(4096)
		s := r.GetSQE()
		s.PrepWrite(int64(i)*4096, bufs[i])
	}
	r.Submit()
	for range bufs {
		want(t, reap(t, r), blockdev.OK)
	}
	got := make([][]byte, 300)
	for i := range got {
		got[i] = make([]byte, 4096)
		s := r.GetSQE()
		s.PrepRead(int64(i)*4096, got[i])
	}
	r.Submit()
	for range got {
		want(t, reap(t, r), blockdev.OK)
	}
	for i := range got {
		if !bytes.Equal(got[i], bufs[i]) {
			t.Fatalf("block %d has changed", i)
		}
	}
}

// A wrong data digest of a read is nobody's business: it is read again.
func TestDamagedRead(t *testing.T) {
	f := newFake(t)
	r := newRing(t, openFake(t, f, func(c *Config) { c.DataDigest = true }), blockdev.RingConfig{Depth: 4})
	f.mu.Lock()
	copy(f.disk, random(4096))
	f.mu.Unlock()
	got := make([]byte, 4096)
	f.badDigest.Store(2)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepRead(0, got) }), blockdev.OK)
	if !bytes.Equal(got, f.has(0, 4096)) || f.reads.Load() != 3 {
		t.Fatalf("%d reads", f.reads.Load())
	}
	f.badDigest.Store(100)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepRead(0, got) }), blockdev.Status(nvme.StatusTransientTransport))
}

// When the connection breaks, reads are done again; of writes that the target may have
// heard of nobody knows.
func TestReconnect(t *testing.T) {
	f := newFake(t)
	kinds := make(chan EventKind, 100)
	d := openFake(t, f, func(c *Config) { c.Notify = func(e Event) { kinds <- e.Kind } })
	r := newRing(t, d, blockdev.RingConfig{Depth: 8})
	data, got := random(4096), make([]byte, 4096)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWrite(0, data) }), blockdev.OK)
	f.cutAfter.Store(1)
	s := r.GetSQE()
	s.PrepRead(0, got)
	s.UserData = 1
	s = r.GetSQE()
	s.PrepWrite(8192, data)
	s.UserData = 2
	r.Submit()
	for range 2 {
		c := reap(t, r)
		switch {
		case c.UserData == 1 && c.Status != blockdev.OK:
			t.Fatalf("read: %v", c.Status)
		case c.UserData == 2 && c.Status != blockdev.StatusLost:
			t.Fatalf("write: %v", c.Status)
		}
	}
	if !bytes.Equal(got, data) {
		t.Fatal("the read that was done again gives something else")
	}
	if k := <-kinds; k != Lost {
		t.Fatalf("first event: %v", k)
	}
	f.cutAfter.Store(0)
	f.cut()
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepRead(0, got) }), blockdev.OK)
}

func TestGivesUp(t *testing.T) {
	f := newFake(t)
	d := openFake(t, f, func(c *Config) { c.Retry = -1 })
	r := newRing(t, d, blockdev.RingConfig{Depth: 8})
	f.mute.Store(true)
	s := r.GetSQE()
	s.PrepWrite(0, random(512))
	r.Submit()
	f.listener.Close()
	f.cut()
	want(t, reap(t, r), blockdev.StatusLost)
	for {
		c := do(t, r, func(s *blockdev.SQE) { s.PrepWrite(0, random(512)) })
		if c.Status == blockdev.StatusNotReady {
			break
		}
		want(t, c, blockdev.StatusLost) // it was not noticed before
	}
	if _, err := d.NewRing(testContext(t), blockdev.RingConfig{}); !errors.Is(err, ErrGaveUp) {
		t.Fatalf("a ring of a lost controller: %v", err)
	}
}

// A request that is taken back ends at once, and its answer, if it comes, does no harm.
func TestCancel(t *testing.T) {
	f := newFake(t)
	r := newRing(t, openFake(t, f, nil), blockdev.RingConfig{Depth: 2})
	f.mu.Lock() // the target stands still
	s := r.GetSQE()
	s.PrepRead(0, make([]byte, 4096))
	s.UserData = 1
	s = r.GetSQE()
	s.PrepWrite(0, random(65536))
	s.UserData = 1
	r.Submit()
	if n := r.Cancel(1); n != 2 {
		t.Fatalf("%d canceled", n)
	}
	want(t, reap(t, r), blockdev.StatusCanceled)
	want(t, reap(t, r), blockdev.StatusCanceled)
	f.mu.Unlock()
	data, got := random(512), make([]byte, 512)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWrite(1<<20, data) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepRead(1<<20, got) }), blockdev.OK)
	if !bytes.Equal(data, got) {
		t.Fatal("what follows a canceled request is confused")
	}
}

// TestFusedDamaged: of two fused commands the one that came damaged says what has become of a
// request, and not the one that missed it.
func TestFusedDamaged(t *testing.T) {
	f := newFake(t)
	d := openFake(t, f, nil)
	r, err := d.NewRing(t.Context(), blockdev.RingConfig{Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f.damaged.Store(true)
	c := do(t, r, func(s *blockdev.SQE) { s.PrepCompareWrite(0, make([]byte, 4096), make([]byte, 4096)) })
	want(t, c, blockdev.Status(nvme.StatusTransientTransport))
}

// TestAdminContext: who waits for room at the controller's admin queue gives up in time.
func TestAdminContext(t *testing.T) {
	f := newFake(t)
	f.unheard.Store(true)
	d := openFake(t, f, nil)
	page := func(ctx context.Context) error {
		return d.c.LogPage(ctx, nvme.LogPage{ID: nvme.LogError}, make([]byte, 64))
	}
	const room = adminCommands - maxEvents - 2
	ends := make(chan error)
	for range room {
		go func() { ends <- page(context.Background()) }()
	}
	for f.count(nvme.OpGetLogPage) < room {
		runtime.Gosched()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := page(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	d.Close()
	for range room {
		<-ends
	}
}

// TestAborts: the controller gets no more at a time than it says that it does.
func TestAborts(t *testing.T) {
	f := newFake(t)
	f.unheard.Store(true)
	d := openFake(t, f, nil)
	for range 10 {
		d.c.abort(1, 1, 0)
	}
	var cmd nvme.Command
	cmd.SetIdentify(nvme.Identify{CNS: nvme.CNSController})
	if _, err := d.c.Admin(t.Context(), &cmd, make([]byte, nvme.IdentifySize)); err != nil {
		t.Fatal(err)
	}
	if n := f.count(nvme.OpAbort); n != 1 { // ACL is 0
		t.Errorf("%d Aborts", n)
	}
}

// A controller that has fallen silent is dead when a Keep Alive is not answered, and a
// new connection is made.
func TestSilentController(t *testing.T) {
	f := newFake(t)
	kinds := make(chan Event, 100)
	d := openFake(t, f, func(c *Config) { c.KeepAlive, c.Notify = time.Second, func(e Event) { kinds <- e } })
	r := newRing(t, d, blockdev.RingConfig{Depth: 4})
	f.mute.Store(true)
	s := r.GetSQE()
	s.PrepRead(0, make([]byte, 512))
	r.Submit()
	if e := <-kinds; e.Kind != Lost {
		t.Fatalf("%v: %v", e.Kind, e.Err)
	}
	f.mute.Store(false)
	want(t, reap(t, r), blockdev.OK)
}

// A command of its own on an I/O queue ends when the controller is dead, however long its caller
// would wait.
func TestSilentCommand(t *testing.T) {
	f := newFake(t)
	d := openFake(t, f, func(c *Config) { c.KeepAlive = time.Second })
	cmd := nvme.Command{Opcode: hangOp}
	if _, err := d.Command(testContext(t), &cmd, nil); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
}

// Rings of a device are as many as the controller lets this host have; the ID of one
// that is closed is used again.
func TestQueueIDs(t *testing.T) {
	d := openFake(t, newFake(t), func(c *Config) { c.Queues = 2 })
	a, b := newRing(t, d, blockdev.RingConfig{}), newRing(t, d, blockdev.RingConfig{})
	if _, err := d.NewRing(testContext(t), blockdev.RingConfig{}); err == nil {
		t.Fatal("a third ring on two queues")
	}
	a.Close()
	a = newRing(t, d, blockdev.RingConfig{})
	for _, r := range []*blockdev.Ring{a, b} {
		want(t, do(t, r, func(s *blockdev.SQE) { s.PrepRead(0, make([]byte, 512)) }), blockdev.OK)
	}
}

func TestEvent(t *testing.T) {
	f := newFake(t)
	f.events <- nvme.AsyncEvent{Type: nvme.EventNotice, Info: nvme.NoticeNamespace, Log: nvme.LogChangedNS}
	told := make(chan Event, 10)
	d := openFake(t, f, func(c *Config) { c.Notify = func(e Event) { told <- e } })
	if e := <-told; e.Kind != Told || e.Async.Log != nvme.LogChangedNS {
		t.Fatalf("%+v", e)
	}
	page := make([]byte, 512)
	if err := d.Controller().LogPage(testContext(t), nvme.LogPage{ID: nvme.LogSMART}, page); err != nil || page[0] != 77 {
		t.Fatal(err, page[0])
	}
}

func TestConformance(t *testing.T) {
	for name, digests := range map[string]bool{"plain": false, "digests": true} {
		t.Run(name, func(t *testing.T) {
			devtest.Run(t, func(t *testing.T) blockdev.Device {
				f := newFake(t)
				f.success = digests
				return openFake(t, f, func(c *Config) { c.HeaderDigest, c.DataDigest, c.Queues = digests, digests, maxQueues })
			})
		})
	}
}

// An admin command ends when the last of its data has left, though its completion has come before.
func TestHastyCompletion(t *testing.T) {
	d := openFake(t, newFake(t), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	data := make([]byte, 64<<20) // more than is on the way at a time
	for range 3 {
		cmd := nvme.Command{Opcode: hastyOp}
		if _, err := d.Controller().Admin(ctx, &cmd, data); err != nil {
			t.Fatal(err)
		}
	}
}

// A controller that has not asked for the data of a write has not written it, whatever it says.
func TestSuccessWithoutData(t *testing.T) {
	f := newFake(t)
	r := newRing(t, openFake(t, f, nil), blockdev.RingConfig{Depth: 4})
	f.careless.Store(true)
	data := random(8192)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWrite(0, data) }), blockdev.StatusInternal)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepCompare(0, data) }), blockdev.StatusInternal)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWriteZeroes(0, 8192) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepDeallocate(0, 8192) }), blockdev.OK)
}

// onePath makes a ring of a single path.
func onePath(t *testing.T, f *fakeTarget) *blockdev.Ring {
	t.Helper()
	p, err := OpenPaths(testContext(t), Config{Addr: f.start(), SubNQN: fakeNQN})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	r, err := p.NewRing(testContext(t), blockdev.RingConfig{Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// A controller that says what only a host can know of itself is not asked again and again.
func TestHostsWord(t *testing.T) {
	f := newFake(t)
	r := onePath(t, f)
	f.answer.Store(int64(nvme.StatusHostPath))
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWrite(0, make([]byte, 512)) }), blockdev.StatusInternal)
}

// What a single path does not reach is told in words.
func TestSinglePathErrors(t *testing.T) {
	f := newFake(t)
	r := newRing(t, openFake(t, f, nil), blockdev.RingConfig{Depth: 4})
	for _, st := range []nvme.Status{
		nvme.StatusPathInternal, nvme.StatusANALoss, nvme.StatusANAInaccessible, nvme.StatusANATransition, nvme.StatusControllerPath,
	} {
		f.answer.Store(int64(st))
		c := do(t, r, func(s *blockdev.SQE) { s.PrepWrite(0, make([]byte, 512)) })
		if text := c.Status.Error(); strings.Contains(text, "status") {
			t.Errorf("%v is %q", st, text)
		}
	}
}

// A write that ends with an error of the path may have been done, and is not done again. What ANA
// has refused is.
func TestPathErrors(t *testing.T) {
	write := func(s *blockdev.SQE) { s.PrepWrite(0, make([]byte, 512)) }
	for _, st := range []nvme.Status{nvme.StatusPathInternal, nvme.StatusControllerPath, nvme.StatusHostPathAborted} {
		f := newFake(t)
		r := onePath(t, f)
		f.answer.Store(int64(st))
		f.answers.Store(1)
		want(t, do(t, r, write), blockdev.StatusLost)
		if n := f.writes.Load(); n != 0 {
			t.Errorf("%v: done again", st)
		}
	}
	for _, st := range []nvme.Status{nvme.StatusANALoss, nvme.StatusANAInaccessible, nvme.StatusANATransition} {
		f := newFake(t)
		r := onePath(t, f)
		f.answer.Store(int64(st))
		f.answers.Store(1)
		want(t, do(t, r, write), blockdev.OK)
	}
}
