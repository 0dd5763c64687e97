package lockify

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"
)

// BenchmarkHeld locks names of a lockspace with many locks that are held, and reports the
// bytes of heap for each of those (with and without the program's handle, which the name is
// not part of), the time in which 99 of 100 further locks are taken and given up, and the
// longest pause of the garbage collector meanwhile.
func BenchmarkHeld(b *testing.B) {
	for _, x := range []struct {
		what string
		held int
	}{{"10k", 1e4}, {"100k", 1e5}, {"1M", 1e6}, {"10M", 1e7}} {
		b.Run(x.what, func(b *testing.B) { benchHeld(b, x.held) })
	}
}

func benchHeld(b *testing.B, held int) {
	ctx, s := benchSpace(b, "embedded")
	names, more := newNames(held, 'h'), newNames(b.N, 'n')
	before := heap()
	if err := hold(ctx, s, names); err != nil {
		b.Fatal(err)
	}
	bytes := float64(heap()-before) / float64(held)
	pauses := longestPause()
	times := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		lockUnlock(ctx, b, s, more[i*nameLen:(i+1)*nameLen])
		times = append(times, time.Since(start))
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(bytes, "B/lock")
	b.ReportMetric(float64(times[len(times)*99/100]), "p99-ns")
	b.ReportMetric(float64(times[len(times)-1]), "max-ns")
	b.ReportMetric(max(pauses, longestPause())*1e6, "pause-us")
}

// hold locks all names, and keeps the locks without their handles: the node has those.
func hold(ctx context.Context, s *Lockspace, names string) error {
	for i := 0; i < len(names); i += nameLen {
		if _, err := s.Lock(ctx, names[i:i+nameLen], EX); err != nil {
			return err
		}
	}
	return nil
}

func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// longestPause gives the longest pause of the garbage collector so far, in seconds.
func longestPause() float64 {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	for i := len(h.Counts) - 1; i >= 0; i-- {
		if h.Counts[i] > 0 && !math.IsInf(h.Buckets[i+1], 0) {
			return h.Buckets[i+1]
		}
	}
	return 0
}
