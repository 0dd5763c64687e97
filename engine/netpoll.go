package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"
)

// netpoll's event loops read the sockets; everything else stays with package
// net and with us, because that is where netpoll's traps are:
//
//   - Listening and dialling: its Shutdown is lost before Serve has registered,
//     its listener closes a descriptor twice, its dialler takes no context. So
//     sockets come from package net, and netpoll adopts a duplicate.
//   - Writing: its Writer panics after a Close and may wait without end in
//     Flush. So we write to the descriptor, which it also keeps non-blocking,
//     and use Flush only to wait for room, under a time limit.
//   - Its OnRequest spins on bytes that it leaves unread. So a partial frame is
//     moved to a buffer of ours; a frame that is there as a whole is not.
//   - Its Peek gives old bytes if there was a Next since the last Release and
//     the bytes lie in two of its buffers. So there is no Peek in a Reader.
//   - Its OnDisconnect runs beside OnRequest. So OnClose hangs on the close
//     callback, which comes after the last OnRequest.
//
// A handler runs on the event loop itself: to start a goroutine for each event
// wakes another thread, which costs more than most handlers do. netpoll is not
// made for that. Its Close, and the end of a handler that finds its connection
// closed, wait until the loop has left the connection: on the loop, for ever.
// So nobody calls Close while a loop has the connection. To end a connection is
// to shut its socket down. The loop sees that as it sees the other end go, takes
// the connection off its list, and lets a goroutine close it, when no handler can
// run any more.

// pollers guards netpoll's global configuration, which must be complete
// before the first connection.
var pollers struct {
	mu   sync.Mutex
	n    int
	done bool
}

// SetPollers sets the number of netpoll's event loops, at least 1, for the
// whole process. It must be called before the first netpoll connection, else
// it returns an error. The default is half of GOMAXPROCS (at least 1): a loop
// reads and runs handlers; callbacks, programs and who waits for a full socket
// need the other half.
func SetPollers(n int) error {
	pollers.mu.Lock()
	defer pollers.mu.Unlock()
	if n < 1 {
		return fmt.Errorf("engine: %d netpoll loops, at least 1", n)
	}
	if pollers.done && n != pollers.n {
		return fmt.Errorf("engine: netpoll runs with %d loops already", pollers.n)
	}
	pollers.n = n
	return nil
}

func startPollers() error {
	pollers.mu.Lock()
	defer pollers.mu.Unlock()
	if pollers.done {
		return nil
	}
	if pollers.n == 0 {
		pollers.n = max(1, runtime.GOMAXPROCS(0)/2)
	}
	err := netpoll.Configure(netpoll.Config{
		PollerNum: pollers.n,
		Runner:    func(_ context.Context, f func()) { f() },
		// It prints a line for each reset connection; OnClose tells the same.
		LoggerOutput: io.Discard,
	})
	if err != nil {
		return fmt.Errorf("engine: netpoll: %w", err)
	}
	netpoll.Initialize()
	pollers.done = true
	return nil
}

// NewNetpoll gives the transport for production: cloudwego/netpoll. An idle
// connection costs no goroutine, and frames are read in place.
func NewNetpoll() Transport { return netpollTransport{} }

type netpollTransport struct{}

func (netpollTransport) Name() string { return "netpoll" }

func (netpollTransport) Listen(network, addr string, h Handler) (Listener, error) {
	if err := startPollers(); err != nil {
		return nil, err
	}
	ln, err := listen(network, addr, h)
	if err != nil {
		return nil, err
	}
	return accepting(ln, h, func(nc net.Conn, conns *connSet) error {
		// If the process has no descriptor left, this closes nc and the other
		// end sees that; the next connection may have more luck.
		_, err := adopt(nc, h, conns)
		return err
	}), nil
}

