package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/disk"
)

func diskCommand() *cobra.Command {
	o := disk.Options{Size: 256 << 20}
	var out output
	var only string
	cmd := &cobra.Command{
		Use:   "disk",
		Short: "Measure NVMe/TCP, a target and a host process on loopback, against what the machine can do",
		Long: `Measure NVMe/TCP, a target and a host process on loopback, against what the machine can do.

Requests of 4 KiB at random places, 1, 32 and 128 at a time, and of 128 KiB in
order, 32 at a time, go to a namespace in memory; the same to a file through
io_uring. The limits are a stream between two processes, and the exchange of
messages as large as a command and its data. All is done --rounds times in turn;
what is printed are medians. With spin, both ends look for work before they
sleep, which takes all of two cores.`,
		Example: `  lockbench disk --json out.json
  lockbench disk --only "nvme/tcp read 4096" --rounds 1 --profile cpu`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Worker = []string{self, "disk-worker"}
			for _, j := range disk.Jobs() {
				if strings.HasPrefix(jobName(j), only) {
					o.Jobs = append(o.Jobs, j)
				}
			}
			if len(o.Jobs) == 0 {
				return fmt.Errorf("--only %q: there is none; the first one of all is %q", only, jobName(disk.Jobs()[0]))
			}
			p := out.progress(cmd)
			o.Progress = p.line
			rep, err := disk.Measure(cmd.Context(), o)
			p.done()
			if err != nil {
				return err
			}
			return report(&out, cmd, rep, printDisk)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 5, "measure all this often")
	f.DurationVar(&o.Duration, "duration", time.Second, "of one measurement")
	f.DurationVar(&o.Spin, "spin", 200*time.Microsecond, "how long to look for work before sleeping, where that is done")
	f.StringVar(&only, "only", "", "only what begins with this: path, operation, bytes, depth, spin or sleep")
	f.StringVar(&o.Dir, "dir", "", "where the file is made (default: where temporary files are)")
	f.StringVar(&o.Profile, "profile", "", "both ends write a profile of the last measurement: "+strings.Join(perf.ProfileKinds(), ", "))
	f.StringVar(&o.ProfileDir, "profile-dir", ".", "folder for profiles, each in one of the role's name")
	out.flags(cmd)
	return cmd
}

func diskWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "disk-worker ORDER", Short: "A process of lockbench disk", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return disk.Work(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func jobName(j disk.Job) string {
	how := "sleep"
	if j.Spin {
		how = "spin"
	}
	return fmt.Sprintf("%s %s %d %d %s", j.Path, j.Op, j.Bytes, j.Depth, how)
}

func printDisk(w io.Writer, r *disk.Report) error {
	header := []string{"path, operation, bytes, depth, waits", "IOPS", "MB/s", "p50 us", "p99 us", "host cpu us", "target cpu us", "IOPS/cpu s", "allocs"}
	var rows [][]string
	for i := range r.Cases {
		c := &r.Cases[i]
		row := []string{jobName(c.Job), fmt.Sprintf("%.0f", c.IOPS), fmt.Sprintf("%.0f", c.MBPerS), fmt.Sprintf("%.1f", c.P50), fmt.Sprintf("%.1f", c.P99)}
		if c.Path == disk.PathStream {
			row[3], row[4] = "", ""
		}
		rows = append(rows, append(row, fmt.Sprintf("%.2f", c.HostCPU), fmt.Sprintf("%.2f", c.TargetCPU),
			fmt.Sprintf("%.0f", c.IOPSPerCPU), fmt.Sprintf("%.3f", c.HostAllocs+c.TargetAllocs)))
	}
	if err := perf.Table(w, header, rows); err != nil || len(r.Ratios) == 0 {
		return err
	}
	fmt.Fprintln(w)
	rows = nil
	for _, x := range r.Ratios {
		reached := "yes"
		if !x.OK {
			reached = "no"
		}
		rows = append(rows, []string{x.Name, perf.FormatValue(x.Value, ""), x.Want, reached})
	}
	return perf.Table(w, []string{"ratio", "measured", "wanted", "reached"}, rows)
}
