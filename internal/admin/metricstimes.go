package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// This file is the histograms of /metrics.

// histogram makes a metric whose labels come last.
func histogram(name, help string, labels ...string) metric {
	return metric{desc: prometheus.NewDesc(name, help, labels, nil)}
}

var (
	lockTimes     = histogram("lockify_lock_seconds", "Time from request, or conversion, to grant, by how it came: at-once (no message), claimed (no message, under an open claim), asked (another node has granted it), waited (for other holders, or for a recovery). Of at-once and claimed the count is exact, and the time that of one in 61.", "lockspace", "way")
	claimTimes    = histogram("lockify_claim_open_seconds", "Time that claims were open, of those that have ended.", "lockspace")
	fenceTimes    = histogram("lockify_release_fence_seconds", "Time that messages have waited until claims before them were confirmed.", "lockspace")
	recoveryTimes = histogram("lockify_recovery_seconds", "Time from a change of who has the lockspace open until a shard answered for all its names again.", "lockspace")
)

// collectTimes gives the histograms in which there is something. Recoveries are rare, and the first one
// would not be seen as such: it has to come to a histogram that was there before.
func collectTimes(out chan<- prometheus.Metric, sp *node.SpaceStats) {
	name := Name(sp.Name).String()
	give := func(m metric, h *lockspace.Histogram, labels ...string) {
		if h.Total() > 0 {
			out <- constHistogram(m.desc, h, append([]string{name}, labels...)...)
		}
	}
	for way := range sp.Grants {
		give(lockTimes, &sp.Grants[way], lockspace.Way(way).String())
	}
	var claims, fence, recovery lockspace.Histogram
	for k := range sp.Shards {
		claims.Add(&sp.Shards[k].ClaimTimes)
		fence.Add(&sp.Shards[k].HeldTimes)
		recovery.Add(&sp.Shards[k].Recoveries)
	}
	give(claimTimes, &claims)
	give(fenceTimes, &fence)
	out <- constHistogram(recoveryTimes.desc, &recovery, name)
}

func constHistogram(desc *prometheus.Desc, h *lockspace.Histogram, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, lockspace.Buckets)
	sum := uint64(0)
	for i := range lockspace.Buckets {
		sum += h.Counts[i]
		buckets[seconds(lockspace.BucketBound(i))] = sum
	}
	return prometheus.MustNewConstHistogram(desc, h.Total(), seconds(h.Nanos), buckets, labels...)
}
