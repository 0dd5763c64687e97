package engine

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper sleeps in ppoll, on a timer of nanosecond resolution, and an eventfd
// ends the sleep.
type sleeper struct {
	fd  int
	fds [1]unix.PollFd
}

func newSleeper() (*sleeper, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("engine: eventfd: %w", err)
	}
	return &sleeper{fd: fd, fds: [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}}, nil
}

// exact makes the kernel serve this thread's timers without the usual slack of
// 50 us. Without it sleeps are longer, and nothing else changes.
func (s *sleeper) exact() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// sleep returns true if wake ended it. A negative ns has no end of its own.
func (s *sleeper) sleep(ns int64) (woken bool) {
	var ts *unix.Timespec
	if ns >= 0 {
		t := unix.NsecToTimespec(ns)
		ts = &t
	}
	n, err := unix.Ppoll(s.fds[:], ts, nil)
	switch {
	case err != nil && err != unix.EINTR:
		time.Sleep(time.Duration(max(ns, int64(time.Millisecond)))) // out of kernel memory
	case n > 0:
		var b [8]byte
		_, _ = unix.Read(s.fd, b[:]) // resets the eventfd
	}
	return n > 0
}

// wake ends the present or the next sleep.
func (s *sleeper) wake() {
	b := [8]byte{1} // the byte order does not matter
	_, _ = unix.Write(s.fd, b[:])
}

func (s *sleeper) close() { unix.Close(s.fd) }
