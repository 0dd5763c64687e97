package node

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// flusher is the node's only housekeeping goroutine beside the links' own. It
// sends NOTIFYs that nobody else had a reason to send, releases messages of
// shards whose fence another shard has opened, and lets time pass.
//
// The first NOTIFY of a quiet node leaves at once. While they keep coming, the
// flusher looks every linger: a burst of creations travels in few frames, and
// the creator is not interrupted by a wake-up for each.
type flusher struct {
	node  *Node
	wake  chan struct{}
	fence atomic.Bool // claims have closed while other shards held messages back
	quit  chan struct{}
	done  chan struct{}
}

const (
	linger   = 200 * time.Microsecond
	tickTime = 10 * time.Millisecond
)

func newFlusher(n *Node) *flusher {
	return &flusher{node: n, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
}

func (f *flusher) signal() {
	select {
	case f.wake <- struct{}{}:
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
	for {
		select {
		case <-f.quit:
			return
		case <-tick.C:
			for _, r := range f.node.allRunners() {
				r.do((*runner).tick)
			}
		case <-f.wake:
			if f.round() { // there may be more to come: look again soon
				nap(linger)
				f.signal()
			}
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
			r.do(func(r *runner) { r.shard.Release(r.node.now()) })
		}
	}
	f.node.checkBarriers()
	return any
}

// nap sleeps with the kernel's precision; the runtime's timers have 1 ms when
// the process is otherwise idle.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&ts, nil)
}

func (r *runner) tick() {
	if !r.shard.Quiet() {
		r.shard.Tick(r.node.now())
	}
}
