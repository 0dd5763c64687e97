package uring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/blockdev"
)

// UserData of the kernel's CQEs: a tag, or one of these.
const (
	wakeData   = 1 << 32
	cancelData = 2 << 32
)

const (
	quickBytes = 256 << 10 // a Submit that copies no more than this is a raw system call
	manyWait   = 5 * time.Millisecond
)

// kernelRing is the backend with io_uring.
type kernelRing struct {
	d      *Device
	k      *kernel
	sink   sink
	jobs   []job // by tag
	reqs   []*blockdev.Request
	iovs   [][]unix.Iovec // by tag, kept
	regs   [][]byte       // registered buffers
	flying int            // requests that the kernel or the pool has
	slow   int            // of these: the pool
	rearm  bool           // the poll of the eventfd has ended

	mu     sync.Mutex // guards efd against Wake after Close
	efd    int
	count  [8]byte  // room for what is read from efd
	events *os.File // the kernel tells of CQEs; nil without Notify
	gone   chan struct{}
}

func newKernelRing(d *Device, cfg blockdev.RingConfig) (blockdev.Backend, error) {
	k, err := newKernel(cfg.Depth + 2)
	if err != nil {
		return nil, err
	}
	r := &kernelRing{d: d, k: k, reqs: make([]*blockdev.Request, cfg.Depth), iovs: make([][]unix.Iovec, cfg.Depth)}
	r.sink.notify, r.sink.wake = cfg.Notify, r.Wake
	r.jobs = newJobs(d, &r.sink, cfg.Depth)
	if r.efd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), k.close())
	}
	fds := []int32{int32(d.fd)}
	err = k.register(registerFiles, unsafe.Pointer(&fds[0]), 1)
	if err == nil && cfg.Notify != nil {
		err = r.listen()
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(r.efd), k.close())
	}
	r.registerBuffers(cfg.Buffers)
	r.rearm = true
	return r, nil
}

// registerBuffers tells the kernel about the buffers. They are used without if it
// refuses: there may be a limit on locked memory.
func (r *kernelRing) registerBuffers(bufs [][]byte) {
	var iov []unix.Iovec
	for _, b := range bufs {
		if len(b) > 0 {
			iov = append(iov, unix.Iovec{Base: &b[0], Len: uint64(len(b))})
			r.regs = append(r.regs, b)
		}
	}
	if len(iov) == 0 || r.k.register(registerBuffers, unsafe.Pointer(&iov[0]), len(iov)) != nil {
		r.regs = nil
	}
}

// registered finds the registered buffer that b is a part of.
func (r *kernelRing) registered(b []byte) (int, bool) {
	at := uintptr(unsafe.Pointer(&b[0]))
	for i, reg := range r.regs {
		if from := uintptr(unsafe.Pointer(&reg[0])); at >= from && at-from+uintptr(len(b)) <= uintptr(len(reg)) {
			return i, true
		}
	}
	return 0, false
}

func (r *kernelRing) Submit(batch []*blockdev.Request) {
	bytes := int64(0)
	r.flying += len(batch)
	for _, q := range batch {
		switch q.Op {
		case blockdev.Read, blockdev.Write, blockdev.Flush:
			r.reqs[q.Tag] = q
			r.jobs[q.Tag].canceled.Store(false)
			r.prepare(q, r.next())
			bytes += q.Length
		default:
			r.toPool(q, 0)
		}
	}
	r.k.submit(bytes <= quickBytes)
}

// next gives an SQE. There are more than requests; only many calls of Cancel can make
// it wait for the kernel.
func (r *kernelRing) next() *kernelSQE {
	for {
		if s := r.k.next(); s != nil {
			return s
		}
		r.k.submit(true)
		runtime.Gosched()
	}
}

func (r *kernelRing) prepare(q *blockdev.Request, s *kernelSQE) {
	s.flags, s.fd = sqeFixedFile, 0
	s.userData = uint64(q.Tag)
	if q.Op == blockdev.Flush {
		s.opcode, s.opFlags = opFsync, fsyncDatasync
		return
	}
	write := uint8(0)
	if q.Op == blockdev.Write {
		write = 1 // each opcode for writing follows that for reading
		if q.Flags&blockdev.FUA != 0 {
			s.opFlags = rwDsync
		}
	}
	s.off = uint64(q.Offset)
	if q.Bufs != nil {
		iov := r.iovs[q.Tag][:0]
		for _, b := range q.Bufs {
			if len(b) > 0 {
				iov = append(iov, unix.Iovec{Base: &b[0], Len: uint64(len(b))})
			}
		}
		r.iovs[q.Tag] = iov
		s.opcode = opReadv + write
		s.addr, s.len = uint64(uintptr(unsafe.Pointer(&iov[0]))), uint32(len(iov))
		return
	}
	s.opcode = opRead + write
	if i, ok := r.registered(q.Buf); ok {
		s.opcode, s.bufIndex = opReadFixed+write, uint16(i)
	}
	s.addr, s.len = uint64(uintptr(unsafe.Pointer(&q.Buf[0]))), uint32(len(q.Buf))
}

