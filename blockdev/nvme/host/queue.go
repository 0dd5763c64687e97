package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
)

// queue is the backend of a ring: a queue pair of the controller, over a connection of
// its own. All but what is in news is its owner's.
type queue struct {
	d     *Device
	cfg   blockdev.RingConfig
	qid   uint16
	multi bool // one of several paths: what can not be done here is done elsewhere, and w is shared
	alone bool // for one command, of no ring
	kept  bool // the keeper connects it; under Controller.mu
	conn  connConfig
	l     *link  // nil: there is no connection now
	gen   uint64 // of l: that of the controller's connection that it belongs to
	over  blockdev.Status
	reqs  []req // by tag
	pend  fifo  // tags that wait for a connection
	done  []blockdev.Done
	given int // of done

	mu     sync.Mutex
	w      waker
	closed bool
	news   news
	fresh  atomic.Bool // there are news
	arm    armer
}

// news is what the keeper has to say to a ring.
type news struct {
	lost uint64 // connections up to this generation are over
	l    *link  // a new one
	gen  uint64 // its generation
	over blockdev.Status
}

// receiveBuffer is the bytes of a ring's receive buffer: small enough for a core's own
// cache, large enough for many small PDUs in one call.
const receiveBuffer = 128 << 10

func newQueue(d *Device, cfg blockdev.RingConfig) (*queue, error) {
	w, err := newWaker()
	if err != nil {
		return nil, err
	}
	return makeQueue(d, cfg, w), nil
}

func makeQueue(d *Device, cfg blockdev.RingConfig, w waker) *queue {
	q := &queue{d: d, cfg: cfg, w: w, reqs: make([]req, cfg.Depth), pend: newFIFO(cfg.Depth), done: make([]blockdev.Done, 0, cfg.Depth)}
	q.conn = connConfig{
		Commands: 2 * cfg.Depth, Spare: cfg.Depth, Buffer: receiveBuffer,
		HeaderDigest: d.c.cfg.HeaderDigest, DataDigest: d.c.cfg.DataDigest,
	}
	return q
}

// reconnect makes a new connection and leaves it for the ring's owner.
func (q *queue) reconnect(ctx context.Context, info *Info, gen uint64) error {
	w, err := newWaker()
	if err != nil {
		return err
	}
	defer w.close()
	entries := min(max(q.cfg.Depth, 2), int(info.Capabilities.MaxQueue)) + 1
	l, err := connectQueue(ctx, &q.d.c.cfg, w, q.qid, info.CNTLID, entries, q.conn)
	if err != nil {
		return err
	}
	l.limits = info.limits(q.d.ns.BlockSize)
	q.tell(func(n *news) {
		if n.l != nil {
			n.l.close()
		}
		n.l, n.gen = l, gen
	})
	return nil
}

// tell leaves news and wakes the owner. Any goroutine may call it.
func (q *queue) tell(set func(*news)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	set(&q.news)
	if q.closed {
		if q.news.l != nil {
			q.news.l.close()
			q.news.l = nil
		}
		return
	}
	q.fresh.Store(true)
	q.w.wake()
	q.arm.wake()
}

// hear takes the news.
func (q *queue) hear() {
	q.mu.Lock()
	n := q.news
	q.news.l = nil
	q.fresh.Store(false)
	q.mu.Unlock()
	if q.l != nil && q.gen <= n.lost {
		q.l.Fail(errLost)
		q.lose()
	}
	if n.l != nil {
		if n.gen <= n.lost || q.l != nil && q.gen >= n.gen {
			n.l.close()
		} else {
			q.adopt(n.l, n.gen)
		}
	}
	if n.over != blockdev.OK && q.over == blockdev.OK {
		q.over = n.over
		for q.pend.n > 0 {
			tag := q.pend.first()
			q.pend.pop()
			q.end(tag, q.refusal(), 0)
		}
	}
}

var errLost = errors.New("nvme: the connection to the controller is lost")

// refusal is the status of what never reached the controller.
func (q *queue) refusal() blockdev.Status {
	if q.over == blockdev.StatusLost {
		return blockdev.StatusNotReady
	}
	return q.over
}

// adopt takes a new connection, and starts what has waited for it.
func (q *queue) adopt(l *link, gen uint64) {
	if q.l != nil {
		q.l.Fail(errLost)
		q.lose()
	}
	q.l, q.gen = l, gen
	for q.pend.n > 0 && q.l.Err() == nil {
		tag := q.pend.first()
		q.pend.pop()
		q.issue(tag)
	}
	q.push()
}

