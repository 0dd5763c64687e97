package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"
)

// NewTLS gives the plain transport with TLS on TCP connections. Unix sockets go without, and who
// connects to one is served by netpoll: its loops are woken by the system itself, and do not
// wait for Go to ask for events, which it does not do while a handshake computes.
// server and client say what is shown to the other end, and what is asked of it. refused is
// told of accepted connections that did not get that far; it may be nil.
func NewTLS(server, client *tls.Config, refused func(remote string, err error)) Transport {
	return plain{tls: &tlsEnds{server: server, client: client, refused: refused, turn: newTurnstile()}}
}

// tlsEnds is what NewTLS was given.
type tlsEnds struct {
	server, client *tls.Config
	refused        func(remote string, err error)
	lobby          Lobby
	turn           turnstile
	penalties      penalties
}

// tlsTimeout bounds the handshake of an accepted connection. For one that is dialled the
// caller's context does.
const tlsTimeout = 5 * time.Second

// with says whether a connection is to be one of TLS.
func (e *tlsEnds) with(nc net.Conn) bool { return e != nil && nc.LocalAddr().Network() == "tcp" }

// newConn makes what an accepted connection is, before accept.
func (e *tlsEnds) newConn(nc net.Conn, h Handler) ownConn {
	if e.with(nc) {
		return newPlainConn(nc, h)
	}
	return newPlain(nc, h)
}

// accept makes TLS of what newConn has given, which is in conns, as is what it gives; nil:
// it has ended. It waits for the other end.
func (e *tlsEnds) accept(c ownConn, conns *connSet) ownConn {
	p, ok := c.(*plainConn)
	if !ok || !e.with(p.nc) {
		return c
	}
	defer conns.remove(c)
	e.penalties.wait(host(p.remote))
	ticket := e.lobby.Enter(func() { p.nc.Close() })
	defer e.lobby.Leave(ticket)
	ctx, cancel := context.WithTimeout(context.Background(), tlsTimeout)
	defer cancel()
	turn := &turnConn{Conn: p.nc, turn: e.turn}
	t := tls.Server(turn, e.server)
	err := t.HandshakeContext(ctx)
	turn.over()
	if err != nil {
		if fault(err) { // not an end in the midst of it, which has cost nothing
			e.penalties.add(host(p.remote), time.Now())
		}
		if e.refused != nil {
			e.refused(p.remote, err)
		}
		c.Close()
		return nil
	}
	secured := newPlainConn(t, p.h)
	if !conns.add(secured) {
		c.Close()
		return nil
	}
	return secured
}

// ended is called when a connection that accept has given has.
func (e *tlsEnds) ended(c ownConn) {
	if p, ok := c.(*plainConn); ok && e.with(p.nc) && (p.unwanted.Load() || fault(p.because(nil))) {
		e.penalties.add(host(p.remote), time.Now())
	}
}

// dial makes TLS of a connection that has been dialled.
func (e *tlsEnds) dial(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if !e.with(nc) {
		return nc, nil
	}
	c := tls.Client(nc, e.client)
	if err := c.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("engine: TLS with %s: %w", nc.RemoteAddr(), err)
	}
	return c, nil
}

// TLS gives what is known of the other end of a connection of NewTLS, nil: it has not been
// asked who it is.
func TLS(c Conn) *tls.ConnectionState {
	if p, ok := c.(*plainConn); ok {
		if t, ok := p.nc.(*tls.Conn); ok {
			s := t.ConnectionState()
			return &s
		}
	}
	return nil
}

// bare gives the connection below TLS: closing that waits for nobody.
func bare(nc net.Conn) net.Conn {
	if t, ok := nc.(*tls.Conn); ok {
		return t.NetConn()
	}
	return nc
}

// ended is how a connection has ended: TLS at the other end does not say goodbye, see bare.
func ended(err error) error {
	if err == io.ErrUnexpectedEOF { // as it is: that of an incomplete frame says more
		return io.EOF
	}
	return err
}
