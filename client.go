package lockify

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Client is a connection to a node, and the session that all its locks belong
// to: when it ends, they are released.
type Client struct {
	conn   *engine.FrameConn
	calls  calls
	owners owners
	gone   chan struct{} // closed when the session has ended
	wake   chan struct{} // tells the sender that asynchronous requests wait

	mu      sync.Mutex
	err     error // why the session has ended
	version uint8
	hello   chan error
	nextReq uint64
	running map[uint64]running      // operations by request number
	locks   map[lockKey]*Lock       // granted locks
	ears    map[uint32][]*Lockspace // by lockspace: those with OnConflict
	out     []byte                  // open frame; nil: empty
	space   uint32                  // its lockspace
	count   uint16                  // its messages
}

type lockKey struct {
	space uint32
	id    uint64
}

// running is an operation that the node has not answered.
type running struct {
	lock *Lock
	done func(*wire.Msg, error) // instead of lock: open, close, barrier
}

// DialOption changes how Dial connects.
type DialOption struct {
	transport string
	name      string
}

// WithTransport chooses the transport: "plain" (default, best for a few
// connections) or "netpoll".
func WithTransport(name string) DialOption { return DialOption{transport: name} }

// WithName says what the client is called in the node's log; default is the
// program's name.
func WithName(name string) DialOption { return DialOption{name: name} }

// Dial connects to a node: "unix:///path" or "tcp://host:port". Errors:
// ErrInvalid, ErrVersion, ErrLimit, ErrClosed, and those of the network.
func Dial(ctx context.Context, addr string, opts ...DialOption) (*Client, error) {
	network, rest, ok := strings.Cut(addr, "://")
	if !ok || (network != "unix" && network != "tcp") || rest == "" {
		return nil, fmt.Errorf("%w: address %q, want unix:///path or tcp://host:port", ErrInvalid, addr)
	}
	o := DialOption{transport: "plain", name: programName()}
	for _, x := range opts {
		o.transport, o.name = orString(x.transport, o.transport), orString(x.name, o.name)
	}
	if len(o.name) > wire.MaxText {
		return nil, fmt.Errorf("%w: client name of %d bytes, at most %d", ErrInvalid, len(o.name), wire.MaxText)
	}
	t, err := node.NewTransport(o.transport)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c := &Client{
		gone: make(chan struct{}), wake: make(chan struct{}, 1), hello: make(chan error, 1),
		running: map[uint64]running{}, locks: map[lockKey]*Lock{}, version: wire.HelloVersion,
	}
	conn, err := engine.DialFrames(ctx, t, network, rest, (*clientSide)(c))
	if err != nil {
		return nil, fmt.Errorf("lockify: dial %s: %w", addr, err)
	}
	c.conn = conn
	go c.sender()
	c.post(0, &wire.Msg{
		Type: wire.Hello, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax), Features: wire.Features, Text: []byte(o.name),
	}, false)
	select {
	case err = <-c.hello:
	case <-c.gone:
		err = c.reason()
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("lockify: dial %s: %w", addr, err)
	}
	return c, nil
}

