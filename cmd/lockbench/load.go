package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/perf/rig"
)

// loadRun is what one command of those that put load on lockify measures.
type loadRun struct {
	programs rig.Programs
	order    rig.Order
	shape    load.Shape
	runs     int
	pin      int
	nodes    int
	rtt      time.Duration
	remote   bool
	out      output
}

// flags are those that all of the commands have.
func (r *loadRun) flags(cmd *cobra.Command, depth int, names string) {
	f := cmd.Flags()
	f.IntVar(&r.order.Depth, "depth", depth, "locks under way at a time")
	f.Float64Var(&r.shape.Rate, "rate", 0, "open loop: begin so many pairs a second; 0: closed loop")
	f.DurationVar(&r.shape.Warm, "warm", 500*time.Millisecond, "work before it counts, in each run")
	f.DurationVar(&r.shape.Duration, "duration", 2*time.Second, "of a run")
	f.IntVar(&r.shape.Sample, "sample", 1, "take the time of one pair of so many; the clock costs about 50 ns")
	f.IntVar(&r.runs, "runs", 3, "runs, each with processes of its own")
	f.StringVar(&r.shape.Names.Kind, "names", names, "new: never used before; own: one for each lock under way; spread: any of --count; zipf: some of them more often")
	f.IntVar(&r.shape.Names.Count, "count", 1000, "names, of spread and zipf")
	f.Float64Var(&r.shape.Names.Skew, "skew", 1, "zipf: the k-th name is wanted 1/k^skew as often as the first one; 0 to 10")
	f.BoolVar(&r.order.New, "new", false, "the names are claimed, as by who has just created what they stand for")
	f.IntVar(&r.pin, "pin", int(rig.Free), "keep all processes on this processor, -1: on none")
	f.StringVar(&r.order.Profile, "profile", "", "of the working process and of daemons, in the last run: "+strings.Join(perf.ProfileKinds(), ", "))
	f.StringVar(&r.order.Dir, "profile-dir", ".", "folder for profiles")
	r.out.flags(cmd)
}

const (
	loadHelp = `
A pair is a lock and its unlock. In a closed loop each lock under way is followed by the
next one; in an open loop (--rate) pairs begin when they are due, and their time counts
from then, so that a stall counts for all who would have come meanwhile.`
	loadNames = "run"
)

func localCommand() *cobra.Command {
	r := &loadRun{}
	cmd := &cobra.Command{
		Use: "local", Short: "Put load on a node in the program's own process", Args: cobra.NoArgs,
		Long:    "Put load on a node in the program's own process.\n" + loadHelp,
		Example: "  lockbench local --pin 0 --sample 64\n  lockbench local --rate 100000 --hold 1000000 --profile cpu",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.order.System = rig.Embedded
			return r.all(cmd, r.alone)
		},
	}
	r.flags(cmd, 1, load.New)
	cmd.Flags().IntVar(&r.order.Hold, "hold", 0, "hold so many locks meanwhile")
	cmd.Flags().BoolVar(&r.order.Cache, "cache", false, "locks are kept until somebody else wants them (recipes.Cache)")
	return cmd
}

func clientCommand() *cobra.Command {
	r := &loadRun{}
	cmd := &cobra.Command{
		Use: "client", Short: "Put load on a lockifyd as its client", Args: cobra.NoArgs,
		Long:    "Put load on a lockifyd, which is started for that, as its client.\n" + loadHelp,
		Example: "  lockbench client --depth 128\n  lockbench client --addr tcp://127.0.0.1:7070 --clients 16 --depth 64 --rate 20000",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.order.System = rig.Daemon
			return r.all(cmd, func(ctx context.Context) (*rig.Round, error) {
				if len(r.order.Addrs) > 0 {
					return r.alone(ctx)
				}
				return r.daemons(ctx, []string{""})
			})
		},
	}
	r.flags(cmd, 1, load.New)
	programFlag(cmd, &r.programs)
	cmd.Flags().IntVar(&r.order.Clients, "clients", 1, "connections")
	cmd.Flags().StringSliceVar(&r.order.Addrs, "addr", nil, "of daemons that run: unix:///path or tcp://host:port")
	return cmd
}

