package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
	"github.com/lockify-dlm/lockify/internal/yield"
)

// conn moves the bytes and requests of one session. All of it runs in one goroutine, but
// for wake.
type conn struct {
	srv *Server
	nc  net.Conn
	raw syscall.RawConn
	ses *core.Session

	rings   []*blockdev.Ring // by index of the namespace
	used    []*blockdev.Ring // of these, those with requests that have not been submitted
	flying  int              // requests with devices
	more    bool             // the session may have more requests for them
	lent    loan             // what the session has of a device's memory
	unsent  int              // bytes received since the last send: bulk data is coming, and is answered together
	iov     iovecs
	woken   atomic.Bool
	blocked bool  // the socket takes no more now
	err     error // why the connection ends
	verdict error // why the session ends
	attempt func(fd uintptr) bool
	write   func(fd uintptr) bool
}

// past is a deadline that is over: it ends a wait.
var past = time.Unix(1, 0)

func newConn(s *Server, nc net.Conn, p *core.Port) (*conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T has no descriptor", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{srv: s, nc: nc, raw: raw}
	c.attempt, c.write = c.run, c.unblock
	c.ses = s.target.NewSession(p, c.wake)
	return c, nil
}

// wake has the session looked after soon. It is called from any goroutine.
func (c *conn) wake() {
	if !c.woken.Swap(true) {
		_ = c.nc.SetDeadline(past)
	}
}

// serve is the connection's goroutine.
func (c *conn) serve() {
	for c.err == nil {
		err := c.raw.Read(c.attempt)
		if err == nil && c.blocked && c.err == nil {
			err = c.raw.Write(c.write)
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Who wakes from here on makes it past again.
			_ = c.nc.SetDeadline(time.Time{})
		default:
			c.err = err
		}
	}
	c.end()
}

// end closes the connection, once devices have let go of its buffers.
func (c *conn) end() {
	for _, r := range c.rings {
		if r != nil {
			_ = r.Close()
		}
	}
	// Before the host sees the end of the connection: it may use the queue ID again then.
	c.srv.mu.Lock()
	c.ses.Close()
	c.srv.mu.Unlock()
	c.linger()
	_ = c.nc.Close()
	c.srv.mu.Lock()
	delete(c.srv.conns, c)
	c.srv.mu.Unlock()
	if !errors.Is(c.err, io.EOF) {
		c.srv.cfg.Log.Info("nvme target: connection ends", "peer", c.nc.RemoteAddr(), "error", c.err)
	}
}

// lingerFor is how long the peer has to read why the connection ends: closing with unread
// input would discard what has been sent to it.
const lingerFor = time.Second

func (c *conn) linger() {
	select {
	case <-c.srv.stop:
		return
	default:
	}
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok || c.verdict == nil || len(c.ses.Output()) > 0 || tcp.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetDeadline(time.Now().Add(lingerFor))
	_, _ = io.CopyN(io.Discard, c.nc, 16<<20)
}

// run works until there is nothing to do; then it returns false, to be called again when
// there is input. true: serve has to see to something else.
func (c *conn) run(fd uintptr) bool {
	idle, since := 0, time.Time{}
	for {
		if c.work(int(fd)) {
			idle = 0
			continue
		}
		if c.err != nil || c.blocked {
			return true
		}
		if c.srv.cfg.Spin == 0 {
			break
		}
		switch idle++; {
		case idle == 1:
			since = time.Now()
		case idle%16 != 0:
			continue
		case time.Since(since) >= c.srv.cfg.Spin:
			c.arm()
			return false
		}
		yield.Now() // the host may have no other processor
	}
	c.arm()
	return false
}

// arm has rings wake the connection.
func (c *conn) arm() {
	if c.flying == 0 {
		return
	}
	for _, r := range c.rings {
		if r != nil && r.Pending() > 0 {
			r.Arm()
		}
	}
}

// unblock waits until the socket takes more.
func (c *conn) unblock(fd uintptr) bool {
	c.blocked = false
	c.send(int(fd))
	return !c.blocked
}

