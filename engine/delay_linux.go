package engine

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timer is a timer descriptor, which rings to the ns.
type timer int

func newTimer() (timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("engine: timerfd: %w", err)
	}
	return timer(fd), nil
}

// set is that of alarm; 0 stops the timer.
func (t timer) set(ns int64) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(ns)}
	_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(t), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// plainAlarm is watched by Go's own event loop, so that nobody waits in a system
// call.
type plainAlarm struct {
	timer
	file *os.File
	done chan struct{}
}

func newAlarm(ring func()) (alarm, error) {
	t, err := newTimer()
	if err != nil {
		return nil, err
	}
	a := &plainAlarm{timer: t, file: os.NewFile(uintptr(t), "timerfd"), done: make(chan struct{})}
	conn, err := a.file.SyscallConn()
	if err != nil {
		a.file.Close()
		return nil, fmt.Errorf("engine: timerfd: %w", err)
	}
	var expired [8]byte
	rung := func(fd uintptr) bool {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&expired[0])), uintptr(len(expired)))
		return errno != unix.EAGAIN
	}
	go func() {
		defer close(a.done)
		for conn.Read(rung) == nil {
			ring()
		}
	}()
	return a, nil
}

func (a *plainAlarm) close() {
	a.file.Close()
	<-a.done
}
