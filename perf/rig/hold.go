package rig

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/perf/load"
)

// hold takes o.Hold locks, of the names that load.Spread would use with o.Prefix, and gives
// what keeps them. r gets the memory of the process that each has taken, with what the
// program keeps of a lock; of a shard alone there is no such part.
func hold(ctx context.Context, s *system, o *Order, r *Round) (any, error) {
	if len(s.Lanes) == 0 {
		return nil, errCannotHold
	}
	before, err := resident()
	if err != nil {
		return nil, err
	}
	var held any
	switch lane := s.Lanes[0].(type) {
	case *lockLane:
		held, err = lane.hold(ctx, o)
	case *shardLane:
		held, err = lane.hold(o)
	default:
		err = errCannotHold
	}
	if err != nil {
		return nil, err
	}
	after, err := resident()
	r.HeldBytes = float64(after-before) / float64(o.Hold)
	return held, err
}

var errCannotHold = errors.New("rig: only locks of lockify are held, without a cache, where there is a lane for each lock under way")

// hold takes null locks, which let others lock the names.
func (l *lockLane) hold(ctx context.Context, o *Order) ([]*lockify.Lock, error) {
	locks := make([]*lockify.Lock, 0, o.Hold)
	names := load.Names{Prefix: o.Prefix}
	for i := range o.Hold {
		one, err := l.spaces[0].Lock(ctx, names.Name(i), lockify.NL, l.opts...)
		if err != nil {
			return nil, err
		}
		locks = append(locks, one)
	}
	return locks, nil
}

// hold has the shard hold locks.
func (l *shardLane) hold(o *Order) (*lockspace.Shard, error) {
	names := load.Names{Prefix: o.Prefix}
	l.q.Mode = lockspace.NL
	defer func() { l.q.Mode = lockspace.EX }()
	for i := range o.Hold {
		l.now += shardPair
		if _, err := l.lock(names.Name(i)); err != nil {
			return nil, err
		}
	}
	return l.s, nil
}

// resident gives the bytes of memory of this process, without what only waits to be used
// again.
func resident() (int64, error) {
	debug.FreeOSMemory()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, errors.New("rig: cannot read /proc/self/statm")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
