package engine

import (
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/engine/shm"
	"github.com/lockify-dlm/lockify/wire"
	"golang.org/x/sys/unix"
)

// eachFrames runs f over every transport, and over rings of clients of the two that
// have Unix sockets.
func eachFrames(t *testing.T, f func(t *testing.T, b bench)) {
	each(t, f)
	for _, b := range ringBenches() {
		if raceEnabled && b.t.Name() == "netpoll" {
			continue
		}
		t.Run(b.name, func(t *testing.T) { f(t, b) })
	}
}

func ringBenches() []bench {
	addr := func(t testing.TB) string { return filepath.Join(t.TempDir(), "s") }
	return []bench{{"ring/plain", "unix", NewPlain(), addr, false}, {"ring/netpoll", "unix", NewNetpoll(), addr, false}}
}

// ringed is an end that turns to a ring before its handler hears of any frame.
type ringed struct {
	FrameHandler
	node   bool
	ringed chan *FrameConn // both directions are in the ring
	turns  int
}

func newRinged(h FrameHandler, node bool) *ringed {
	return &ringed{FrameHandler: h, node: node, ringed: make(chan *FrameConn, 1)}
}

func turnFrame() []byte {
	f := frameFor(0, 8)
	wire.SealFrame(f, &wire.Header{Version: 1, Kind: wire.KindLink})
	return f
}

func (r *ringed) TakesRing() bool { return !r.node }

func (r *ringed) OnOpen(c *FrameConn) {
	r.FrameHandler.OnOpen(c)
	if r.node && c.OfferRing() {
		c.Send(turnFrame())
	}
}

func (r *ringed) OnIdle(c *FrameConn) {
	if r.turns == 0 {
		r.FrameHandler.OnIdle(c)
	}
}

func (r *ringed) OnFrame(c *FrameConn, h *wire.Header, payload []byte) error {
	if h.Kind != wire.KindLink {
		r.turns = 0
		return r.FrameHandler.OnFrame(c, h, payload)
	}
	r.turns++
	if !r.node && r.turns == 1 {
		if err := openRing(c); err != nil {
			return err
		}
		c.Send(turnFrame())
		c.RingOut()
		return nil
	}
	c.RingIn()
	if r.node {
		c.Send(turnFrame())
		c.RingOut()
	}
	r.ringed <- c
	return nil
}

