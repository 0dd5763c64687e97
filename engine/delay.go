package engine

import (
	"math"
	"sync"
	"time"
)

// delayer wakes links at given times, for artificial delays. It is woken by an
// alarm of the kernel with nanosecond resolution: a Go timer is served when some
// thread happens to look, which is off by more than the delays that are to be
// imitated. It does not spin. Without delays there is no delayer.
type delayer struct {
	alarm alarm
	due   []*link // of ring

	mu      sync.Mutex
	at      map[*link]int64 // when to wake, in nanos
	until   int64           // the alarm is set for then, in nanos; MaxInt64: it is not
	lead    int64           // ns by which it is set earlier
	stopped bool
}

// leadMax bounds lead, in ns: twice what waking up takes on virtual machines.
const leadMax = 50_000

var epoch = time.Now()

// nanos is a monotonic clock in ns.
func nanos() int64 { return int64(time.Since(epoch)) }

// alarm calls a function once at a given time, on a goroutine of its own or of the
// transport, one call at a time.
type alarm interface {
	// set makes it ring in ns from now, at least 1. What was set before counts no
	// more.
	set(ns int64)

	// close returns when the function does not run and will not.
	close()
}

// A transport that has alarms serves them where it serves its connections.
type alarmer interface {
	newAlarm(ring func()) (alarm, error)
}

func newDelayer(t Transport) (*delayer, error) {
	d := &delayer{at: make(map[*link]int64), until: math.MaxInt64}
	open := newAlarm
	if t, ok := t.(alarmer); ok {
		open = t.newAlarm
	}
	var err error
	d.alarm, err = open(d.ring)
	return d, err
}

// schedule wakes l at due; one time per link, the last one counts.
func (d *delayer) schedule(l *link, due int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return // the alarm's descriptor may be somebody else's by now
	}
	d.at[l] = due
	if due < d.until {
		d.set(due, nanos())
	}
}

func (d *delayer) stop() {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.alarm.close()
}

func (d *delayer) ring() {
	d.due = d.next(d.due[:0])
	for _, l := range d.due {
		l.wake()
	}
}

// next gives the links that are due and sets the alarm for the next ones.
func (d *delayer) next(links []*link) []*link {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, first := nanos(), int64(math.MaxInt64)
	for l, at := range d.at {
		if at <= now {
			links = append(links, l)
			delete(d.at, l)
		} else {
			first = min(first, at)
		}
	}
	d.learn(now)
	d.until = math.MaxInt64
	if first != math.MaxInt64 && !d.stopped {
		d.set(first, now)
	}
	return links
}

// set sets the alarm for due. To wake up takes time, tens of us on a virtual
// machine, so it is set earlier by about the least that this was lately. Who
// wakes too early finds nothing due and sleeps again.
func (d *delayer) set(due, now int64) {
	d.until = due
	d.alarm.set(max(due-now-d.lead, 1))
}

// learn is called when the alarm has rung.
func (d *delayer) learn(now int64) {
	if d.until == math.MaxInt64 {
		return
	}
	late := now - (d.until - d.lead)
	if late < d.lead {
		d.lead = late
	} else {
		d.lead += (late - d.lead) / 64
	}
	d.lead = min(max(d.lead, 0), leadMax)
}
