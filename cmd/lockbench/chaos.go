package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf/chaos"
)

func chaosCommand() *cobra.Command {
	var cfg chaos.Config
	var out output
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Run real daemons in network namespaces, do them harm, and check what clients saw",
		Long: `Run real daemons in network namespaces, do them harm, and check what clients saw.

Daemons are killed, stopped and cut off from each other while clients lock. The
history of each name is checked with porcupine. It needs root, for the namespaces
and nftables, and leaves nothing of them behind. The status is not 0 if the check
finds a violation, if locks were lost without need, or if clients cannot go on
when everything has healed; what tells of it is then in --out: the history of the
name as HTML and text, the daemons' logs, the faults.`,
		Example: `  lockbench chaos --duration 60s
  lockbench chaos --seed 17 --lease 500ms --out /tmp/17`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("seed") {
				cfg.Seed = uint64(rand.Uint32())
			}
			if cfg.Daemon == "" {
				self, err := os.Executable()
				if err != nil {
					return err
				}
				cfg.Daemon = filepath.Join(filepath.Dir(self), "lockifyd")
			}
			if _, err := os.Stat(cfg.Daemon); err != nil {
				return fmt.Errorf("no lockifyd: %w; say where it is with --daemon", err)
			}
			if !out.quiet {
				cfg.Progress = cmd.ErrOrStderr()
			}
			rep, err := chaos.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			print := func(w io.Writer, rep *chaos.Report) error { return rep.Print(w) }
			return errors.Join(report(&out, cmd, rep, print), rep.Err())
		},
	}
	f := cmd.Flags()
	f.DurationVar(&cfg.Duration, "duration", 5*time.Minute, "time of load and faults")
	f.Uint64Var(&cfg.Seed, "seed", 0, "of the faults and of what clients ask for (default: drawn)")
	f.IntVar(&cfg.Nodes, "nodes", 5, "daemons, 3, 5 or 7, which all vote")
	f.IntVar(&cfg.Clients, "clients", 2, "clients of each daemon")
	f.IntVar(&cfg.Workers, "workers", 2, "goroutines of each client")
	f.DurationVar(&cfg.Lease, "lease", time.Second, "lease of a node, from 200ms on")
	f.StringVar(&cfg.Daemon, "daemon", "", "lockifyd (default: the one beside this program)")
	f.StringVar(&cfg.Out, "out", "chaos-out", "directory for what tells of a failure")
	f.StringVar(&cfg.LogLevel, "log-level", "info", "of the daemons: debug, info, warn or error")
	out.flags(cmd)
	return cmd
}
