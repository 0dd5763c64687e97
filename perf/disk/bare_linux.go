package disk

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/perf"
)

// Messages of the ping-pong: a command, its data, its completion.
const (
	pingCommand = 64
	pingEnd     = 16
)

// pingSizes gives the bytes of a message and of its answer.
func pingSizes(j *Job) (ask, answer int) {
	if j.Op == "write" {
		return pingCommand + j.Bytes, pingEnd
	}
	return pingCommand, j.Bytes
}

func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// socket is a descriptor with an error that stays.
type socket struct {
	fd  int
	err error
}

// call is a raw system call on the socket; EINTR is done again. n is 0 after an error.
func (s *socket) call(trap uintptr, b []byte) int {
	for s.err == nil {
		n, _, errno := unix.RawSyscall(trap, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n)
		case unix.EINTR:
		case unix.EAGAIN:
			return -1
		default:
			s.err = errno
		}
	}
	return 0
}

// bare is a process that measures what the machine can do.
func bare(o *order, say func(line) error) error {
	var s socket
	if o.Addr != "" {
		s.err = s.connect(o.Addr)
	} else {
		s.err = s.accept(say)
	}
	if s.err == nil {
		s.err = unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if s.err != nil {
		return fmt.Errorf("disk: %s: %w", o.Role, s.err)
	}
	defer unix.Close(s.fd)
	ask, answer := pingSizes(&o.Job)
	var round *Round
	before := usage()
	switch o.Role {
	case roleReceiver:
		round = s.receive(o.Job.Bytes)
	case roleSender:
		s.stream(o)
	case roleEcho:
		s.echo(ask, answer)
	case rolePinger:
		round = s.ping(o.Duration, ask, answer)
	}
	if s.err != nil {
		return fmt.Errorf("disk: %s: %w", o.Role, s.err)
	}
	u := usage().since(before)
	if round != nil {
		round.Host = u
		return say(line{Round: round})
	}
	return say(line{Usage: &u})
}

func (s *socket) accept(say func(line) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	err = errors.Join(err, unix.Listen(fd, 1))
	name, nameErr := unix.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		return err
	}
	if err = say(line{Addr: fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)}); err != nil {
		return err
	}
	s.fd, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC)
	return err
}

func (s *socket) connect(addr string) (err error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	if s.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	return unix.Connect(s.fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: n})
}

// stream writes buffers of one size until the time is over.
func (s *socket) stream(o *order) {
	b := make([]byte, o.Job.Bytes)
	for end := time.Now().Add(o.Duration); s.err == nil && time.Now().Before(end); {
		for rest := b; len(rest) > 0 && s.err == nil; {
			rest = rest[s.call(unix.SYS_WRITE, rest):]
		}
	}
}

// receive reads all that comes.
func (s *socket) receive(size int) *Round {
	b := make([]byte, size)
	total := s.call(unix.SYS_READ, b)
	begin := time.Now()
	for n := total; n > 0; total += n {
		n = s.call(unix.SYS_READ, b)
	}
	return &Round{Seconds: time.Since(begin).Seconds(), Requests: int64(total / size)}
}

// epoll prepares a descriptor that waits for input of s, which does not wait any more.
func (s *socket) epoll() *socket {
	e := &socket{}
	e.fd, e.err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if e.err == nil {
		e.err = unix.EpollCtl(e.fd, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.fd)})
	}
	s.err = errors.Join(e.err, unix.SetNonblock(s.fd, true))
	return e
}

// fill waits for len(b) bytes; false: there are no more.
func (s *socket) fill(e *socket, b []byte) bool {
	var events [1]unix.EpollEvent
	for len(b) > 0 {
		_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_WAIT, uintptr(e.fd), uintptr(unsafe.Pointer(&events[0])), 1, ^uintptr(0), 0, 0)
		if errno != 0 && errno != unix.EINTR {
			s.err = errno
			return false
		}
		n := s.call(unix.SYS_READ, b)
		if n == 0 {
			return false
		}
		b = b[max(n, 0):]
	}
	return true
}

// drain sends b.
func (s *socket) drain(b []byte) {
	for len(b) > 0 && s.err == nil {
		b = b[max(s.call(unix.SYS_WRITE, b), 0):]
	}
}

func (s *socket) echo(ask, answer int) {
	e := s.epoll()
	defer unix.Close(e.fd)
	in, out := make([]byte, ask), make([]byte, answer)
	for s.err == nil && s.fill(e, in) {
		s.drain(out)
	}
}

func (s *socket) ping(d time.Duration, ask, answer int) *Round {
	e := s.epoll()
	defer unix.Close(e.fd)
	out, in := make([]byte, ask), make([]byte, answer)
	h := perf.NewHistogram()
	begin := time.Now()
	for now := begin; s.err == nil && now.Sub(begin) < d; {
		s.drain(out)
		if !s.fill(e, in) {
			break
		}
		last := now
		now = time.Now()
		h.Record(now.Sub(last))
	}
	return &Round{
		Seconds: time.Since(begin).Seconds(), Requests: h.Count(),
		P50: h.QuantileUS(0.5), P99: h.QuantileUS(0.99),
	}
}
