package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/wire"
)

// maxQueuedBytes is how many bytes may wait on a FrameConn for its
// reader, unless SetMaxQueuedBytes says otherwise: some ten thousands of
// completions, more than any client has outstanding.
const maxQueuedBytes = 4 << 20

// ErrSlowReader closes a connection whose other end does not read.
var ErrSlowReader = errors.New("engine: the other end reads too slowly")

// FrameHandler receives what happens on frame connections. For one connection
// calls never overlap: OnOpen, OnFrame and OnIdle, OnClose once. They may Send
// on any connection. They must not wait for other callbacks.
type FrameHandler interface {
	// OnOpen is called first. FrameConn.SetUser belongs here.
	OnOpen(c *FrameConn)

	// OnFrame is called for each frame. h and payload live until it returns.
	// The checksum is right and the payload is decompressed; the messages in
	// it are unchecked. An error closes the connection and reaches OnClose.
	OnFrame(c *FrameConn, h *wire.Header, payload []byte) error

	// OnIdle is called behind one or more OnFrame, when no complete frame is
	// left to deliver right now: the moment to send what was collected.
	OnIdle(c *FrameConn)

	// OnClose is called last. err says why: an error of package wire, that of
	// OnFrame, ErrSlowReader, the argument of CloseReason, ErrClosed after
	// Close, io.EOF or a system error if the other end went.
	OnClose(c *FrameConn, err error)
}

// FrameConn is a connection that carries frames. All methods may be called by
// anybody at any time, but for SetUser, SetMaxQueuedBytes and SetMaxFrame.
type FrameConn struct {
	c     Conn
	ring  atomic.Pointer[ring] // nil: everything goes through c
	h     FrameHandler
	fr    frameReader
	on    func(h *wire.Header, payload []byte) error
	user  any
	limit int // bytes
	count counters

	mu      sync.Mutex
	pending [][]byte // to write, in order
	batch   [][]byte // being written
	sent    [][]byte // batch as it was taken; the pump may change batch
	out     Conn     // where it goes
	then    *ring    // where all behind the first turn frames of pending goes; nil: to out
	turn    int
	queued  int  // bytes in pending and batch
	writing bool // somebody has the role of the writer
	idle    sync.Cond
	why     error // set once; the connection is closed or about to be
	last    bool  // close when all is written
}

// frameSide makes a Handler of a FrameHandler.
type frameSide struct{ h FrameHandler }

func (s frameSide) OnOpen(c Conn) {
	fc := &FrameConn{c: c, out: c, h: s.h, limit: maxQueuedBytes}
	fc.idle.L = &fc.mu
	fc.on = func(h *wire.Header, payload []byte) error { return fc.h.OnFrame(fc, h, payload) }
	c.SetUser(fc)
	s.h.OnOpen(fc)
}

func (s frameSide) OnData(c Conn, r Reader) error {
	fc := c.User().(*FrameConn)
	g := fc.ring.Load()
	if g != nil && g.in.Load() {
		return g.rung(r)
	}
	n, err := fc.fr.read(r, &fc.count, fc.on)
	if n > 0 && err == nil {
		s.h.OnIdle(fc)
	}
	if err == nil && fc.fr.stop {
		fc.fr.stop = false
		g = fc.ring.Load()
		g.in.Store(true) // not before: now others may read
		return g.rung(r)
	}
	return err
}

// takesFiles implements fileWanter.
func (s frameSide) takesFiles() bool {
	t, ok := s.h.(RingTaker)
	return ok && t.TakesRing()
}

// SocketMode implements SocketModer.
func (s frameSide) SocketMode() fs.FileMode {
	if m, ok := s.h.(SocketModer); ok {
		return m.SocketMode()
	}
	return 0
}

func (s frameSide) OnClose(c Conn, err error) {
	fc := c.User().(*FrameConn)
	g := fc.ring.Load()
	if g != nil {
		fc.mu.Lock()
		wanted := fc.why == nil
		fc.mu.Unlock()
		g.close(wanted)
	}
	err = fc.fail(err)
	fc.mu.Lock()
	for fc.writing { // it sees the closed connection very soon
		fc.idle.Wait()
	}
	fc.drop()
	fc.mu.Unlock()
	if g != nil {
		g.unmap()
	}
	s.h.OnClose(fc, err)
}

// MayWait says whether the handler may wait, and so keep the other end waiting: the goroutine
// that calls it is the connection's own.
func (fc *FrameConn) MayWait() bool {
	_, own := fc.c.(ownConn)
	return own
}

// ListenFrames accepts frame connections; see Transport.Listen. Closing the
// listener closes them.
func ListenFrames(t Transport, network, addr string, h FrameHandler) (Listener, error) {
	return t.Listen(network, addr, frameSide{h})
}

// DialFrames opens a frame connection; see Transport.Dial.
func DialFrames(ctx context.Context, t Transport, network, addr string, h FrameHandler) (*FrameConn, error) {
	c, err := t.Dial(ctx, network, addr, frameSide{h})
	if err != nil {
		return nil, err
	}
	return c.User().(*FrameConn), nil
}

