package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// fault is something that is done to nodes or links for a while.
type fault struct {
	kind  string
	nodes []int    // that it is about
	links [][2]int // from, to: that are cut
	lasts time.Duration
	span  // in ns since the run began, as it came to pass
}

// down says that the nodes do nothing meanwhile.
func (f *fault) down() bool { return len(f.links) == 0 }

func (f *fault) String() string {
	return fmt.Sprintf("%v to %v: %s %v", time.Duration(f.from).Round(time.Millisecond), time.Duration(f.to).Round(time.Millisecond), f.kind, f.nodes)
}

// The kinds of faults.
const (
	kill       = "kill"            // kill -9, started again with its disk
	wipe       = "kill, lose disk" // the same without
	pauseShort = "pause, short"    // SIGSTOP, shorter than the lease
	pauseLong  = "pause, long"     // longer than it
	cutLink    = "cut link"        // between two nodes
	cutOneWay  = "cut one way"     // what one says to the other
	isolate    = "isolate"         // a node from all others
	deaf       = "deaf"            // a node hears nobody
	mute       = "mute"            // nobody hears it
	split      = "split"           // a minority from the rest

	stall = "machine stalls" // not planned: this process was not run for a while
)

var weights = []struct {
	kind   string
	weight int
}{
	{kill, 4}, {wipe, 1}, {pauseShort, 2}, {pauseLong, 4}, {cutLink, 2},
	{cutOneWay, 2}, {isolate, 3}, {deaf, 1}, {mute, 1}, {split, 2},
}

// planner makes faults from a seed.
type planner struct {
	rng   *rand.Rand
	nodes int
	lease time.Duration
	wiped int // rounds since a disk was lost
}

// wipePause is how many rounds after a lost disk there is no other: the node has to
// be a voter again, or another instead, before one more may go.
const wipePause = 4

// round gives one or two faults that begin about together, about different nodes.
func (p *planner) round() []fault {
	n := 1
	if p.rng.IntN(3) == 0 {
		n = 2
	}
	p.wiped++
	nodes := p.rng.Perm(p.nodes)
	var out []fault
	for range n {
		f := p.one(nodes)
		nodes = slices.DeleteFunc(nodes, func(n int) bool { return slices.Contains(f.nodes, n+1) })
		out = append(out, f)
	}
	return out
}

// one makes a fault; nodes are in the order in which they are taken, from 0.
func (p *planner) one(nodes []int) fault {
	sum := 0
	for _, w := range weights {
		sum += w.weight
	}
	x, kind := p.rng.IntN(sum), ""
	for _, w := range weights {
		if kind = w.kind; x < w.weight {
			break
		}
		x -= w.weight
	}
	if kind == wipe && p.wiped < wipePause {
		kind = kill
	}
	if kind == wipe {
		p.wiped = 0
	}
	f := fault{kind: kind, nodes: []int{nodes[0] + 1}}
	switch kind {
	case pauseShort:
		f.lasts = p.leases(0.1, 0.6)
	case kill, wipe:
		f.lasts = p.leases(0, 3)
	default:
		f.lasts = p.leases(1.2, 4)
	}
	switch kind {
	case cutLink, cutOneWay, split:
		f.nodes = append(f.nodes, nodes[1]+1)
	}
	f.links = p.links(kind, f.nodes)
	return f
}

func (p *planner) leases(from, to float64) time.Duration {
	return time.Duration((from + p.rng.Float64()*(to-from)) * float64(p.lease))
}

// links gives what a kind of fault cuts.
func (p *planner) links(kind string, nodes []int) (links [][2]int) {
	switch kind {
	case cutLink:
		return [][2]int{{nodes[0], nodes[1]}, {nodes[1], nodes[0]}}
	case cutOneWay:
		return [][2]int{{nodes[0], nodes[1]}}
	case isolate, deaf, mute, split:
	default:
		return nil
	}
	for _, n := range nodes {
		for m := 1; m <= p.nodes; m++ {
			if slices.Contains(nodes, m) {
				continue
			}
			if kind != deaf {
				links = append(links, [2]int{n, m})
			}
			if kind != mute {
				links = append(links, [2]int{m, n})
			}
		}
	}
	return links
}

// trouble does what the planner says until ctx ends, and then heals all.
func (r *run) trouble(ctx context.Context, seed uint64) error {
	p := &planner{rng: rand.New(rand.NewPCG(seed, 1)), nodes: r.cfg.Nodes, lease: r.cfg.Lease}
	for {
		// All is well for a while, in which it shows whether values are kept.
		if !sleep(ctx, p.leases(2, 5)) {
			return nil
		}
		faults := p.round()
		for i := range faults {
			if err := r.begin(&faults[i]); err != nil {
				return err
			}
			if i+1 < len(faults) {
				sleep(ctx, p.leases(0, 1))
			}
		}
		slices.SortStableFunc(faults, func(a, b fault) int { return int(a.from + int64(a.lasts) - b.from - int64(b.lasts)) })
		for i := range faults {
			f := &faults[i]
			sleep(ctx, time.Duration(f.from)+f.lasts-time.Duration(r.hist.now()))
			if err := r.heal(f); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// sleep gives false if ctx ends before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (r *run) begin(f *fault) error {
	f.from = r.hist.now()
	fmt.Fprintf(r.cfg.Progress, "%8.3f s  %s %v for %v\n", float64(f.from)/1e9, f.kind, f.nodes, f.lasts.Round(time.Millisecond))
	switch f.kind {
	case kill, wipe:
		return r.daemons.kill(f.nodes[0])
	case pauseShort, pauseLong:
		return r.daemons.signal(f.nodes[0], syscall.SIGSTOP)
	}
	for _, l := range f.links {
		if err := r.net.cut(l[0], l[1]); err != nil {
			return fmt.Errorf("cut %d to %d: %w", l[0], l[1], err)
		}
	}
	return nil
}

func (r *run) heal(f *fault) error {
	n := f.nodes[0]
	var err error
	switch f.kind {
	case wipe:
		if err = r.daemons.wipe(n); err == nil {
			err = r.daemons.start(n, false)
		}
	case kill:
		err = r.daemons.start(n, false)
	case pauseShort, pauseLong:
		err = r.daemons.signal(n, syscall.SIGCONT)
	}
	for _, l := range f.links {
		if e := r.net.heal(l[0], l[1]); e != nil {
			err = fmt.Errorf("heal %d to %d: %w", l[0], l[1], e)
		}
	}
	f.to = r.hist.now()
	r.over(f)
	return err
}

// over notes a fault that is.
func (r *run) over(f *fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, *f)
}

// watch notes when the machine has not run this process for so long that daemons may
// have missed their leases for the same reason.
func (r *run) watch(ctx context.Context) {
	var all []int
	for n := 1; n <= r.cfg.Nodes; n++ {
		all = append(all, n)
	}
	for last := r.hist.now(); sleep(ctx, lookEvery); {
		now := r.hist.now()
		if late := time.Duration(now-last) - lookEvery; late > r.cfg.Lease/4 {
			r.over(&fault{kind: stall, nodes: all, lasts: late, span: span{last, now}})
		}
		last = now
	}
}
