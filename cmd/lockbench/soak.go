package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf/soak"
)

func soakCommand() *cobra.Command {
	var o soak.Options
	var out output
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Verify mixed I/O through NVMe/TCP while connections break",
		Long: `Verify mixed I/O through NVMe/TCP while connections break.

Two hosts, one with digests, do reads, writes, compares and more on a namespace in
memory. Between them and the target connections are cut in the midst of anything,
and where there are digests bits are turned over. All that is read is checked against
what may be there. The first mismatch ends it, with a status other than 0.`,
		Example: `  lockbench soak --duration 10m`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := out.progress(cmd)
			begin := time.Now()
			o.Progress = func(s soak.Stats) {
				p.line(fmt.Sprintf("%v of %v: %d requests, %d cuts", time.Since(begin).Round(time.Second), o.Duration, s.Requests, s.Cuts))
			}
			s, err := soak.Run(cmd.Context(), o)
			p.done()
			return errors.Join(err, report(&out, cmd, s, func(w io.Writer, s soak.Stats) error {
				_, e := fmt.Fprintf(w, "%d epochs: %d requests, %.1f GB, %d blocks checked; %d connections cut, %d bits turned over, %d writes lost; %s\n",
					s.Epochs, s.Requests, float64(s.Bytes)/1e9, s.Checked, s.Cuts, s.Bits, s.Lost, verdict(err))
				return e
			}))
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "duration", time.Minute, "how long, at least")
	f.DurationVar(&o.Epoch, "epoch", 5*time.Second, "from one check of everything to the next")
	f.Int64Var(&o.Mean, "harm-after", 0, "bytes of a connection from harm to harm, on average (default 32 MiB)")
	f.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "of what is done (default: the time)")
	f.Lookup("seed").DefValue = "0"
	out.flags(cmd)
	return cmd
}

func verdict(err error) string {
	if err != nil {
		return "ended by an error"
	}
	return "no mismatch"
}