func clusterCommand() *cobra.Command {
	r := &loadRun{}
	cmd := &cobra.Command{
		Use: "cluster", Short: "Put load on one of several nodes, each in a program of its own", Args: cobra.NoArgs,
		Long: `Put load on one of several nodes, each in a program of its own.

With --new its locks cost no round trip; with --remote another node is master of all
names, and each lock costs one; else each new name is asked for at its directory node.
` + loadHelp,
		Example: "  lockbench cluster --nodes 5 --rtt 100us --new --rate 100000\n  lockbench cluster --remote",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.order.System = rig.Embedded
			return r.all(cmd, r.cluster)
		},
	}
	r.flags(cmd, 1, load.New)
	cmd.Flags().IntVar(&r.nodes, "nodes", 3, "nodes, 2 at least")
	cmd.Flags().DurationVar(&r.rtt, "rtt", 0, "artificial round trip time between nodes, 0 to 2s")
	cmd.Flags().BoolVar(&r.remote, "remote", false, "the second node is master of all --count names")
	return cmd
}

func contendCommand() *cobra.Command {
	r := &loadRun{}
	cmd := &cobra.Command{
		Use: "contend", Short: "Have clients of several daemons wait for each other", Args: cobra.NoArgs,
		Long:    "Have clients of several daemons wait for each other: each has one lock at a time, of names that others want, too.\n" + loadHelp,
		Example: "  lockbench contend --depth 100 --count 10 --skew 1.2",
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.order.System, r.order.Clients = rig.Daemon, r.order.Depth
			return r.all(cmd, func(ctx context.Context) (*rig.Round, error) {
				addrs, err := proc.FreeAddrs(r.nodes)
				if err != nil {
					return nil, err
				}
				return r.daemons(ctx, addrs)
			})
		},
	}
	r.flags(cmd, 16, load.Zipf)
	programFlag(cmd, &r.programs)
	cmd.Flags().IntVar(&r.nodes, "nodes", 3, "daemons, 1 at least")
	return cmd
}

func (r *loadRun) launcher() (rig.Launcher, error) {
	self, err := clientWorker()
	return rig.Launcher{Self: self, Pin: rig.Pin(r.pin)}, err
}

// alone runs one process, that needs no other.
func (r *loadRun) alone(ctx context.Context) (*rig.Round, error) {
	l, err := r.launcher()
	if err != nil {
		return nil, err
	}
	r.order.Prefix = r.shape.Names.Prefix
	return l.Measure(ctx, r.order, r.shape)
}

// daemons runs clients of daemons that listen for each other.
func (r *loadRun) daemons(ctx context.Context, listen []string) (*rig.Round, error) {
	s, err := r.programs.StartLockifyd(ctx, rig.Pin(r.pin), listen, 0)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	at := *r
	at.order.Addrs = s.Addrs
	return at.alone(ctx)
}

// cluster runs nodes in programs; the first one works.
func (r *loadRun) cluster(ctx context.Context) (*rig.Round, error) {
	if r.nodes < 2 {
		return nil, fmt.Errorf("--nodes %d: want 2 at least; see lockbench local", r.nodes)
	}
	l, err := r.launcher()
	if err != nil {
		return nil, err
	}
	addrs, err := proc.FreeAddrs(r.nodes)
	if err != nil {
		return nil, err
	}
	shape, orders := r.shape, []rig.Order{}
	for i := range r.nodes {
		o := rig.Order{System: rig.Embedded, Depth: 1}
		if i == 0 {
			o = r.order
		}
		o.Node = &rig.NodeOrder{ID: i + 1, Addrs: addrs, Delay: r.rtt / 2}
		if i == 1 && r.remote {
			o.Hold, o.Prefix = shape.Names.Count, shape.Names.Prefix
		}
		orders = append(orders, o)
	}
	if r.remote && shape.Names.Kind == load.New {
		shape.Names.Kind = load.Spread
	}
	all, err := l.Launch(ctx, orders...)
	if err != nil {
		return nil, err
	}
	defer rig.StopAll(all)
	return all[0].Turn(ctx, rig.Turn{Depth: r.order.Depth, Shape: shape})
}

// all does the runs and reports.
func (r *loadRun) all(cmd *cobra.Command, run func(context.Context) (*rig.Round, error)) error {
	if r.runs < 1 {
		return fmt.Errorf("--runs %d: want 1 at least", r.runs)
	}
	p := r.out.progress(cmd)
	rep := &loadReport{Command: cmd.Name(), Depth: r.order.Depth, Rate: r.shape.Rate, Names: r.shape.Names.Kind}
	kind := r.order.Profile
	for n := range r.runs {
		p.line(fmt.Sprintf("run %d of %d", n+1, r.runs))
		r.shape.Names.Prefix = fmt.Sprintf("%s%d.", loadNames, n)
		r.order.Profile = ""
		if n == r.runs-1 {
			r.order.Profile = kind
			r.programs.Profile, r.programs.ProfileDir = kind, r.order.Dir
		}
		x, err := run(cmd.Context())
		if err != nil {
			return err
		}
		rep.add(x)
	}
	p.done()
	return report(&r.out, cmd, rep, printLoad)
}
