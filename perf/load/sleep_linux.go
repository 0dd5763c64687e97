package load

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper sleeps by a timer of the kernel's. Go's own wake sleepers by the millisecond where nothing else
// goes on, which is longer than most of what is measured.
type sleeper struct {
	fd    int
	timer *os.File // of fd; Go's event loop waits for it
	ctx   context.Context
	stop  func() bool
}

// newSleeper gives one whose sleep ends with ctx.
func newSleeper(ctx context.Context) (*sleeper, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: timer: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timer")
	stop := context.AfterFunc(ctx, func() { _ = timer.SetReadDeadline(time.Unix(1, 0)) })
	return &sleeper{fd, timer, ctx, stop}, nil
}

func (s *sleeper) close() {
	s.stop()
	s.timer.Close()
}

// sleep waits for d, which is more than 0.
func (s *sleeper) sleep(d time.Duration) error {
	if err := unix.TimerfdSettime(s.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil); err != nil {
		return fmt.Errorf("load: timer: %w", err)
	}
	var times [8]byte // that it has run out
	if _, err := s.timer.Read(times[:]); err != nil {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		return fmt.Errorf("load: timer: %w", err)
	}
	return nil
}
