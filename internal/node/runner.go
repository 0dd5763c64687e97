package node

import (
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// runner runs one shard: one caller at a time, without a mutex and without a
// goroutine of its own. Whoever brings work and finds the shard free runs it;
// whoever finds it busy leaves the work in the inbox, and the one who is
// inside does it before leaving.
//
//	running 0 -> 1   by compare-and-swap: the winner owns every plain field
//	inbox            a lock-free stack; the owner takes all of it and reverses
//	running 1 -> 0   then look at the inbox again: work that came in between
//	                 belongs to whoever wins the next compare-and-swap
type runner struct {
	running atomic.Uint32
	wake    atomic.Uint32 // 1: the flusher has been told about this runner
	holding atomic.Bool   // somebody waits for messages that wait for the fence
	askers  atomic.Int32  // callers that spin for the shard
	inbox   atomic.Pointer[task]
	ids     atomic.Uint64 // lock ids issued
	_       [32]byte

	node   *Node
	space  *Space
	number int
	shard  *lockspace.Shard

	last        int64                // when it was looked at the clock
	done        uint64               // operations and messages
	skip        uint32               // operations to come that are not measured
	working     bool                 // work runs
	sketch      sketch               // of the names that are asked for
	recovers    bool                 // counts in Space.recovering
	open        []openFrame          // by peer index
	urgent      bool                 // something here should leave at once
	lazy        bool                 // something may wait for company: NOTIFYs, REMOVEs
	sessions    []*session           // with answers not flushed
	outcome     lockspace.Completion // handed to Owner.Complete by refuse
	sent        [256]uint64          // messages by type
	received    [256]uint64
	wrong       uint64 // claims
	quick       samples
	traces      map[traceKey]*traced // operations that are traced
	tracedBytes int                  // of them, on byte ranges
	_           [64]byte
}

// task is work left in an inbox.
type task struct {
	next *task
	op   Op
	run  func(*runner) // neither op nor frame: anything else
	from uint64        // frame: the sender's instance
	head wire.Header
	buf  []byte // frame: copy of the payload; op: copy of name and value
}

var taskPool = sync.Pool{New: func() any { return new(task) }}

func (r *runner) enter() bool { return r.running.CompareAndSwap(0, 1) }

// spinEnter is enter for a caller who would like the answer on his own stack:
// he tries for about a microsecond. One who works through many messages lets
// such callers in between two of them (yield).
func (r *runner) spinEnter() bool { return r.enter() || r.spinLonger() }

func (r *runner) spinLonger() bool {
	if r.node.spins == 0 {
		return false
	}
	r.askers.Add(1)
	defer r.askers.Add(-1)
	return r.spin()
}

func (r *runner) spin() bool {
	for range r.node.spins {
		if r.running.Load() == 0 && r.enter() {
			return true
		}
	}
	return false
}

// yield lets a caller in who spins for the shard, and takes the shard again
// after him. false: somebody else has it for longer.
func (r *runner) yield() bool {
	r.running.Store(0)
	for i := 0; i < r.node.spins && r.askers.Load() > 0; i++ {
		// the asker is on its way in
	}
	return r.spin()
}

// leave does what has come into the inbox, flushes unless b will, and lets go.
func (r *runner) leave(b *batch) {
	for {
		r.drain()
		r.checkFence()
		if r.shard.Working() && !r.working {
			r.working = true
			go r.work()
		}
		if r.recovers && !r.shard.Recovering() && !r.shard.Working() {
			r.endRecovery()
		}
		if b != nil {
			b.add(r)
		} else {
			r.flush()
		}
		r.running.Store(0)
		if r.inbox.Load() == nil || !r.enter() {
			return
		}
	}
}

// checkFence publishes whether messages are held back, then
// looks once more whether they must be: claims closed in another shard from now on wake us.
func (r *runner) checkFence() {
	if r.shard.Holding() || r.holding.Load() {
		r.lookAtFence()
	}
}

func (r *runner) lookAtFence() {
	h := r.shard.Holding()
	if h != r.holding.Load() {
		r.holding.Store(h)
		if h {
			r.node.Hurry() // other shards' claims hold it up as well
		}
	}
	if h {
		r.shard.Release(r.now())
	}
}

func (r *runner) push(t *task) {
	for {
		head := r.inbox.Load()
		t.next = head
		if r.inbox.CompareAndSwap(head, t) {
			return
		}
	}
}

// put leaves t in the inbox and sees to it that somebody does it.
func (r *runner) put(t *task, b *batch) {
	r.push(t)
	if r.enter() {
		r.leave(b)
	}
}

// do runs f inside the shard, now or by whoever is there.
func (r *runner) do(f func(*runner)) {
	t := taskPool.Get().(*task)
	t.run = f
	r.put(t, nil)
}

// serve does what others want while its caller has still much to do inside.
func (r *runner) serve() {
	r.drain()
	r.checkFence()
	r.flush()
}

func (r *runner) drain() {
	if r.inbox.Load() != nil {
		r.drainAll()
	}
}

func (r *runner) drainAll() {
	for r.inbox.Load() != nil { // looking costs less than taking
		t := r.inbox.Swap(nil)
		var first *task
		for t != nil { // the stack has the latest on top
			next := t.next
			t.next, first = first, t
			t = next
		}
		for first != nil {
			next := first.next
			r.runTask(first)
			first = next
		}
	}
}

func (r *runner) runTask(t *task) {
	switch {
	case t.run != nil:
		t.run(r)
	case t.op.kind != 0:
		r.exec(&t.op)
	default:
		r.deliver(t.from, &t.head, t.buf)
	}
	*t = task{buf: t.buf[:0]}
	taskPool.Put(t)
}

// wait runs f inside the shard and returns when it has run. It must not be
// called from inside a shard.
func (r *runner) wait(f func(*runner)) {
	done := make(chan struct{})
	r.do(func(r *runner) {
		f(r)
		close(done)
	})
	<-done
}

// deliver hands messages that have waited in the inbox to the shard.
func (r *runner) deliver(from uint64, h *wire.Header, payload []byte) {
	var m wire.Msg
	for f := (messages{payload: payload}); f.left(); {
		hash, err := f.next(&m)
		if err != nil {
			panic("node: message changed in the inbox: " + err.Error())
		}
		f.tell(r.shard)
		r.message(from, h, hash, &m)
	}
}

func (r *runner) message(from uint64, h *wire.Header, hash uint64, m *wire.Msg) {
	r.received[m.Type]++
	r.done++
	origin := lockspace.Origin{Instance: from, Epoch: h.Epoch, Clock: h.Clock}
	switch {
	case m.Type == wire.Trace:
		r.traceNamed(h.Epoch, m)
	case len(r.traces) != 0:
		r.deliverTraced(origin, hash, m)
	default:
		r.shard.Deliver(r.now(), origin, hash, m)
	}
}

// batch collects the runners that a network reader has used, so that what
// they have to say leaves in one go when there is no more input.
type batch struct{ runners []*runner }

func (b *batch) add(r *runner) {
	for _, o := range b.runners {
		if o == r {
			return
		}
	}
	b.runners = append(b.runners, r)
}

// flush is called when there is no more input. A runner that is busy is
// flushed by whoever runs it.
func (b *batch) flush() {
	for _, r := range b.runners {
		r.put(flushTask(), nil)
	}
	b.runners = b.runners[:0]
}

func flushTask() *task {
	t := taskPool.Get().(*task)
	t.run = func(*runner) {}
	return t
}
