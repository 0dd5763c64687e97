package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// NewPlain gives the reference transport: package net, one goroutine per
// connection. Race tests run on it.
func NewPlain() Transport { return plain{} }

type plain struct {
	tls *tlsEnds // nil: none
}

func (p plain) Name() string {
	if p.tls != nil {
		return "tls"
	}
	return "plain"
}

func (p plain) Listen(network, addr string, h Handler) (Listener, error) {
	if p.tls != nil && network == "unix" && !raceEnabled {
		return NewNetpoll().Listen(network, addr, h)
	}
	ln, err := listen(network, addr, h)
	if err == nil && p.tls != nil && network == "tcp" {
		ln, err = newSpeakers(ln, p.tls.refused)
	}
	if err != nil {
		return nil, err
	}
	return accepting(ln, h, func(nc net.Conn, conns *connSet) error {
		c := p.tls.newConn(nc, h)
		c.mayPass(network == "unix")
		if !conns.add(c) {
			nc.Close()
			return ErrClosed
		}
		go func() {
			if c := p.tls.accept(c, conns); c != nil {
				h.OnOpen(c)
				c.run()
				p.tls.ended(c)
				conns.remove(c)
			}
		}()
		return nil
	}), nil
}

func (p plain) Dial(ctx context.Context, network, addr string, h Handler) (Conn, error) {
	nc, err := dialNet(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if nc, err = p.tls.dial(ctx, nc); err != nil {
		return nil, err
	}
	c := newPlain(nc, h)
	if t, ok := h.(fileWanter); ok && t.takesFiles() {
		c.mayTake(network == "unix")
	}
	h.OnOpen(c)
	go c.run()
	return c, nil
}

// ownConn is a connection with a goroutine of its own, which runs run.
type ownConn interface {
	Conn
	mayPass(bool)
	mayTake(bool)
	run()
}

func newPlain(nc net.Conn, h Handler) ownConn {
	if !raceEnabled { // the detector sees what net reads
		if c, err := newDirectConn(nc, h); err == nil {
			return c
		}
	}
	return newPlainConn(nc, h)
}

type plainConn struct {
	connBase
	passing
	taking
	nc     net.Conn
	h      Handler
	closed atomic.Bool

	unwanted atomic.Bool // see FrameConn.Unwelcome

	// For TryWritev; raw is nil where nc has no descriptor of its own. The
	// function value and its arguments are fields so that a write allocates
	// nothing.
	raw    syscall.RawConn
	try    func(fd uintptr) bool
	bufs   [][]byte
	n      int
	tryErr error
	iov    iovecs
	rest   net.Buffers
	flat   []byte // of TLS: a record for each buffer would be many
}

func newPlainConn(nc net.Conn, h Handler) *plainConn {
	creds := credsOf(nc)
	c := &plainConn{connBase: connBase{remote: remoteOf(nc, creds), creds: creds}, nc: nc, h: h}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.try = func(fd uintptr) bool {
		var done bool
		if c.n, done, c.tryErr = c.with(int(fd), c.bufs); !done {
			c.n, c.tryErr = c.iov.writev(int(fd), c.bufs)
		}
		return true // never wait here
	}
	return c
}

func (c *plainConn) run() {
	err := c.because(ended(readLoop(c, c, c.h)))
	c.Close()
	c.passing.drop()
	c.taking.drop()
	c.h.OnClose(c, err)
}

// unwelcome implements unwelcomer.
func (c *plainConn) unwelcome() { c.unwanted.Store(true) }

// Read implements io.Reader.
func (c *plainConn) Read(b []byte) (int, error) {
	if c.raw == nil && c.closed.Load() {
		return 0, ErrClosed // TLS would go on to give what it has read ahead
	}
	uc, ok := c.nc.(*net.UnixConn)
	if !ok || !c.takesFiles() {
		return c.nc.Read(b)
	}
	var oob [oneFile]byte
	n, k, _, _, err := uc.ReadMsgUnix(b, oob[:])
	c.keep(oob[:k])
	if err == nil && n == 0 {
		err = io.EOF
	}
	return n, err
}

func (c *plainConn) TryWritev(bufs [][]byte) (int, error) {
	if c.raw == nil {
		if c.closed.Load() {
			return 0, ErrClosed
		}
		return 0, nil
	}
	c.bufs, c.n, c.tryErr = bufs, 0, nil
	err := c.raw.Write(c.try)
	c.bufs = nil
	if err == nil {
		err = c.tryErr
	}
	return c.n, c.writeError(err)
}

func (c *plainConn) Writev(bufs [][]byte) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return c.writeError(err)
	}
	if t, ok := c.nc.(*tls.Conn); ok {
		c.flat = c.flat[:0]
		for _, b := range bufs {
			c.flat = append(c.flat, b...)
		}
		_, err := t.Write(c.flat)
		return c.writeError(err)
	}
	// WriteTo consumes its slice and the caller keeps bufs, so it gets a copy.
	c.rest = append(c.rest[:0], bufs...)
	rest := c.rest
	_, err := rest.WriteTo(c.nc)
	clear(c.rest)
	return c.writeError(err)
}

func (c *plainConn) writeError(err error) error {
	switch {
	case err == nil:
		return nil
	case c.closed.Load():
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	}
	return err
}

func (c *plainConn) Close() error {
	c.because(ErrClosed)
	if c.closed.Swap(true) {
		return nil
	}
	return bare(c.nc).Close()
}
