package lockify

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/wire"
)

// Session is one connection of a Client to a node, and what all its locks belong
// to: when it ends, they are lost. A Client has one after the other. Methods may be
// called by several goroutines at once.
type Session struct {
	c     *Client
	addr  int // which of the client's
	conn  *engine.FrameConn
	gone  chan struct{} // closed when the session has ended and all its locks have heard of it
	wake  chan struct{} // tells the sender that asynchronous requests wait
	opens opened

	mu       sync.Mutex
	err      error // why the session has ended, for those who want something of it
	cause    error // the same without the words around it
	id       uint64
	version  uint8
	hello    chan struct{} // closed when the node has said who it is
	greeted  bool
	unknown  bool   // IDENTITY is to come
	ringless bool   // RING is to come
	traces   bool   // the node makes spans
	node     uint64 // instance of its node; 0: not said
	running  operations
	locks    map[lockKey]*Lock    // granted locks
	ears     map[uint32][]*remote // by lockspace: who hears of conflicts
	out      []byte               // open frame; nil: empty
	space    uint32               // its lockspace
	count    uint16               // its messages
	full     atomic.Bool          // maxRunning operations are running
	gathered bool                 // it leaves when the callbacks that run have ended
	lot      uint16               // or is sent when it has so many
	lease    lease

	todo []call // of the connection's reading goroutine: memory for OnFrame
}

type lockKey struct {
	space uint32
	id    uint64
}

// ID gives the number that the node has given the session: it names the owner of
// its orphans (Lockspace.Purge), and is in the node's log.
func (s *Session) ID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// HostID gives the ID as which a program on the session's node comes to disks by
// NVMe/TCP (host.Config.HostID): what the cluster keeps the node from, should it fence it,
// it keeps from all who came with this ID. It is another one after each start of the
// node, also where that has been fenced and joined anew; so a device that was opened with
// it is to be opened again in the next session. false: the node is of a version that does
// not say.
func (s *Session) HostID() (id [16]byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cluster.HostID(s.node), s.node != 0
}

// Addr gives the address of its node, of those that Dial was given.
func (s *Session) Addr() string { return s.c.addrs[s.addr].text }

// Lost gives a channel that is closed when the session has ended: the connection
// broke, the node went, or Close was called. All its locks are Lost by then.
func (s *Session) Lost() <-chan struct{} { return s.gone }

// Err tells why the session has ended: ErrSessionLost, ErrClosed after
// Client.Close, nil while it lasts.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// connect opens a connection to one of the client's addresses and begins a session.
func (c *Client) connect(ctx context.Context, addr int) (*Session, error) {
	s := &Session{
		c: c, addr: addr, version: wire.HelloVersion,
		gone: make(chan struct{}), wake: make(chan struct{}, 1), hello: make(chan struct{}),
		locks: map[lockKey]*Lock{}, ears: map[uint32][]*remote{}, opens: opened{n: map[string]int{}},
		lot: gatherMost, lease: lease{first: make(chan struct{}), until: noEnd},
	}
	a := &c.addrs[addr]
	conn, err := engine.DialFrames(ctx, c.transport, a.network, a.rest, (*sessionSide)(s)) // which is s.conn by now
	if err != nil {
		return nil, fmt.Errorf("lockify: dial %s: %w", a.text, err)
	}
	go s.sender()
	features := wire.Features
	if !conn.CanOpenRing() {
		features &^= wire.FeatureRing
	}
	s.post(0, &wire.Msg{
		Type: wire.Hello, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax), Features: features, Text: []byte(c.opts.name),
	})
	select {
	case <-s.hello:
		s.beginLease(ctx.Done())
	case <-s.gone:
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		s.end(context.Cause(ctx))
	}
	if err := s.reason(); err != nil {
		return nil, fmt.Errorf("lockify: dial %s: %w", a.text, err)
	}
	return s, nil
}

