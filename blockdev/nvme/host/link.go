package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/tcp"
)

// link moves the bytes of a conn over a TCP connection. Its descriptor is none of Go's
// event loop: its owner waits for it by itself.
type link struct {
	*conn
	fd     int
	vec    vector
	dst    [][]byte
	full   bool   // the socket has taken less than there was
	limits limits // of an I/O queue's controller
	look   func() // called while call waits: it may fail the link; may be nil
}

// dial makes a TCP connection, and a link of it.
func dial(ctx context.Context, addr string, cfg connConfig) (*link, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if err := tcp.Prepare(nc); err != nil {
		return nil, err
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	ctlErr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(ctlErr, err); err != nil {
		return nil, fmt.Errorf("nvme: %s: %w", addr, err)
	}
	conn, err := newConn(cfg)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &link{conn: conn, fd: fd, dst: make([][]byte, 0, maxDirect+1)}, nil
}

func (l *link) close() {
	if l.fd >= 0 {
		_ = unix.Close(l.fd)
		l.fd = -1
	}
}

// flush writes what can be written now.
func (l *link) flush() {
	for {
		out := l.Output()
		if len(out) == 0 {
			l.full = false
			return
		}
		n, err := l.vec.writev(l.fd, out)
		switch {
		case err != nil:
			l.Fail(fmt.Errorf("nvme: writing to the controller: %w", err))
			return
		case n < 0:
			l.full = true
			return
		}
		l.Sent(n)
	}
}

// receive reads once what has come, and writes what follows from it; it says whether
// something has come.
func (l *link) receive() bool {
	if l.Err() != nil {
		return false
	}
	l.dst = l.Room(l.dst[:0])
	n, err := l.vec.readv(l.fd, l.dst)
	switch {
	case err != nil:
		l.Fail(fmt.Errorf("nvme: reading from the controller: %w", err))
		return false
	case n == 0:
		l.Fail(fmt.Errorf("nvme: the controller has closed the connection: %w", io.ErrUnexpectedEOF))
		return false
	case n < 0:
		if l.full {
			l.flush()
		}
		return false
	}
	_ = l.Received(n) // Err gives it
	l.flush()
	return true
}

// call does one command and waits for its end; of a link that nobody else uses. capsule
// is how many bytes of data may be in the command's capsule.
func (l *link) call(ctx context.Context, w waker, cmd *nvme.Command, data []byte, capsule int) (ending, error) {
	inline := cmd.Direction() == nvme.ToController && len(data) <= capsule
	if _, ok := l.Submit(cmd, data, nil, inline, 0); !ok {
		return ending{}, errors.Join(errNoRoom, l.Err())
	}
	l.flush()
	for !l.HasEnds() {
		if l.receive() {
			continue
		}
		if l.look != nil {
			l.look()
		}
		if err := l.Err(); err != nil {
			return ending{}, err
		}
		if err := ctx.Err(); err != nil {
			return ending{}, err
		}
		w.await(l.fd, l.full, untilEnd(ctx))
	}
	return l.Ends()[0], nil
}

var errNoRoom = errors.New("nvme: too many commands at a time")

// untilEnd is how long ctx lasts; a context without end is looked at now and then.
func untilEnd(ctx context.Context) time.Duration {
	const look = 100 * time.Millisecond
	if t, ok := ctx.Deadline(); ok {
		return max(0, min(look, time.Until(t)))
	}
	return look
}

// connectData says which host connects to which subsystem.
func (c *Config) connectData(cntlid uint16) []byte {
	d := nvme.ConnectData{HostID: c.HostID, CNTLID: cntlid, SubNQN: c.SubNQN, HostNQN: c.HostNQN}
	return d.Append(nil)
}

// connectQueue makes an I/O queue of a controller.
func connectQueue(ctx context.Context, cfg *Config, w waker, qid, cntlid uint16, entries int, conn connConfig) (*link, error) {
	l, err := dial(ctx, cfg.Addr, conn)
	if err != nil {
		return nil, err
	}
	l.SetLimit(entries - 1)
	var cmd nvme.Command
	cmd.SetConnect(&nvme.Connect{QID: qid, SQSize: uint16(entries - 1)})
	end, err := l.call(ctx, w, &cmd, cfg.connectData(cntlid), nvme.AdminCapsuleData)
	if err == nil {
		err = end.Status.Err()
	}
	if err == nil {
		err = cfg.authenticate(ctx, w, l, end.Result)
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("nvme: queue %d of %s: %w", qid, cfg.Addr, err)
	}
	return l, nil
}
