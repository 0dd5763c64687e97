package chaos

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lockify-dlm/lockify/perf"
)

// Report is what a run has found.
type Report struct {
	Seed       uint64         `json:"seed"`
	Seconds    float64        `json:"seconds"` // of load and faults
	Nodes      int            `json:"nodes"`
	Clients    int            `json:"clients"`
	LeaseMS    int64          `json:"lease_ms"`
	Locks      int64          `json:"locks"` // granted
	Converts   int64          `json:"converts"`
	Unlocks    int64          `json:"unlocks"`
	Refused    int64          `json:"refused"`
	Withdrawn  int64          `json:"withdrawn"` // or lost before they were granted
	ClaimsLost int64          `json:"claims_lost"`
	Names      int            `json:"names"`
	KeptUses   int64          `json:"kept_uses"`  // of locks kept by caches
	KeptReads  int64          `json:"kept_reads"` // of what such locks protect
	Faults     map[string]int `json:"faults"`
	Lost       int            `json:"locks_lost"`
	LostBeyond int            `json:"locks_lost_beyond"` // of nodes to which nothing was done
	Violations int            `json:"violations"`
	Undecided  int            `json:"undecided"` // names whose check was not over in time
	GapsMS     []int64        `json:"gaps_ms"`   // by node: the longest time without a grant while it had quorum
	Problems   []string       `json:"problems"`  // all that makes the run a failure, in words
	Out        string         `json:"out,omitempty"`

	timeline []string
	bad      []verdict
}