// work does one round: input, commands, requests, completions, output. It says whether
// there was anything to do.
func (c *conn) work(fd int) bool {
	n, err := c.read(fd)
	if err != nil {
		c.err = err
		return false
	}
	if n == 0 && c.flying == 0 && c.unsent == 0 && !c.more && !c.woken.Load() && !c.ses.Again() {
		return false
	}
	woken := c.woken.Swap(false)
	did := n > 0 || woken || c.more || c.ses.Again()
	if c.ses.Exclusive() {
		c.srv.mu.Lock()
		did = c.serveSession(n) || did
		c.verdict = c.ses.Err()
		c.srv.mu.Unlock()
	} else {
		c.srv.mu.RLock()
		did = c.serveSession(n) || did
		c.verdict = c.ses.Err()
		c.srv.mu.RUnlock()
	}
	if c.unsent += n; n < directMin || c.unsent >= roundBytes || c.lent.d != nil || c.verdict != nil {
		c.unsent = 0
		c.send(fd)
		c.giveBack()
	}
	if c.ses.Work() {
		did = true
	}
	if c.err == nil {
		c.err = c.verdict
	}
	return did && c.err == nil
}

// roundBytes is how much data a round gives to devices, and takes from them: when it is
// sent, it is still in the core's cache, and the peer has something to do meanwhile.
const roundBytes = 256 << 10

// serveSession runs the session on n new bytes.
func (c *conn) serveSession(n int) (did bool) {
	c.ses.Received(n)
	c.more = false
	for bytes := 0; ; {
		more := false
		for bytes < roundBytes {
			q, ok := c.ses.Next()
			if !ok {
				break
			}
			more = true
			if d := direct(&q); d != nil {
				c.submit()
				c.reap()
				if c.lend(d, &q) {
					c.more = true
					return true
				}
			}
			bytes += len(q.Buf)
			c.start(&q)
		}
		c.submit()
		if c.reap() {
			more = true
		}
		if !more {
			return did
		}
		did = true
		if bytes >= roundBytes {
			c.more = true
			return did
		}
	}
}

// submit has devices begin with what start has given them.
func (c *conn) submit() {
	for i, r := range c.used {
		_, _ = r.Submit() // its requests end with a status
		c.used[i] = nil
	}
	c.used = c.used[:0]
}

// start gives a request to its device.
func (c *conn) start(q *core.Request) {
	r, err := c.ring(q.Namespace)
	if err != nil {
		c.srv.cfg.Log.Error("nvme target: ring", "namespace", q.Namespace.ID, "error", err)
		c.ses.Done(q.Tag, blockdev.StatusInternal)
		return
	}
	e := r.GetSQE()
	if e == nil {
		c.ses.Done(q.Tag, blockdev.StatusClosed) // a ring is as deep as its queue: it is never full
		return
	}
	e.Op, e.Offset, e.Length, e.Buf, e.With, e.UserData = q.Op, q.Offset, q.Length, q.Buf, q.With, uint64(q.Tag)
	if q.FUA {
		e.Flags = blockdev.FUA
	}
	c.flying++
	for _, u := range c.used {
		if u == r {
			return
		}
	}
	c.used = append(c.used, r)
}

// reap takes what devices have done.
func (c *conn) reap() (did bool) {
	if c.flying == 0 {
		return false
	}
	for _, r := range c.rings {
		if r == nil {
			continue
		}
		for {
			e, ok := r.Peek()
			if !ok {
				break
			}
			did = true
			c.flying--
			c.ses.Done(int32(e.UserData), e.Status)
		}
	}
	return did
}

// ring gives the connection's ring of a namespace.
func (c *conn) ring(n *core.Namespace) (*blockdev.Ring, error) {
	for len(c.rings) <= n.Index {
		c.rings = append(c.rings, nil)
	}
	if r := c.rings[n.Index]; r != nil {
		return r, nil
	}
	r, err := n.Device.NewRing(context.Background(), blockdev.RingConfig{Depth: c.ses.Entries(), Notify: c.wake})
	if err != nil {
		return nil, err
	}
	c.rings[n.Index] = r
	return r, nil
}

// send writes as much output as the socket takes.
func (c *conn) send(fd int) {
	for !c.blocked && c.err == nil {
		bufs := c.ses.Output()
		if len(bufs) == 0 {
			return
		}
		n, err := c.iov.writev(fd, bufs)
		if err != nil {
			c.err = err
			return
		}
		c.blocked = n == 0
		c.ses.Sent(n)
	}
}
