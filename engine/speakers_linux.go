package engine

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/internal/yield"
)

// speakers is a listener whose Accept gives only who has said something. The others wait in an
// epoll instance as descriptors: a stranger who says nothing costs three system calls,
// without a goroutine, a handshake that waits, or a connection of package net. Of more than
// maxLobby the oldest go, and all after tlsTimeout.
//
//	port ---> ep ---> silent ---> ready ---> Accept
//	                    |
//	                    +-------> gone
type speakers struct {
	addr   net.Addr
	fd     int // the port
	ep     int // with fd and all that are silent
	file   *os.File
	wait   syscall.RawConn // of ep
	gone   func(remote string, err error)
	closed atomic.Bool

	silent list.List // of stranger, the oldest first; the rest is of Accept's goroutine, too
	places map[int32]*list.Element
	ready  []int32
	full   error // why the port gives nobody
}

// stranger has connected.
type stranger struct {
	fd    int32
	since time.Time
	from  syscall.Sockaddr
}

// Of very many who say nothing, each would cost being woken for him.
const (
	crowd    = maxLobby / 4
	crowdNap = 2 * time.Millisecond // what a newcomer waits for; the port has room for 4096
)

// acceptsAtOnce is how many are accepted before others may have the processor, looksAtOnce how
// often that is before the time of the silent is looked at.
const (
	acceptsAtOnce = 16
	looksAtOnce   = 64
)

// newSpeakers takes over ln. gone hears of those who were silent for too long.
func newSpeakers(ln net.Listener, gone func(remote string, err error)) (_ net.Listener, err error) {
	defer ln.Close()
	s := &speakers{addr: ln.Addr(), fd: -1, gone: gone, places: map[int32]*list.Element{}}
	if s.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("engine: epoll: %w", err)
	}
	defer func() {
		if err != nil {
			s.end()
		}
	}()
	if s.fd, err = duplicate(ln); err != nil {
		return nil, fmt.Errorf("engine: listen: %w", err)
	}
	err = errors.Join(s.watch(s.fd, unix.EPOLLIN), unix.SetNonblock(s.ep, true))
	s.file = os.NewFile(uintptr(s.ep), "epoll")
	if err == nil {
		s.wait, err = s.file.SyscallConn()
	}
	if err != nil {
		return nil, fmt.Errorf("engine: epoll: %w", err)
	}
	return s, nil
}

func (s *speakers) watch(fd int, events uint32) error {
	return control(s.ep, unix.EPOLL_CTL_ADD, fd, events)
}

// Addr implements net.Listener.
func (s *speakers) Addr() net.Addr { return s.addr }

// Accept implements net.Listener; it has one caller at a time, who calls end behind the last one.
func (s *speakers) Accept() (net.Conn, error) {
	for {
		if s.closed.Load() {
			return nil, net.ErrClosed
		}
		s.expire(time.Now())
		if len(s.ready) > 0 {
			fd := s.ready[0]
			s.ready = s.ready[1:]
			if c, err := s.connOf(int(fd)); c != nil || err != nil {
				return c, err
			}
			continue
		}
		if err := s.full; err != nil {
			s.full = nil
			return nil, err
		}
		s.sleep()
	}
}

// sleep waits until something has happened.
func (s *speakers) sleep() {
	found := false
	for n := 0; n < looksAtOnce && s.look(); n++ {
		if found = true; len(s.ready) > 0 || s.full != nil {
			break
		}
	}
	switch {
	case found:
		return // however soon the next one's time is over
	case s.silent.Len() >= crowd:
		time.Sleep(crowdNap) // so that those who come meanwhile do not wake this up each
		return
	}
	var until time.Time
	if e := s.silent.Front(); e != nil {
		until = e.Value.(stranger).since.Add(tlsTimeout)
	}
	_ = s.file.SetReadDeadline(until)
	if s.closed.Load() {
		return // Close may have set the deadline before
	}
	_ = s.wait.Read(func(uintptr) bool { return s.look() })
}

