package load

import (
	"context"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/perf"
)

// slots keeps a service with slots at work.
type slots struct {
	v    Async
	due  *schedule // nil: closed loop
	end  time.Time
	free chan int      // open loop: slots with nothing to do
	left chan struct{} // closed loop: one for each slot that has stopped

	mu   sync.Mutex // the service may call from anywhere
	hist *perf.Histogram
	n    int64
	err  error
}

// slot is one lock under way at a time. Its functions are made once.
type slot struct {
	s        *slots
	number   int
	next     func() string
	begun    time.Time
	acquired func(error)
	released func(error)
}

// runAsync keeps n slots at work for the time d.
func runAsync(ctx context.Context, v Async, n int, shape Shape, names *source, d time.Duration) (*Result, error) {
	begin := time.Now()
	s := &slots{v: v, end: begin.Add(d), hist: perf.NewHistogram(), free: make(chan int, n), left: make(chan struct{}, n)}
	all := make([]*slot, n)
	for i := range all {
		all[i] = newSlot(s, i, names.lane(i))
	}
	var err error
	if shape.Rate > 0 {
		s.due = &schedule{begin: begin, end: s.end, rate: shape.Rate}
		err = s.open(ctx, all)
	} else {
		for _, x := range all {
			x.start(time.Now())
		}
		for range all {
			<-s.left
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		err = s.err
	}
	if err == nil {
		err = ctx.Err()
	}
	return &Result{Pairs: s.n, Seconds: time.Since(begin).Seconds(), Acquire: s.hist}, err
}

func newSlot(s *slots, number int, next func() string) *slot {
	x := &slot{s: s, number: number, next: next}
	x.acquired = func(err error) {
		if err != nil {
			x.stop(err)
			return
		}
		took := time.Since(x.begun)
		s.mu.Lock()
		s.hist.Record(took)
		s.mu.Unlock()
		s.v.Release(x.number, x.released)
	}
	x.released = func(err error) {
		if err != nil {
			x.stop(err)
			return
		}
		s.mu.Lock()
		s.n++
		failed := s.err != nil
		s.mu.Unlock()
		now := time.Now()
		switch {
		case s.due != nil:
			s.free <- x.number
		case failed || now.After(s.end):
			s.left <- struct{}{}
		default:
			x.start(now)
		}
	}
	return x
}

func (x *slot) start(at time.Time) {
	x.begun = at
	x.s.v.Acquire(x.number, x.next(), x.acquired)
}

func (x *slot) stop(err error) {
	x.s.mu.Lock()
	x.s.err = err
	x.s.mu.Unlock()
	if x.s.due != nil {
		x.s.free <- x.number
		return
	}
	x.s.left <- struct{}{}
}

// open begins a pair when one is due, and a slot is free.
func (s *slots) open(ctx context.Context, all []*slot) error {
	bed, err := newSleeper(ctx)
	if err != nil {
		return err
	}
	defer bed.close()
	for i := range all {
		s.free <- i
	}
	for at, ok := s.due.next(); ok; at, ok = s.due.next() {
		if err := bed.waitUntil(at); err != nil {
			return err
		}
		select {
		case i := <-s.free:
			all[i].start(at)
		case <-ctx.Done():
			return ctx.Err()
		}
		s.mu.Lock()
		err := s.err
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	for range all {
		<-s.free
	}
	return nil
}
