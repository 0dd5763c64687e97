package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/perf/security"
)

func securityCommand() *cobra.Command {
	var o security.Options
	var out output
	cmd := &cobra.Command{
		Use:   "security",
		Short: "Attack a lockifyd, and look at what others notice",
		Long: `Attack a lockifyd, and look at what others notice.

A daemon with TLS and access rules has a victim, whose locks are measured, and a witness,
who holds one. Somebody with a certificate for another lockspace does what he should
not: forged, truncated and replayed frames, ids of others' locks and sessions, bombs,
floods, and connections that say nothing. What he gets at, a daemon that ends, a witness
without lock, and a newcomer who does not get in end it with a status other than 0; the
latencies are only shown. Bystanders use another daemon, which nobody attacks: what they notice is
the machine. "slow" is the share of the time in which that was slow. docs/security.md has figures.`,
		Example: `  lockbench security --connections 100000`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Connections < 8 {
				return fmt.Errorf("--connections %d, want 8 or more", o.Connections)
			}
			if o.Daemon, err = proc.DaemonPath(o.Daemon); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Worker = []string{self, "security-worker"}
			p := out.progress(cmd)
			o.Progress = p.line
			all, err := security.Run(cmd.Context(), o)
			p.done()
			return errors.Join(err, report(&out, cmd, all, printAttacks))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Daemon, "lockifyd", "", "the daemon (default: beside lockbench, or in PATH)")
	f.DurationVar(&o.Duration, "duration", 5*time.Second, "of each measurement, before an attack and during it")
	f.IntVar(&o.Connections, "connections", 100000, "half-open connections, of which 10000 are open at once")
	f.StringVar(&o.Only, "only", "", "do only attacks with this in their names; ( is in those that are none")
	out.flags(cmd)
	return cmd
}

func securityWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "security-worker ORDER", Short: "A process of lockbench security", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return security.Work(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func printAttacks(w io.Writer, all []security.Result) error {
	const mib = 1 << 20
	_, err := fmt.Fprintf(w, "%-31s %6s %11s %7s %14s %10s %14s %16s %5s %16s %5s %5s %8s  %s\n%-31s %6s %11s %7s %14s %10s %14s %16s %5s %16s %5s %5s %8s\n",
		"", "", "", "", "MiB of the", "processors", "victims' p50", "victims' p99", "", "bystanders' p99", "", "slow", "newcomer", "",
		"attack", "rounds", "connections", "frames", "daemon", "it,  them", "us", "us", "times", "us", "times", "%", "ms")
	for i := range all {
		r := &all[i]
		verdict := "held"
		switch {
		case r.Failed != "":
			verdict = "FAILED"
		case r.Control:
			verdict = ""
		}
		_, e := fmt.Fprintf(w, "%-31s %6d %11d %7d %6.1f, %6.1f %4.2f, %4.2f %6.0f, %6.0f %7.0f, %7.0f %5.2f %7.0f, %7.0f %5.2f %5.1f %8.1f  %s\n", r.Attack, r.Rounds, r.Connections, r.Frames,
			float64(r.Before)/mib, float64(r.After)/mib, r.Daemon, r.Foe, r.CalmP50, r.DuringP50, r.Calm, r.During, r.Ratio(), r.CalmAside, r.DuringAside, r.AsideRatio(), 100*r.Slow, r.NewcomerMS, verdict)
		err = errors.Join(err, e)
	}
	return err
}
