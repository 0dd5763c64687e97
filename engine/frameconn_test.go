package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// framer is a FrameHandler made of functions.
type framer struct {
	onFrame func(c *FrameConn, h *wire.Header, payload []byte) error
	onIdle  func(c *FrameConn)
	onOpen  func(c *FrameConn)
	closed  chan error
}

func newFramer() *framer { return &framer{closed: make(chan error, 100)} }

func (f *framer) OnOpen(c *FrameConn) {
	if f.onOpen != nil {
		f.onOpen(c)
	}
}

func (f *framer) OnFrame(c *FrameConn, h *wire.Header, payload []byte) error {
	if f.onFrame == nil {
		return nil
	}
	return f.onFrame(c, h, payload)
}

func (f *framer) OnIdle(c *FrameConn) {
	if f.onIdle != nil {
		f.onIdle(c)
	}
}

func (f *framer) OnClose(_ *FrameConn, err error) { f.closed <- err }

// clientFrame makes a sealed frame like frameFor.
func clientFrame(number uint64, size int) []byte {
	f := frameFor(number, size)
	wire.SealFrame(f, &wire.Header{Version: 1, Kind: wire.KindClient})
	return f
}

func frameLink(t testing.TB, b bench, server, client FrameHandler) *FrameConn {
	t.Helper()
	if strings.HasPrefix(b.name, "ring/") {
		_, c := ringLink(t, b, server, client)
		return c
	}
	ln, err := ListenFrames(b.t, b.network, b.addr(t), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	c, err := DialFrames(testContext(t), b.t, b.network, ln.Addr(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func receive[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-testContext(t).Done():
		t.Fatal("timed out")
	}
	return v
}

func TestFramesEchoedOnIdle(t *testing.T) {
	eachFrames(t, func(t *testing.T, b bench) {
		server, client := newFramer(), newFramer()
		var collected [][]byte // of the one connection
		server.onFrame = func(_ *FrameConn, h *wire.Header, payload []byte) error {
			f := append(GetBufSize(len(payload)), payload...)
			wire.SealFrame(f, &wire.Header{Version: 1, Kind: wire.KindClient})
			collected = append(collected, f)
			return nil
		}
		server.onIdle = func(c *FrameConn) {
			for _, f := range collected {
				if err := c.Send(f); err != nil {
					t.Error(err)
				}
			}
			collected = nil
		}
		const frames = 1000 // all together below maxReadAhead
		sizes := []int{8, 100, 5000, 70000}
		next, done := uint64(0), make(chan struct{})
		client.onFrame = func(_ *FrameConn, _ *wire.Header, payload []byte) error {
			if got := binary.LittleEndian.Uint64(payload); got != next || len(payload) != sizes[next%4] {
				t.Errorf("answer %d of %d bytes, want %d of %d", got, len(payload), next, sizes[next%4])
			}
			if next++; next == frames {
				close(done)
			}
			return nil
		}
		server.onOpen = func(c *FrameConn) { c.SetMaxQueuedBytes(1 << 30) }
		client.onOpen = server.onOpen
		c := frameLink(t, b, server, client)
		before := c.Stats()
		for i := range uint64(frames) {
			if err := c.Send(clientFrame(i, sizes[i%4])); err != nil {
				t.Fatal(err)
			}
		}
		receive(t, done)
		s := c.Stats() // what is written counts when the writer is back, maybe after the answer
		for ctx := testContext(t); s.Queued > 0 && ctx.Err() == nil; s = c.Stats() {
			runtime.Gosched()
		}
		if s.FramesIn-before.FramesIn != frames || s.BytesIn-before.BytesIn != s.BytesOut-before.BytesOut {
			t.Errorf("stats: %+v", s)
		}
		c.Close()
		if err := receive(t, client.closed); !errors.Is(err, ErrClosed) {
			t.Errorf("closed with %v", err)
		}
		receive(t, server.closed)
	})
}

// TestAnswersDoNotDeadlock lets two ends answer each other. Each first writes,
// on the goroutine that reads, more than all the buffers between them hold.
func TestAnswersDoNotDeadlock(t *testing.T) {
	eachFrames(t, func(t *testing.T, b bench) {
		const window, frames, size = 150, 600, 64 << 10
		var count atomic.Int64
		done := make(chan struct{})
		answer := func(c *FrameConn, _ *wire.Header, payload []byte) error {
			if binary.LittleEndian.Uint64(payload) == 1 {
				for range window {
					if err := c.Send(clientFrame(0, size)); err != nil {
						return err
					}
				}
			}
			switch n := count.Add(1); {
			case n == frames:
				close(done)
			case n < frames:
				return c.Send(clientFrame(0, size))
			}
			return nil
		}
		server, client := newFramer(), newFramer()
		server.onFrame, client.onFrame = answer, answer
		open := make(chan *FrameConn, 2)
		server.onOpen = func(c *FrameConn) { c.SetMaxQueuedBytes(1 << 30); open <- c }
		client.onOpen = server.onOpen
		frameLink(t, b, server, client)
		for range 2 {
			if err := receive(t, open).Send(clientFrame(1, size)); err != nil {
				t.Fatal(err)
			}
		}
		receive(t, done)
	})
}

func TestSlowReaderIsClosed(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		var addr string
		if m, ok := b.t.(*Mem); ok {
			ln, err := m.Listen("", b.addr(t), newRecorder(t))
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			m.Freeze(true)
			defer m.Freeze(false)
			addr = ln.Addr()
		} else { // a socket that nobody reads
			ln, err := net.Listen(b.network, b.addr(t))
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			addr = ln.Addr().String()
			if p, ok := b.t.(plain); ok && p.tls != nil {
				go onlyHandshake(testContext(t), ln, p.tls.server)
			}
		}
		client := newFramer()
		const limit = 256 << 10
		client.onOpen = func(c *FrameConn) { c.SetMaxQueuedBytes(limit) }
		c, err := DialFrames(testContext(t), b.t, b.network, addr, client)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			err = c.Send(clientFrame(0, 32<<10))
			if q := c.Stats().Queued; q > limit {
				t.Fatalf("%d bytes queued, limit %d", q, limit)
			}
		}
		if !errors.Is(err, ErrSlowReader) {
			t.Errorf("Send: %v", err)
		}
		if err := receive(t, client.closed); !errors.Is(err, ErrSlowReader) {
			t.Errorf("closed with %v", err)
		}
		if err := c.Send(clientFrame(0, 8)); !errors.Is(err, ErrSlowReader) {
			t.Errorf("Send after the end: %v", err)
		}
	})
}

