package lockify

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/ants/v2"

	"github.com/lockify-dlm/lockify/engine"
)

// calls runs the program's callbacks for one client: in order, one at a time,
// on a worker of a shared pool, never on the path that grants locks. The queue
// is bounded by what the client has under way: one outcome and one blocking
// call for each of its locks.
//
// Requests that callbacks make leave together, when all have run whose turn it was: the
// first one alone would be answered alone, and so would be what that answer brings. The worker
// then looks for the answers itself (engine.FrameConn.Tend): another goroutine would have to be
// woken to read them, and the worker again.
type calls struct {
	gathering atomic.Bool // a batch runs

	mu       sync.Mutex
	queue    []call
	running  bool
	batches  uint64
	gathered []*Session // with requests that leave when the batch has run
	tended   *Session   // nobody is woken for what comes for it meanwhile
	guarded  bool       // guard will be called
}

// call is a callback to run with err. Without f it is none.
type call struct {
	f   func(err error)
	err error
}

// workers is shared by all clients of the process. It has as many workers as
// there are clients with callbacks to run.
var workers = sync.OnceValue(func() *ants.Pool {
	// A panic in a callback must end the program as any other panic does;
	// the pool would otherwise log it and carry on.
	crash := func(v any) {
		fmt.Fprintf(os.Stderr, "panic: %v [in a lockify callback]\n\n%s", v, debug.Stack())
		os.Exit(2)
	}
	p, err := ants.NewPool(-1, ants.WithPanicHandler(crash))
	if err != nil {
		panic(err) // only an impossible configuration
	}
	return p
})

func (c *calls) add(all ...call) {
	if len(all) == 0 {
		return
	}
	c.mu.Lock()
	c.queue = append(c.queue, all...)
	start := !c.running
	c.running = true
	c.mu.Unlock()
	if start {
		submit(c.run)
	}
}

// submit runs f on a worker of the pool.
func submit(f func()) {
	engine.Woke()
	if err := workers().Submit(f); err != nil {
		go f() // the pool is overloaded; not possible without a limit
	}
}

func (c *calls) run() {
	for {
		batch, tended := c.take()
		switch {
		case len(batch) > 0:
			c.gathering.Store(true)
			for _, x := range batch {
				x.f(x.err)
			}
			c.gathering.Store(false)
			c.sendGathered()
		case tended == nil:
			return
		case !tended.tend():
			c.tend(nil)
		}
	}
}

// take gives the callbacks whose turn it is. Without any and without a session to tend, the
// worker has ended.
func (c *calls) take() (batch []call, tended *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch, c.queue = c.queue, nil
	if len(batch) > 0 {
		c.batches++
		c.guardSoon()
	}
	c.running = len(batch) > 0 || c.tended != nil
	return batch, c.tended
}

// waiting says that there are callbacks to run.
func (c *calls) waiting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// tend has the worker look for what comes for s, nil: for nothing. A client has one session at a
// time, so that of the one before nothing is left to read.
func (c *calls) tend(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tended = s
}

// gather has what s has to send leave when the present batch has run; false: none runs.
// mu of s is held.
func (c *calls) gather(s *Session) bool {
	if !c.gathering.Load() {
		return false
	}
	c.mu.Lock()
	c.gathered = append(c.gathered, s)
	c.guardSoon()
	c.mu.Unlock()
	return c.gathering.Load() // else s may have been overlooked
}

func (c *calls) sendGathered() {
	c.mu.Lock()
	all := c.gathered
	c.gathered = nil
	c.mu.Unlock()
	for _, s := range all {
		s.sendGathered()
		c.tend(s)
	}
}

// guardTime is for how long a batch may run until what it has gathered leaves, and others are
// woken for what comes.
const guardTime = time.Millisecond

// guardSoon sees to it that guard is called. mu is held.
func (c *calls) guardSoon() {
	if !c.guarded && (len(c.gathered) > 0 || c.tended != nil) {
		c.guarded = true
		batch := c.batches
		time.AfterFunc(guardTime, func() { c.guard(batch) })
	}
}

// guard is there for callbacks that take long.
func (c *calls) guard(batch uint64) {
	c.mu.Lock()
	c.guarded = false
	if batch != c.batches {
		c.guardSoon()
		c.mu.Unlock()
		return
	}
	all, tended := c.gathered, c.tended
	c.gathered = nil
	c.mu.Unlock()
	for _, s := range all {
		s.sendGathered()
	}
	if tended != nil {
		tended.conn.Rest()
	}
}
