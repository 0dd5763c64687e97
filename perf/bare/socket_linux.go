package bare

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/perf"
)

// Solo makes this goroutine the only one that counts: no other thread, no collection.
func Solo() {
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
}

// Socket is a connected stream. An error stays: after one, nothing is done any more.
type Socket struct {
	fd  int
	Err error
}

// Listener waits for one connection.
type Listener struct {
	fd      int
	network string
	Addr    string // where it listens
}

// Listen opens a listener: "unix" and a path, or "tcp" and "host:port" of IPv4.
func Listen(network, addr string) (*Listener, error) {
	l, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the duplicate still listens there
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	return &Listener{fd: fd, network: network, Addr: l.Addr().String()}, err
}

// Accept waits for the connection, and closes the listener.
func (l *Listener) Accept() (*Socket, error) {
	defer unix.Close(l.fd)
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("bare: accept: %w", err)
	}
	return open(fd, l.network)
}

// Connect connects to where Listen listens.
func Connect(network, addr string) (*Socket, error) {
	var to unix.Sockaddr
	family := unix.AF_UNIX
	switch network {
	case "unix":
		to = &unix.SockaddrUnix{Name: addr}
	default:
		a, err := net.ResolveTCPAddr("tcp4", addr)
		if err != nil {
			return nil, err
		}
		family, to = unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte(a.IP.To4()), Port: a.Port}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, to); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bare: connect to %s: %w", addr, err)
	}
	return open(fd, network)
}

func open(fd int, network string) (*Socket, error) {
	if network == "unix" {
		return &Socket{fd: fd}, nil
	}
	return &Socket{fd: fd}, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

// Close closes the connection.
func (s *Socket) Close() error { return unix.Close(s.fd) }

// Read reads what has come, into b: 0 at the end and after an error.
func (s *Socket) Read(b []byte) int { return s.call(unix.SYS_READ, b) }

// Write writes a part of b, and says how much: 0 after an error.
func (s *Socket) Write(b []byte) int { return s.call(unix.SYS_WRITE, b) }

// call is a raw system call on the socket; EINTR is done again. -1: not yet.
func (s *Socket) call(trap uintptr, b []byte) int {
	for s.Err == nil {
		n, _, errno := unix.RawSyscall(trap, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return -1
		default:
			s.Err = errno
		}
	}
	return 0
}

// epoll prepares a descriptor that waits for input of s, which does not wait any more.
func (s *Socket) epoll() *Socket {
	e := &Socket{}
	e.fd, e.Err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if e.Err == nil {
		e.Err = unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.fd)})
	}
	s.Err = errors.Join(e.Err, unix.SetNonblock(s.fd, true))
	return e
}

// fill waits for len(b) bytes; false: there are no more.
func (s *Socket) fill(e *Socket, b []byte) bool {
	var events [1]unix.EpollEvent
	for len(b) > 0 {
		_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_WAIT, uintptr(e.fd), uintptr(unsafe.Pointer(&events[0])), 1, ^uintptr(0), 0, 0)
		if errno != 0 && errno != unix.EINTR {
			s.Err = errno
			return false
		}
		n := s.Read(b)
		if n == 0 {
			return false
		}
		b = b[max(n, 0):]
	}
	return true
}

// drain sends b.
func (s *Socket) drain(b []byte) {
	for len(b) > 0 && s.Err == nil {
		b = b[max(s.Write(b), 0):]
	}
}

// Echo answers messages of ask bytes with answer bytes until there are no more.
func (s *Socket) Echo(ask, answer int) {
	e := s.epoll()
	defer e.Close()
	in, out := make([]byte, ask), make([]byte, answer)
	for s.Err == nil && s.fill(e, in) {
		s.drain(out)
	}
}

// Ping sends messages for the time d, each when the one before it is answered. It gives
// the round trips, and how long all took.
func (s *Socket) Ping(d time.Duration, ask, answer int) (*perf.Histogram, time.Duration) {
	e := s.epoll()
	defer e.Close()
	out, in := make([]byte, ask), make([]byte, answer)
	h := perf.NewHistogram()
	begin := time.Now()
	for now := begin; s.Err == nil && now.Sub(begin) < d; {
		s.drain(out)
		if !s.fill(e, in) {
			break
		}
		last := now
		now = time.Now()
		h.Record(now.Sub(last))
	}
	return h, time.Since(begin)
}
