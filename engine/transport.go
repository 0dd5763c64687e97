package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Transport moves bytes. Its three implementations (netpoll, plain, mem) keep
// the same contract and pass the same conformance test.
type Transport interface {
	// Name is "netpoll", "plain" or "mem".
	Name() string

	// Listen accepts connections on addr; network is "tcp" or "unix" (mem
	// takes any). For unix, a socket file that nobody answers on is replaced.
	Listen(network, addr string, h Handler) (Listener, error)

	// Dial connects. OnOpen has been called when Dial returns without error;
	// with an error no callback is ever called. ctx bounds the dialling only,
	// not the life of the connection.
	Dial(ctx context.Context, network, addr string, h Handler) (Conn, error)
}

// Listener is an open listening address.
type Listener interface {
	// Addr is the address actually bound, e.g. with the port that was chosen.
	Addr() string

	// Close stops listening, closes the connections that were accepted here
	// and returns when OnClose has returned for each of them. It must not be
	// called from a Handler.
	Close() error
}

// Handler receives what happens on connections. For one connection, calls
// never overlap: OnOpen, then any number of OnData, then OnClose once. They
// run on a goroutine of the transport, never on the stack of a caller of Conn; OnData also on
// that of who reads in its place (FrameConn.Until, LinkReader.Until).
type Handler interface {
	// OnOpen is called before the first OnData. Conn.SetUser belongs here.
	OnOpen(c Conn)

	// OnData is called when bytes have arrived. It consumes what is complete
	// and may leave a part; it is called again when more has arrived. An error
	// closes the connection and reaches OnClose.
	OnData(c Conn, r Reader) error

	// OnClose is called once. err is the error of OnData, or ErrClosed after a
	// Close at this end, or io.EOF or a system error if the other end went.
	OnClose(c Conn, err error)
}

// Reader gives access to received bytes, inside OnData only. A returned slice
// lives until Release or until OnData returns, whichever is first. Asking for
// more than Len bytes is ErrShort.
type Reader interface {
	Len() int                   // bytes there now
	Next(n int) ([]byte, error) // consumes the next n bytes
	Release()                   // gives up all slices handed out
}

// Conn is one connection. TryWritev and Writev must be serialised by the
// caller; Close may be called by anybody, several times.
type Conn interface {
	// TryWritev writes as much of bufs as goes without waiting, with one
	// system call where possible, and returns the bytes taken. Fewer than all
	// is no error: the connection is full, and Writev will wait.
	TryWritev(bufs [][]byte) (int, error)

	// Writev writes all of bufs, waiting for at most writeTimeout. After an
	// error the connection is useless and must be closed. A Close ends the wait.
	Writev(bufs [][]byte) error

	// Close ends the connection; OnClose follows. What was written before it
	// may still reach the other end.
	Close() error

	RemoteAddr() string

	// SetUser attaches a value; only inside OnOpen.
	SetUser(v any)
	User() any
}

const (
	// writeTimeout is how long one Writev may wait for room. Beyond it the
	// other end has stopped reading for good, as far as we are concerned.
	writeTimeout = 10 * time.Second

	// maxReadAhead bounds, in bytes, what may wait unread for a handler: more
	// than sixteen of the largest frames. netpoll reads ahead without being
	// asked and cannot be held back, so there this ends the connection.
	maxReadAhead = 32 << 20
)

// readAheader is a Handler with a bound other than maxReadAhead.
type readAheader interface{ readAhead() (bytes int) }

// Errors of the byte level.
var (
	ErrClosed    = errors.New("engine: closed")
	ErrShort     = errors.New("engine: fewer bytes there than asked for")
	ErrReadAhead = errors.New("engine: too many bytes received and not consumed")
	ErrTimeout   = errors.New("engine: timed out")
	ErrAddrInUse = errors.New("engine: address in use")
)

// connBase holds what every Conn has.
type connBase struct {
	remote  string
	creds   *Creds // nil: not known
	user    any
	whyOnce sync.Once
	why     error
}

func (b *connBase) RemoteAddr() string { return b.remote }
func (b *connBase) SetUser(v any)      { b.user = v }
func (b *connBase) User() any          { return b.user }

// because records why the connection ends; the first reason counts.
func (b *connBase) because(err error) error {
	b.whyOnce.Do(func() { b.why = err })
	return b.why
}

// connSet holds the connections of a listener until their OnClose returned.
type connSet struct {
	mu     sync.Mutex
	conns  map[Conn]struct{}
	closed bool
	idle   sync.Cond
}

func newConnSet() *connSet {
	s := &connSet{conns: make(map[Conn]struct{})}
	s.idle.L = &s.mu
	return s
}

// add says false if the set is closed already.
func (s *connSet) add(c Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *connSet) remove(c Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.idle.Broadcast()
}

// closeAll closes every connection and waits until the set is empty.
func (s *connSet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	all := make([]Conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
	s.mu.Lock()
	for len(s.conns) > 0 {
		s.idle.Wait()
	}
}

// netListener accepts on a socket and hands each connection to adopt.
type netListener struct {
	ln     net.Listener
	conns  *connSet
	misses misses
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
	err    error
}

// accepting takes over ln, and gives each connection to adopt; of what fails h is told.
func accepting(ln net.Listener, h Handler, adopt func(nc net.Conn, conns *connSet) error) *netListener {
	l := &netListener{ln: ln, conns: newConnSet(), stop: make(chan struct{}), done: make(chan struct{})}
	l.misses.h, _ = h.(MissHandler)
	go l.accept(adopt)
	return l
}

// ender is a listener with something to do when nobody will call Accept any more.
type ender interface{ end() }

func (l *netListener) accept(adopt func(net.Conn, *connSet) error) {
	defer close(l.done)
	if e, ok := l.ln.(ender); ok {
		defer e.end()
	}
	var wait time.Duration
	for {
		nc, err := l.ln.Accept()
		if err == nil {
			wait = 0
			l.misses.note(adopt(nc, l.conns), time.Now())
			continue
		}
		select {
		case <-l.stop:
			return
		default:
		}
		// Out of descriptors, or a connection that died in the backlog: what
		// is accepted lives on, and accepting goes on when there is room.
		l.misses.note(err, time.Now())
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		t := time.NewTimer(wait)
		select {
		case <-l.stop:
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (l *netListener) Addr() string { return l.ln.Addr().String() }

func (l *netListener) Close() error {
	l.once.Do(func() {
		close(l.stop)
		l.err = l.ln.Close()
		<-l.done
		l.conns.closeAll()
	})
	return l.err
}

func dialNet(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("engine: dial %s %s: %w", network, addr, context.Cause(ctx))
		}
		return nil, fmt.Errorf("engine: %w", err) // it says what and where
	}
	return nc, nil
}
