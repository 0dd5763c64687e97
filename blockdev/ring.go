package blockdev

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/internal/yield"
)

// state says where a request is between GetSQE and its end.
type state uint8

const (
	free     state = iota
	prepared       // GetSQE has given it out
	held           // submitted; its chain waits for a drain
	waiting        // its chain has been let in; those before it have not ended
	inFlight       // the backend has it
)

const none int32 = -1

// Ring is a queue pair of a device. One goroutine at a time may use it.
type Ring struct {
	info    Info
	cfg     RingConfig
	backend Backend
	start   time.Time   // zero of the ring's clock
	closed  atomic.Bool // written by the owner

	slots    []Request // by tag
	free     []uint16  // tags, the last one is used next
	prepared []uint16  // tags, in order of GetSQE
	batch    []*Request
	done     []Done

	// Ends that have not been reaped: cqLen of them from cqHead on. free is never
	// shorter than cqLen, so there is always room.
	cq            []CQE
	cqHead, cqLen int

	pending  int  // submitted, not ended
	active   int  // of these: chain has been let in
	flying   int  // of these: in flight
	draining bool // all that is active belongs to a chain that drains

	heldHead, heldTail int32 // first requests of held chains, in order; none

	recheck     atomic.Bool // somebody wants the gates to be asked again
	asked       Gate        // the gate that has been asked last in this call; nil: none
	askedWrites bool        // whether for requests that write
	answer      Status

	nextDeadline time.Duration // no deadline is earlier; 0: there is none
	timer        *time.Timer   // calls Notify then, while armed

	watched <-chan struct{} // the context whose end wakes the backend
	unwatch func() bool
}

// NewRing makes a ring of backend; cfg comes from RingConfig.Complete. It is what a
// Device calls.
func NewRing(info Info, cfg RingConfig, backend Backend) (*Ring, error) {
	if err := info.Validate(); err != nil {
		return nil, err
	}
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	n := cfg.Depth
	r := &Ring{
		info:     info,
		cfg:      cfg,
		backend:  backend,
		start:    time.Now(),
		slots:    make([]Request, n),
		free:     make([]uint16, n),
		prepared: make([]uint16, 0, n),
		batch:    make([]*Request, 0, n),
		done:     make([]Done, n),
		cq:       make([]CQE, n),
		heldHead: none,
		heldTail: none,
	}
	for i := range r.slots {
		r.slots[i].Tag = uint16(i)
		r.free[n-1-i] = uint16(i)
	}
	return r, nil
}

// Info describes the ring's device.
func (r *Ring) Info() Info { return r.info }

// Closed says that Close was called. Any goroutine may ask.
func (r *Ring) Closed() bool { return r.closed.Load() }

// Depth is how many requests can be between GetSQE and Peek.
func (r *Ring) Depth() int { return len(r.slots) }

// Pending is how many requests have been submitted and have not ended yet.
func (r *Ring) Pending() int { return r.pending }

// GetSQE gives a cleared request to fill in, which the next Submit takes. It is nil
// if the ring is full (reap some) or closed.
func (r *Ring) GetSQE() *SQE {
	n := len(r.free)
	if n == r.cqLen || r.closed.Load() {
		return nil
	}
	tag := r.free[n-1]
	r.free = r.free[:n-1]
	r.prepared = append(r.prepared, tag)
	q := &r.slots[tag]
	q.state = prepared
	return &q.SQE
}

// Submit hands on what GetSQE has given since the last Submit, and says how many that
// were. It does not wait. The only error is ErrClosed.
func (r *Ring) Submit() (int, error) {
	if r.closed.Load() {
		return 0, ErrClosed
	}
	n := len(r.prepared)
	r.asked = nil
	r.setDeadlines()
	r.enterGates()
	for i := 0; i < n; {
		head := &r.slots[r.prepared[i]]
		last := head
		drain := last.Flags&Drain != 0
		for i++; last.Flags&Link != 0 && i < n; i++ {
			last.next = int32(r.prepared[i])
			last = &r.slots[last.next]
			drain = drain || last.Flags&Drain != 0
		}
		last.next = none
		head.drain = drain
		r.enqueue(head)
	}
	r.pending += n
	r.prepared = r.prepared[:0]
	r.flush()
	return n, nil
}

// Peek gives an end, in the order in which the ring has heard of them, and false if
// there is none now.
func (r *Ring) Peek() (CQE, bool) {
	if r.cqLen == 0 {
		if r.pending == 0 {
			return CQE{}, false
		}
		if r.pump(); r.cqLen == 0 {
			return CQE{}, false
		}
	}
	c := r.cq[r.cqHead]
	if r.cqHead++; r.cqHead == len(r.cq) {
		r.cqHead = 0
	}
	r.cqLen--
	return c, true
}