// look takes what has happened; false: nothing.
func (s *speakers) look() bool {
	var events [acceptsAtOnce]unix.EpollEvent
	n, err := unix.EpollWait(s.ep, events[:], 0)
	if err != nil {
		return errors.Is(err, unix.EINTR)
	}
	more := false
	for i := range n {
		fd := events[i].Fd
		if fd == int32(s.fd) {
			more = true // behind the others, whose descriptors may be given out again by it
			continue
		}
		e := s.places[fd]
		if e == nil {
			continue // has gone
		}
		if events[i].Events&^unix.EPOLLIN != 0 {
			s.drop(e, io.EOF) // whatever it has said, it does not listen
			continue
		}
		s.leave(e)
		s.ready = append(s.ready, fd)
	}
	if more {
		s.accept()
	}
	return n > 0
}

// accept takes some who have connected.
func (s *speakers) accept() {
	for range acceptsAtOnce {
		// That of x/sys/unix asks for the socket's protocol, which is another system call.
		fd, from, err := syscall.Accept4(s.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED), s.room(err):
			continue
		case err != nil:
			s.full = os.NewSyscallError("accept4", err)
			return
		}
		if err := s.watch(fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLONESHOT); err != nil {
			unix.Close(fd)
			s.full = os.NewSyscallError("epoll_ctl", err)
			return
		}
		if s.silent.Len() >= maxLobby {
			s.drop(s.silent.Front(), ErrLobby)
		}
		s.places[int32(fd)] = s.silent.PushBack(stranger{int32(fd), time.Now(), from})
	}
	yield.Now()
}

// expire closes who is silent for too long.
func (s *speakers) expire(now time.Time) {
	for e := s.silent.Front(); e != nil && now.Sub(e.Value.(stranger).since) >= tlsTimeout; e = s.silent.Front() {
		s.drop(e, ErrLobby)
	}
}

// leave takes one from ep as well: closing his descriptor does not, if it has been duplicated.
func (s *speakers) leave(e *list.Element) {
	fd := s.silent.Remove(e).(stranger).fd
	delete(s.places, fd)
	_ = control(s.ep, unix.EPOLL_CTL_DEL, int(fd), 0)
}

// room closes who is silent for longest if err says that there are no more descriptors.
func (s *speakers) room(err error) bool {
	e := s.silent.Front()
	if e == nil || !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) {
		return false
	}
	s.drop(e, err)
	return true
}

func (s *speakers) drop(e *list.Element, why error) {
	g := e.Value.(stranger)
	s.leave(e)
	unix.Close(int(g.fd))
	if s.gone != nil {
		s.gone(remote(g.from), why)
	}
}

// Close implements net.Listener. What there is goes with end.
func (s *speakers) Close() error {
	s.closed.Store(true)
	err := s.file.SetReadDeadline(time.Now())
	if errors.Is(err, os.ErrClosed) {
		return nil // end was quicker
	}
	return err
}

// end implements ender: it gives all descriptors back.
func (s *speakers) end() {
	for e := s.silent.Front(); e != nil; e = s.silent.Front() {
		unix.Close(int(e.Value.(stranger).fd))
		s.leave(e)
	}
	for _, fd := range s.ready {
		unix.Close(int(fd))
	}
	s.ready = nil
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	if s.file == nil {
		unix.Close(s.ep)
	} else {
		s.file.Close()
	}
}

// connOf makes a connection of a descriptor, which goes into it; nil: it has ended meanwhile, and
// package net does not know whose it was.
func (s *speakers) connOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "tcp")
	defer f.Close()
	for {
		c, err := net.FileConn(f) // has a duplicate
		switch {
		case err == nil && c.RemoteAddr() == nil:
			c.Close()
			return nil, nil
		case err == nil || !s.room(err):
			return c, err
		}
	}
}

func remote(from syscall.Sockaddr) string {
	switch a := from.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)).String()
	}
	return "?"
}
