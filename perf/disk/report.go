package disk

import (
	"slices"

	"github.com/lockify-dlm/lockify/perf"
)

// Report is what Measure has found.
type Report struct {
	Cores  int     `json:"cores"`
	Rounds int     `json:"rounds"`
	Cases  []Case  `json:"cases"`
	Ratios []Ratio `json:"ratios"`
}

// Job says what is measured.
type Job struct {
	Path  string `json:"path"`  // PathNVMe, PathFile, PathStream, PathPing
	Op    string `json:"op"`    // read, write
	Bytes int    `json:"bytes"` // of a request
	Depth int    `json:"depth"` // requests at a time
	Spin  bool   `json:"spin"`  // both ends look for work before they sleep
}

// Paths that a request can take.
const (
	PathNVMe   = "nvme/tcp"
	PathFile   = "io_uring"
	PathStream = "bare stream"
	PathPing   = "bare ping-pong"
)

// Case is a Job and its figures: medians over the rounds.
type Case struct {
	Job
	IOPS         float64 `json:"iops"`
	MBPerS       float64 `json:"mb_per_s"` // 1e6 bytes
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	HostCPU      float64 `json:"host_cpu_us"`   // for a request
	TargetCPU    float64 `json:"target_cpu_us"` // for a request
	IOPSPerCPU   float64 `json:"iops_per_cpu_s"`
	HostAllocs   float64 `json:"host_allocs"`   // for a request
	TargetAllocs float64 `json:"target_allocs"` // for a request
	Rounds       []Round `json:"rounds"`
}

// Round is one measurement of a Job.
type Round struct {
	Seconds   float64         `json:"seconds"`
	Requests  int64           `json:"requests"`
	P50       float64         `json:"p50_us"`
	P99       float64         `json:"p99_us"`
	Host      Usage           `json:"host"`
	Target    Usage           `json:"target"`
	FellBack  string          `json:"no_io_uring,omitempty"` // why
	Histogram *perf.Histogram `json:"-"`
}

// Usage is what a process has used.
type Usage struct {
	CPU    float64 `json:"cpu_s"` // seconds, of all processors
	Allocs uint64  `json:"allocs"`
}

func (u Usage) since(before Usage) Usage {
	return Usage{u.CPU - before.CPU, u.Allocs - before.Allocs}
}

// Ratio compares a case with its limit.
type Ratio struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"` // the median of those of the rounds
	Want  string  `json:"want"`
	OK    bool    `json:"ok"`
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// each gives the median of what of says of the rounds.
func each(rounds []Round, of func(*Round) float64) float64 {
	var all []float64
	for i := range rounds {
		all = append(all, of(&rounds[i]))
	}
	return median(all)
}

func (r *Round) iops() float64 { return float64(r.Requests) / r.Seconds }

func newCase(j Job, rounds []Round) Case {
	requests := func(r *Round) float64 { return float64(max(r.Requests, 1)) }
	c := Case{Job: j, Rounds: rounds}
	c.IOPS = each(rounds, (*Round).iops)
	c.MBPerS = c.IOPS * float64(j.Bytes) / 1e6
	c.P50 = each(rounds, func(r *Round) float64 { return r.P50 })
	c.P99 = each(rounds, func(r *Round) float64 { return r.P99 })
	c.HostCPU = each(rounds, func(r *Round) float64 { return r.Host.CPU * 1e6 / requests(r) })
	c.TargetCPU = each(rounds, func(r *Round) float64 { return r.Target.CPU * 1e6 / requests(r) })
	c.IOPSPerCPU = each(rounds, func(r *Round) float64 { return requests(r) / max(r.Host.CPU+r.Target.CPU, 1e-9) })
	c.HostAllocs = each(rounds, func(r *Round) float64 { return float64(r.Host.Allocs) / requests(r) })
	c.TargetAllocs = each(rounds, func(r *Round) float64 { return float64(r.Target.Allocs) / requests(r) })
	return c
}

// What must hold on two cores of a quiet machine.
const (
	wantStream  = 0.7     // of the bare stream, at least
	wantLatency = 1.6     // times the bare ping-pong, at most
	wantIOPS    = 250_000 // 4 KiB, depth 128, at least
)

// ratios compares what there is in cases.
func ratios(cases []Case) (out []Ratio) {
	find := func(path, op string, bytes, depth int, spin bool) *Case {
		i := slices.IndexFunc(cases, func(c Case) bool { return c.Job == Job{path, op, bytes, depth, spin} })
		if i < 0 {
			return nil
		}
		return &cases[i]
	}
	add := func(name string, c, limit *Case, of func(*Round) float64, want string, ok func(float64) bool) {
		if c == nil || limit == nil {
			return
		}
		var all []float64
		for i := range min(len(c.Rounds), len(limit.Rounds)) {
			all = append(all, of(&c.Rounds[i])/of(&limit.Rounds[i]))
		}
		v := median(all)
		out = append(out, Ratio{Name: name, Value: v, Want: want, OK: ok(v)})
	}
	for _, spin := range []bool{true, false} {
		how := ""
		if !spin {
			how = ", without spinning"
		}
		for _, op := range []string{"read", "write"} {
			add("128 KiB "+op+" / bare stream"+how, find(PathNVMe, op, largeBytes, largeDepth, spin), find(PathStream, "write", largeBytes, 1, false),
				(*Round).iops, ">= 0.7", func(v float64) bool { return v >= wantStream })
			if op == "read" { // what the memory of the namespace allows
				add("128 KiB read / bare stream out of as much memory"+how, find(PathNVMe, op, largeBytes, largeDepth, spin),
					find(PathStream, op, largeBytes, largeDepth, false), (*Round).iops, ">= 0.7", func(v float64) bool { return v >= wantStream })
			}
			add("depth 1 "+op+" p50 / bare ping-pong"+how, find(PathNVMe, op, smallBytes, 1, spin), find(PathPing, op, smallBytes, 1, false),
				func(r *Round) float64 { return r.P50 }, "<= 1.6", func(v float64) bool { return v <= wantLatency })
			if c := find(PathNVMe, op, smallBytes, 128, spin); c != nil {
				out = append(out, Ratio{Name: "4 KiB " + op + " IOPS, depth 128" + how, Value: c.IOPS, Want: ">= 250000", OK: c.IOPS >= wantIOPS})
			}
		}
	}
	return out
}
