package engine

import "time"

// Nap sleeps for times below a millisecond, to which a Go timer would round them up. It
// is for one goroutine.
type Nap struct {
	alarm alarm
	rung  chan struct{}
}

// NewNap makes one, which Close ends.
func NewNap() (*Nap, error) {
	n := &Nap{rung: make(chan struct{}, 1)}
	var err error
	n.alarm, err = newAlarm(func() {
		select {
		case n.rung <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Sleep sleeps for d, at least 1 ns.
func (n *Nap) Sleep(d time.Duration) {
	n.alarm.set(max(1, int64(d)))
	<-n.rung
}

// Close gives back what the Nap has of the system. It must not sleep.
func (n *Nap) Close() { n.alarm.close() }