// SetUser attaches a value; only inside OnOpen.
func (fc *FrameConn) SetUser(v any) { fc.user = v }

// User gives the attached value.
func (fc *FrameConn) User() any { return fc.user }

// SetMaxQueuedBytes sets how many bytes may wait for the other end to read;
// only inside OnOpen.
func (fc *FrameConn) SetMaxQueuedBytes(bytes int) { fc.limit = bytes }

// SetMaxFrame sets how many bytes the payload of a frame that comes may have, before it is
// decompressed; 0: wire.MaxPayload. Only inside OnOpen and OnFrame. A part of a frame that is not
// complete takes memory.
func (fc *FrameConn) SetMaxFrame(bytes uint32) { fc.fr.most = bytes }

// RemoteAddr names the other end.
func (fc *FrameConn) RemoteAddr() string { return fc.c.RemoteAddr() }

// Send queues a sealed frame (wire.SealFrame) and takes over its buffer. It
// never waits; frames leave in the order of the calls. An error (why the
// connection is closed) says that this frame certainly does not leave; none
// does not say that it arrives.
func (fc *FrameConn) Send(frame []byte) error {
	fc.mu.Lock()
	if fc.why != nil || fc.last {
		err := fc.why
		fc.mu.Unlock()
		PutBuf(frame)
		if err == nil {
			err = ErrClosed
		}
		return err
	}
	if fc.queued+len(frame) > fc.limit {
		err := fmt.Errorf("%w: %d bytes queued, at most %d", ErrSlowReader, fc.queued, fc.limit)
		fc.mu.Unlock()
		PutBuf(frame)
		return fc.fail(err)
	}
	g, ok := fc.out.(*ring)
	if ok = ok && !fc.writing; ok {
		rest, wake, err := g.send(frame)
		if len(rest) == 0 {
			fc.mu.Unlock()
			return g.sent(wake, err)
		}
		frame, ok = rest, wake
	}
	fc.queued += len(frame)
	fc.pending = append(fc.pending, frame)
	mine := !fc.writing
	fc.writing = true
	fc.mu.Unlock()
	if ok {
		_ = g.sent(true, nil) // an error ends the writing, too
	}
	if mine {
		pump(fc, false)
	}
	return nil
}

// take implements source.
func (fc *FrameConn) take() (Conn, [][]byte) {
	fc.mu.Lock()
	defer fc.mu.Unlock()
	if fc.then != nil && fc.turn == 0 {
		fc.turnOut()
	}
	if fc.why != nil || len(fc.pending) == 0 {
		fc.writing = false
		fc.idle.Broadcast()
		if fc.last && fc.why == nil {
			fc.why = ErrClosed
			fc.c.Close()
		}
		return nil, nil
	}
	fc.sent, fc.pending = fc.pending, fc.sent[:0]
	if fc.then != nil {
		fc.pending = append(fc.pending, fc.sent[fc.turn:]...)
		fc.sent, fc.turn = fc.sent[:fc.turn], 0
	}
	fc.batch = append(fc.batch[:0], fc.sent...)
	return fc.out, fc.batch
}

// wrote implements source.
func (fc *FrameConn) wrote(c Conn, calls int, err error) {
	if err != nil && !errors.Is(err, ErrClosed) { // else it ends already, and OnClose says why
		fc.fail(err)
	}
	if _, ok := c.(*ring); ok {
		calls = 0 // it counts its bells
	}
	bytes := 0
	for i, b := range fc.sent {
		bytes += len(b)
		PutBuf(b)
		fc.sent[i] = nil
	}
	clear(fc.batch)
	fc.count.out(len(fc.sent), bytes, calls)
	if cap(fc.sent) > queueKept {
		fc.sent, fc.batch = nil, nil
	}
	fc.mu.Lock()
	fc.queued -= bytes
	fc.mu.Unlock()
}

// drop gives pending buffers back; nobody writes any more.
func (fc *FrameConn) drop() {
	for _, b := range fc.pending {
		fc.queued -= len(b)
		PutBuf(b)
	}
	fc.pending = nil
}

// fail closes the connection and returns the first reason given.
func (fc *FrameConn) fail(err error) error {
	fc.mu.Lock()
	first := fc.why == nil
	if first {
		fc.why = err
	}
	err = fc.why
	fc.mu.Unlock()
	if first {
		fc.c.Close()
	}
	return err
}

// Close ends the connection now; frames that wait are dropped.
func (fc *FrameConn) Close() { fc.fail(ErrClosed) }

// CloseReason is Close with a reason for this end's OnClose.
func (fc *FrameConn) CloseReason(err error) { fc.fail(err) }

// CloseSent ends the connection as soon as all that was sent is written, at
// most writeTimeout later. No more can be sent.
func (fc *FrameConn) CloseSent() {
	fc.mu.Lock()
	fc.last = true
	mine := !fc.writing
	fc.writing = true
	fc.mu.Unlock()
	if mine {
		pump(fc, false)
	}
}

// Stats counts since the connection was opened.
func (fc *FrameConn) Stats() FrameStats {
	s := fc.count.stats()
	fc.mu.Lock()
	s.Queued = fc.queued
	fc.mu.Unlock()
	return s
}
