package growth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/perf/rig"
)

// Options shape the studies.
type Options struct {
	Self     []string // command that runs rig.Work with one more argument
	Programs rig.Programs
	Duration time.Duration // of one measurement, 10 ms at least
	Most     int           // names, clients, nodes are this many at most; 0: as many as the study has
	RTT      time.Duration // of the simulated network
	Service  time.Duration // that a simulated node needs for a request or a message
	Rate     float64       // creations a second of each simulated node
	Progress func(string)
}

// Studies are what can be measured, by name.
var Studies = map[string]func(context.Context, *Options) (*Chart, error){
	"resources": Resources, "clients": Clients, "zipf": Zipf, "nodes": Nodes,
}

// Names lists the studies.
func Names() []string { return slices.Sorted(maps.Keys(Studies)) }

func (o *Options) validate() error {
	switch {
	case len(o.Self) == 0:
		return errors.New("growth: no command for clients")
	case o.Duration < 10*time.Millisecond || o.Most < 0:
		return fmt.Errorf("growth: %v each, up to %d: want 10ms at least, 0 at least", o.Duration, o.Most)
	case o.RTT < 0 || o.Service <= 0 || o.Rate <= 0:
		return fmt.Errorf("growth: round trip %v, %v a message, %g creations a second: want 0 at least, more than 0, more than 0", o.RTT, o.Service, o.Rate)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return nil
}

// Run does one study.
func Run(ctx context.Context, study string, o Options) (*Chart, error) {
	f, ok := Studies[study]
	if !ok {
		return nil, fmt.Errorf("growth: no study %q; there are %s", study, strings.Join(Names(), ", "))
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	return f(ctx, &o)
}

// upTo gives those of sizes that are not beyond o.Most.
func (o *Options) upTo(sizes ...float64) []float64 {
	if o.Most == 0 {
		return sizes
	}
	return slices.DeleteFunc(sizes, func(v float64) bool { return v > float64(o.Most) })
}

func (o *Options) shape(names load.Names) load.Shape {
	return load.Shape{Warm: o.Duration / 2, Duration: o.Duration, Names: names}
}

// timePanels are those that all charts of something real have: a turn's time, and the
// rate.
func timePanels() []Panel {
	return []Panel{
		{Unit: "acquire, us", Log: true, Lines: []Line{{Label: "p50"}, {Label: "p99"}}},
		{Unit: "pairs a second", Lines: []Line{{Label: "pairs/s"}}},
	}
}

func (c *Chart) addRound(x float64, r *rig.Round) {
	c.X = append(c.X, x)
	c.add(0, 0, r.Acquire.QuantileUS(0.5))
	c.add(0, 1, r.Acquire.QuantileUS(0.99))
	c.add(1, 0, r.PairsPerS())
}

func (c *Chart) add(panel, line int, y float64) {
	l := &c.Panels[panel].Lines[line]
	l.Y = append(l.Y, y)
}

// Resources locks names, any of those that a node knows, again and again.
func Resources(ctx context.Context, o *Options) (*Chart, error) {
	c := &Chart{Title: "One node, names in use", Unit: "names held", Log: true, Panels: append(timePanels(), Panel{
		Unit: "bytes for each", Lines: []Line{{Label: "memory, the program's part included"}},
	})}
	for _, n := range o.upTo(1e3, 1e4, 1e5, 1e6, 1e7) {
		o.Progress(fmt.Sprintf("%.0f names", n))
		names := load.Names{Kind: load.Spread, Prefix: "name-", Count: int(n)}
		r, err := rig.Launcher{Self: o.Self, Pin: rig.Free}.Measure(ctx,
			rig.Order{System: rig.Embedded, Depth: 1, Hold: int(n), Prefix: names.Prefix}, o.shape(names))
		if err != nil {
			return nil, err
		}
		c.addRound(n, r)
		c.add(2, 0, r.HeldBytes)
	}
	return c, nil
}

// clientDepth is how many locks are under way, over all connections.
const clientDepth = 64

// Clients has connections take turns, some of them at a time.
func Clients(ctx context.Context, o *Options) (*Chart, error) {
	c := &Chart{Title: "One daemon, one lock under way at each of up to 64 connections", Unit: "connections, used in turn", Log: true, Panels: append(timePanels(), Panel{
		Unit: "KiB for each", Log: true, Lines: []Line{{Label: "memory of the daemon"}},
	})}
	for _, n := range o.upTo(1, 4, 16, 64, 256, 1000, 4000, 10000) {
		o.Progress(fmt.Sprintf("%.0f connections", n))
		if err := o.clients(ctx, c, int(n)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (o *Options) clients(ctx context.Context, c *Chart, n int) error {
	s, err := o.Programs.StartLockifyd(ctx, rig.Free, []string{""}, 0)
	if err != nil {
		return err
	}
	defer s.Stop()
	before, err := s.Processes[0].Memory()
	if err != nil {
		return err
	}
	all, err := rig.Launcher{Self: o.Self, Pin: rig.Free}.Launch(ctx,
		rig.Order{System: rig.Daemon, Addrs: s.Addrs, Clients: n, Depth: min(n, clientDepth)})
	if err != nil {
		return err
	}
	defer rig.StopAll(all)
	after, err := s.Processes[0].Memory()
	if err != nil {
		return err
	}
	r, err := all[0].Turn(ctx, rig.Turn{Depth: min(n, clientDepth), Shape: o.shape(load.Names{Prefix: "c"})})
	if err != nil {
		return err
	}
	c.addRound(float64(n), r)
	c.add(2, 0, max(float64(after-before)/float64(n)/1024, 0.1))
	return nil
}

// Zipf has clients of three daemons want the same names, the more so the larger the skew.
func Zipf(ctx context.Context, o *Options) (*Chart, error) {
	const clients, names, nodes = 64, 1000, 3
	c := &Chart{Title: "64 clients of three daemons, 1000 names", Unit: "skew s: the k-th name is wanted 1/k^s as often as the first", Panels: timePanels()}
	for _, skew := range []float64{0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2} {
		o.Progress(fmt.Sprintf("skew %g", skew))
		addrs, err := proc.FreeAddrs(nodes)
		if err != nil {
			return nil, err
		}
		s, err := o.Programs.StartLockifyd(ctx, rig.Free, addrs, 0)
		if err != nil {
			return nil, err
		}
		r, err := rig.Launcher{Self: o.Self, Pin: rig.Free}.Measure(ctx,
			rig.Order{System: rig.Daemon, Addrs: s.Addrs, Clients: clients, Depth: clients},
			o.shape(load.Names{Kind: load.Zipf, Prefix: "z", Count: names, Skew: skew}))
		s.Stop()
		if err != nil {
			return nil, err
		}
		c.addRound(skew, r)
	}
	return c, nil
}