func TestCloseSent(t *testing.T) {
	eachFrames(t, func(t *testing.T, b bench) {
		server, client := newFramer(), newFramer()
		var got atomic.Int64
		server.onFrame = func(*FrameConn, *wire.Header, []byte) error { got.Add(1); return nil }
		c := frameLink(t, b, server, client)
		for i := range uint64(60) {
			if err := c.Send(clientFrame(i, 60<<10)); err != nil {
				t.Fatal(err)
			}
		}
		c.CloseSent()
		if err := c.Send(clientFrame(0, 8)); err == nil {
			t.Error("Send after CloseSent")
		}
		if err := receive(t, server.closed); !errors.Is(err, io.EOF) {
			t.Errorf("server closed with %v", err)
		}
		if got.Load() != 60 {
			t.Errorf("%d frames arrived, want 60", got.Load())
		}
	})
}

// badFrames are streams that must end a connection, with the reason.
func badFrames(kind wire.Kind) map[string]struct {
	bytes []byte
	want  error
} {
	frame := func(change func(b []byte)) []byte {
		f := frameFor(1, 100)
		wire.SealFrame(f, &wire.Header{Version: 1, Kind: kind})
		change(f)
		return f
	}
	compressed := frameFor(1, 100)
	wire.SealFrame(compressed, &wire.Header{Version: 1, Kind: kind, Flags: wire.FlagCompressed})
	return map[string]struct {
		bytes []byte
		want  error
	}{
		"garbage":    {bytes.Repeat([]byte("garbage "), 100), wire.ErrMagic},
		"version":    {frame(func(b []byte) { b[4] = 99 }), wire.ErrVersion},
		"oversized":  {frame(func(b []byte) { binary.LittleEndian.PutUint32(b[8:], wire.MaxPayload+1) }), wire.ErrTooLarge},
		"flipped":    {frame(func(b []byte) { b[120] ^= 1 }), wire.ErrChecksum},
		"kind":       {frame(func(b []byte) { b[5] = 77 }), wire.ErrKind},
		"compressed": {compressed, nil}, // ErrCompress or ErrTooLarge, as the bytes happen to read
		"truncated":  {frame(func([]byte) {})[:90], io.EOF},
	}
}