// Wait waits until Peek can give n CQEs, or as many as there will be if fewer are
// pending. It returns early if ctx ends, with the context's error, or with ErrClosed.
func (r *Ring) Wait(ctx context.Context, n int) error {
	if r.closed.Load() {
		return ErrClosed
	}
	r.pump()
	if r.enough(n) {
		return nil
	}
	if r.cfg.Spin != 0 {
		if ok, err := r.spin(ctx, n); ok || err != nil {
			return err
		}
	}
	r.watch(ctx)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.backend.Wait(r.hint(n), r.untilDeadline())
		r.pump()
		if r.enough(n) {
			return nil
		}
	}
}

func (r *Ring) enough(n int) bool { return r.cqLen >= n || r.pending == 0 }

// hint is how many ends the backend should wait for. If some request is not in flight
// yet, each end may be what it waits for.
func (r *Ring) hint(n int) int {
	if r.flying < r.pending {
		return 1
	}
	return min(n-r.cqLen, r.flying)
}

// spin looks for ends without sleeping, for as long as the configuration says.
func (r *Ring) spin(ctx context.Context, n int) (bool, error) {
	begin := time.Now()
	for i := 1; ; i++ {
		r.pump()
		if r.enough(n) {
			return true, nil
		}
		if i%16 != 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if r.cfg.Spin > 0 && time.Since(begin) >= r.cfg.Spin {
			return false, nil
		}
		// A device that is another process may have no other processor: without it both ends of a
		// connection spin on one in turn, and what took 13 us takes 100.
		yield.Now()
	}
}

// watch has the end of ctx wake the backend. It is kept from call to call, because
// setting it up allocates.
func (r *Ring) watch(ctx context.Context) {
	done := ctx.Done()
	if done == nil || done == r.watched {
		return
	}
	if r.unwatch != nil {
		r.unwatch()
	}
	r.watched, r.unwatch = done, context.AfterFunc(ctx, r.backend.Wake)
}

// Arm asks for one call of RingConfig.Notify when there is something for Peek, or for
// the ring to do. If there is already, it is called at once, perhaps before Arm
// returns. It needs a RingConfig.Notify.
func (r *Ring) Arm() {
	if r.closed.Load() || r.cfg.Notify == nil {
		return
	}
	r.pump()
	if r.cqLen > 0 {
		r.cfg.Notify()
		return
	}
	if d := r.untilDeadline(); d >= 0 {
		if r.timer == nil {
			r.timer = time.AfterFunc(d, r.cfg.Notify)
		} else {
			r.timer.Reset(d)
		}
	}
	r.backend.Arm()
}

// Close takes all requests back, waits until the device touches no buffer any more,
// and ends the ring. Peek still gives what has not been reaped; what was pending ended
// with StatusClosed.
func (r *Ring) Close() error {
	if r.closed.Load() {
		return nil
	}
	r.closed.Store(true)
	if r.unwatch != nil {
		r.unwatch()
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	err := r.backend.Close()
	for i := range r.slots {
		if q := &r.slots[i]; q.state > prepared {
			r.complete(q, StatusClosed, 0)
		}
	}
	return err
}

// pump takes what the backend has, and starts what may start.
func (r *Ring) pump() {
	if r.closed.Load() {
		return
	}
	r.asked = nil
	if r.recheck.Load() && r.recheck.Swap(false) {
		r.recheckGates()
	}
	if r.nextDeadline != 0 && r.clock() >= r.nextDeadline {
		r.expire()
	}
	for r.flying > 0 || len(r.batch) > 0 {
		r.flush()
		r.asked = nil
		n := r.backend.Poll(r.done)
		for i := range r.done[:n] {
			r.finish(&r.done[i])
		}
		if r.heldHead != none {
			r.admit()
		}
		if len(r.batch) == 0 {
			return
		}
	}
}

// flush gives the backend what may start now.
func (r *Ring) flush() {
	if len(r.batch) == 0 {
		return
	}
	r.flying += len(r.batch)
	r.backend.Submit(r.batch)
	r.batch = r.batch[:0]
}

// finish takes the end of a request that was in flight.
func (r *Ring) finish(d *Done) {
	q := &r.slots[d.Tag]
	if q.state != inFlight {
		panic(fmt.Sprintf("blockdev: the backend ends request %d, which it does not have", d.Tag))
	}
	r.flying--
	st := d.Status
	if st == StatusCanceled && q.expired {
		st = StatusDeadline
	}
	r.run(r.end(q, st, d.N))
}

// complete makes a CQE of q and frees its slot.
func (r *Ring) complete(q *Request, st Status, n int64) {
	at := r.cqHead + r.cqLen
	if at >= len(r.cq) {
		at -= len(r.cq)
	}
	r.cq[at] = CQE{UserData: q.UserData, Status: st, N: n}
	r.cqLen++
	if q.state >= waiting {
		r.active--
	}
	r.pending--
	if q.Gate != nil {
		q.Gate.Leave()
	}
	q.SQE = SQE{}
	q.state, q.expired, q.deadline = free, false, 0
	r.free = append(r.free, q.Tag)
}
