package node

import (
	"math"

	"github.com/lockify-dlm/lockify/lockspace"
)

// This file measures how long what is done at once takes. Two readings of the clock would
// cost a good part of it, so only some operations are measured, and each stands for those
// like it since the last one: the numbers of them are exact, the times are samples.

const (
	measureAll   = 64 // operations of a runner that are all measured, the first ones
	measureEvery = 61 // of further ones; no round number: programs lock and unlock in turns
)

// samples are the times of grants that came at once, by lockspace.Way.
type samples struct {
	measured uint32 // up to measureAll
	times    [2]lockspace.Histogram
	counted  [2]uint64 // of lockspace.Stats.Quick
	last     [2]int64  // ns of the last one measured
	before   [2]uint64 // lockspace.Stats.Quick when that began
}

// exec runs an operation inside the shard.
func (r *runner) exec(op *Op) {
	start := r.begin()
	if op.trace != nil {
		r.followHere(op)
	}
	r.perform(op)
	r.end(start)
}

const notMeasured = math.MinInt64

// begin counts an operation, and says when it has begun if it is to be measured.
func (r *runner) begin() (start int64) {
	r.done++
	if r.skip != 0 {
		r.skip--
		return notMeasured
	}
	return r.measure()
}

func (r *runner) measure() (start int64) {
	if r.quick.measured++; r.quick.measured >= measureAll {
		r.quick.measured, r.skip = measureAll, measureEvery-1
	}
	r.quick.before = r.shard.Quick()
	r.catchUp(&r.quick.before)
	return r.now()
}

// end is called behind an operation with what begin has given.
func (r *runner) end(start int64) {
	if start != notMeasured {
		r.measured(start)
	}
}

func (r *runner) measured(start int64) {
	took := r.node.now() - start
	after := r.shard.Quick()
	for way := range after {
		if after[way] != r.quick.before[way] {
			r.quick.last[way] = max(took, 1) // 0: none yet
		}
	}
	r.catchUp(&after)
}

// catchUp counts those that have not been measured.
func (r *runner) catchUp(quick *[2]uint64) {
	for way, n := range quick {
		if more := n - r.quick.counted[way]; more != 0 && r.quick.last[way] != 0 {
			r.quick.times[way].Observe(r.quick.last[way], more)
			r.quick.counted[way] = n
		}
	}
}

// grants gives the times from request to grant.
func (r *runner) grants(st *lockspace.Stats) [lockspace.Ways]lockspace.Histogram {
	r.catchUp(&st.Quick)
	all := st.Grants
	for way := range r.quick.times {
		all[way].Add(&r.quick.times[way])
	}
	return all
}
