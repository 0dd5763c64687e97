package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Paths is one namespace that is reached over several controllers. A request goes over
// the first path that is there and, by asymmetric namespace access, the best; if that
// path breaks, or says that it can't reach the namespace, over another one.
type Paths struct {
	devices []*Device
	info    blockdev.Info
}

// OpenPaths opens each path to a namespace. Paths that are not to be had now are left
// out; if none is, that is an error. Config.Retry of a path is how long it is looked
// for when it is lost; the others go on meanwhile.
func OpenPaths(ctx context.Context, paths ...Config) (*Paths, error) {
	p := &Paths{}
	var errs error
	for _, cfg := range paths {
		d, err := Open(ctx, cfg)
		if err == nil && len(p.devices) > 0 {
			if err = p.devices[0].same(d); err != nil {
				return nil, errors.Join(err, d.Close(), p.Close())
			}
		}
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		p.devices = append(p.devices, d)
	}
	if len(p.devices) == 0 {
		return nil, errors.Join(errors.New("nvme: no path to the namespace"), errs)
	}
	p.info = p.devices[0].info
	for _, d := range p.devices[1:] {
		p.info.MaxTransfer = min(p.info.MaxTransfer, d.info.MaxTransfer)
		p.info.Features &= d.info.Features
		p.info.VolatileCache = p.info.VolatileCache || d.info.VolatileCache
	}
	return p, nil
}

// same says why two devices are not ways to one namespace.
func (d *Device) same(other *Device) error {
	a, b := &d.ns, &other.ns
	switch {
	case d.info.NQN != other.info.NQN || a.ID != b.ID:
		return fmt.Errorf("nvme: namespace %d of %s is not namespace %d of %s", a.ID, d.info.NQN, b.ID, other.info.NQN)
	case a.Names == nvme.Descriptors{} || a.Names != b.Names || a.Size != b.Size || a.BlockSize != b.BlockSize:
		return fmt.Errorf("nvme: %s at %s and %s: by size, block size and UUID they are not one", d.info.NQN, d.info.Name, other.info.Name)
	}
	return nil
}

// Info describes the namespace.
func (p *Paths) Info() blockdev.Info { return p.info }

// Devices are the paths.
func (p *Paths) Devices() []*Device { return p.devices }

// Close ends all paths.
func (p *Paths) Close() error {
	var err error
	for _, d := range p.devices {
		err = errors.Join(err, d.Close())
	}
	return err
}

// NewRing makes a ring with a queue pair on each path. One path must be there.
func (p *Paths) NewRing(ctx context.Context, cfg blockdev.RingConfig) (*blockdev.Ring, error) {
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	w, err := newWaker()
	if err != nil {
		return nil, err
	}
	m := &multi{w: w, cfg: cfg, reqs: make([]multiReq, cfg.Depth), held: newFIFO(cfg.Depth), buf: make([]blockdev.Done, cfg.Depth)}
	there, errs := false, error(nil)
	for _, d := range p.devices {
		q := makeQueue(d, cfg, w)
		q.multi = true
		up, err := d.c.join(ctx, q)
		if err != nil {
			q.free() // it may have been connected for a while
			errs = errors.Join(errs, err)
			continue
		}
		there = there || up
		m.paths = append(m.paths, q)
		m.batch = append(m.batch, make([]*blockdev.Request, 0, cfg.Depth))
	}
	m.avoid = make([]time.Time, len(m.paths))
	if !there {
		return nil, errors.Join(errNoConnection, errs, m.Close())
	}
	return blockdev.NewRing(p.info, cfg, m)
}

// elsewhere ends a request of one path that another one may do: the controller has not
// heard of it, or it may be done twice.
const elsewhere = blockdev.Status(nvme.StatusHostPath)

const (
	maxMoves  = 100                    // of a request that a path could not reach the namespace for
	avoidTime = 100 * time.Millisecond // a path that could not reach the namespace is left alone
)

// multi is the backend of a ring of Paths.
type multi struct {
	paths []*queue
	avoid []time.Time // by path: until then it is not used
	batch [][]*blockdev.Request
	cfg   blockdev.RingConfig
	reqs  []multiReq // by tag
	held  fifo       // tags that no path takes now
	buf   []blockdev.Done
	timer *time.Timer // calls Notify while something is held; nil: never armed so

	mu     sync.Mutex
	w      waker
	closed bool
}

// multiReq is a request of it.
type multiReq struct {
	q        *blockdev.Request // nil: none
	path     int
	moves    int
	canceled bool
}

