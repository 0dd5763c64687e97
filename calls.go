package lockify

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/panjf2000/ants/v2"
)

// calls runs the program's callbacks for one client: in order, one at a time,
// on a worker of a shared pool, never on the path that grants locks. The queue
// is bounded by what the client has under way: one outcome and one blocking
// call for each of its locks.
//
// Requests that callbacks make leave together, when all have run whose turn it was: the
// first one alone would be answered alone, and so would be what that answer brings.
type calls struct {
	gathering atomic.Bool // a batch runs

	mu       sync.Mutex
	queue    []call
	running  bool
	gathered []*Session // with requests that leave when it has
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
	if err := workers().Submit(f); err != nil {
		go f() // the pool is overloaded; not possible without a limit
	}
}

func (c *calls) run() {
	for {
		c.mu.Lock()
		batch := c.queue
		c.queue = nil
		c.running = len(batch) > 0
		c.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		c.gathering.Store(true)
		for _, x := range batch {
			x.f(x.err)
		}
		c.gathering.Store(false)
		c.sendGathered()
	}
}

// gather has what s has to send leave when the present batch has run; false: none runs.
// mu of s is held.
func (c *calls) gather(s *Session) bool {
	if !c.gathering.Load() {
		return false
	}
	c.mu.Lock()
	c.gathered = append(c.gathered, s)
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
	}
}
