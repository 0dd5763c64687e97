package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/growth"
)

func growthCommand() *cobra.Command {
	var o growth.Options
	var out output
	var dir string
	cmd := &cobra.Command{
		Use:   "growth [STUDY...]",
		Short: "Measure what a lock costs as names, clients, nodes become more, and draw it",
		Long: `Measure what a lock costs as names, clients, nodes become more, and draw it.

Studies: ` + strings.Join(growth.Names(), ", ") + `; default: all. Clusters of up to 1000 nodes are
simulated: real lock tables, messages that take half of --rtt, and nodes that need --service
for each message and request.`,
		Example: "  lockbench growth --charts docs/charts\n  lockbench growth nodes --rtt 1ms",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Self, err = clientWorker(); err != nil {
				return err
			}
			if len(args) == 0 {
				args = growth.Names()
			}
			p := out.progress(cmd)
			o.Progress = p.line
			charts := map[string]*growth.Chart{}
			for _, name := range args {
				c, err := growth.Run(cmd.Context(), name, o)
				p.done()
				if err != nil {
					return err
				}
				charts[name] = c
				if err := showChart(cmd, name, c, dir); err != nil {
					return err
				}
			}
			return report(&out, cmd, charts, func(io.Writer, map[string]*growth.Chart) error { return nil }) // printed already
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "duration", 2*time.Second, "of one measurement, behind half of it to warm up")
	f.IntVar(&o.Most, "most", 0, "names, clients, nodes are this many at most; 0: all there is")
	f.DurationVar(&o.RTT, "rtt", 100*time.Microsecond, "nodes: round trip time")
	f.DurationVar(&o.Service, "service", 500*time.Nanosecond, "nodes: what a node needs for a message or a request")
	f.Float64Var(&o.Rate, "rate", 200_000, "nodes: creations a second at each of them")
	programFlag(cmd, &o.Programs)
	f.StringVar(&dir, "charts", "", "draw into this directory, as STUDY.svg")
	out.flags(cmd)
	return cmd
}

// showChart prints a chart as a table, and draws it.
func showChart(cmd *cobra.Command, name string, c *growth.Chart, dir string) error {
	header := []string{c.Unit}
	for _, p := range c.Panels {
		for _, l := range p.Lines {
			header = append(header, l.Label+", "+p.Unit)
		}
	}
	var rows [][]string
	for i, x := range c.X {
		row := []string{perf.FormatValue(x, "")}
		for _, p := range c.Panels {
			for _, l := range p.Lines {
				row = append(row, perf.FormatValue(l.Y[i], ""))
			}
		}
		rows = append(rows, row)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s: %s\n", name, c.Title)
	if err := perf.Table(w, header, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return c.WriteSVG(filepath.Join(dir, name+".svg"))
}
