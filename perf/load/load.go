package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/lockify-dlm/lockify/perf"
)

// Lane does one thing after the other. It holds one batch of locks at a time.
type Lane interface {
	Acquire(ctx context.Context, names []string) error
	Release(ctx context.Context) error
}

// Async is a service whose calls return at once. It has slots, each with one lock at
// most. The functions that it is given may be called before it returns, or by any
// goroutine later.
type Async interface {
	Acquire(slot int, name string, done func(error))
	Release(slot int, done func(error))
}

// Service is what is to be measured: lanes, or something with slots.
type Service struct {
	Lanes []Lane
	Async Async // instead of lanes
	Slots int   // of Async
}

// Shape is how a service is worked on.
type Shape struct {
	Batch    int           `json:"batch,omitempty"`  // locks of a lane's turn; 0: 1
	Sample   int           `json:"sample,omitempty"` // take the time of one turn of so many; 0: 1. Of closed loops of lanes
	Rate     float64       `json:"rate,omitempty"`   // open loop: turns a second, of all together; 0: closed loop
	Warm     time.Duration `json:"warm"`             // before it counts
	Duration time.Duration `json:"duration"`
	Names    Names         `json:"names"`
}

// Result is what a run has measured.
type Result struct {
	Pairs   int64           `json:"pairs"`   // locked and unlocked
	Seconds float64         `json:"seconds"` // it took
	Acquire *perf.Histogram `json:"acquire"` // of a turn; in an open loop from when it was due
	CPU     float64         `json:"cpu_s"`   // of this process
	Allocs  uint64          `json:"allocs"`  // of this process, by number, but for the names
	GCPause float64         `json:"gc_pause_max_us"`
}

// PairsPerS gives the pairs a second.
func (r *Result) PairsPerS() float64 {
	if r.Seconds <= 0 {
		return 0
	}
	return float64(r.Pairs) / r.Seconds
}

func (s *Shape) validate(v *Service) error {
	s.Batch, s.Sample = max(s.Batch, 1), max(s.Sample, 1)
	switch {
	case v.Async == nil && len(v.Lanes) == 0, v.Async != nil && v.Slots < 1:
		return errors.New("load: a service without lanes or slots")
	case s.Duration <= 0 || s.Warm < 0 || s.Rate < 0:
		return fmt.Errorf("load: duration %v, warm-up %v, rate %g: want more than 0, 0 at least, 0 at least", s.Duration, s.Warm, s.Rate)
	case v.Async != nil && s.Batch > 1:
		return errors.New("load: slots take no batches: want lanes")
	}
	return s.Names.validate()
}

// Run warms the service up, calls begun if there is one, and measures. What has begun
// when the time is over is waited for.
func Run(ctx context.Context, v Service, s Shape, begun func()) (*Result, error) {
	if err := s.validate(&v); err != nil {
		return nil, err
	}
	names := newSource(s.Names)
	if s.Warm > 0 {
		if _, err := turn(ctx, v, s, names, s.Warm); err != nil {
			return nil, err
		}
	}
	if begun != nil {
		begun()
	}
	before := usage()
	r, err := turn(ctx, v, s, names, s.Duration)
	if err != nil {
		return nil, err
	}
	after := usage()
	r.CPU, r.Allocs = (after.cpu - before.cpu).Seconds(), after.allocs-before.allocs
	if s.Names.Kind == New {
		r.Allocs -= min(r.Allocs, uint64(r.Pairs/namesAtOnce))
	}
	r.GCPause = after.longestPause(before.gcs)
	return r, nil
}

func turn(ctx context.Context, v Service, s Shape, names *source, d time.Duration) (*Result, error) {
	if v.Async != nil {
		return runAsync(ctx, v.Async, v.Slots, s, names, d)
	}
	return runLanes(ctx, v.Lanes, s, names, d)
}

// used is what a process has used up to some moment.
type used struct {
	cpu    time.Duration
	allocs uint64
	gcs    int64
	pauses []time.Duration // the last ones, latest first
}

func usage() used {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var g debug.GCStats
	debug.ReadGCStats(&g)
	return used{cpu: perf.CPUTime(), allocs: m.Mallocs, gcs: g.NumGC, pauses: g.Pause}
}

// longestPause gives the longest pause, in microseconds, since there had been so many.
func (u *used) longestPause(gcs int64) float64 {
	longest := time.Duration(0)
	for _, p := range u.pauses[:min(int(u.gcs-gcs), len(u.pauses))] {
		longest = max(longest, p)
	}
	return float64(longest) / 1e3
}
