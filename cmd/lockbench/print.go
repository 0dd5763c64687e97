package main

import (
	"fmt"
	"io"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/replay"
)

// printReport prints a run for people.
func printReport(w io.Writer, r *replay.Report) error {
	fmt.Fprintf(w, "trace %s, %d nodes, round trip +%g us, %s, repeat %d\n", r.Trace, r.Nodes, r.RTTUS, r.Attach, r.Repeat)
	for _, name := range []string{replay.Lookup, replay.Notify} {
		p := r.Protocols[name]
		if p == nil {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", name)
		if err := printPhases(w, p); err != nil {
			return err
		}
		c := p.Claims
		fmt.Fprintf(w, "claims: %d made, %d confirmed, %d adopted, %d lost, %d refused, %d open; NOTIFY sent again: %d; open for %.1f us on average\n",
			c.Made, c.Confirmed, c.Adopted, c.Lost, c.Refused, c.Open, c.Resent, per(c.Nanos, c.Made-c.Open)/1e3)
		fmt.Fprintf(w, "fence: %d messages held back, %.1f us on average\n", p.Held.Messages, per(p.Held.Nanos, p.Held.Messages)/1e3)
		k := p.Check
		fmt.Fprintf(w, "against the kernel: %d of %d statuses and %d of %d basts equal, %d basts more\n",
			k.StatusesEqual, k.Statuses, k.BastsEqual, k.Basts, k.BastsExtra)
		for kind, n := range k.Kinds {
			fmt.Fprintf(w, "  differs: %s: %d\n", kind, n)
		}
	}
	if r.Speedup > 0 {
		fmt.Fprintf(w, "\ncreations a second, notify over lookup: %.1f\n", r.Speedup)
	}
	return nil
}

func per(sum, n uint64) float64 {
	if n == 0 {
		return 0
	}
	return float64(sum) / float64(n)
}

func printPhases(w io.Writer, p *replay.ProtocolReport) error {
	header := []string{"phase", "ops", "ops/s", "new/op", "new p50 us", "p99", "critical/op", "background/op", "frames/op", "bytes/op"}
	var rows [][]string
	for _, name := range p.Order {
		x := p.Phases[name]
		rows = append(rows, []string{
			name, fmt.Sprint(x.Ops), fmt.Sprintf("%.0f", x.OpsPerS), fmt.Sprintf("%.2f", x.NewPerOp),
			fmt.Sprintf("%.2f", x.NewUS.P50), fmt.Sprintf("%.1f", x.NewUS.P99),
			fmt.Sprintf("%.2f", x.Messages.Critical), fmt.Sprintf("%.2f", x.Messages.Background),
			fmt.Sprintf("%.2f", x.FramesPerOp), fmt.Sprintf("%.0f", x.BytesPerOp),
		})
	}
	return perf.Table(w, header, rows)
}
