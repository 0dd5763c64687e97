package sim

import (
	"encoding/binary"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

const bitOpenClaim = wire.BitOpenClaim

// values is invariant 4: a value read with a grant is the last one written by
// a holder entitled to write, or it is marked not valid. A reader may miss only
// writes of holders that its mode does not exclude.
type values struct{ watcher }

func (c *values) completed(l *lock, done *lockspace.Completion) {
	r, nm := c.r, l.name
	if done.Status != wire.OK {
		return
	}
	r.evals[inValue]++
	if done.Bits&wire.BitValue == 0 {
		if done.Value != nil {
			r.fail(inValue, nm, "lock %d: a value without its bit", l.num)
		}
		return
	}
	if l.flags&lockspace.ValBlk == 0 || len(done.Value) != r.valueLen {
		r.fail(inValue, nm, "lock %d: value of %d bytes, flags %#x", l.num, len(done.Value), l.flags)
		return
	}
	if r.valueLen < 8 || !r.fresh(l, done) {
		return
	}
	r.stats.ValidReads++
	i := binary.LittleEndian.Uint64(done.Value)
	if i == 0 || i > uint64(len(nm.writes)) || nm.writes[i-1].invalid {
		r.fail(inValue, nm, "lock %d reads value %d, which was never written; %d were", l.num, i, len(nm.writes))
		return
	}
	if child := nm.writes[i-1].child; child != nil {
		l.n.learn(child) // what a value says may be used
	}
	for k, w := range nm.writes[i:] {
		if !w.claimed && !fits(done.Mode, w.mode) {
			r.fail(inValue, nm, "lock %d reads value %d in %v, but a holder of %v has written value %d",
				l.num, i, done.Mode, w.mode, int(i)+k+1)
		}
	}
}
