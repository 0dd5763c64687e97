package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/replay"
)

// The demo replays a real file system's creations on five nodes, both ways.
const (
	demoTrace  = "gfs2-2node"
	demoNodes  = 5
	demoRepeat = 10 // copies of the trace's 200 creations
	demoRTT    = 100 * time.Microsecond
)

func demoCommand() *cobra.Command {
	var o replay.Options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what self-owner notification does to the cost of a file creation",
		Long: `Show what self-owner notification does to the cost of a file creation.

Replays the lock requests of GFS2 creating files, as recorded from a Linux
kernel, on five nodes on this machine: with the lookups of a classic lock
manager and with self-owner notification; without and with an artificial round
trip time between the nodes; with clients of five lockifyd daemons, and with
the file system and its lock manager in one process, as in a kernel.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Worker, err = workerArgs(); err != nil {
				return err
			}
			return demo(cmd.Context(), cmd.OutOrStdout(), newProgress(cmd.ErrOrStderr(), false), o)
		},
	}
	cmd.Flags().StringVar(&o.Daemon, "lockifyd", "", "path of lockifyd (default: beside lockbench, or in PATH)")
	return cmd
}

// demoCase is one cluster set-up of the demo.
type demoCase struct {
	socket bool
	rtt    time.Duration
}

func demo(ctx context.Context, w io.Writer, p *progress, o replay.Options) error {
	fmt.Fprintf(w, `A GFS2 node creates %d files in a cluster of %d nodes. Each creation locks two
names that nobody has locked before. A classic lock manager asks another node
about each ("lookup"); lockify's creator makes itself their owner and tells the
other node in the background ("notify").

`, 200*demoRepeat, demoNodes)
	o.Trace, o.Nodes, o.Repeat, o.Until = demoTrace, demoNodes, demoRepeat, "create"
	o.Progress = p.show
	var rows [][]string
	var bars []perf.Bar
	for i, c := range []demoCase{{true, 0}, {true, demoRTT}, {false, 0}, {false, demoRTT}} {
		o.Socket, o.RTT = c.socket, c.rtt
		fmt.Fprintf(w, "%d/4 %s ...\n", i+1, c.describe())
		rep, err := replay.Run(ctx, o, replay.Lookup, replay.Notify)
		p.done()
		if err != nil {
			return err
		}
		for _, name := range []string{replay.Lookup, replay.Notify} {
			x := rep.Protocols[name].Phases["create"]
			rows = append(rows, c.row(name, x, rep))
			bars = append(bars, perf.Bar{Label: c.short() + " " + name, Value: x.OpsPerS})
		}
		if err := sound(rep); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	header := []string{"locks through", "round trip", "protocol", "creations/s", "new lock p50", "p99", "messages waited for", "in background", "speed-up"}
	if err := perf.Table(w, header, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := perf.Bars(w, "creations a second", bars, perf.BarOptions{Width: 40, Log: true}); err != nil {
		return err
	}
	fmt.Fprintf(w, `
"messages waited for" and "in background" are one-way messages between nodes
for each creation. Every completion and every blocking call of the recording
came out as the kernel gave it, and every claim was confirmed.
More: bin/lockbench replay --help
`)
	return nil
}

func (c demoCase) describe() string {
	s := "file system and lock manager in one process per node"
	if c.socket {
		s = "five lockifyd daemons, and a client process at each"
	}
	if c.rtt > 0 {
		s += fmt.Sprintf(", %v round trip added", c.rtt)
	}
	return s
}

func (c demoCase) attach() string {
	if c.socket {
		return "socket"
	}
	return "memory"
}

func (c demoCase) short() string {
	return strings.TrimSpace(fmt.Sprintf("%s +%dus", c.attach(), c.rtt.Microseconds()))
}

func (c demoCase) row(name string, x *replay.PhaseReport, rep *replay.Report) []string {
	speedup := ""
	if name == replay.Notify {
		speedup = fmt.Sprintf("%.1f x", rep.Speedup)
	}
	return []string{
		c.attach(), fmt.Sprintf("+%d us", c.rtt.Microseconds()), name,
		fmt.Sprintf("%.0f", x.OpsPerS), fmt.Sprintf("%.1f us", x.NewUS.P50), fmt.Sprintf("%.1f us", x.NewUS.P99),
		fmt.Sprintf("%.2f", x.Messages.Critical), fmt.Sprintf("%.2f", x.Messages.Background), speedup,
	}
}

// sound refuses to print figures of a run that went wrong.
func sound(rep *replay.Report) error {
	for name, p := range rep.Protocols {
		if p.Claims.Open != 0 || p.Claims.Lost != 0 {
			return fmt.Errorf("%s: %d claims open and %d lost at the end", name, p.Claims.Open, p.Claims.Lost)
		}
		if p.Check.StatusesEqual != p.Check.Statuses || p.Check.BastsEqual != p.Check.Basts {
			return fmt.Errorf("%s: differs from the recording: %v %v", name, p.Check.Kinds, p.Check.Examples)
		}
	}
	return nil
}
