package rig

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/perf/load"
)

// hold takes o.Hold locks, of the names that load.Spread would use with o.Prefix, and gives
// them. They are null locks, which let others lock the names. r gets the memory of the process that each has taken, what the program keeps of
// a lock included.
func hold(ctx context.Context, s *system, o *Order, r *Round) ([]*lockify.Lock, error) {
	var lane *lockLane
	if len(s.Lanes) > 0 {
		lane, _ = s.Lanes[0].(*lockLane)
	}
	if lane == nil {
		return nil, errors.New("rig: only locks of lockify are held, where there is a lane for each lock under way")
	}
	locks := make([]*lockify.Lock, 0, o.Hold)
	before, err := resident()
	if err != nil {
		return nil, err
	}
	names := load.Names{Prefix: o.Prefix}
	for i := range o.Hold {
		l, err := lane.spaces[0].Lock(ctx, names.Name(i), lockify.NL, lane.opts...)
		if err != nil {
			return nil, err
		}
		locks = append(locks, l)
	}
	after, err := resident()
	r.HeldBytes = float64(after-before) / float64(o.Hold)
	return locks, err
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