// best gives the path to use, -1 if there is none now, and whether there will be none
// any more.
func (m *multi) best() (path int, over bool) {
	path, over = -1, true
	optimized := false
	for i, q := range m.paths {
		if q.fresh.Load() {
			q.hear()
		}
		over = over && q.over != blockdev.OK
		if q.l == nil || !m.avoid[i].IsZero() && time.Now().Before(m.avoid[i]) {
			continue
		}
		m.avoid[i] = time.Time{}
		switch q.d.c.ana(q.d.ns.ID) {
		case nvme.ANAOptimized:
			if !optimized {
				path, optimized = i, true
			}
		case nvme.ANANonOptimized:
			if path < 0 {
				path = i
			}
		}
	}
	return path, over
}

// Submit starts the requests on the best path.
func (m *multi) Submit(batch []*blockdev.Request) {
	path, _ := m.best()
	for _, q := range batch {
		m.reqs[q.Tag] = multiReq{q: q}
		m.give(q.Tag, path)
	}
	m.push()
}

// give puts a request into the batch of a path.
func (m *multi) give(tag uint16, path int) {
	r := &m.reqs[tag]
	if r.path = path; path < 0 {
		m.held.push(tag)
		return
	}
	m.batch[path] = append(m.batch[path], r.q)
}

func (m *multi) push() {
	for i, b := range m.batch {
		if len(b) > 0 {
			m.paths[i].Submit(b)
			m.batch[i] = b[:0]
		}
	}
}

// moves says that a request which has ended so may be done over another path. Of an error on the way
// nobody knows what came of the request before.
func moves(st blockdev.Status, op blockdev.Op) bool {
	return st>>8 == elsewhere>>8 && (!unclear(st) || replayable(op))
}

// Poll gives ends, and moves what a path could not do.
func (m *multi) Poll(done []blockdev.Done) int {
	n := m.release(done, 0)
	for i, q := range m.paths {
		for _, d := range m.buf[:q.Poll(m.buf)] {
			r := &m.reqs[d.Tag]
			if !moves(d.Status, r.q.Op) || r.moves >= maxMoves {
				*r = multiReq{}
				d.Status = outcome(d.Status)
				done[n] = d
				n++
				continue
			}
			if d.Status != elsewhere {
				m.avoid[i] = time.Now().Add(avoidTime)
				r.moves++
			}
			m.held.push(d.Tag)
		}
	}
	n = m.release(done, n)
	m.push()
	return n
}

// release gives what is held to a path, or an end if there is none any more.
func (m *multi) release(done []blockdev.Done, n int) int {
	if m.held.n == 0 {
		return n
	}
	path, over := m.best()
	for k := m.held.n; k > 0; k-- {
		tag := m.held.first()
		m.held.pop()
		r := &m.reqs[tag]
		switch {
		case r.canceled:
			done[n] = blockdev.Done{Tag: tag, Status: blockdev.StatusCanceled}
		case over:
			done[n] = blockdev.Done{Tag: tag, Status: m.paths[0].refusal()}
		default:
			m.give(tag, path)
			continue
		}
		*r = multiReq{}
		n++
	}
	return n
}

// Wait sleeps until a path has something, or the ring is woken.
func (m *multi) Wait(_ int, timeout time.Duration) {
	if m.held.n > 0 && (timeout < 0 || timeout > avoidTime) {
		timeout = avoidTime
	}
	fds := make([]unix.PollFd, 1, 8)
	fds[0] = unix.PollFd{Fd: int32(m.w.fd), Events: unix.POLLIN}
	for _, q := range m.paths {
		if q.given < len(q.done) {
			return
		}
		if q.l == nil {
			continue
		}
		fd := unix.PollFd{Fd: int32(q.l.fd), Events: unix.POLLIN}
		if q.l.full {
			fd.Events |= unix.POLLOUT
		}
		fds = append(fds, fd)
	}
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	if n, err := unix.Poll(fds, ms); err == nil && n > 0 && fds[0].Revents != 0 {
		m.w.clear()
	}
}

// Wake ends a Wait.
func (m *multi) Wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.w.wake()
	}
}

// Cancel ends a request.
func (m *multi) Cancel(q *blockdev.Request) {
	r := &m.reqs[q.Tag]
	if r.q == nil {
		return
	}
	r.canceled = true
	if r.path >= 0 {
		m.paths[r.path].Cancel(q)
	}
}

// Arm has Notify called when there is something to do.
func (m *multi) Arm() {
	if m.held.n > 0 {
		if m.timer == nil {
			m.timer = time.AfterFunc(avoidTime, m.cfg.Notify)
		} else {
			m.timer.Reset(avoidTime)
		}
	}
	for _, q := range m.paths {
		q.Arm()
	}
}

// Close ends the ring.
func (m *multi) Close() error {
	if m.timer != nil {
		m.timer.Stop()
	}
	for _, q := range m.paths {
		_ = q.Close() // it never fails
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.w.close()
	return nil
}
