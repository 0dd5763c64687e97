package peers

import (
	"context"

	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/perf/rig"
)

// Names of systems in the report.
const (
	PingUnix       = "ping-pong, Unix socket"
	PingTCP        = "ping-pong, TCP"
	MapNew         = "map in 256 mutex shards"
	MapCached      = "map in 256 mutex shards, one name"
	ShardNew       = "lockify, a shard alone"
	EmbeddedNew    = "lockify embedded"
	EmbeddedCached = "lockify embedded, one name"
	EmbeddedKept   = "lockify embedded, one name, kept"
	Unix           = "lockify, Unix socket"
	Ring           = "lockify, shared memory"
	Remote         = "lockify, 3 nodes, remote master"
	Redis          = "Redis, Unix socket"
	Redis64        = "Redis, Unix socket, batches of 64"
	Etcd1          = "etcd, 1 node, disk"
	Etcd3          = "etcd, 3 nodes, disk"
	NATS           = "NATS KV, file"
	NATSSync       = "NATS KV, file, synchronous"
	ZooKeeper      = "ZooKeeper, 1 node, disk"
)

const (
	redisBatch  = 64
	rateSample  = 64   // in-process systems are as fast as a clock
	remoteNames = 4096 // that the other node is master of
	noRing      = "?ring=off"
)

// what a job is for.
type purpose uint8

const (
	both  purpose = iota
	times         // the time of each Acquire; what that costs spoils the rate
	rate          // pairs a second
)

// job is one measurement, done once a round.
type job struct {
	system string
	mode   Mode
	depth  int // locks under way
	why    purpose
	run    func(context.Context, *job) (*rig.Round, error)
}

func (j *job) times() bool {
	return j.why == times || j.why == both && (j.depth == 1 || j.system == Redis64 && j.depth == redisBatch)
}
func (j *job) rate() bool { return j.why != times }

// depths are the numbers of locks under way at which all services are measured.
var depths = []int{1, 16, 128}

// limits gives the jobs that need no server.
func (m *measurement) limits(mode Mode) (jobs []job) {
	for _, p := range []struct{ system, network string }{{PingUnix, "unix"}, {PingTCP, "tcp"}} {
		jobs = append(jobs, job{p.system, mode, 1, both, func(ctx context.Context, j *job) (*rig.Round, error) {
			return m.launcher(mode).MeasurePing(ctx, p.network, m.shape(load.Own))
		}})
	}
	inside := func(name, names string, o rig.Order, why purpose) {
		jobs = append(jobs, job{name, mode, o.Depth, why, func(ctx context.Context, j *job) (*rig.Round, error) {
			shape := m.shape(names)
			if why == rate {
				shape.Sample = rateSample
			}
			return m.launcher(mode).Measure(ctx, o, shape)
		}})
	}
	for _, x := range []struct {
		name, names string
		order       rig.Order
	}{
		{MapNew, load.New, rig.Order{System: rig.Map}},
		{MapCached, load.Own, rig.Order{System: rig.Map}},
		{EmbeddedNew, load.New, rig.Order{System: rig.Embedded}},
		{EmbeddedCached, load.Own, rig.Order{System: rig.Embedded}},
		{EmbeddedKept, load.Own, rig.Order{System: rig.Embedded, Cache: true}},
	} {
		x.order.Depth = 1
		inside(x.name, x.names, x.order, times)
		for _, d := range []int{1, 2, 16, 128} {
			x.order.Depth = d
			inside(x.name, x.names, x.order, rate)
		}
	}
	inside(ShardNew, load.New, rig.Order{System: rig.Shard, Depth: 1}, times)
	inside(ShardNew, load.New, rig.Order{System: rig.Shard, Depth: 1}, rate)
	return jobs
}

// service gives the jobs of a system behind a server.
func (m *measurement) service(name, system string, mode Mode, addrs ...string) (jobs []job) {
	for _, d := range depths {
		jobs = append(jobs, job{name, mode, d, both, func(ctx context.Context, j *job) (*rig.Round, error) {
			return m.launcher(mode).Measure(ctx, rig.Order{System: system, Addrs: addrs, Depth: d}, m.shape(load.New))
		}})
	}
	return jobs
}

// batches gives the jobs of Redis where a client sends many commands at once.
func (m *measurement) batches(mode Mode, s *rig.Server) (jobs []job) {
	for _, connections := range []int{1, 2, 16} {
		jobs = append(jobs, job{Redis64, mode, connections * redisBatch, both, func(ctx context.Context, j *job) (*rig.Round, error) {
			shape := m.shape(load.New)
			shape.Batch = redisBatch
			return m.launcher(mode).Measure(ctx, rig.Order{System: rig.Redis, Addrs: s.Addrs, Depth: connections}, shape)
		}})
	}
	return jobs
}