// reason tells why the session has ended, as its connection has it.
func (s *Session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// end ends the session: all locks are lost, all requests fail, the connection is
// closed, and the client looks for a new one.
func (s *Session) end(cause error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.cause, s.err = cause, s.c.lostError(cause)
	err, conn, requests, locks := s.err, s.conn, s.running.takeAll(), s.locks
	s.locks, s.ears = nil, nil
	if s.out != nil {
		engine.PutBuf(s.out)
		s.out = nil
	}
	if s.lease.timer != nil {
		s.lease.timer.Stop()
	}
	s.mu.Unlock()
	for _, l := range locks {
		l.takenAway(err)
	}
	for _, r := range requests {
		r.fail(err)
	}
	close(s.gone)
	conn.CloseReason(cause)
	s.c.ended(s)
}

// question is a request that is not about a lock.
type question chan answer

type answer struct {
	m   *wire.Msg
	err error
}

// begin sends it.
func (s *Session) begin(space uint32, m *wire.Msg) question {
	q := make(question, 1)
	s.start(space, m, running{done: func(m *wire.Msg, err error) { q <- answer{m, err} }}, false)
	return q
}

// await waits for its answer.
func (q question) await(ctx context.Context) (*wire.Msg, error) {
	select {
	case a := <-q:
		return a.m, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start numbers a request, remembers who waits for its answer, and sends it. Where it
// gives a connection to read, the caller has got the reader's role before anything was
// sent, and has to call Until.
func (s *Session) start(space uint32, m *wire.Msg, r running, later bool) (b begun) {
	if r.lock != nil && !later && s.conn.Watch() {
		b.reads = s.conn
	}
	s.mu.Lock()
	err := s.err
	if err == nil && r.lock != nil && m.Type == wire.LockReq && r.lock.space.closed.Load() {
		err = ErrClosed // Close may have looked before
	}
	if err != nil {
		s.mu.Unlock()
		r.refuse(err)
		return b
	}
	if !s.busy() || !s.lease.sure {
		s.wakeLease(space)
	}
	m.Req = s.running.add(r)
	if s.running.n >= maxRunning && !s.full.Load() {
		s.full.Store(true)
	}
	if r.lock != nil {
		r.lock.number(m)
	}
	if !m.Other.IsZero() && s.traces { // a span, which does not travel in the message itself
		s.append(space, &wire.Msg{Type: wire.TraceReq, Other: m.Other, Num: m.Num, Req: m.Req, Seq: m.Seq})
	}
	s.append(space, m)
	s.sendOrWake(later)
	s.mu.Unlock()
	return b
}

// post sends a message that has no answer of its own.
func (s *Session) post(space uint32, m *wire.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.append(space, m)
		s.sendFrame()
	}
}

// frameTarget is the payload size in bytes at which an open frame is sent.
const frameTarget = 32 << 10

// append puts m into the open frame. mu is held.
func (s *Session) append(space uint32, m *wire.Msg) {
	if s.out != nil && (s.space != space || len(s.out) >= frameTarget) {
		s.sendFrame()
	}
	if s.out == nil {
		s.out, s.space = engine.GetBuf(), space
	}
	s.out = m.Append(s.out)
	s.count++
}

// sendOrWake sends the open frame now, or leaves that to the sender: requests
// that nobody waits for then travel many in a frame. mu is held.
func (s *Session) sendOrWake(later bool) {
	switch {
	case !later, s.gathered && s.count >= s.lot:
		s.sendFrame()
		return
	case s.gathered:
		return
	case s.c.calls.gather(s):
		s.gathered = true
		return
	case s.running.n == 1: // it has no company to wait for
		s.sendFrame()
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// What callbacks have to send does not wait for their end when there are so many messages.
const (
	gatherMost  = 64
	gatherLeast = 8 // in memory, which costs no system call
)

// sendGathered sends what was not sent while callbacks ran.
func (s *Session) sendGathered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gathered = false
	s.sendFrame()
}

// tend reads answers until some have called for callbacks. false: none comes soon.
func (s *Session) tend() bool {
	s.mu.Lock()
	n := s.running.n
	s.mu.Unlock()
	if n == 0 {
		s.conn.Rest()
		return false
	}
	ok := s.conn.Tend(s.c.calls.waiting)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lot = gatherMost
	if ok && s.conn.HasRing() { // the node works on one half while callbacks run for the other one
		s.lot = uint16(min(max(n/2, gatherLeast), gatherMost))
	}
	return ok
}

// sendFrame sends the open frame. mu is held, so that frames keep their order.
func (s *Session) sendFrame() {
	if s.out == nil {
		return
	}
	frame := s.out
	wire.SealFrame(frame, &wire.Header{Version: s.version, Kind: wire.KindClient, Count: s.count, Lockspace: s.space})
	s.out, s.count = nil, 0
	s.conn.Send(frame) // a failure closes the connection, which fails the requests
}

func (s *Session) sender() {
	for {
		select {
		case <-s.wake:
			s.mu.Lock()
			s.sendFrame()
			s.mu.Unlock()
		case <-s.gone:
			return
		}
	}
}
