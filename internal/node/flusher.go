package node

import (
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/engine"
)

// flusher is the node's only housekeeping goroutine beside the links' own. It
// sends NOTIFYs that nobody else had a reason to send, releases messages of
// shards whose fence another shard has opened, and lets time pass.
//
// The first NOTIFY of a quiet node leaves at once. While they keep coming, the
// flusher looks only every linger: a burst of creations travels in few frames,
// the creator is not interrupted by a wake-up for each, and the other nodes
// are woken seldom. That delays only confirmations that nobody waits for: who
// does wait for one (a held message, Barrier, Confirmed) hurries the flusher.
// (With everything on two cores, NOTIFYs that leave with each answer to a client
// make its next lock take half as long again.)
type flusher struct {
	node  *Node
	wake  chan struct{} // something may leave
	hurry chan struct{} // somebody waits for it
	fence atomic.Bool   // claims have closed while other shards held messages back
	quit  chan struct{}
	done  chan struct{}
}

const (
	linger   = 5 * time.Millisecond
	tickTime = 10 * time.Millisecond
)

func newFlusher(n *Node) *flusher {
	return &flusher{
		node: n, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// signal leaves a signal in a channel of capacity one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
		engine.Woke()
	default:
	}
}

func (f *flusher) stop() {
	close(f.quit)
	<-f.done
}

func (f *flusher) run() {
	defer close(f.done)
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	lingering := time.NewTimer(linger)
	defer lingering.Stop()
	wake := f.wake // nil while lingering
	for ticks := 1; ; {
		select {
		case <-f.quit:
			return
		case <-tick.C:
			f.node.ticks.Store(uint32(f.node.now() / int64(tickTime)))
			for _, r := range f.node.allRunners() {
				r.do((*runner).tick)
			}
			if ticks++; ticks%tokensEvery == 0 {
				f.node.renewTokens()
			}
			if ticks%watchEvery == 0 {
				go f.node.watch()
			}
			if ticks%expireEvery == 0 {
				f.node.expireSessions()
			}
		case <-f.hurry:
			f.round()
		case <-wake:
			if f.round() {
				lingering.Reset(linger)
				wake = nil
			}
		case <-lingering.C:
			wake = f.wake
		}
	}
}

// round does what is due and says whether there was anything.
func (f *flusher) round() bool {
	any := false
	fence := f.fence.Swap(false)
	for _, r := range f.node.allRunners() {
		if r.wake.Load() == 1 {
			any = true
			r.wake.Store(0)
			r.do((*runner).flushAll)
		}
		if fence {
			r.do(func(r *runner) { r.shard.Release(r.now()) })
		}
	}
	f.node.checkBarriers()
	return any
}

func (r *runner) tick() {
	if now := r.now(); !r.shard.Quiet() {
		r.shard.Tick(now)
	}
}
