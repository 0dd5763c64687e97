package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/peers"
	"github.com/lockify-dlm/lockify/perf/rig"
)

// clientWorkerCommand is what measurements of locks start for each client.
func clientWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "client-worker ORDER", Short: "A client process of lockbench", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return rig.Work(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func clientWorker() ([]string, error) {
	self, err := os.Executable()
	return []string{self, "client-worker"}, err
}

// programFlags says where servers are.
func programFlags(cmd *cobra.Command, p *rig.Programs) {
	programFlag(cmd, p)
	f := cmd.Flags()
	f.StringVar(&p.Redis, "redis", "", "path of redis-server (default: in PATH)")
	f.StringVar(&p.Etcd, "etcd", "", "path of the etcd server (default: in PATH)")
	f.StringVar(&p.NATS, "nats", "", "path of nats-server (default: in PATH)")
	f.StringVar(&p.ZooKeeper, "zookeeper", "", "directory of ZooKeeper's jar files (default: /usr/share/java)")
}

// programFlag says where lockifyd is.
func programFlag(cmd *cobra.Command, p *rig.Programs) {
	cmd.Flags().StringVar(&p.Lockifyd, "lockifyd", "", "path of lockifyd (default: beside lockbench, or in PATH)")
}

func peersCommand() *cobra.Command {
	var o peers.Options
	var out output
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Measure lockify against Redis, etcd, NATS, ZooKeeper, and against what the machine can do",
		Long: `Measure lockify against Redis, etcd, NATS, ZooKeeper, and against what the machine can do.

A pair is a lock and its unlock, of a new name each time. Latencies are of one pair at a
time; pairs a second at 1, 16 and 128 under way. All is measured --rounds times in turn;
what is printed are medians. Each is measured at both speeds of a machine whose idle
processors sleep: pinned, both ends on one processor, and free.

Services that are not installed are left out. "make peers" installs them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Self, err = clientWorker(); err != nil {
				return err
			}
			p := out.progress(cmd)
			o.Progress = p.line
			rep, err := peers.Measure(cmd.Context(), o)
			p.done()
			if err != nil {
				return err
			}
			return report(&out, cmd, rep, printPeers)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 5, "measure all this often")
	f.DurationVar(&o.Duration, "duration", time.Second, "of one measurement, behind a quarter of it to warm up")
	f.IntVar(&o.Held, "held", 10_000_000, "locks held at the same time, 0: do not measure that")
	f.StringSliceVar(&o.Only, "only", nil, "only these: "+strings.Join(peers.Groups(), ", "))
	programFlags(cmd, &o.Programs)
	out.flags(cmd)
	return cmd
}

func printPeers(w io.Writer, r *peers.Report) error {
	header := []string{"system", "mode", "acquire p50 us", "p99", "pairs/s at 1", "2", "16", "64", "128", "1024", "client cpu us", "allocs"}
	var rows [][]string
	for _, s := range r.Systems {
		row := []string{s.Name, string(s.Mode), fmt.Sprintf("%.2f", s.Acquire.P50), fmt.Sprintf("%.2f", s.Acquire.P99)}
		depths := []int{1, 2, 16, 64, 128, 1024}
		for _, d := range depths {
			row = append(row, count(s.PairsPerS[strconv.Itoa(d)]))
		}
		i := slices.IndexFunc(depths, func(d int) bool { return s.PairsPerS[strconv.Itoa(d)] > 0 })
		rows = append(rows, append(row, fmt.Sprintf("%.2f", s.CPU[strconv.Itoa(depths[max(i, 0)])]), fmt.Sprintf("%.2f", s.Allocs)))
	}
	if err := perf.Table(w, header, rows); err != nil {
		return err
	}
	fmt.Fprintln(w)
	rows = nil
	for _, x := range r.Ratios {
		want, reached := "at most ", "no"
		if x.Least {
			want = "at least "
		}
		if x.OK {
			reached = "yes"
		}
		rows = append(rows, []string{x.Name, string(x.Mode), perf.FormatValue(x.Value, x.Unit), want + perf.FormatValue(x.Want, x.Unit), reached})
	}
	if err := perf.Table(w, []string{"what", "mode", "measured", "wanted", "reached"}, rows); err != nil {
		return err
	}
	for what, why := range r.Skipped {
		fmt.Fprintf(w, "left out: %s: %s\n", what, why)
	}
	return nil
}

// count prints a number of pairs; nothing for 0, which was not measured.
func count(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", v)
}
