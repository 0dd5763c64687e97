//go:build !linux

package engine

import (
	"sync"
	"time"
)

// goAlarm is a Go timer, which is off by up to a millisecond.
type goAlarm struct {
	mu     sync.Mutex
	t      *time.Timer
	closed bool
}

func newAlarm(ring func()) (alarm, error) {
	a := &goAlarm{}
	a.t = time.AfterFunc(time.Hour, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.closed {
			ring()
		}
	})
	a.t.Stop()
	return a, nil
}

func (a *goAlarm) set(ns int64) { a.t.Reset(time.Duration(ns)) }

func (a *goAlarm) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.t.Stop()
}