// Err is nil if the run has found nothing.
func (r *Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("seed %d: %d violations, %d locks lost beyond those of nodes in trouble, %d undecided, %d problems in all; see %s",
		r.Seed, r.Violations, r.LostBeyond, r.Undecided, len(r.Problems), r.Out)
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// The check of a name has so long; what the faults have done to values is over so many
// leases after them.
const (
	checkTime  = 30 * time.Second
	settleTime = 4
)

// regain is the number of leases after which a node that has lost its disk is taken
// to have a vote again.
const regain = 10

// report checks the history of a run.
func (r *run) report(end int64) *Report {
	c, k := &r.cfg, &r.count
	rep := &Report{
		Seed: c.Seed, Seconds: c.Duration.Seconds(), Nodes: c.Nodes, Clients: c.Nodes * c.Clients,
		LeaseMS: c.Lease.Milliseconds(), Locks: k.locks.Load(), Converts: k.converts.Load(), Unlocks: k.unlocks.Load(),
		Refused: k.refused.Load(), Withdrawn: k.withdrawn.Load(), ClaimsLost: k.claimsLost.Load(),
		Names: len(r.hist.ops), Faults: map[string]int{}, Problems: r.problems,
	}
	h := newHealth(c.Nodes, regain*c.Lease, r.faults)
	for i := range r.faults {
		rep.Faults[r.faults[i].kind]++
		rep.timeline = append(rep.timeline, r.faults[i].String())
	}
	rep.KeptUses, rep.KeptReads = r.keeping.uses.Load(), r.keeping.fetches.Load()
	for _, text := range r.keeping.bad {
		rep.Violations++
		rep.problem("kept locks: %s", text)
	}
	for text, n := range k.odd {
		rep.problem("%d operations ended with an error that there must not be: %s", n, text)
	}
	for n := 1; n <= c.Nodes; n++ {
		rep.GapsMS = append(rep.GapsMS, h.gap(n, r.hist.grants, end).Milliseconds())
	}
	for name, ops := range r.hist.ops {
		for i := range ops {
			r.judgeLoss(rep, h, name, &ops[i])
		}
	}
	for _, v := range check(r.hist.ops, h.losses(settleTime*c.Lease), checkTime) {
		switch v.result {
		case porcupine.Illegal:
			rep.Violations++
			rep.problem("violation at %q: %s", v.name, v.explain())
			rep.bad = append(rep.bad, v)
		case porcupine.Unknown:
			rep.Undecided++
			rep.problem("the check of %q, %d operations, was not over after %v", v.name, len(v.ops), checkTime)
		}
	}
	return rep
}

// judgeLoss looks at a lock that was lost: whether its daemon was killed, and whether
// there was any reason.
func (r *run) judgeLoss(rep *Report, h *health, name string, o *op) {
	if o.Kind != lose {
		return
	}
	rep.Lost++
	o.Killed = o.Killed && h.killed(o.Node, o.Call, o.Return)
	if h.wellFrom(o.Node, o.Call-2*int64(r.cfg.Lease), o.Return) {
		rep.LostBeyond++
		rep.problem("node %d was well, and lost %q: %s between %v and %v", o.Node, name, o, time.Duration(o.Call), time.Duration(o.Return))
	}
}

// save writes what tells of a failure to the directory for it.
func (r *run) save(rep *Report) error {
	dir := r.cfg.Out
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	rep.Out = dir
	var errs []error
	for i := range rep.bad {
		v := &rep.bad[i]
		file, err := v.draw(dir, i+1)
		errs = append(errs, err)
		errs = append(errs, os.WriteFile(strings.TrimSuffix(file, ".html")+".txt", []byte(v.list()), 0o644))
	}
	for _, d := range r.daemons.all {
		text, err := os.ReadFile(d.log)
		errs = append(errs, err, os.WriteFile(filepath.Join(dir, filepath.Base(d.log)), text, 0o644))
	}
	text := fmt.Sprintf("began at %s, seed %d\n\n%s\n\n%s\n", r.hist.start.Format(time.RFC3339Nano), rep.Seed,
		strings.Join(rep.timeline, "\n"), strings.Join(rep.Problems, "\n"))
	errs = append(errs, os.WriteFile(filepath.Join(dir, "run.txt"), []byte(text), 0o644))
	return errors.Join(errs...)
}

// list gives the history of a name, line by line.
func (v *verdict) list() string {
	ops := slices.Clone(v.ops)
	slices.SortFunc(ops, func(a, b op) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for i := range ops {
		o := &ops[i]
		fmt.Fprintf(&b, "%12.6f %12.6f  node %d lane %-3d %s\n", float64(o.Call)/1e9, float64(o.Return)/1e9, o.Node, o.Lane, o)
	}
	return b.String()
}

// Print tells people of a run.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "seed %d: %g s, %d nodes, %d clients, lease %d ms\n", r.Seed, r.Seconds, r.Nodes, r.Clients, r.LeaseMS)
	fmt.Fprintf(w, "operations: %d locks, %d conversions, %d unlocks; %d refused, %d withdrawn, %d wrong claims; %d names\n",
		r.Locks, r.Converts, r.Unlocks, r.Refused, r.Withdrawn, r.ClaimsLost, r.Names)
	fmt.Fprintf(w, "kept locks: %d uses; %d times their content was read\n", r.KeptUses, r.KeptReads)
	var rows [][]string
	for _, k := range weights {
		rows = append(rows, []string{k.kind, fmt.Sprint(r.Faults[k.kind])})
	}
	rows = append(rows, []string{stall, fmt.Sprint(r.Faults[stall])})
	if err := perf.Table(w, []string{"fault", "times"}, rows); err != nil {
		return err
	}
	rows = nil
	for i, ms := range r.GapsMS {
		rows = append(rows, []string{fmt.Sprint(i + 1), fmt.Sprintf("%.3f s", float64(ms)/1e3)})
	}
	if err := perf.Table(w, []string{"node", "longest time without a grant, with quorum"}, rows); err != nil {
		return err
	}
	for _, p := range r.Problems {
		fmt.Fprintln(w, "PROBLEM:", p)
	}
	fmt.Fprintf(w, "violations %d, undecided %d, locks lost %d, of these beyond those of nodes in trouble %d\n",
		r.Violations, r.Undecided, r.Lost, r.LostBeyond)
	return nil
}
