package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/perf/rig"
)

// Options shape a run.
type Options struct {
	Self     []string // command that runs rig.Work with one more argument
	Programs rig.Programs
	Rounds   int           // 1 at least
	Duration time.Duration // of one measurement, 10 ms at least
	Held     int           // locks held at the same time; 0: that is not measured
	Only     []string      // groups of systems: see Groups; nil: all
	Progress func(string)
}

// Groups are what can be measured without the rest.
func Groups() []string {
	return []string{"fast", "creations", "held", "syscalls", "etcd", "nats", "zookeeper"}
}

func (o *Options) validate() error {
	if len(o.Self) == 0 {
		return errors.New("peers: no command for clients")
	}
	if o.Rounds < 1 || o.Duration < 10*time.Millisecond || o.Held < 0 {
		return fmt.Errorf("peers: %d rounds of %v, %d locks held: want 1 at least, 10ms at least, 0 at least", o.Rounds, o.Duration, o.Held)
	}
	for _, x := range o.Only {
		if !slices.Contains(Groups(), x) {
			return fmt.Errorf("peers: no group %q; there are %v", x, Groups())
		}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return nil
}

// measurement is a run.
type measurement struct {
	Options
	report  *Report
	servers []*rig.Server // of the present group
	holders []*rig.Client
	names   int
}

// Measure does all of it.
func Measure(ctx context.Context, o Options) (*Report, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	m := &measurement{Options: o, report: &Report{
		Cores: runtime.NumCPU(), Rounds: o.Rounds, Seconds: o.Duration.Seconds(), Figures: map[string]float64{}, Skipped: map[string]string{},
	}}
	groups := []struct {
		name string
		f    func(context.Context) error
	}{
		{"fast", m.fast}, {"creations", m.creations}, {"held", m.held}, {"syscalls", m.syscalls},
		{"etcd", m.etcd}, {"nats", m.nats}, {"zookeeper", m.zookeeper},
	}
	for _, g := range groups {
		if len(o.Only) > 0 && !slices.Contains(o.Only, g.name) {
			continue
		}
		err := g.f(ctx)
		m.stop()
		if errors.Is(err, rig.ErrMissing) {
			m.report.Skipped[g.name] = err.Error()
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("peers: %s: %w", g.name, err)
		}
	}
	m.report.Ratios = ratios(m.report)
	return m.report, nil
}

func (m *measurement) stop() {
	rig.StopAll(m.holders)
	for _, s := range m.servers {
		s.Stop()
	}
	m.holders, m.servers = nil, nil
}

func (m *measurement) launcher(mode Mode) rig.Launcher {
	return rig.Launcher{Self: m.Self, Pin: mode.pin()}
}

// shape gives a closed loop with names that no other measurement has.
func (m *measurement) shape(names string) load.Shape {
	m.names++
	return load.Shape{
		Warm: m.Duration / 4, Duration: m.Duration,
		Names: load.Names{Kind: names, Prefix: strconv.FormatInt(int64(os.Getpid()), 36) + "." + strconv.Itoa(m.names) + "."},
	}
}

// keep has a server stopped at the end of the group.
func (m *measurement) keep(s *rig.Server, err error) (*rig.Server, error) {
	if err == nil {
		m.servers = append(m.servers, s)
	}
	return s, err
}

// rounds does jobs, all of them in each round.
func (m *measurement) rounds(ctx context.Context, jobs []job) error {
	all := make([]samples, len(jobs))
	for n := range m.Rounds {
		for i := range jobs {
			j := &jobs[i]
			all[i].job = *j
			m.Progress(fmt.Sprintf("round %d of %d: %s, %s, %d at a time", n+1, m.Rounds, j.system, j.mode, j.depth))
			r, err := j.run(ctx, j)
			if err != nil {
				return fmt.Errorf("%s, %s, %d at a time: %w", j.system, j.mode, j.depth, err)
			}
			all[i].add(r)
		}
	}
	for i := range all {
		all[i].into(m.report)
	}
	return nil
}

var modes = []Mode{Pinned, Free}

// fast measures what is of the speed of a socket or faster.
func (m *measurement) fast(ctx context.Context) error {
	var jobs []job
	for _, mode := range modes {
		more, err := m.fastJobs(ctx, mode)
		if err != nil {
			return err
		}
		jobs = append(jobs, more...)
	}
	return m.rounds(ctx, jobs)
}

func (m *measurement) fastJobs(ctx context.Context, mode Mode) ([]job, error) {
	jobs := m.limits(mode)
	s, err := m.keep(m.Programs.StartLockifyd(ctx, mode.pin(), []string{""}, 0))
	if err != nil {
		return nil, err
	}
	jobs = append(jobs, m.service(Unix, rig.Daemon, mode, s.Addrs[0]+noRing)...)
	jobs = append(jobs, m.service(Ring, rig.Daemon, mode, s.Addrs[0])...)
	remote, err := m.remote(ctx, mode)
	if err != nil {
		return nil, err
	}
	jobs = append(jobs, remote...)
	s, err = m.keep(m.Programs.StartRedis(ctx, mode.pin()))
	if errors.Is(err, rig.ErrMissing) {
		m.report.Skipped["redis"] = err.Error()
		return jobs, nil
	}
	if err != nil {
		return nil, err
	}
	jobs = append(jobs, m.service(Redis, rig.Redis, mode, s.Addrs...)...)
	return append(jobs, m.batches(mode, s)...), nil
}

// remote gives the jobs of an embedded node that locks what another node is the master
// of. That one has locks on all names, in NL.
func (m *measurement) remote(ctx context.Context, mode Mode) (jobs []job, err error) {
	addrs, err := proc.FreeAddrs(3)
	if err != nil {
		return nil, err
	}
	s, err := m.keep(m.Programs.StartLockifyd(ctx, mode.pin(), addrs, 1))
	if err != nil {
		return nil, err
	}
	shape := m.shape(load.Spread)
	shape.Names.Count = remoteNames
	// The other two begin to hold when all three are there.
	all, err := m.launcher(mode).Launch(ctx,
		rig.Order{System: rig.Embedded, Depth: slices.Max(depths), Node: &rig.NodeOrder{ID: 1, Addrs: addrs}},
		rig.Order{System: rig.Daemon, Addrs: s.Addrs[:1], Depth: 1, Hold: remoteNames, Prefix: shape.Names.Prefix})
	if err != nil {
		return nil, err
	}
	m.holders = append(m.holders, all...)
	for _, d := range depths {
		jobs = append(jobs, job{Remote, mode, d, both, func(ctx context.Context, j *job) (*rig.Round, error) {
			return all[0].Turn(ctx, rig.Turn{Depth: d, Shape: shape})
		}})
	}
	return jobs, nil
}

// slow measures one service behind the others.
func (m *measurement) slow(ctx context.Context, name, system string, start func(rig.Pin) (*rig.Server, error)) error {
	var jobs []job
	for _, mode := range modes {
		s, err := m.keep(start(mode.pin()))
		if err != nil {
			return err
		}
		jobs = append(jobs, m.service(name, system, mode, s.Addrs...)...)
	}
	err := m.rounds(ctx, jobs)
	m.stop()
	return err
}

func (m *measurement) etcd(ctx context.Context) error {
	for _, x := range []struct {
		name  string
		nodes int
	}{{Etcd1, 1}, {Etcd3, 3}} {
		if err := m.slow(ctx, x.name, rig.Etcd, func(p rig.Pin) (*rig.Server, error) { return m.Programs.StartEtcd(ctx, p, x.nodes) }); err != nil {
			return err
		}
	}
	return nil
}

func (m *measurement) nats(ctx context.Context) error {
	for _, x := range []struct {
		name string
		sync bool
	}{{NATS, false}, {NATSSync, true}} {
		if err := m.slow(ctx, x.name, rig.NATS, func(p rig.Pin) (*rig.Server, error) { return m.Programs.StartNATS(ctx, p, x.sync) }); err != nil {
			return err
		}
	}
	return nil
}

func (m *measurement) zookeeper(ctx context.Context) error {
	return m.slow(ctx, ZooKeeper, rig.ZooKeeper, func(p rig.Pin) (*rig.Server, error) { return m.Programs.StartZooKeeper(ctx, p) })
}