func orString(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

// Open opens a lockspace, 1 to 64 bytes, and makes it if nobody has. Errors:
// ErrInvalid, ErrMismatch, ErrLimit, ErrClosed.
func (c *Client) Open(ctx context.Context, name string, opts ...SpaceOption) (*Lockspace, error) {
	props, err := spaceArgs(name, opts)
	if err != nil {
		return nil, err
	}
	m, err := c.ask(ctx, 0, &wire.Msg{
		Type: wire.OpenSpace, Flags: uint32(props.Range), Num: uint32(props.ValueLen), Text: []byte(name),
	})
	if err != nil {
		return nil, err
	}
	if err := statusError(m.Status, string(m.Text)); err != nil {
		return nil, err
	}
	s := &Lockspace{name: name, props: props, be: &remote{c: c, space: m.Num}, calls: &c.calls}
	if s.conflict = conflictOption(opts); s.conflict != nil {
		space := m.Num
		c.listen(space, s)
		s.deaf = func() { c.deaf(space, s) }
	}
	return s, nil
}

// Lost gives a channel that is closed when the session has ended, with all
// its locks: the connection broke, the node went, or Close was called.
func (c *Client) Lost() <-chan struct{} { return c.gone }

// Close ends the session; the node releases its locks.
func (c *Client) Close() error {
	c.conn.CloseSent()
	<-c.gone
	return nil
}

func (c *Client) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// ask sends a request that is not about a lock and waits for its answer.
func (c *Client) ask(ctx context.Context, space uint32, m *wire.Msg) (*wire.Msg, error) {
	type answer struct {
		m   *wire.Msg
		err error
	}
	ch := make(chan answer, 1)
	c.start(space, m, running{done: func(m *wire.Msg, err error) { ch <- answer{m, err} }}, false)
	select {
	case a := <-ch:
		return a.m, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start numbers a request, remembers who waits for its answer, and sends it.
func (c *Client) start(space uint32, m *wire.Msg, r running, later bool) {
	c.mu.Lock()
	if c.err != nil {
		err := c.err
		c.mu.Unlock()
		r.fail(err)
		return
	}
	c.nextReq++
	m.Req = c.nextReq
	c.running[m.Req] = r
	if r.lock != nil {
		r.lock.setReq(m.Req)
	}
	c.append(space, m)
	c.sendOrWake(later && len(c.running) > 1) // alone it has no company to wait for
	c.mu.Unlock()
}

// post sends a message that has no answer of its own.
func (c *Client) post(space uint32, m *wire.Msg, later bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.append(space, m)
		c.sendOrWake(later)
	}
}

// frameTarget is the payload size in bytes at which an open frame is sent.
const frameTarget = 32 << 10

// append puts m into the open frame. mu is held.
func (c *Client) append(space uint32, m *wire.Msg) {
	if c.out != nil && (c.space != space || len(c.out) >= frameTarget) {
		c.sendFrame()
	}
	if c.out == nil {
		c.out, c.space = engine.GetBuf(), space
	}
	c.out = m.Append(c.out)
	c.count++
}

// sendOrWake sends the open frame now, or leaves that to the sender: requests
// that nobody waits for then travel many in a frame. mu is held.
func (c *Client) sendOrWake(later bool) {
	if !later {
		c.sendFrame()
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// sendFrame sends the open frame. mu is held, so that frames keep their order.
func (c *Client) sendFrame() {
	if c.out == nil {
		return
	}
	frame := c.out
	wire.SealFrame(frame, &wire.Header{Version: c.version, Kind: wire.KindClient, Count: c.count, Lockspace: c.space})
	c.out, c.count = nil, 0
	c.conn.Send(frame) // a failure closes the connection, which fails the requests
}

func (c *Client) sender() {
	for {
		select {
		case <-c.wake:
			c.mu.Lock()
			c.sendFrame()
			c.mu.Unlock()
		case <-c.gone:
			return
		}
	}
}

func (r running) fail(err error) {
	if r.done != nil {
		r.done(nil, err)
		return
	}
	r.lock.complete(0, err, wire.LostLock, &lockspace.Completion{Mode: lockspace.NoMode})
}

// remote is the backend of a lockspace behind a connection.
type remote struct {
	c     *Client
	space uint32
}

func (r *remote) newOwner() OwnerID { return r.c.owners.next() }

func (r *remote) lock(l *Lock, mode Mode, o Option, later bool) {
	r.c.start(r.space, &wire.Msg{
		Type: wire.LockReq, Name: []byte(l.name), Mode: uint8(mode), Flags: o.flags, Owner: uint64(o.owner), Wait: uint64(o.wait),
	}, running{lock: l}, later)
}

func (r *remote) convert(l *Lock, mode Mode, o Option, later bool) {
	m := wire.Msg{
		Type: wire.ConvertReq, Lock: l.id, Mode: uint8(mode), Flags: o.flags, Value: o.value, Wait: uint64(o.wait),
	}
	if o.value != nil {
		m.Bits = wire.BitValue
	}
	r.c.start(r.space, &m, running{lock: l}, later)
}

func (r *remote) unlock(l *Lock, flags uint32, value []byte, later bool) {
	m := wire.Msg{Type: wire.UnlockReq, Lock: l.id, Flags: flags, Value: value}
	if value != nil {
		m.Bits = wire.BitValue
	}
	r.c.start(r.space, &m, running{lock: l}, later)
}

func (r *remote) cancel(id, req uint64) {
	r.c.post(r.space, &wire.Msg{Type: wire.CancelReq, Lock: id, Req: req}, false)
}

// maxRunning bounds the operations that may be under way when another one is
// begun asynchronously, so that requests fit into the connection's queue.
const maxRunning = 1 << 15

func (r *remote) full() bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return len(r.c.running) >= maxRunning
}

// wait: the node pushes back by not reading.
func (r *remote) wait(context.Context) error { return r.c.reason() }

func (r *remote) barrier(done func(error)) {
	r.c.start(r.space, &wire.Msg{Type: wire.BarrierReq}, whenDone(done), false)
}

func (r *remote) purge(node uint16, session uint64, done func(error)) {
	r.c.start(r.space, &wire.Msg{Type: wire.PurgeReq, Instance: session, Num: uint32(node)}, whenDone(done), false)
}

// whenDone is a request of which only the outcome matters.
func whenDone(done func(error)) running {
	return running{done: func(m *wire.Msg, err error) {
		if err == nil {
			err = statusError(m.Status, string(m.Text))
		}
		done(err)
	}}
}

// hurry: a barrier makes the node hurry; its answer says nothing more.
func (r *remote) hurry() { r.barrier(func(error) {}) }

func (r *remote) close(ctx context.Context) error {
	m, err := r.c.ask(ctx, r.space, &wire.Msg{Type: wire.CloseSpace})
	if err != nil {
		return err
	}
	for _, l := range r.c.takeLocks(r.space) {
		l.released()
	}
	return statusError(m.Status, string(m.Text))
}

// takeLocks takes the granted locks of a lockspace from the list.
func (c *Client) takeLocks(space uint32) []*Lock {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*Lock
	for key, l := range c.locks {
		if key.space == space {
			delete(c.locks, key)
			out = append(out, l)
		}
	}
	return out
}
