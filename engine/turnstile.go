package engine

import (
	"net"
	"runtime"

	"github.com/lockify-dlm/lockify/internal/yield"
)

// turnstile bounds how many handshakes of TLS compute at the same time. Each takes a
// processor for most of a millisecond, and whoever connects again and again would have them
// on all: those that have a session would wait behind strangers.
type turnstile chan struct{}

// newTurnstile leaves others half of the processors.
func newTurnstile() turnstile { return make(turnstile, max(1, runtime.GOMAXPROCS(0)/2)) }

// turnConn is a connection in its handshake, which holds its turn but for when it waits for
// the other end.
type turnConn struct {
	net.Conn
	turn turnstile // nil: the handshake is over
	has  bool
}

// Read implements io.Reader.
//
// Who goes on with what has come computes for half a millisecond. Before that, and before what
// comes of it is written, others may have the processor. That also wakes up a thread of Go that
// asks the system for events: it does so when it has nothing to run, and the one that did it
// has this now.
func (c *turnConn) Read(b []byte) (int, error) {
	c.leave()
	n, err := c.Conn.Read(b)
	if c.turn != nil {
		c.turn <- struct{}{}
		c.has = true
		yield.Now()
	}
	return n, err
}

// Write implements io.Writer.
func (c *turnConn) Write(b []byte) (int, error) {
	if c.has {
		yield.Now()
	}
	return c.Conn.Write(b)
}

func (c *turnConn) leave() {
	if c.has {
		<-c.turn
		c.has = false
	}
}

// over is called when the handshake is.
func (c *turnConn) over() {
	c.leave()
	c.turn = nil
}
