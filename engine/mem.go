package engine

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"syscall"
)

// memPipeSize is the room of one direction of a mem connection, in bytes.
const memPipeSize = 256 << 10

// Mem is a transport inside one process, for tests: a network of its own,
// whose connections can be cut and frozen.
type Mem struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	conns     map[*memConn]struct{}
	frozen    bool
	ports     int
}

// NewMem gives a new, empty network.
func NewMem() *Mem {
	return &Mem{listeners: make(map[string]*memListener), conns: make(map[*memConn]struct{})}
}

// Name implements Transport.
func (m *Mem) Name() string { return "mem" }

// Listen implements Transport. An address that ends in ":0" gets a number.
func (m *Mem) Listen(_, addr string, h Handler) (Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(addr); n >= 2 && addr[n-2:] == ":0" {
		m.ports++
		addr = addr[:n-1] + strconv.Itoa(m.ports)
	}
	if m.listeners[addr] != nil {
		return nil, fmt.Errorf("%w: mem %s", ErrAddrInUse, addr)
	}
	l := &memListener{m: m, addr: addr, h: h, conns: newConnSet()}
	m.listeners[addr] = l
	return l, nil
}

// Dial implements Transport.
func (m *Mem) Dial(ctx context.Context, _, addr string, h Handler) (Conn, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("engine: dial mem %s: %w", addr, context.Cause(ctx))
	}
	m.mu.Lock()
	l := m.listeners[addr]
	if l == nil {
		m.mu.Unlock()
		return nil, fmt.Errorf("engine: dial mem %s: %w", addr, syscall.ECONNREFUSED)
	}
	there, back := newMemPipe(m.frozen), newMemPipe(m.frozen)
	near := &memConn{connBase: connBase{remote: addr}, in: back, out: there}
	far := &memConn{connBase: connBase{remote: "mem"}, in: there, out: back}
	if !l.conns.add(far) {
		m.mu.Unlock()
		return nil, fmt.Errorf("engine: dial mem %s: %w", addr, syscall.ECONNREFUSED)
	}
	m.conns[near], m.conns[far] = struct{}{}, struct{}{}
	m.mu.Unlock()
	go func() {
		l.h.OnOpen(far)
		far.run(l.h)
		m.forget(far)
		l.conns.remove(far)
	}()
	h.OnOpen(near)
	go func() {
		near.run(h)
		m.forget(near)
	}()
	return near, nil
}

func (m *Mem) forget(c *memConn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
}

// Cut breaks all connections at once; bytes under way are lost. New ones can
// be dialled.
func (m *Mem) Cut() {
	for _, c := range m.all() {
		c.in.reset()
		c.out.reset()
	}
}

// Freeze makes all connections, also new ones, half-open: bytes and closes no
// longer arrive, and nobody is told. Freeze(false) lets them flow again.
func (m *Mem) Freeze(on bool) {
	m.mu.Lock()
	m.frozen = on
	m.mu.Unlock()
	for _, c := range m.all() {
		c.in.freeze(on)
		c.out.freeze(on)
	}
}

func (m *Mem) all() []*memConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	conns := make([]*memConn, 0, len(m.conns))
	for c := range m.conns {
		conns = append(conns, c)
	}
	return conns
}

type memListener struct {
	m     *Mem
	addr  string
	h     Handler
	conns *connSet
}

func (l *memListener) Addr() string { return l.addr }

func (l *memListener) Close() error {
	l.m.mu.Lock()
	if l.m.listeners[l.addr] == l {
		delete(l.m.listeners, l.addr)
	}
	l.m.mu.Unlock()
	l.conns.closeAll()
	return nil
}

type memConn struct {
	connBase
	in, out *memPipe
}

func (c *memConn) run(h Handler) {
	err := c.because(readLoop(c, c.in, h))
	c.Close()
	h.OnClose(c, err)
}

func (c *memConn) TryWritev(bufs [][]byte) (int, error) { return c.out.write(bufs, false) }

func (c *memConn) Writev(bufs [][]byte) error {
	_, err := c.out.write(bufs, true)
	return err
}

func (c *memConn) Close() error {
	c.because(ErrClosed)
	c.out.closeWrite()
	c.in.closeRead()
	return nil
}

// memPipe is one direction of a mem connection.
type memPipe struct {
	mu     sync.Mutex
	change sync.Cond
	buf    []byte // at most memPipeSize
	wErr   error  // what a writer gets
	rErr   error  // what a reader gets at once
	eof    bool   // what a reader gets behind the bytes
	frozen bool
}

func newMemPipe(frozen bool) *memPipe {
	p := &memPipe{frozen: frozen}
	p.change.L = &p.mu
	return p
}

func (p *memPipe) write(bufs [][]byte, wait bool) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, b := range bufs {
		for len(b) > 0 {
			if p.wErr != nil {
				return total, p.wErr
			}
			n := min(len(b), memPipeSize-len(p.buf))
			if n == 0 {
				if !wait {
					return total, nil
				}
				p.change.Wait()
				continue
			}
			p.buf = append(p.buf, b[:n]...)
			b = b[n:]
			total += n
			p.change.Broadcast()
		}
	}
	return total, p.wErr
}

// Read implements io.Reader.
func (p *memPipe) Read(dst []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.rErr != nil:
			return 0, p.rErr
		case p.frozen:
		case len(p.buf) > 0:
			n := copy(dst, p.buf)
			p.buf = append(p.buf[:0], p.buf[n:]...)
			p.change.Broadcast()
			return n, nil
		case p.eof:
			return 0, io.EOF
		}
		p.change.Wait()
	}
}

func (p *memPipe) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.change.Broadcast()
}

func (p *memPipe) closeWrite() {
	p.set(func() {
		p.eof = true
		if p.wErr == nil {
			p.wErr = ErrClosed
		}
	})
}

// closeRead ends the reader at this end; the writer at the other one learns it
// unless the pipe is frozen.
func (p *memPipe) closeRead() {
	p.set(func() {
		if p.rErr == nil {
			p.rErr = ErrClosed
		}
		if p.wErr == nil && !p.frozen {
			p.wErr = syscall.EPIPE
		}
	})
}

func (p *memPipe) reset() {
	p.set(func() {
		p.buf = nil
		p.rErr, p.wErr = syscall.ECONNRESET, syscall.ECONNRESET
	})
}

func (p *memPipe) freeze(on bool) { p.set(func() { p.frozen = on }) }
