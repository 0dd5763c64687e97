package node

import (
	"time"

	"github.com/lockify-dlm/lockify/engine"
)

// What a view brings is done in pieces, between which others are served. What it brings may
// be a second's work on each node, of which several may share a processor, while programs
// that it does not concern go on. So a piece is short, it ends when somebody else wants the
// shard, and the processor rests for longer than it works: with four nodes on two processors
// the longest pause of such a program is mostly some 3 ms then, instead of 8 to 17 with rests twice as
// long as pieces of 0.15 ms, and the recovery takes a fifth longer.

const (
	workNames = 16                     // for how many names a shard works at least
	workTime  = 100 * time.Microsecond // how long a piece takes, unless somebody waits
	workRests = 6                      // a rest is as many times as long as the piece before

	// On a machine that is busy with other things a piece takes long, and a rest
	// as long would not help anybody.
	restMost = 1500 * time.Microsecond
)

// work goes on until nothing is left for now. At least half of the processors stay with
// those who want something else.
func (r *runner) work() {
	nap, err := engine.NewNap()
	sleep := time.Sleep // longer than is asked for
	if err == nil {
		defer nap.Close()
		sleep = nap.Sleep
	}
	for more := true; more; {
		r.node.workers <- struct{}{}
		var took int64
		r.wait(func(r *runner) {
			start := r.now()
			more = r.workPiece(start)
			took = r.now() - start
		})
		if more {
			sleep(min(workRests*time.Duration(took), restMost))
		}
		<-r.node.workers
	}
}

// workPiece works inside the shard, and says whether more is left.
func (r *runner) workPiece(start int64) (more bool) {
	for {
		now := r.now()
		r.working = r.shard.Work(now, workNames)
		if !r.working || now-start >= int64(workTime) || r.wanted() {
			return r.working
		}
	}
}

// wanted says that somebody waits for the shard, which the caller is inside.
func (r *runner) wanted() bool { return r.askers.Load() > 0 || r.inbox.Load() != nil }
