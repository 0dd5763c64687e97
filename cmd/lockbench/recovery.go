package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/recovery"
)

func recoveryCommand() *cobra.Command {
	var o recovery.Options
	var locks int
	var out output
	var one bool
	cmd := &cobra.Command{
		Use:   "recovery",
		Short: "Kill a node of a cluster of processes, and measure what the others have of that",
		Long: `Kill a node of a cluster of processes, and measure what the others have of that.

Programs hold many locks; a fifth of them are mastered by the node that is
killed. Other programs lock and unlock all the time: names with which that
node has nothing to do, and names of which it was the master. It is done with
a tenth and a third of the locks, with all, and with all but only a
tenth of the affected ones.

"steady" leaves out the times in which the machine itself was slow, whoever
did what; "slow" is their share.`,
		Example: `  lockbench recovery --nodes 5 --locks 1000000 --json out.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if locks < 1000 {
				return fmt.Errorf("--locks %d: want 1000 at least", locks)
			}
			if !out.quiet {
				o.Progress = func(what string) { fmt.Fprintln(cmd.ErrOrStderr(), what) }
			}
			o.Sizes = sizesOf(locks, one)
			rep, err := recovery.Measure(cmd.Context(), o)
			if err != nil {
				return err
			}
			return report(&out, cmd, rep, printRecovery)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Nodes, "nodes", 5, "nodes of the cluster, one of which is killed; 3 at least")
	f.IntVar(&locks, "locks", 1_000_000, "locks that are held; 1000 at least")
	f.IntVar(&o.Weighed, "weighed", 500_000, "locks that are held to see what one takes on its master; 0: that is not asked")
	f.DurationVar(&o.Lease, "lease", 3*time.Second, "lease of the nodes; too short a one ends on a busy machine")
	f.BoolVar(&one, "one", false, "only with all locks")
	f.StringVar(&o.Daemon, "lockifyd", "", "path of lockifyd (default: beside lockbench, or in PATH)")
	out.flags(cmd)
	return cmd
}

// affectedShare is one part of how many the dead node was master of.
const affectedShare = 5

func sizesOf(locks int, one bool) []recovery.Size {
	size := func(n, share int) recovery.Size { return recovery.Size{Locks: n - n%share, Affected: n / share} }
	all := size(locks, affectedShare)
	if one {
		return []recovery.Size{all}
	}
	return []recovery.Size{size(locks/10, affectedShare), size(locks/3, affectedShare), all, size(locks, 10*affectedShare)}
}

func printRecovery(w io.Writer, r *recovery.Report) error {
	header := []string{
		"locks", "affected", "detect ms", "recover ms", "cpu ms", "pause p50", "p99", "max", "steady p99", "slow %", "at rest p50", "p99", "max", "steady p99", "slow %", "affected p50", "p99", "messages", "MB", "B/lock", "lost",
	}
	var rows [][]string
	for i := range r.Runs {
		x := &r.Runs[i]
		f := func(v float64) string { return fmt.Sprintf("%.1f", v) }
		rows = append(rows, []string{
			fmt.Sprint(x.Locks), fmt.Sprint(x.Affected), f(x.DetectMS), f(x.RecoverMS), f(x.CPUMS),
			f(x.Unaffected.P50), f(x.Unaffected.P99), f(x.Unaffected.Max), f(x.UnaffectedSteady.P99), f(100 * x.Slow),
			f(x.Quiet.P50), f(x.Quiet.P99), f(x.Quiet.Max), f(x.QuietSteady.P99), f(100 * x.QuietSlow), f(x.AffectedPause.P50), f(x.AffectedPause.P99),
			fmt.Sprint(x.Messages), f(float64(x.Bytes) / 1e6), fmt.Sprintf("%.0f", x.MasterBytes), fmt.Sprint(x.Lost),
		})
	}
	return perf.Table(w, header, rows)
}
