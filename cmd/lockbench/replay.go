package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/replay"
	"github.com/lockify-dlm/lockify/perf/trace"
)

// workerCommand is what replay starts for each node.
func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "replay-worker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A terminal's interrupt reaches all processes of its group. The
			// coordinator ends its workers by closing their input.
			signal.Ignore(os.Interrupt, syscall.SIGTERM)
			if err := engine.SetPollers(1); err != nil {
				return err
			}
			return replay.Work(cmd.Context(), os.Stdin, os.Stdout)
		},
	}
}

func replayCommand() *cobra.Command {
	var o replay.Options
	var out output
	var protocol, attach string
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Replay a recorded lock trace of a real file system on a real cluster of processes",
		Long: `Replay a recorded lock trace of a real file system on a real cluster of processes.

Each node of the trace becomes a process that issues the lock requests of the
recording, in their order and with their dependencies. In the protocol
"lookup" each new name asks its directory node, as in the kernel's lock
manager; in "notify" what a file creation locks first is granted by the
creating node itself, and the directory node is told in the background.

Built-in traces: ` + strings.Join(trace.Names(), ", ") + `.`,
		Example: `  lockbench replay --trace gfs2-2node --nodes 5 --rtt 100us
  lockbench replay --trace ocfs2-2node --attach socket --json out.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			protocols, err := protocolsOf(protocol)
			if err != nil {
				return err
			}
			if o.Socket, err = attachOf(attach); err != nil {
				return err
			}
			if o.Worker, err = workerArgs(); err != nil {
				return err
			}
			progress := out.progress(cmd)
			o.Progress = progress.show
			rep, err := replay.Run(cmd.Context(), o, protocols...)
			progress.done()
			if err != nil {
				return err
			}
			return report(&out, cmd, rep, printReport)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Trace, "trace", "gfs2-2node", "built-in trace, or a file")
	f.IntVar(&o.Nodes, "nodes", 0, "nodes of the cluster; those beyond the trace's are idle members (default: the trace's)")
	f.DurationVar(&o.RTT, "rtt", 0, "artificial round trip time between nodes, 0 to 2s")
	f.StringVar(&protocol, "protocol", "both", "lookup, notify or both")
	f.StringVar(&attach, "attach", "embedded", "embedded: program and node share a process, as in a kernel; socket: clients of lockifyd")
	f.IntVar(&o.Repeat, "repeat", 1, "run the trace's files so many times, each time under fresh names")
	f.StringVar(&o.Until, "until", "", "stop after this phase (default: the whole trace)")
	f.StringVar(&o.Daemon, "lockifyd", "", "path of lockifyd for --attach socket (default: beside lockbench, or in PATH)")
	f.StringVar(&o.Profile, "profile", "", "profile each node's process: "+strings.Join(perf.ProfileKinds(), ", "))
	f.StringVar(&o.Dir, "profile-dir", ".", "folder for profiles")
	f.StringVar(&o.Transport, "transport", "netpoll", "of the nodes: netpoll or plain")
	f.StringVar(&o.LogLevel, "log-level", "error", "of the nodes: debug, info, warn, error")
	out.flags(cmd)
	return cmd
}

func protocolsOf(s string) ([]string, error) {
	switch s {
	case "both":
		return []string{replay.Lookup, replay.Notify}, nil
	case replay.Lookup, replay.Notify:
		return []string{s}, nil
	}
	return nil, fmt.Errorf("--protocol %q: want lookup, notify or both", s)
}

func attachOf(s string) (socket bool, err error) {
	switch s {
	case "embedded":
		return false, nil
	case "socket":
		return true, nil
	}
	return false, fmt.Errorf("--attach %q: want embedded or socket", s)
}

// workerArgs is this program, as a worker.
func workerArgs() ([]string, error) {
	self, err := os.Executable()
	return []string{self, "replay-worker"}, err
}
