package peers

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/lockify-dlm/lockify/perf/rig"
)

// Mode is how processes are spread over the processors.
type Mode string

// The two speeds of a machine whose idle processors sleep.
const (
	Pinned Mode = "pinned" // both ends on one processor
	Free   Mode = "free"   // where the kernel puts them
)

func (m Mode) pin() rig.Pin {
	if m == Pinned {
		return 0
	}
	return rig.Free
}

// Quantiles are times in microseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// System is what was measured of a system in one mode.
type System struct {
	Name      string             `json:"name"`
	Mode      Mode               `json:"mode"`
	Acquire   Quantiles          `json:"acquire_us"`  // one at a time; of a batch where there are such
	PairsPerS map[string]float64 `json:"pairs_per_s"` // by the number of locks under way
	CPU       map[string]float64 `json:"client_cpu_us_per_pair,omitempty"`
	Allocs    float64            `json:"client_allocs_per_pair"` // at the smallest number under way
}

// Ratio is a figure of which something is wanted.
type Ratio struct {
	Name  string  `json:"name"`
	Mode  Mode    `json:"mode"`
	Value float64 `json:"value"`
	Want  float64 `json:"want"`
	Least bool    `json:"at_least"` // Value is to be at least Want; else at most
	Unit  string  `json:"unit,omitempty"`
	OK    bool    `json:"ok"`
}

// Report is what a run has measured.
type Report struct {
	Cores   int                `json:"cores"`
	Rounds  int                `json:"rounds"`
	Seconds float64            `json:"seconds"` // of one measurement
	Systems []*System          `json:"systems"`
	Figures map[string]float64 `json:"figures"` // what is not of a system: held locks, creations, system calls
	Ratios  []Ratio            `json:"ratios"`
	Skipped map[string]string  `json:"skipped,omitempty"` // why
}

// system gives a system of the report; nil: not measured.
func (r *Report) system(name string, mode Mode) *System {
	for _, s := range r.Systems {
		if s.Name == name && s.Mode == mode {
			return s
		}
	}
	return nil
}

// samples collects the rounds of a job.
type samples struct {
	job   job
	p50   []float64
	p99   []float64
	pairs []float64
	cpu   []float64
	alloc []float64
}

func (s *samples) add(r *rig.Round) {
	pairs := max(float64(r.Pairs), 1)
	s.p50 = append(s.p50, r.Acquire.QuantileUS(0.5))
	s.p99 = append(s.p99, r.Acquire.QuantileUS(0.99))
	s.pairs = append(s.pairs, r.PairsPerS())
	s.cpu = append(s.cpu, r.CPU*1e6/pairs)
	s.alloc = append(s.alloc, float64(r.Allocs)/pairs)
}

// into puts the medians into the report.
func (s *samples) into(r *Report) {
	if len(s.pairs) == 0 {
		return
	}
	x := r.system(s.job.system, s.job.mode)
	if x == nil {
		x = &System{Name: s.job.system, Mode: s.job.mode, PairsPerS: map[string]float64{}, CPU: map[string]float64{}}
		r.Systems = append(r.Systems, x)
	}
	depth := strconv.Itoa(s.job.depth)
	if s.job.times() {
		x.Acquire = Quantiles{median(s.p50), median(s.p99)}
	}
	if s.job.rate() {
		if len(x.PairsPerS) == 0 {
			x.Allocs = median(s.alloc)
		}
		x.PairsPerS[depth], x.CPU[depth] = median(s.pairs), median(s.cpu)
	}
}

// median gives the middle value, the lower one of two.
func median[T cmp.Ordered](v []T) T {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		var none T
		return none
	}
	return v[(len(v)-1)/2]
}
