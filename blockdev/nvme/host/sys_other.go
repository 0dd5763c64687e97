//go:build !linux

package host

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// vector is the prepared argument of readv and writev, which only Linux has here.
type vector struct{}

func one(n int, err error) (int, error) {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return -1, nil
	case err != nil:
		return -1, err
	}
	return n, nil
}

// readv reads into the first buffer what is there; -1 is nothing, 0 the end of input.
func (v *vector) readv(fd int, bufs [][]byte) (int, error) { return one(unix.Read(fd, bufs[0])) }

// writev writes what is possible now; -1 is nothing.
func (v *vector) writev(fd int, bufs [][]byte) (int, error) { return one(unix.Write(fd, bufs[0])) }

// waker is a pipe that ends a wait.
type waker struct{ fd, to int }

func newWaker() (waker, error) {
	var p [2]int
	if err := unix.Pipe(p[:]); err != nil {
		return waker{}, err
	}
	for _, fd := range p {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return waker{}, err
		}
	}
	return waker{p[0], p[1]}, nil
}

func (w waker) wake() { _, _ = unix.Write(w.to, []byte{1}) } // full: it is awake already

func (w waker) clear() {
	var b [64]byte
	_, _ = unix.Read(w.fd, b[:]) // empty: nobody has called
}

func (w waker) close() {
	_ = unix.Close(w.fd)
	_ = unix.Close(w.to)
}

// await waits until fd can be read, or written if out says so, or the waker was woken,
// which it says; for timeout at most, if that is not negative. fd is -1 if there is
// none.
func (w waker) await(fd int, out bool, timeout time.Duration) bool {
	fds := [2]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	if out {
		fds[1].Events |= unix.POLLOUT
	}
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	if n, err := unix.Poll(fds[:], ms); err != nil || n == 0 || fds[0].Revents == 0 {
		return false
	}
	w.clear()
	return true
}
