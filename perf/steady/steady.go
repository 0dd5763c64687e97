package steady

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	every  = 2 * time.Millisecond
	steps  = 8000                  // of a computation: some 10 us
	tooFar = 2                     // times the best: the machine is slow
	settle = 30 * time.Millisecond // behind a slow time, until what has waited is gone and the speed is back
)

// Watch looks at the machine.
type Watch struct {
	quit chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	samples []sample
}

// sample is a computation.
type sample struct {
	before time.Time     // the end of the one before
	end    time.Time     // of this one
	took   time.Duration // of a processor
}

// Start begins to look, about a hundredth of a processor's time long. Stop ends it.
func Start() *Watch {
	w := &Watch{quit: make(chan struct{})}
	w.done.Go(w.run)
	return w
}

// Stop ends it.
func (w *Watch) Stop() {
	close(w.quit)
	w.done.Wait()
}

func (w *Watch) run() {
	runtime.LockOSThread() // it is a thread's time that is measured
	defer runtime.UnlockOSThread()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for before := time.Now(); ; {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		// Of two, as an interrupt may come in one of them.
		s := sample{before: before, took: min(compute(), compute()), end: time.Now()}
		w.mu.Lock()
		w.samples = append(w.samples, s)
		w.mu.Unlock()
		before = s.end
	}
}

var sink uint64 // so that the computation is not left out

// compute gives what a computation takes of this thread's processor: arithmetic in registers,
// which others' use of caches and memory does not slow.
func compute() time.Duration {
	begin := threadTime()
	x := sink
	for range steps {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink = x
	return threadTime() - begin
}

// Times are when the machine was slow, in order; none overlaps another.
type Times []span

type span struct{ from, to time.Time }

// Slow gives what was seen so far.
func (w *Watch) Slow() Times {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slow(w.samples)
}

func slow(samples []sample) Times {
	if len(samples) == 0 {
		return nil
	}
	took := make([]time.Duration, len(samples))
	for i, s := range samples {
		took[i] = s.took
	}
	slices.Sort(took)
	most := tooFar * took[len(took)/10]
	var all Times
	for _, s := range samples {
		if s.took <= most {
			continue
		}
		if n := len(all); n > 0 && !s.before.After(all[n-1].to) {
			all[n-1].to = s.end.Add(settle)
		} else {
			all = append(all, span{s.before, s.end.Add(settle)})
		}
	}
	return all
}

// Without gives how long it was from one time to another, the slow times between them left out.
func (t Times) Without(from, to time.Time) time.Duration {
	d := to.Sub(from)
	for _, s := range t {
		if a, b := later(s.from, from), earlier(s.to, to); a.Before(b) {
			d -= b.Sub(a)
		}
	}
	return d
}

// Share gives how much of the time from one time to another was slow, from 0 to 1.
func (t Times) Share(from, to time.Time) float64 {
	return 1 - float64(t.Without(from, to))/float64(max(to.Sub(from), 1))
}

// In says whether at is in a slow time.
func (t Times) In(at time.Time) bool {
	for _, s := range t {
		if !at.Before(s.from) && at.Before(s.to) {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
