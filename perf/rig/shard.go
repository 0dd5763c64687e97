package rig

import (
	"context"
	"fmt"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/wire"
)

// Shard is lockify's state machine alone, one shard of a cluster of one node, without
// what hands it work.
const Shard = "shard"

// alone is the Host and the Common of such a shard: nobody is there to be told.
type alone struct {
	lockspace.Host   // what is not below is never called: there is one node, and no lock waits
	lockspace.Common // claims: there are none
	clock            uint64
}

func (a *alone) Complete(any, uint64, uint64, *lockspace.Completion) {}
func (a *alone) LastClaim() uint64                                   { return 0 }
func (a *alone) ClosedTo() uint64                                    { return 0 }
func (a *alone) Clock() uint64                                       { return a.clock }
func (a *alone) Advance(token uint64)                                { a.clock = max(a.clock, token) }

type shardLane struct {
	s    *lockspace.Shard
	now  int64 // ns: each pair takes 100, whatever it takes
	ids  []uint64
	q    lockspace.Request
	name []byte
}

const (
	shardPair  = 100        // ns
	shardIdle  = 10_000_000 // ns: 100,000 names are cached; from then on it forgets as many as it learns
	shardTicks = 64         // pairs
)

func openShard(_ context.Context, o *Order) (*system, error) {
	if o.Depth != 1 {
		return nil, fmt.Errorf("%d at a time, want 1: a shard has no lock of its own", o.Depth)
	}
	instance := uint64(1)<<16 | 1
	view, err := lockspace.NewView(1, []lockspace.Member{{ID: 1, Instance: instance}})
	if err != nil {
		return nil, err
	}
	host := &alone{}
	s, err := lockspace.New(lockspace.Config{
		Self: instance, Shards: 1, ValueLen: 32, View: view, Host: host, Common: host, IdleAfter: shardIdle,
	})
	if err != nil {
		return nil, err
	}
	l := &shardLane{s: s}
	l.q.Mode = lockspace.EX
	return &system{Service: load.Service{Lanes: []load.Lane{l}}, close: func() {}}, nil
}

func (l *shardLane) Acquire(_ context.Context, names []string) error {
	l.ids = l.ids[:0]
	for _, name := range names {
		l.now += shardPair
		id, err := l.lock(name)
		if err != nil {
			return err
		}
		l.ids = append(l.ids, id)
	}
	return nil
}

func (l *shardLane) lock(name string) (uint64, error) {
	l.name = append(l.name[:0], name...)
	l.q.Name, l.q.Hash = l.name, lockspace.Hash(l.name)
	id, st := l.s.Lock(l.now, &l.q)
	if st != wire.OK {
		return 0, fmt.Errorf("lock %q: %v", name, st)
	}
	return id, nil
}

func (l *shardLane) Release(context.Context) error {
	for _, id := range l.ids {
		if st := l.s.Unlock(l.now, id, 0, nil); st != wire.OK {
			return fmt.Errorf("unlock: %v", st)
		}
	}
	if l.now/shardPair%shardTicks == 0 {
		l.s.Tick(l.now)
	}
	return nil
}
