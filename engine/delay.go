package engine

import (
	"math"
	"runtime"
	"sync"
	"time"
)

// delayer wakes links at given times, for artificial delays. One goroutine,
// locked to a thread, sleeps in the kernel with nanosecond timers: a Go timer
// is served when some thread happens to look, which is off by more than the
// delays that are to be imitated. It does not spin. Without delays there is no
// delayer.
type delayer struct {
	s    *sleeper
	done chan struct{}

	mu      sync.Mutex
	at      map[*link]int64 // when to wake, in nanos
	until   int64           // the sleep lasts until then; 0: awake
	stopped bool

	lead int64 // ns by which sleeps are cut short; of the sleeping goroutine
}

// leadMax bounds lead, in ns: twice what waking up takes on virtual machines.
const leadMax = 50_000

var epoch = time.Now()

// nanos is a monotonic clock in ns.
func nanos() int64 { return int64(time.Since(epoch)) }

func newDelayer() (*delayer, error) {
	s, err := newSleeper()
	if err != nil {
		return nil, err
	}
	d := &delayer{s: s, done: make(chan struct{}), at: make(map[*link]int64)}
	go d.run()
	return d, nil
}

// schedule wakes l at due; one time per link, the last one counts.
func (d *delayer) schedule(l *link, due int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return // the sleeper's descriptor may be somebody else's by now
	}
	d.at[l] = due
	if due < d.until {
		d.until = 0
		d.s.wake()
	}
}

func (d *delayer) stop() {
	d.mu.Lock()
	d.stopped = true
	d.s.wake()
	d.mu.Unlock()
	<-d.done
	d.s.close()
}

func (d *delayer) run() {
	defer close(d.done)
	// Never unlocked: the thread ends with the goroutine, and its exact timers
	// with it.
	runtime.LockOSThread()
	d.s.exact()
	var now []*link
	for {
		var sleep int64
		var stopped bool
		now, sleep, stopped = d.next(now[:0])
		if stopped {
			return
		}
		if len(now) == 0 {
			d.sleep(sleep)
			continue
		}
		for _, l := range now {
			l.wake()
		}
	}
}

// sleep sleeps about ns. Waking up takes time, tens of us on a virtual machine,
// so it asks for less, by about the least that this was lately. Who wakes too
// early finds nothing due and sleeps again.
func (d *delayer) sleep(ns int64) {
	if ns < 0 {
		d.s.sleep(ns)
		return
	}
	ask := max(ns-d.lead, 1)
	asked := nanos()
	if woken := d.s.sleep(ask); woken {
		return
	}
	late := nanos() - asked - ask
	if late < d.lead {
		d.lead = late
	} else {
		d.lead += (late - d.lead) / 64
	}
	d.lead = min(max(d.lead, 0), leadMax)
}

// next gives the links that are due; if none is, how long to sleep in ns,
// negative for as long as nobody calls wake.
func (d *delayer) next(links []*link) ([]*link, int64, bool) {
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
	d.until = 0
	switch {
	case len(links) > 0:
		return links, 0, d.stopped
	case first == math.MaxInt64:
		d.until = first
		return links, -1, d.stopped
	}
	d.until = first
	return links, first - now, d.stopped
}
