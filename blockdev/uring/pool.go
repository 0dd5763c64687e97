package uring

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
)

// pool does jobs on a bounded number of goroutines, which it starts as they are needed.
type pool struct {
	mu         sync.Mutex
	more       sync.Cond
	head, tail *job
	max        int
	running    int
	idle       int
	closed     bool
	wg         sync.WaitGroup
}

// job is a request that is done by system calls that wait.
type job struct {
	d        *Device
	sink     *sink
	q        *blockdev.Request
	from     int64 // bytes of q that have been done before
	canceled atomic.Bool
	scratch  []byte // kept for the next request with the same tag
	next     *job
}

const defaultWorkers = 8

func (p *pool) start(workers int) {
	if workers <= 0 {
		workers = defaultWorkers
	}
	p.max = workers
	p.more.L = &p.mu
}

func (p *pool) put(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.next = nil; p.head == nil {
		p.head = j
	} else {
		p.tail.next = j
	}
	p.tail = j
	switch {
	case p.idle > 0:
		p.more.Signal()
	case p.running < p.max:
		p.running++
		p.wg.Go(p.work)
	}
}

func (p *pool) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.head == nil {
			if p.closed {
				return
			}
			p.idle++
			p.more.Wait()
			p.idle--
		}
		j := p.head
		p.head = j.next
		p.mu.Unlock()
		done := blockdev.Done{Tag: j.q.Tag, Status: blockdev.StatusCanceled}
		if !j.canceled.Load() {
			done.Status, done.N = j.do()
		}
		j.sink.put(done)
		p.mu.Lock()
	}
}

// stop waits for the goroutines. No job may be left.
func (p *pool) stop() {
	p.mu.Lock()
	p.closed = true
	p.more.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

// sink collects the ends of a ring's jobs.
type sink struct {
	count  atomic.Int32 // of ends: so that looking for none is cheap
	parked atomic.Bool  // the ring's owner sleeps
	armed  atomic.Bool  // Notify is to be called
	notify func()
	wake   func()

	mu   sync.Mutex
	ends []blockdev.Done
}

func (s *sink) put(d blockdev.Done) {
	s.mu.Lock()
	s.ends = append(s.ends, d)
	s.count.Store(int32(len(s.ends)))
	// Under the lock: the ring can't have taken the end, and be closed, before.
	if s.parked.Load() {
		s.wake()
	}
	s.ring()
	s.mu.Unlock()
}

// ring calls Notify if that was asked for.
func (s *sink) ring() {
	if s.armed.Load() && s.armed.Swap(false) {
		s.notify()
	}
}

func (s *sink) take(done []blockdev.Done) int {
	if s.count.Load() == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := copy(done, s.ends)
	s.ends = s.ends[:copy(s.ends, s.ends[n:])]
	s.count.Store(int32(len(s.ends)))
	return n
}

func newJobs(d *Device, s *sink, depth int) []job {
	jobs := make([]job, depth)
	for i := range jobs {
		jobs[i].d, jobs[i].sink = d, s
	}
	return jobs
}

// poolRing is the backend without io_uring.
type poolRing struct {
	d      *Device
	sink   sink
	jobs   []job
	flying int
	awake  chan struct{}
	timer  *time.Timer
}

func newPoolRing(d *Device, cfg blockdev.RingConfig) *poolRing {
	r := &poolRing{d: d, awake: make(chan struct{}, 1)}
	r.sink.notify, r.sink.wake = cfg.Notify, r.Wake
	r.jobs = newJobs(d, &r.sink, cfg.Depth)
	return r
}

func (r *poolRing) Submit(batch []*blockdev.Request) {
	r.flying += len(batch)
	for _, q := range batch {
		r.jobs[q.Tag].begin(q, 0)
	}
}

// begin gives the request to the pool; its first bytes have been done already.
func (j *job) begin(q *blockdev.Request, from int64) {
	j.q, j.from = q, from
	j.canceled.Store(false)
	j.d.pool.put(j)
}

func (r *poolRing) Poll(done []blockdev.Done) int {
	n := r.sink.take(done)
	r.flying -= n
	return n
}

func (r *poolRing) Wait(_ int, timeout time.Duration) {
	r.sink.parked.Store(true)
	defer r.sink.parked.Store(false)
	if r.sink.count.Load() > 0 {
		return
	}
	if timeout < 0 {
		<-r.awake
		return
	}
	if r.timer == nil {
		r.timer = time.NewTimer(timeout)
	} else {
		r.timer.Reset(timeout)
	}
	select {
	case <-r.awake:
		r.timer.Stop()
	case <-r.timer.C:
	}
}

func (r *poolRing) Wake() {
	select {
	case r.awake <- struct{}{}:
	default:
	}
}

func (r *poolRing) Arm() {
	r.sink.armed.Store(true)
	if r.sink.count.Load() > 0 {
		r.sink.ring()
	}
}

func (r *poolRing) Cancel(q *blockdev.Request) { r.jobs[q.Tag].canceled.Store(true) }

func (r *poolRing) Close() error {
	for i := range r.jobs {
		r.jobs[i].canceled.Store(true)
	}
	var done [16]blockdev.Done
	for r.flying > 0 {
		if r.Poll(done[:]) == 0 {
			r.Wait(1, -1)
		}
	}
	return nil
}