func (netpollTransport) Dial(ctx context.Context, network, addr string, h Handler) (Conn, error) {
	if err := startPollers(); err != nil {
		return nil, err
	}
	nc, err := dialNet(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c, err := adopt(nc, h, nil)
	if err != nil {
		return nil, err
	}
	return c, nil
}

type netpollConn struct {
	connBase
	passing
	np    netpoll.Connection
	fd    int
	h     Handler
	conns *connSet // nil for a dialled connection
	r     netpollReader
	iov   iovecs
	loop  *loop // np's; nil: not known
	rest  int   // times to come that its handler does not linger
	spin  spinner

	onLoop atomic.Bool   // handlers run on the loop from now on
	opened chan struct{} // closed when OnOpen has returned

	// writing is held to write, ending to shut down, and both to set gone, from
	// when on netpoll may close the descriptor: its number can be somebody
	// else's soon.
	writing sync.Mutex
	ending  sync.Mutex
	gone    bool
	shut    atomic.Bool // this end wants no more
}

// adopt closes nc and goes on with a duplicate of its descriptor, registered
// with netpoll.
func adopt(nc net.Conn, h Handler, conns *connSet) (*netpollConn, error) {
	fd, err := duplicate(nc)
	creds := credsOf(nc)
	c := &netpollConn{connBase: connBase{remote: remoteOf(nc, creds), creds: creds}, fd: fd, h: h, conns: conns, opened: make(chan struct{})}
	_, c.possible = nc.(*net.UnixConn)
	nc.Close()
	if err != nil {
		return nil, fmt.Errorf("engine: netpoll: %w", err)
	}
	if conns != nil && !conns.add(c) {
		unix.Close(fd)
		return nil, ErrClosed
	}
	// Events come from here on, but as long as there is no OnRequest they only
	// fill netpoll's buffer.
	c.writing.Lock()
	c.ending.Lock()
	np, err := netpoll.NewFDConnection(fd)
	c.np, c.gone = np, err != nil
	c.ending.Unlock()
	c.writing.Unlock()
	if err != nil { // and fd is closed
		if conns != nil {
			conns.remove(c)
		}
		return nil, fmt.Errorf("engine: netpoll: %w", err)
	}
	c.loop = loopOf(np)
	c.spin.init(true)
	c.r.np, c.r.limit = np.Reader(), maxReadAhead
	if ra, ok := h.(readAheader); ok {
		c.r.limit = ra.readAhead()
	}
	// Callbacks run last added first, so ours comes before the one that
	// closes the descriptor.
	err = np.AddCloseCallback(c.onClosed)
	h.OnOpen(c)
	close(c.opened)
	// On a goroutine, because the first handler may run on it: neither who
	// dials nor who accepts waits for handlers.
	go func() {
		if err := errors.Join(err, np.SetOnRequest(c.onRequest)); err != nil {
			c.because(err)
			c.end()
		}
		c.onLoop.Store(true)
		if !np.IsActive() {
			np.Close() // the loop let go of it before there was an OnRequest, and left the rest to us
		}
	}()
	return c, nil
}

// end makes the event loop close the connection.
func (c *netpollConn) end() {
	c.ending.Lock()
	defer c.ending.Unlock()
	if !c.gone && !c.shut.Swap(true) {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR) // an error says that it has ended already
	}
}

// duplicate gives another descriptor of a connection or listener of package net.
func duplicate(nc any) (fd int, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%T has no descriptor", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err = errors.Join(ctlErr, err); err != nil {
		return -1, err
	}
	return fd, nil
}

// onRequest is called by netpoll when there are bytes, one call at a time. It
// must leave none.
func (c *netpollConn) onRequest(context.Context, netpoll.Connection) error {
	here(c.request)
	return nil
}

func (c *netpollConn) request() {
	var err error
	if c.shut.Load() {
		err = ErrClosed // what came before the end is not read any more
	}
	came := c.r.Len()
	if err == nil {
		err = c.handle()
	}
	if err == nil {
		err = c.linger(came)
	}
	if err != nil {
		c.because(err)
		c.end()
		_ = c.r.np.Skip(c.r.np.Len())
		c.r.Release()
	}
}

// handle has the handler do what there is.
func (c *netpollConn) handle() (err error) {
	for more := true; more && err == nil; {
		if err = c.h.OnData(c, &c.r); err == nil {
			// What keep takes may have come after OnData's last look, and
			// netpoll does not call again for bytes that are taken: so OnData
			// looks again.
			more, err = c.r.keep()
		}
	}
	return err
}

// here runs f, which calls handlers, on a goroutine that is not this package's own: it must not go on
// behind a panic in one of them, as what the handler was in stays as it is.
func here(f func()) {
	returned := false
	defer func() {
		if !returned {
			crash(recover())
		}
	}()
	f()
	returned = true
}