func (r *kernelRing) toPool(q *blockdev.Request, from int64) {
	r.slow++
	r.jobs[q.Tag].begin(q, from)
}

func (r *kernelRing) Poll(done []blockdev.Done) int {
	if r.k.ready > 0 {
		r.k.submit(true)
	}
	n := r.sink.take(done)
	r.slow -= n
	for n < len(done) {
		c := r.k.peek()
		if c == nil {
			break
		}
		data, res, flags := c.userData, c.res, c.flags
		r.k.seen()
		switch data {
		case wakeData:
			r.rearm = flags&cqeMore == 0
		case cancelData:
		default:
			if d, ok := r.ended(r.reqs[data], res); ok {
				done[n] = d
				n++
			}
		}
	}
	r.flying -= n
	if r.events != nil && !r.sink.armed.Load() {
		atomic.StoreUint32(r.k.cqFlags, cqEventfdDisable)
	}
	return n
}

// ended makes an end of the kernel's result. What was done in part, and what was taken
// back without our asking, goes to the pool, and false is returned; unless it was canceled.
func (r *kernelRing) ended(q *blockdev.Request, res int32) (blockdev.Done, bool) {
	d := blockdev.Done{Tag: q.Tag}
	r.reqs[q.Tag] = nil
	clear(r.iovs[q.Tag])
	switch errno := unix.Errno(-res); {
	case q.Op == blockdev.Flush && res == 0:
	case res >= 0 && int64(res) == q.Length:
		d.N = q.Length
	case res >= 0 || errno == unix.ECANCELED || errno == unix.EINTR || errno == unix.EAGAIN:
		if r.jobs[q.Tag].canceled.Load() {
			d.Status = blockdev.StatusCanceled
			break
		}
		r.toPool(q, int64(max(0, res)))
		return d, false
	default:
		d.Status = status(q.Op, errno)
	}
	return d, true
}

func (r *kernelRing) Wait(n int, timeout time.Duration) {
	if r.rearm && r.pollWake() {
		return
	}
	r.sink.parked.Store(true)
	defer r.sink.parked.Store(false)
	if r.sink.count.Load() > 0 {
		return
	}
	if r.slow > 0 {
		n = 1
	}
	if n > 1 && (timeout < 0 || timeout > manyWait) {
		timeout = manyWait // Wake is one CQE, and would not end this
	}
	r.k.wait(n, timeout)
}

// pollWake has the kernel make a CQE when Wake is called, and says whether it has been before: perhaps
// since the last look at what this Wait is for.
func (r *kernelRing) pollWake() (woken bool) {
	n, _ := unix.Read(r.efd, r.count[:]) // an error: there is nothing
	s := r.next()
	s.opcode, s.fd, s.len = opPollAdd, int32(r.efd), pollMulti
	s.opFlags = unix.POLLIN
	s.userData = wakeData
	r.rearm = false
	r.k.submit(true)
	return n > 0
}

// wakeCount is what Wake adds to the eventfd.
var wakeCount = binary.NativeEndian.AppendUint64(nil, 1)

func (r *kernelRing) Wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.efd < 0 {
		return
	}
	_, _ = unix.Write(r.efd, wakeCount)
}

func (r *kernelRing) Cancel(q *blockdev.Request) {
	r.jobs[q.Tag].canceled.Store(true)
	if r.reqs[q.Tag] == nil {
		return // the pool has it
	}
	s := r.next()
	s.opcode, s.fd, s.addr, s.userData = opAsyncCancel, -1, uint64(q.Tag), cancelData
	r.k.submit(true)
}

func (r *kernelRing) Close() error {
	for i := range r.jobs {
		if q := r.reqs[i]; q != nil {
			r.Cancel(q)
		} else {
			r.jobs[i].canceled.Store(true)
		}
	}
	var done [16]blockdev.Done
	for r.flying > 0 {
		if r.Poll(done[:]) == 0 {
			r.Wait(1, -1)
		}
	}
	r.mu.Lock()
	err := unix.Close(r.efd)
	r.efd = -1
	r.mu.Unlock()
	if r.events != nil {
		err = errors.Join(err, r.events.Close())
		<-r.gone
	}
	return errors.Join(err, r.k.close())
}
