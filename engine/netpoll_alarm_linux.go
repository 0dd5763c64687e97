package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/cloudwego/netpoll"
)

// netpollAlarm rings on netpoll's event loop. netpoll takes its timer for one more
// connection, but such a one cannot be closed without the risk that its loop waits
// for itself. So alarms are used again.
type netpollAlarm struct {
	timer

	mu   sync.Mutex
	ring func() // nil: not in use
}

var freeAlarms struct {
	sync.Mutex
	list []*netpollAlarm
}

func (netpollTransport) newAlarm(ring func()) (alarm, error) {
	if err := startPollers(); err != nil {
		return nil, err
	}
	freeAlarms.Lock()
	defer freeAlarms.Unlock()
	if n := len(freeAlarms.list); n > 0 {
		a := freeAlarms.list[n-1]
		freeAlarms.list = freeAlarms.list[:n-1]
		a.mu.Lock()
		a.ring = ring
		a.mu.Unlock()
		return a, nil
	}
	t, err := newTimer()
	if err != nil {
		return nil, err
	}
	a := &netpollAlarm{timer: t, ring: ring}
	np, err := netpoll.NewFDConnection(int(t))
	if err == nil { // else t is closed
		if err = np.SetOnRequest(a.rung); err != nil {
			np.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("engine: netpoll takes no timer: %w", err)
	}
	return a, nil
}

func (a *netpollAlarm) rung(_ context.Context, c netpoll.Connection) error {
	if err := c.Reader().Skip(c.Reader().Len()); err != nil {
		return err
	}
	if err := c.Reader().Release(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ring != nil {
		a.ring()
	}
	return nil
}

func (a *netpollAlarm) close() {
	a.set(0)
	a.mu.Lock()
	a.ring = nil
	a.mu.Unlock()
	freeAlarms.Lock()
	freeAlarms.list = append(freeAlarms.list, a)
	freeAlarms.Unlock()
}
