//go:build !linux

package engine

import "time"

// sleeper uses a Go timer, which is off by up to a millisecond.
type sleeper struct{ awake chan struct{} }

func newSleeper() (*sleeper, error) { return &sleeper{awake: make(chan struct{}, 1)}, nil }

func (s *sleeper) exact() {}

// sleep returns true if wake ended it. A negative ns has no end of its own.
func (s *sleeper) sleep(ns int64) (woken bool) {
	if ns < 0 {
		<-s.awake
		return true
	}
	t := time.NewTimer(time.Duration(ns))
	defer t.Stop()
	select {
	case <-s.awake:
		return true
	case <-t.C:
		return false
	}
}

func (s *sleeper) wake() {
	select {
	case s.awake <- struct{}{}:
	default:
	}
}

func (s *sleeper) close() {}
