package rig

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lockify-dlm/lockify/perf/load"
)

// Systems that a client can work on.
const (
	Map       = "map"       // no service: a Go map in mutex shards, in this process
	Embedded  = "embedded"  // a node of lockify in this process
	Daemon    = "lockifyd"  // a client of lockify
	Redis     = "redis"     // SET NX PX, and a script that deletes what is still ours
	Etcd      = "etcd"      // concurrency.Mutex
	NATS      = "nats"      // create and delete in a bucket
	ZooKeeper = "zookeeper" // the lock recipe
)

// system is a service that is open.
type system struct {
	load.Service
	close func()
	round func(*Round) // adds what only the system knows; nil: nothing
	mark  func()       // begins to count for round; nil: nothing to do
}

var systems = map[string]func(context.Context, *Order) (*system, error){
	Map:       openMap,
	Shard:     openShard,
	Embedded:  openEmbedded,
	Daemon:    openClient,
	Redis:     openRedis,
	Etcd:      openEtcd,
	NATS:      openNATS,
	ZooKeeper: openZooKeeper,
}

func open(ctx context.Context, o *Order) (*system, error) {
	f, ok := systems[o.System]
	if !ok {
		return nil, fmt.Errorf("rig: no system %q; there are %s", o.System, strings.Join(slices.Sorted(maps.Keys(systems)), ", "))
	}
	if o.Depth < 1 {
		return nil, fmt.Errorf("rig: %s: %d at a time, want 1 at least", o.System, o.Depth)
	}
	s, err := f(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("rig: %s: %w", o.System, err)
	}
	return s, nil
}

// lanes makes o.Depth lanes.
func lanes(o *Order, one func() load.Lane) load.Service {
	var v load.Service
	for range o.Depth {
		v.Lanes = append(v.Lanes, one())
	}
	return v
}
