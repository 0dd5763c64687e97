package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/sim"
)

// simOptions are the flags of lockbench sim.
type simOptions struct {
	seed    uint64
	steps   int
	profile string
	mutant  string
	budget  time.Duration
	seeds   uint64
	list    bool
	out     output
}

func simCommand() *cobra.Command {
	var o simOptions
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Simulate clusters from seeds and check every invariant at every step",
		Long: `Simulate clusters from seeds and check every invariant at every step.

A run is a whole cluster in this process: nodes, network, clocks, programs. All
of it follows from a seed. Without --seed, many runs are made: first with
deliberate bugs, each of which must be found, then with seeds over all profiles
until the budget is spent. The status is not 0 if an invariant fails or a
deliberate bug is not found.`,
		Example: `  lockbench sim --budget 50s --json out.json
  lockbench sim --seed 17 --profile reuse --steps 4000
  lockbench sim --seed 2 --mutant no-order`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.list:
				return listSim(cmd.OutOrStdout())
			case o.steps < 1:
				return fmt.Errorf("--steps %d: at least 1", o.steps)
			case cmd.Flags().Changed("seed"):
				return simOne(cmd, &o)
			}
			return simMany(cmd, &o)
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "run this seed only, and tell its failure event by event")
	f.IntVar(&o.steps, "steps", 4000, "steps of a run (deliveries, ticks, faults, operations), before everything is unlocked")
	f.StringVar(&o.profile, "profile", "", "kind of runs (default: all; with --seed: the one that suits --mutant, or fresh); see --list")
	f.StringVar(&o.mutant, "mutant", "", "with --seed: run with this deliberate bug; see --list")
	f.DurationVar(&o.budget, "budget", 20*time.Second, "time for many runs")
	f.Uint64Var(&o.seeds, "seeds", 0, "seeds of many runs: the same runs on every machine, if the budget lets them end; 0: until it is spent")
	f.BoolVar(&o.list, "list", false, "list profiles and deliberate bugs")
	o.out.flags(cmd)
	return cmd
}

func listSim(w io.Writer) error {
	var rows [][]string
	names, abouts := sim.Profiles()
	for i := range names {
		rows = append(rows, []string{"profile", names[i], abouts[i]})
	}
	names, abouts = sim.Mutants()
	for i := range names {
		rows = append(rows, []string{"mutant", names[i], abouts[i]})
	}
	return perf.Table(w, []string{"", "name", "about"}, rows)
}

// simOne runs one seed.
func simOne(cmd *cobra.Command, o *simOptions) error {
	w := cmd.OutOrStdout()
	cfg := sim.Config{Seed: o.seed, Profile: o.profile, Steps: o.steps, Mutant: o.mutant}
	if cfg.Profile == "" {
		cfg.Profile = sim.MutantProfile(o.mutant)
	}
	if cfg.Profile == "" {
		cfg.Profile = "fresh"
	}
	res, err := sim.Run(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "seed %d, profile %s: %d steps, hash %016x\n", cfg.Seed, cfg.Profile, res.Steps, res.Hash)
	if res.Failure == nil {
		fmt.Fprintf(w, "every invariant held; %+v\n", res.Stats)
		return nil
	}
	if err := tellFailure(w, cfg); err != nil {
		return err
	}
	return errors.New(res.Failure.Invariant)
}

// tellFailure prints a run that fails, made short.
func tellFailure(w io.Writer, cfg sim.Config) error {
	story, err := sim.Shrink(cfg)
	if err != nil || story == nil {
		return err
	}
	for _, l := range story.Lines {
		fmt.Fprintln(w, l)
	}
	mutant := ""
	if cfg.Mutant != "" {
		mutant = " --mutant " + cfg.Mutant
	}
	fmt.Fprintf(w, "%v\n%d of %d operations are left in this account\nreplay: lockbench sim --seed %d --steps %d --profile %s%s\n",
		story.Failure, story.Ops, story.Of, cfg.Seed, cfg.Steps, cfg.Profile, mutant)
	return nil
}

func simMany(cmd *cobra.Command, o *simOptions) error {
	w := cmd.OutOrStdout()
	progress := o.out.progress(cmd)
	start := time.Now()
	c := sim.Campaign{
		Budget: int64(o.budget), Clock: func() int64 { return int64(time.Since(start)) }, Steps: o.steps, Last: o.seeds, Skip: o.profile != "",
		Spread: spread,
		Progress: func(r *sim.Report) {
			progress.line(fmt.Sprintf("%d of %d mutants found, %d seeds, %d steps, %d violations",
				r.MutantsFound, r.MutantsTotal, r.Seeds, r.Steps, r.Violations))
		},
	}
	if o.profile != "" {
		c.Profiles = []string{o.profile}
	}
	rep, err := c.Run(cmd.Context())
	progress.done()
	if err != nil {
		return err
	}
	if err := report(&o.out, cmd, rep, printSim); err != nil {
		return err
	}
	for _, f := range rep.Failures {
		fmt.Fprintln(w)
		if err := tellFailure(w, sim.Config{Seed: f.Seed, Profile: f.Profile, Steps: f.Steps}); err != nil {
			return err
		}
	}
	if rep.Violations != 0 || rep.MutantsFound != rep.MutantsTotal {
		return fmt.Errorf("%d violations, %d of %d mutants found", rep.Violations, rep.MutantsFound, rep.MutantsTotal)
	}
	return nil
}

// spread does n things on all cores.
func spread(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}

func printSim(w io.Writer, rep *sim.Report) error {
	var rows [][]string
	for _, m := range rep.Mutants {
		by, where := "NOT FOUND", ""
		if m.Found {
			by, where = m.Invariant, fmt.Sprintf("%d, %d", m.Seed, m.Step)
		}
		rows = append(rows, []string{m.Name, m.Profile, by, where, fmt.Sprintf("%.2f s", m.Seconds), m.About})
	}
	if len(rows) > 0 {
		if err := perf.Table(w, []string{"mutant", "profile", "found by", "seed, step", "after", "about"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	rows = nil
	for _, i := range rep.Invariants {
		rows = append(rows, []string{i.Name, fmt.Sprint(i.Evaluations)})
	}
	if err := perf.Table(w, []string{"invariant", "evaluations"}, rows); err != nil {
		return err
	}
	var all sim.Stats
	for i := range rep.Profiles {
		all.Add(&rep.Profiles[i].Stats)
	}
	fmt.Fprintf(w, "\n%d operations ended, %d byte ranges; %d crashes, %d stops, %d cuts, %d splits, %d stores lost, %d leaves; %d times a node was fenced; %d views\n",
		all.Completions, all.ByteGrants, all.Crashes, all.Stops, all.Cuts, all.Splits, all.Wiped, all.Leaves, all.Fenced, all.Views)
	fmt.Fprintf(w, "%d seeds of %d profiles, %d steps, %.0f steps/s, %d violations; %d of %d mutants found\n",
		rep.Seeds, len(rep.Profiles), rep.Steps, rep.StepsPerS, rep.Violations, rep.MutantsFound, rep.MutantsTotal)
	return nil
}
