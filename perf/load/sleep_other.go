//go:build !linux

package load

import (
	"context"
	"time"
)

// sleeper sleeps by Go's timers.
type sleeper struct{ ctx context.Context }

// newSleeper gives one whose sleep ends with ctx.
func newSleeper(ctx context.Context) (*sleeper, error) { return &sleeper{ctx}, nil }

func (*sleeper) close() {}

// sleep waits for d.
func (s *sleeper) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}
