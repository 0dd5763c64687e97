package main

import (
	"fmt"
	"io"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/rig"
)

// loadReport is what the runs have measured.
type loadReport struct {
	Command string     `json:"command"`
	Depth   int        `json:"depth"`
	Rate    float64    `json:"rate,omitempty"`
	Names   string     `json:"names"`
	Runs    []loadLine `json:"runs"`
}

// loadLine is what one run has measured.
type loadLine struct {
	PairsPerS float64 `json:"pairs_per_s"`
	Acquire   struct {
		P50  float64 `json:"p50"`
		P90  float64 `json:"p90"`
		P99  float64 `json:"p99"`
		P999 float64 `json:"p99.9"`
		Max  float64 `json:"max"`
	} `json:"acquire_us"`
	CPU       float64 `json:"cpu_us_per_pair"`
	Allocs    float64 `json:"allocs_per_pair"`
	GCPause   float64 `json:"gc_pause_max_us"`
	HeldBytes float64 `json:"held_bytes_per_lock,omitempty"`
	Frames    float64 `json:"frames_per_pair,omitempty"`
	Claims    float64 `json:"claims_per_frame,omitempty"`
}

func (l *loadReport) add(r *rig.Round) {
	pairs := float64(max(r.Pairs, 1))
	x := loadLine{
		PairsPerS: r.PairsPerS(), CPU: r.CPU * 1e6 / pairs, Allocs: float64(r.Allocs) / pairs, GCPause: r.GCPause,
		HeldBytes: r.HeldBytes, Frames: float64(r.Frames) / pairs, Claims: per(r.Claims, r.Frames),
	}
	h, q := r.Acquire, &x.Acquire
	q.P50, q.P90, q.P99, q.P999, q.Max = h.QuantileUS(0.5), h.QuantileUS(0.9), h.QuantileUS(0.99), h.QuantileUS(0.999), h.MaxUS()
	l.Runs = append(l.Runs, x)
}

func printLoad(w io.Writer, l *loadReport) error {
	header := []string{"run", "pairs/s", "acquire p50 us", "p90", "p99", "p99.9", "max", "cpu us", "allocs", "frames", "GC pause us", "held B"}
	var rows [][]string
	for i, x := range l.Runs {
		row := []string{fmt.Sprint(i + 1), fmt.Sprintf("%.0f", x.PairsPerS)}
		for _, v := range []float64{x.Acquire.P50, x.Acquire.P90, x.Acquire.P99, x.Acquire.P999, x.Acquire.Max, x.CPU} {
			row = append(row, fmt.Sprintf("%.2f", v))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.2f", x.Allocs), fmt.Sprintf("%.3f", x.Frames),
			fmt.Sprintf("%.1f", x.GCPause), fmt.Sprintf("%.0f", x.HeldBytes)))
	}
	return perf.Table(w, header, rows)
}