// crash ends the program as the panic of a handler should: in netpoll it would
// try to close the connection first, and wait for itself.
func crash(v any) {
	stack := debug.Stack()
	go panic(fmt.Sprintf("%v [in a handler]\n\n%s", v, stack))
	select {}
}

func (c *netpollConn) onClosed(netpoll.Connection) error {
	c.writing.Lock()
	c.ending.Lock()
	c.gone = true
	c.ending.Unlock()
	c.writing.Unlock()
	// On a goroutine of its own: this may be the stack of whoever called Close.
	go func() {
		<-c.opened
		c.drop()
		if n := len(c.r.carry); n > 0 {
			c.because(fmt.Errorf("%w: %d bytes of an incomplete frame", io.ErrUnexpectedEOF, n))
		}
		c.h.OnClose(c, c.because(io.EOF))
		if c.conns != nil {
			c.conns.remove(c)
		}
	}()
	return nil
}

func (c *netpollConn) TryWritev(bufs [][]byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.ended(); err != nil {
		return 0, err
	}
	if n, done, err := c.with(c.fd, bufs); done {
		return n, err
	}
	return c.iov.writev(c.fd, bufs)
}

func (c *netpollConn) Writev(bufs [][]byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.ended(); err != nil {
		return err
	}
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	// A copy, because after a failed Flush a loop may still look at the memory.
	room, err := c.np.Writer().Malloc(total)
	if err != nil {
		return err
	}
	for _, b := range bufs {
		room = room[copy(room, b):]
	}
	// netpoll's own time limit prints the remote address, which it does not
	// have here. Close ends the wait as well.
	late := time.AfterFunc(writeTimeout, func() {
		c.because(ErrTimeout)
		c.end()
	})
	defer late.Stop()
	if err := c.np.Writer().Flush(); err != nil {
		if end := c.ended(); end != nil {
			err = end // netpoll has words of its own for it
		}
		return c.because(err)
	}
	return nil
}

// ended says whether this end has closed the connection, or the other one has gone.
func (c *netpollConn) ended() error {
	switch {
	case c.shut.Load():
		return ErrClosed
	case c.gone, !c.np.IsActive():
		return io.EOF
	}
	return nil
}

func (c *netpollConn) Close() error {
	c.because(ErrClosed)
	c.end()
	return nil
}

// netpollReader gives out netpoll's memory, except that a frame which came in
// parts is assembled in carry.
type netpollReader struct {
	np    netpoll.Reader
	carry []byte // carry[off:] comes before what is in np
	off   int
	limit int // of Len, in bytes
}

// carryKept is up to which size an empty carry is kept for the next time.
const carryKept = 16 << 10

func (r *netpollReader) Len() int { return len(r.carry) - r.off + r.np.Len() }

func (r *netpollReader) Next(n int) ([]byte, error) {
	switch l := r.Len(); {
	case n < 0 || n > l:
		return nil, ErrShort
	case l > r.limit:
		return nil, fmt.Errorf("%w: %d bytes", ErrReadAhead, l)
	}
	have := len(r.carry) - r.off
	if have == 0 {
		return r.np.Next(n)
	}
	if n > have {
		b, err := r.np.Next(n - have)
		if err != nil {
			return nil, err
		}
		r.carry = append(r.carry, b...) // slices given out before stay as they are
	}
	b := r.carry[r.off : r.off+n : r.off+n]
	r.off += n
	return b, nil
}

// Release never fails in netpoll.
func (r *netpollReader) Release() { _ = r.np.Release() }

// keep moves what OnData has left to carry, and says whether there was
// anything to move.
func (r *netpollReader) keep() (moved bool, err error) {
	n := copy(r.carry, r.carry[r.off:])
	r.carry, r.off = r.carry[:n], 0
	if n == 0 && cap(r.carry) > carryKept {
		r.carry = nil
	}
	if n := r.np.Len(); n > 0 {
		b, err := r.np.Next(n)
		if err != nil {
			return false, err
		}
		r.carry = append(r.carry, b...)
		moved = true
	}
	r.Release()
	if len(r.carry) > r.limit {
		return false, fmt.Errorf("%w: %d bytes", ErrReadAhead, len(r.carry))
	}
	return moved, nil
}
