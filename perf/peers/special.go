package peers

import (
	"context"
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/perf/rig"
)

// Keys of Report.Figures.
const (
	FigureHeldBytes      = "held_bytes_per_lock"
	FigureHeldNode       = "held_bytes_per_lock_of_a_shard"
	FigureHeldP99        = "held_further_p99_us"
	FigureHeldPause      = "held_gc_pause_max_us"
	FigureSyscalls       = "server_syscalls_per_pair_64"
	FigureRingSyscalls   = "ring_server_syscalls_per_pair_64"
	FigureClusterP50     = "creations_5_nodes_half_load_p50_us"
	FigureSingleP50      = "creations_1_node_same_load_p50_us"
	FigureClaimsPerFrame = "creations_claims_per_frame"
	FigureClusterRate    = "creations_5_nodes_per_s"
	FigureSingleRate     = "creations_1_node_per_s"
	FigureClusterCPU     = "creations_5_nodes_cpu_us"
	FigureSingleCPU      = "creations_1_node_cpu_us"
)

// The cluster in which one node creates.
const (
	creationNodes = 5
	creationDelay = 50 * time.Microsecond // one way
)

// nodes starts a cluster of embedded nodes; the first one of them is to create.
func (m *measurement) nodes(ctx context.Context, n int) ([]*rig.Client, error) {
	addrs, err := proc.FreeAddrs(n)
	if err != nil {
		return nil, err
	}
	var orders []rig.Order
	for i := range n {
		o := rig.Order{System: rig.Embedded, Depth: 1, New: true}
		if n > 1 {
			o.Node = &rig.NodeOrder{ID: i + 1, Addrs: addrs, Delay: creationDelay}
		}
		orders = append(orders, o)
	}
	all, err := m.launcher(Free).Launch(ctx, orders...)
	m.holders = append(m.holders, all...)
	return all, err
}

// creation is what creations in a cluster have cost.
type creation struct {
	round *rig.Round
	cpu   time.Duration // of all nodes
}

// create has the first node create.
func create(ctx context.Context, nodes []*rig.Client, shape load.Shape) (c creation, err error) {
	if err = nodes[0].Begin(ctx, rig.Turn{Depth: 1, Shape: shape}); err != nil {
		return c, err
	}
	before, err := cpuOf(nodes)
	if err != nil {
		return c, err
	}
	if c.round, err = nodes[0].Round(ctx); err != nil {
		return c, err
	}
	after, err := cpuOf(nodes)
	c.cpu = after - before
	return c, err
}

func cpuOf(nodes []*rig.Client) (sum time.Duration, err error) {
	for _, n := range nodes {
		t, err := n.CPU()
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// creations compares one node of five that creates with one that is alone.
func (m *measurement) creations(ctx context.Context) error {
	cluster, err := m.nodes(ctx, creationNodes)
	if err != nil {
		return err
	}
	single, err := m.nodes(ctx, 1)
	if err != nil {
		return err
	}
	all := map[string][]float64{}
	add := func(key string, v float64) { all[key] = append(all[key], v) }
	for n := range m.Rounds {
		m.Progress(fmt.Sprintf("round %d of %d: creations", n+1, m.Rounds))
		full := m.shape(load.New)
		full.Sample = rateSample
		for _, x := range []struct {
			nodes     []*rig.Client
			rate, cpu string
		}{{cluster, FigureClusterRate, FigureClusterCPU}, {single, FigureSingleRate, FigureSingleCPU}} {
			c, err := create(ctx, x.nodes, full)
			if err != nil {
				return err
			}
			add(x.rate, c.round.PairsPerS())
			add(x.cpu, float64(c.cpu.Microseconds())/float64(c.round.Pairs))
			if c.round.Frames > 0 {
				add(FigureClaimsPerFrame, float64(c.round.Claims)/float64(c.round.Frames))
			}
		}
		half := m.shape(load.New)
		half.Rate = all[FigureClusterRate][n] / 2
		for key, nodes := range map[string][]*rig.Client{FigureClusterP50: cluster, FigureSingleP50: single} {
			c, err := create(ctx, nodes, half)
			if err != nil {
				return err
			}
			add(key, c.round.Acquire.QuantileUS(0.5))
		}
	}
	for key, v := range all {
		m.report.Figures[key] = median(v)
	}
	return nil
}

// heldTimes is how much longer than others the measurement with held locks takes: a
// collection among so many has to end in it.
const heldTimes = 10

// held measures a node on which many locks are held.
func (m *measurement) held(ctx context.Context) error {
	if m.Held == 0 {
		return nil
	}
	m.Progress(fmt.Sprintf("%d held locks", m.Held))
	shape := m.shape(load.New)
	shape.Duration *= heldTimes
	r, err := m.launcher(Free).Measure(ctx, rig.Order{System: rig.Embedded, Depth: 1, Hold: m.Held, Prefix: shape.Names.Prefix}, shape)
	if err != nil {
		return err
	}
	m.report.Figures[FigureHeldBytes] = r.HeldBytes
	m.report.Figures[FigureHeldP99] = r.Acquire.QuantileUS(0.99)
	if r.GCPause == 0 {
		m.report.Skipped["pause of the collector"] = "no collection has ended in the time"
	} else {
		m.report.Figures[FigureHeldPause] = r.GCPause
	}
	r, err = m.launcher(Free).Measure(ctx, rig.Order{System: rig.Shard, Depth: 1, Hold: m.Held, Prefix: shape.Names.Prefix}, shape)
	if err != nil {
		return err
	}
	m.report.Figures[FigureHeldNode] = r.HeldBytes
	return nil
}

// syscallDepth is how many locks are under way where system calls are counted.
const syscallDepth = 64

// syscalls counts those of a server.
func (m *measurement) syscalls(ctx context.Context) error {
	s, err := m.keep(m.Programs.StartLockifyd(ctx, rig.Free, []string{""}, 0))
	if err != nil {
		return err
	}
	for key, addr := range map[string]string{FigureSyscalls: s.Addrs[0] + noRing, FigureRingSyscalls: s.Addrs[0]} {
		var counts []float64
		for range m.Rounds {
			m.Progress("system calls of the server")
			all, err := m.launcher(Free).Launch(ctx, rig.Order{System: rig.Daemon, Addrs: []string{addr}, Depth: syscallDepth})
			if err != nil {
				return err
			}
			n, err := m.countSyscalls(ctx, s, all[0])
			rig.StopAll(all)
			if err != nil {
				m.report.Skipped["syscalls"] = err.Error()
				return nil
			}
			counts = append(counts, n)
		}
		m.report.Figures[key] = median(counts)
	}
	return nil
}

// countSyscalls gives the server's system calls for each pair, from the first one on.
func (m *measurement) countSyscalls(ctx context.Context, s *rig.Server, c *rig.Client) (float64, error) {
	shape := m.shape(load.New)
	shape.Warm = 0
	count, err := rig.CountSyscalls(s.Processes[0].Pid())
	if err != nil {
		return 0, err
	}
	r, err := c.Turn(ctx, rig.Turn{Depth: syscallDepth, Shape: shape})
	n := count.Stop()
	if err != nil {
		return 0, err
	}
	return float64(n) / float64(max(r.Pairs, 1)), nil
}