// lose ends the connection. What the controller can't have heard of waits for the next
// one, as does what may be done twice without harm; of the rest nobody knows.
func (q *queue) lose() {
	l := q.l
	q.l = nil
	for tag := range q.reqs {
		r := &q.reqs[tag]
		if r.q == nil || r.parts == 0 {
			continue
		}
		heard := r.at > 0 || r.retries > 0 && !replayable(r.q.Op)
		for _, cid := range r.cids[:r.sent] {
			heard = heard || cid != noPart && l.Begun(cid)
		}
		r.parts, r.sent, r.status = 0, 0, blockdev.OK
		switch {
		case heard && !replayable(r.q.Op):
			q.end(uint16(tag), blockdev.StatusLost, r.at)
		case q.multi:
			q.end(uint16(tag), elsewhere, 0)
		case q.over != blockdev.OK:
			q.end(uint16(tag), q.refusal(), 0)
		default:
			r.at = 0
			q.pend.push(uint16(tag))
		}
	}
	q.arm.stop()
	l.close()
	q.d.c.broken(q.gen, l.Err())
}

// Submit starts the requests of batch, with one system call if the socket takes all.
func (q *queue) Submit(batch []*blockdev.Request) {
	if q.fresh.Load() {
		q.hear()
	}
	for _, r := range batch {
		q.reqs[r.Tag].q = r
		switch {
		case q.l != nil:
			q.issue(r.Tag)
		case q.multi:
			q.end(r.Tag, elsewhere, 0)
		case q.over != blockdev.OK:
			q.end(r.Tag, q.refusal(), 0)
		default:
			q.pend.push(r.Tag)
		}
	}
	if q.l != nil {
		q.push()
	}
}

// push writes what there is, and takes the ends that this gives.
func (q *queue) push() {
	q.l.flush()
	q.reap()
}

// reap takes the ends that the connection has, and its own end.
func (q *queue) reap() {
	for q.l.HasEnds() {
		more := false
		for _, e := range q.l.Ends() {
			more = q.part(&e) || more
		}
		if more {
			q.l.flush()
		}
	}
	if q.l.Err() != nil {
		q.lose()
	}
}

// Poll gives ends; if there are none it looks into the socket once.
func (q *queue) Poll(done []blockdev.Done) int {
	if q.fresh.Load() {
		q.hear()
	}
	if q.l != nil && q.given == len(q.done) {
		q.l.receive()
		q.reap()
	}
	n := copy(done, q.done[q.given:])
	if q.given += n; q.given == len(q.done) {
		q.done, q.given = q.done[:0], 0
	}
	return n
}

// Wait sleeps until the connection has something, or takes something, or the ring is
// woken.
func (q *queue) Wait(_ int, timeout time.Duration) {
	if q.given < len(q.done) {
		return
	}
	if q.l == nil {
		q.w.await(-1, false, timeout)
		return
	}
	q.w.await(q.l.fd, q.l.full, timeout)
}

// Wake ends a Wait.
func (q *queue) Wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.w.wake()
	}
}

// Cancel ends a request at once. What the controller may have heard of goes on there,
// with a copy of its data; it is asked to take it back.
func (q *queue) Cancel(br *blockdev.Request) {
	r := &q.reqs[br.Tag]
	switch {
	case r.q == nil: // it has ended
		return
	case r.parts == 0:
		q.pend.remove(br.Tag)
		q.end(br.Tag, blockdev.StatusCanceled, 0)
		return
	}
	for _, cid := range r.cids[:r.sent] {
		if cid == noPart {
			continue
		}
		begun := q.l.Begun(cid)
		if !q.l.Forget(cid) {
			q.l.Fail(errors.New("nvme: the controller does not end commands"))
			break
		}
		if begun {
			q.d.c.abort(q.gen, q.qid, cid)
		}
	}
	q.end(br.Tag, blockdev.StatusCanceled, 0)
	q.push()
}

// Arm has Notify called when there is something to do.
func (q *queue) Arm() {
	if q.given < len(q.done) || q.fresh.Load() {
		q.cfg.Notify()
		return
	}
	if q.l == nil {
		q.arm.start(q.cfg.Notify, -1, false)
	} else {
		q.arm.start(q.cfg.Notify, q.l.fd, q.l.full)
	}
	if q.fresh.Load() { // they may have come before start
		q.arm.wake()
	}
}

// Close ends the ring.
func (q *queue) Close() error {
	q.free()
	q.d.c.leave(q)
	return nil
}

// free gives back what a ring has of the system.
func (q *queue) free() {
	q.arm.end()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if !q.multi {
		q.w.close()
	}
	if q.news.l != nil {
		q.news.l.close()
		q.news.l = nil
	}
	if q.l != nil {
		q.l.Fail(blockdev.ErrClosed)
		q.l.close()
		q.l = nil
	}
}