// openRing is OpenRing for tests that write into the memory by themselves, for as long
// as they like: the user value is the memory.
func openRing(c *FrameConn) error {
	file := c.c.(fileTaker).takeFile()
	if file == nil {
		return errNoRing
	}
	defer file.Close()
	end, err := shm.Open(file, RingSize)
	if err != nil {
		return err
	}
	c.ring.Store(newRing(c, end, false))
	mem, err := unix.Mmap(int(file.Fd()), 0, shm.Bytes(RingSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	c.SetUser(mem)
	return err
}

// ringLink gives both ends of a connection that has turned to a ring.
func ringLink(t testing.TB, b bench, server, client FrameHandler) (node, near *FrameConn) {
	t.Helper()
	n, c := newRinged(server, true), newRinged(client, false)
	ln, err := ListenFrames(b.t, b.network, b.addr(t), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	near, err = DialFrames(testContext(t), NewPlain(), b.network, ln.Addr(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(near.Close)
	node = receive(t, n.ringed)
	receive(t, c.ringed)
	return node, near
}

func eachRing(t *testing.T, f func(t *testing.T, b bench)) {
	for _, b := range ringBenches() {
		t.Run(b.name, func(t *testing.T) {
			if raceEnabled && b.t.Name() == "netpoll" {
				t.Skip("netpoll runs other code under the race detector")
			}
			f(t, b)
		})
	}
}

// echo gives a handler that sends back what it gets.
func echo() *framer {
	f := newFramer()
	f.onFrame = func(c *FrameConn, _ *wire.Header, payload []byte) error {
		out := append(GetBufSize(len(payload)), payload...)
		wire.SealFrame(out, &wire.Header{Version: 1, Kind: wire.KindClient})
		return c.Send(out)
	}
	return f
}

// asker passes on the numbers of the answers it gets.
func asker() (f *framer, answers chan uint64) {
	f, answers = newFramer(), make(chan uint64, 1)
	f.onFrame = func(_ *FrameConn, _ *wire.Header, payload []byte) error {
		answers <- binary.LittleEndian.Uint64(payload)
		return nil
	}
	return f, answers
}

// ask sends a frame and reads the answer, if it may, on its own goroutine.
func ask(t testing.TB, c *FrameConn, answers chan uint64, number uint64, size int, watch bool) {
	watch = watch && c.Watch()
	if err := c.Send(clientFrame(number, size)); err != nil {
		t.Fatal(err)
	}
	if watch {
		c.Until(func() bool { return len(answers) > 0 })
	}
	if got := <-answers; got != number {
		t.Fatalf("answer %d to %d", got, number)
	}
}

// TestWatchedAnswers asks one thing after the other, and reads the answers on the
// asking goroutine, or does not, so that both ends fall asleep now and then.
func TestWatchedAnswers(t *testing.T) {
	eachRing(t, func(t *testing.T, b bench) {
		client, answers := asker()
		_, c := ringLink(t, b, echo(), client)
		for i := range uint64(3000) {
			ask(t, c, answers, i, 8+int(i%500), i%3 != 0)
		}
	})
}

// TestRingAllocs: neither end allocates for a frame.
func TestRingAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	client, answers := asker()
	_, c := ringLink(t, ringBenches()[0], echo(), client)
	next := uint64(0)
	allocs := testing.AllocsPerRun(2000, func() {
		next++
		ask(t, c, answers, next, 100, true)
	})
	if allocs >= 1 {
		t.Errorf("%v allocations per frame and answer", allocs)
	}
}

// What the other end has written before it went is handled, and then its end.
func TestLastWordsInRing(t *testing.T) {
	eachRing(t, func(t *testing.T, b bench) {
		server, client := newFramer(), newFramer()
		var got atomic.Int64
		server.onFrame = func(*FrameConn, *wire.Header, []byte) error { got.Add(1); return nil }
		_, c := ringLink(t, b, server, client)
		for i := range uint64(100) {
			if err := c.Send(clientFrame(i, 8)); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		if err := receive(t, server.closed); !errors.Is(err, io.EOF) {
			t.Errorf("closed with %v", err)
		}
		if got.Load() != 100 {
			t.Errorf("%d frames arrived, want 100", got.Load())
		}
		receive(t, client.closed)
		if c.Watch() {
			t.Error("a closed connection may be watched")
		}
		c.ring.Load().serve() // a spinner that is late; it must not look at what is mapped no more
	})
}

func TestSlowRingReaderIsClosed(t *testing.T) {
	eachRing(t, func(t *testing.T, b bench) {
		server := newFramer()
		hold := make(chan struct{})
		server.onFrame = func(*FrameConn, *wire.Header, []byte) error { <-hold; return nil }
		client := newFramer()
		const limit = 256 << 10
		client.onOpen = func(c *FrameConn) { c.SetMaxQueuedBytes(limit) }
		_, c := ringLink(t, b, server, client)
		var err error
		for err == nil {
			err = c.Send(clientFrame(0, 32<<10))
		}
		if !errors.Is(err, ErrSlowReader) {
			t.Errorf("Send: %v", err)
		}
		if err := receive(t, client.closed); !errors.Is(err, ErrSlowReader) {
			t.Errorf("closed with %v", err)
		}
		close(hold)
		receive(t, server.closed)
	})
}

// spoil writes nonsense over both lines.
func spoil(c *FrameConn) {
	mem := c.User().([]byte)
	for i := range 256 {
		mem[i] = 0xff
	}
}

// TestHostileRing: nonsense in the memory, or on the socket, ends the connection that
// it comes from at most. Others, and the node, go on.
func TestHostileRing(t *testing.T) {
	bad := badFrames(wire.KindClient)
	raw := func(c *FrameConn, b []byte) {
		g := c.ring.Load()
		g.TryWritev([][]byte{b})
		g.ring()
	}
	cases := map[string]struct {
		do   func(c *FrameConn)
		want error
	}{
		"garbage":   {func(c *FrameConn) { raw(c, bad["garbage"].bytes) }, wire.ErrMagic},
		"oversized": {func(c *FrameConn) { raw(c, bad["oversized"].bytes) }, wire.ErrTooLarge},
		"flipped":   {func(c *FrameConn) { raw(c, bad["flipped"].bytes) }, wire.ErrChecksum},
		"end too far": {func(c *FrameConn) {
			spoil(c)
			c.ring.Load().ring()
		}, shm.ErrCorrupt},
		"all of it, again and again": {func(c *FrameConn) {
			for range 1000 {
				spoil(c)
				c.ring.Load().ring()
			}
		}, shm.ErrCorrupt},
	}
	eachRing(t, func(t *testing.T, b bench) {
		server := echo()
		_, good := ringLink(t, b, newFramer(), newFramer())
		for name, hostile := range cases {
			_, c := ringLink(t, b, server, newFramer())
			hostile.do(c)
			if err := receive(t, server.closed); !errors.Is(err, hostile.want) {
				t.Errorf("%s: closed with %v, want %v", name, err, hostile.want)
			}
			if err := good.Send(clientFrame(7, 8)); err != nil {
				t.Fatalf("after %s the good connection is closed: %v", name, err)
			}
		}
	})
}

// TestManyBells: bells without need cost the node no more than bytes on a socket do.
func TestManyBells(t *testing.T) {
	eachRing(t, func(t *testing.T, b bench) {
		client, answers := asker()
		node, c := ringLink(t, b, echo(), client)
		g := c.ring.Load()
		for range 1000 {
			if _, err := g.Conn.TryWritev([][]byte{make([]byte, 1000)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Send(clientFrame(1, 8)); err != nil {
			t.Fatal(err)
		}
		receive(t, answers)
		if s := node.Stats(); s.FramesIn != 2 {
			t.Errorf("%d frames came out of bells", s.FramesIn-2)
		}
	})
}

// A file that is passed on a connection is closed by the time that has ended, whether
// anybody took it or not.
func TestPassedFilesAreClosed(t *testing.T) {
	eachRing(t, func(t *testing.T, b bench) {
		before := openFiles(t)
		for range 3 {
			server := newFramer()
			ln, err := ListenFrames(b.t, b.network, b.addr(t), newRinged(server, true))
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan struct{}, 1)
			client := newFramer()
			client.onFrame = func(*FrameConn, *wire.Header, []byte) error { got <- struct{}{}; return nil }
			c, err := DialFrames(testContext(t), NewPlain(), b.network, ln.Addr(), wantsRing{client})
			if err != nil {
				t.Fatal(err)
			}
			receive(t, got)
			c.Close()
			receive(t, client.closed)
			receive(t, server.closed)
			ln.Close()
		}
		for ctx := testContext(t); openFiles(t) > before; runtime.Gosched() {
			if ctx.Err() != nil {
				t.Fatalf("%d files open, %d before", openFiles(t), before)
			}
		}
	})
}

// wantsRing asks for a ring and does not take it.
type wantsRing struct{ *framer }

func (wantsRing) TakesRing() bool { return true }

// openFiles counts memory files, which only rings have.
func openFiles(t *testing.T) (n int) {
	t.Helper()
	for fd := range 200 {
		var st syscall.Stat_t
		if syscall.Fstat(fd, &st) == nil && st.Size == int64(shm.Bytes(RingSize)) {
			n++
		}
	}
	return n
}

// BenchmarkRing compares a frame and its answer through a ring and through the socket.
func BenchmarkRing(b *testing.B) {
	for _, on := range []bench{benches()[1], ringBenches()[0]} {
		b.Run(on.name, func(b *testing.B) {
			client, answers := asker()
			c := frameLink(b, on, echo(), client)
			next := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				next++
				ask(b, c, answers, next, 40, true)
			}
		})
	}
}
