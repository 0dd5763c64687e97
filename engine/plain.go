package engine

import (
	"context"
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

type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Listen(network, addr string, h Handler) (Listener, error) {
	return listenOrNil(listenNet(network, addr, func(nc net.Conn, conns *connSet) {
		c := newPlainConn(nc)
		c.possible = network == "unix"
		if !conns.add(c) {
			nc.Close()
			return
		}
		go func() {
			h.OnOpen(c)
			c.run(h)
			conns.remove(c)
		}()
	}))
}

// listenOrNil keeps a nil *netListener from becoming a non-nil Listener.
func listenOrNil(l *netListener, err error) (Listener, error) {
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (plain) Dial(ctx context.Context, network, addr string, h Handler) (Conn, error) {
	nc, err := dialNet(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := newPlainConn(nc)
	if t, ok := h.(fileWanter); ok && t.takesFiles() {
		c.uc, _ = nc.(*net.UnixConn)
		c.wanted.Store(c.uc != nil)
	}
	h.OnOpen(c)
	go c.run(h)
	return c, nil
}

type plainConn struct {
	connBase
	passing
	taking
	nc     net.Conn
	closed atomic.Bool

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
}

func newPlainConn(nc net.Conn) *plainConn {
	c := &plainConn{connBase: connBase{remote: nc.RemoteAddr().String()}, nc: nc}
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

func (c *plainConn) run(h Handler) {
	var src io.Reader = c.nc
	if c.raw != nil && !raceEnabled { // the detector sees what net reads
		src = newRawReader(c.raw)
	}
	if c.uc != nil {
		c.then = src
		src = &c.taking
	}
	err := c.because(readLoop(c, src, h))
	c.Close()
	c.drop()
	if f := c.takeFile(); f != nil {
		f.Close()
	}
	h.OnClose(c, err)
}

func (c *plainConn) TryWritev(bufs [][]byte) (int, error) {
	if c.raw == nil {
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
	return c.nc.Close()
}
