package rig

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/load"
)

// mapShards is as many as make two processors seldom meet.
const mapShards = 256

// lockMap is what a program does that needs locks within itself only, by names.
type lockMap struct {
	seed   maphash.Seed
	shards [mapShards]struct {
		sync.Mutex
		held map[string]uint64 // by name: the holder's token
		last uint64
		_    [32]byte // two shards do not share a cache line
	}
}

type mapLane struct {
	m      *lockMap
	names  []string
	tokens []uint64
	_      perf.CacheLine // nobody else's
}

func openMap(_ context.Context, o *Order) (*system, error) {
	m := &lockMap{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].held = map[string]uint64{}
	}
	return &system{Service: lanes(o, func() load.Lane { return &mapLane{m: m, tokens: make([]uint64, 0, perf.LineWords)} }), close: func() {}}, nil
}

func (l *mapLane) Acquire(_ context.Context, names []string) error {
	l.names, l.tokens = names, l.tokens[:0]
	for _, name := range names {
		s := &l.m.shards[maphash.String(l.m.seed, name)%mapShards]
		s.Lock()
		if s.held[name] != 0 {
			s.Unlock()
			return fmt.Errorf("%q is held", name)
		}
		s.last++
		s.held[name] = s.last
		l.tokens = append(l.tokens, s.last)
		s.Unlock()
	}
	return nil
}

func (l *mapLane) Release(context.Context) error {
	for i, name := range l.names {
		s := &l.m.shards[maphash.String(l.m.seed, name)%mapShards]
		s.Lock()
		if s.held[name] == l.tokens[i] {
			delete(s.held, name)
		}
		s.Unlock()
	}
	return nil
}