// sendRaw writes bytes on a new connection and closes it behind them.
func sendRaw(t *testing.T, b bench, addr string, bytes []byte) {
	t.Helper()
	c, err := b.t.Dial(testContext(t), b.network, addr, newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	// The other end may have closed already.
	_ = c.Writev([][]byte{bytes})
	c.Close()
}

func TestBadFramesEndTheirConnection(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		server, good := newFramer(), newFramer()
		server.onFrame = func(c *FrameConn, _ *wire.Header, payload []byte) error {
			return c.Send(clientFrame(binary.LittleEndian.Uint64(payload), 8))
		}
		answers := make(chan uint64, 1)
		good.onFrame = func(_ *FrameConn, _ *wire.Header, payload []byte) error {
			answers <- binary.LittleEndian.Uint64(payload)
			return nil
		}
		ln, err := ListenFrames(b.t, b.network, b.addr(t), server)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c, err := DialFrames(testContext(t), b.t, b.network, ln.Addr(), good)
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range badFrames(wire.KindClient) {
			sendRaw(t, b, ln.Addr(), bad.bytes)
			err := receive(t, server.closed)
			switch {
			case name == "truncated" && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)):
			case bad.want == nil && (errors.Is(err, wire.ErrCompress) || errors.Is(err, wire.ErrTooLarge)):
			case bad.want == nil || !errors.Is(err, bad.want):
				t.Errorf("%s: closed with %v, want %v", name, err, bad.want)
			}
			if err := c.Send(clientFrame(7, 8)); err != nil {
				t.Fatalf("after %s the good connection is closed: %v", name, err)
			}
			if got := receive(t, answers); got != 7 {
				t.Errorf("after %s: answer %d", name, got)
			}
		}
		c.Close()
	})
}

// TestGoneIsNotClosed: who writes while the other end goes does not say that this end has
// closed the connection, which would mean that the other one may be there. Many times, as it
// takes a write at the right moment.
func TestGoneIsNotClosed(t *testing.T) {
	wrong := map[string]int{}
	for i := range 300 {
		f := newFramer()
		opened := make(chan *FrameConn, 1)
		f.onOpen = func(c *FrameConn) { opened <- c }
		ln, err := ListenFrames(NewNetpoll(), "unix", filepath.Join(t.TempDir(), "s"), f)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("unix", ln.Addr())
		if err != nil {
			t.Fatal(err)
		}
		fc := <-opened
		some := make(chan struct{})
		go func() {
			for n := 0; fc.Send(clientFrame(1, 100)) == nil; n++ {
				if n == i {
					close(some)
				}
			}
		}()
		go io.Copy(io.Discard, c)
		<-some
		c.Close()
		err = receive(t, f.closed)
		if !errors.Is(err, ErrSlowReader) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			wrong[err.Error()]++
		}
		ln.Close()
	}
	if len(wrong) > 0 {
		t.Errorf("the other end has gone, but it is said: %v", wrong)
	}
}

// TestReasonOfTheEnd: a writer who finds the connection closed is not why it is.
func TestReasonOfTheEnd(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		bad := errors.New("bad frame")
		server, client := newFramer(), newFramer()
		server.onFrame = func(c *FrameConn, _ *wire.Header, _ []byte) error {
			c.wrote(c.c, 1, ErrClosed)
			return bad
		}
		c := frameLink(t, b, server, client)
		if err := c.Send(clientFrame(1, 8)); err != nil {
			t.Fatal(err)
		}
		if err := receive(t, server.closed); !errors.Is(err, bad) {
			t.Errorf("closed with %v, want %v", err, bad)
		}
	})
}
