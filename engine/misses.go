package engine

import (
	"errors"
	"time"
)

// MissHandler is a Handler, or a FrameHandler, that is told of connections which its listener
// could not take in: for want of descriptors, as a rule. Nobody else would say so, as the other
// ends see nothing but a connection that waits or ends.
type MissHandler interface {
	// OnMissed is called by the listener, once a second at most: times is how often it has
	// failed since the call before, err how the last time.
	OnMissed(times int, err error)
}

// missEvery is between two calls of OnMissed: without descriptors all who come are missed.
const missEvery = time.Second

// misses are those of one listener; all of it is of the goroutine that accepts.
type misses struct {
	h     MissHandler // nil: nobody wants to know
	times int
	told  time.Time
}

func (m *misses) note(err error, now time.Time) {
	if m.h == nil || err == nil || errors.Is(err, ErrClosed) {
		return
	}
	if m.times++; now.Sub(m.told) >= missEvery {
		m.h.OnMissed(m.times, err)
		m.times, m.told = 0, now
	}
}

// OnMissed implements MissHandler.
func (s frameSide) OnMissed(times int, err error) {
	if h, ok := s.h.(MissHandler); ok {
		h.OnMissed(times, err)
	}
}

// OnMissed implements MissHandler.
func (d linkSide) OnMissed(times int, err error) {
	d.ls.log.Error("connections of other nodes could not be taken in", "times", times, "err", err)
}
