package load

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/perf"
)

// lane is a Lane at work.
type lane struct {
	l     Lane
	s     *Shape
	next  func() string
	batch []string
	hist  *perf.Histogram
	pairs int64
	_     perf.CacheLine // nobody else's
}

func (l *lane) fill() {
	for i := range l.batch {
		l.batch[i] = l.next()
	}
}

// runLanes has all lanes work for the time d.
func runLanes(ctx context.Context, lanes []Lane, s Shape, names *source, d time.Duration) (*Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make([]*lane, len(lanes))
	for i, l := range lanes {
		work[i] = &lane{l: l, s: &s, next: names.lane(i), batch: make([]string, s.Batch, max(s.Batch, perf.LineWords/2)), hist: perf.NewHistogram()}
	}
	var group sync.WaitGroup
	begin := time.Now()
	due := &schedule{begin: begin, end: begin.Add(d), rate: s.Rate}
	for _, l := range work {
		group.Go(func() {
			run := l.closed
			if s.Rate > 0 {
				run = func(ctx context.Context, _ time.Time) error { return l.open(ctx, due) }
			}
			if err := run(ctx, due.end); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	r := &Result{Seconds: time.Since(begin).Seconds(), Acquire: perf.NewHistogram()}
	for _, l := range work {
		r.Acquire.Merge(l.hist)
		r.Pairs += l.pairs
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// closed does turn after turn until end.
func (l *lane) closed(ctx context.Context, end time.Time) error {
	for {
		l.fill()
		begin := time.Now()
		err := l.l.Acquire(ctx, l.batch)
		now := time.Now()
		if err == nil {
			l.hist.Record(now.Sub(begin))
			err = l.l.Release(ctx)
		}
		if err != nil {
			return err
		}
		l.pairs += int64(len(l.batch))
		for range l.s.Sample - 1 {
			l.fill()
			if err := errors.Join(l.l.Acquire(ctx, l.batch), l.l.Release(ctx)); err != nil {
				return err
			}
			l.pairs += int64(len(l.batch))
		}
		if now.After(end) || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// open takes turns as they are due, those that are overdue at once.
func (l *lane) open(ctx context.Context, due *schedule) error {
	s, err := newSleeper(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	for {
		at, ok := due.next()
		if !ok || ctx.Err() != nil {
			return ctx.Err()
		}
		l.fill()
		if err := s.waitUntil(at); err != nil {
			return err
		}
		if err := l.l.Acquire(ctx, l.batch); err != nil {
			return err
		}
		l.hist.Record(time.Since(at))
		if err := l.l.Release(ctx); err != nil {
			return err
		}
		l.pairs += int64(len(l.batch))
	}
}

// schedule says when the turns of an open loop are due: one after the other, whoever
// asks.
type schedule struct {
	begin, end time.Time
	rate       float64 // a second
	given      atomic.Int64
}

func (s *schedule) next() (at time.Time, ok bool) {
	n := s.given.Add(1) - 1
	at = s.begin.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
	return at, at.Before(s.end)
}

const (
	coarse = 30 * time.Microsecond // by which a sleeper is woken too early: he comes so much too late, as a rule
	fine   = 20 * time.Microsecond // for how long no other goroutine is let run
)

// waitUntil sleeps while there is time for that, and looks at the clock for the rest. It does not
// let others run at each look: that wakes a thread up each time, which takes the other
// processor from those who are measured.
func (s *sleeper) waitUntil(at time.Time) error {
	for {
		left := time.Until(at)
		switch {
		case left <= 0:
			return nil
		case left < fine:
		case left > coarse:
			if err := s.sleep(left - coarse); err != nil {
				return err
			}
		default:
			runtime.Gosched()
		}
	}
}
