package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

const (
	// A received frame is acknowledged by the next one that is sent; failing
	// that after so many frames or bytes, or when ackDelay has passed.
	ackFrames = 128
	ackBytes  = 128 << 10
	ackDelay  = 10 * time.Millisecond

	// batchBytes bounds one write, so that counts and acknowledgements keep up.
	batchBytes = 256 << 10

	// maxControl bounds the control frames that wait to be written: a peer that
	// sends pings and does not read gets no more answers.
	maxControl = 64

	// overrunFactor times MaxQueuedBytes is where a link fails, clogFactor times where
	// who can't wait is to be refused.
	overrunFactor = 4
	clogFactor    = 2
)

// link is what we share with one peer, over all its connections.
type link struct {
	ls    *Links
	id    uint16
	addr  string
	delay int64 // ns

	ctx context.Context // ends with the link
	end context.CancelFunc

	// recv is held while a callback runs: callbacks of one peer never overlap,
	// also while one connection takes over from another. It comes before mu.
	recv sync.Mutex
	upOn *session // OnPeerUp was called for it and OnPeerDown was not; under recv

	failTold bool // OnPeerDown was called for failed; under recv

	mu       sync.Mutex
	want     uint64 // instance of the peer that is meant; 0: the first
	instance uint64 // of the peer; 0: never met
	reset    uint64 // instance last reported by OnPeerReset
	version  uint8
	features uint64 // that both have
	failed   error  // for good
	cand     *session
	sess     *session
	q        outQueue
	over     bool // counts as congested
	clogged  bool // counts as clogged

	lastRecv uint64 // last frame received in order
	unacked  int    // frames received since we sent an Ack
	unackedB int    // the same in bytes
	ackDue   bool
	ackArmed bool
	ackTimer *time.Timer

	resumeAt uint64    // continue behind this frame, once the writer is back
	resuming bool      // resumeAt is set
	ctl      []ctlOut  // frames of the connection itself, to be written
	ctlOut   [][]byte  // of them, those being written
	out      [][]byte  // being written
	outCount int       // frames in it
	outBytes int       // bytes in it
	writing  bool      // somebody has the role of the writer
	idle     sync.Cond // signalled when nobody has
	wakeAt   int64     // the delayer wakes us then; 0: not asked to

	count linkCounters

	crowd atomic.Int32 // times that nobody is to read in place of the connection's goroutine
}

type ctlOut struct {
	buf []byte
	due int64
}

func newLink(ls *Links, p Peer) *link {
	l := &link{ls: ls, id: p.ID, addr: p.Addr, want: p.Instance, delay: int64(ls.cfg.Delay(p.ID)), version: wire.VersionMin}
	l.ctx, l.end = context.WithCancel(ls.ctx)
	l.q.base = 1
	l.idle.L = &l.mu
	return l
}

// send implements Links.Send.
func (l *link) send(frame []byte, h wire.Header) {
	if l.ls.cfg.Compress && len(frame)-wire.HeaderSize > wire.CompressAbove {
		frame = l.compress(frame, &h)
	}
	var due int64
	if l.delay > 0 {
		due = nanos() + l.delay
	}
	l.mu.Lock()
	if l.failed != nil || l.ls.draining.Load() {
		l.count.dropped++
		l.mu.Unlock()
		PutBuf(frame)
		return
	}
	h.Seq = l.q.next()
	l.seal(frame, &h)
	l.q.push(frame, due)
	if l.congestion() {
		l.mu.Unlock()
		return
	}
	if l.delay > 0 && l.wakeAt == 0 {
		l.wakeAt = due
		l.ls.delayer.Load().schedule(l, due)
	}
	mine := l.delay == 0 && !l.writing && l.sess != nil
	l.writing = l.writing || mine
	l.mu.Unlock()
	if mine {
		pump(l, false)
	}
}

// seal completes a frame; mu is held.
func (l *link) seal(frame []byte, h *wire.Header) {
	h.Version, h.Instance, h.Ack = l.version, l.ls.cfg.Instance, l.lastRecv
	l.unacked, l.unackedB, l.ackDue = 0, 0, false
	wire.SealFrame(frame, h)
}

func (l *link) compress(frame []byte, h *wire.Header) []byte {
	l.mu.Lock()
	agreed := l.features&wire.FeatureCompress != 0
	l.mu.Unlock()
	if !agreed {
		return frame
	}
	scratch := GetBufSize(wire.CompressScratch(len(frame)) - wire.HeaderSize)
	out := wire.Compress(frame, h, scratch)
	if h.Flags&wire.FlagCompressed == 0 {
		PutBuf(scratch)
		return frame
	}
	PutBuf(frame)
	return out
}

// congestion keeps the count of congested links and says true if the link has
// just failed. mu is held.
func (l *link) congestion() bool {
	limit := l.ls.cfg.MaxQueuedBytes
	switch {
	case l.q.bytes > overrunFactor*limit:
		l.overrun()
		return true
	case !l.over && l.q.bytes > limit:
		l.over = true
		l.ls.congested.Add(1)
	case l.over && l.q.bytes <= limit/2:
		l.relieve()
	case !l.clogged && l.q.bytes > clogFactor*limit:
		l.clogged = true
		l.ls.clogged.Add(1)
	case l.clogged && l.q.bytes <= limit:
		l.unclog()
	}
	return false
}

func (l *link) unclog() {
	if l.clogged {
		l.clogged = false
		l.ls.clogged.Add(-1)
	}
}

func (l *link) relieve() {
	l.unclog()
	if l.over {
		l.over = false
		l.ls.congested.Add(-1)
		l.ls.changed.open()
	}
}

// overrun fails the link for good; mu is held. It runs on the stack of a
// caller of Send, so the callback gets a goroutine.
func (l *link) overrun() {
	failed := fmt.Errorf("%w: %d bytes", ErrOverrun, l.q.bytes)
	for _, s := range l.failWith(failed) {
		l.ls.spawn(func() { s.fail(failed) })
	}
	l.ls.spawn(func() {
		l.recv.Lock()
		defer l.recv.Unlock()
		l.downFailed(failed)
	})
}

// failWith makes the link useless and gives its connections, to be failed; mu is
// held.
func (l *link) failWith(failed error) (sessions []*session) {
	l.failed = failed
	l.q.drop()
	l.resuming = false
	l.relieve()
	for _, s := range []*session{l.sess, l.cand} {
		if s != nil {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// downFailed reports once that the link has failed, or was removed, as with each node that
// leaves; recv is held.
func (l *link) downFailed(failed error) {
	if l.failTold {
		return
	}
	l.failTold, l.upOn = true, nil
	if errors.Is(failed, ErrRemoved) {
		l.ls.log.Info("link removed", "peer", l.id)
	} else {
		l.ls.log.Error("link failed", "peer", l.id, "err", failed)
	}
	l.ls.h.OnPeerDown(l.id, failed)
	l.ls.changed.open()
}

// control queues a frame of the connection itself; mu is held.
func (l *link) control(m *wire.Msg, due int64) {
	if len(l.ctl) >= maxControl {
		return
	}
	h := wire.Header{Kind: wire.KindLink, Count: 1}
	frame := m.Append(GetBuf())
	l.seal(frame, &h)
	l.ctl = append(l.ctl, ctlOut{frame, due})
}

// kick writes what there is, unless somebody does already.
func (l *link) kick() {
	l.mu.Lock()
	mine := !l.writing && l.sess != nil
	l.writing = l.writing || mine
	l.mu.Unlock()
	if mine {
		pump(l, false)
	}
}

// wake is called by the delayer.
func (l *link) wake() {
	l.mu.Lock()
	l.wakeAt = 0
	l.mu.Unlock()
	l.kick()
}

// take implements source.
func (l *link) take() (Conn, [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.resuming {
		l.resuming = false
		l.count.resent += l.q.resume(l.resumeAt)
	}
	l.out = l.out[:0]
	if l.writable() {
		var now int64
		if l.delay > 0 {
			now = nanos()
		}
		l.takeControl(now)
		n := len(l.out)
		l.out = l.q.take(l.out, batchBytes, now)
		if l.ackDue && len(l.out) == n {
			l.control(&wire.Msg{Type: wire.LinkAck}, 0)
			l.takeControl(now)
		}
	}
	if len(l.out) == 0 {
		l.writing = false
		l.idle.Broadcast()
		l.sleepUntilDue()
		return nil, nil
	}
	l.outCount, l.outBytes = len(l.out), 0
	for _, b := range l.out {
		l.outBytes += len(b)
	}
	return l.sess.c, l.out
}

// writable says that what is written may arrive; mu is held.
func (l *link) writable() bool { return l.sess != nil && !l.sess.mute }

// hungUp says of an error in writing that the other end has gone, so that reading ends as well.
func hungUp(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

func (l *link) takeControl(now int64) {
	keep := l.ctl[:0]
	for _, f := range l.ctl {
		if f.due > now {
			keep = append(keep, f)
			continue
		}
		l.out = append(l.out, f.buf)
		l.ctlOut = append(l.ctlOut, f.buf)
	}
	clear(l.ctl[len(keep):])
	l.ctl = keep
}

// sleepUntilDue asks the delayer to come back for the first frame; mu is held.
func (l *link) sleepUntilDue() {
	if l.delay == 0 || !l.writable() {
		return
	}
	due, ok := l.q.nextDue()
	for _, f := range l.ctl {
		if !ok || f.due < due {
			due, ok = f.due, true
		}
	}
	if ok && (l.wakeAt == 0 || due < l.wakeAt) {
		l.wakeAt = due
		l.ls.delayer.Load().schedule(l, due)
	}
}

// wrote implements source.
func (l *link) wrote(c Conn, calls int, err error) {
	l.mu.Lock()
	for _, b := range l.ctlOut {
		PutBuf(b)
	}
	clear(l.ctlOut)
	clear(l.out)
	l.ctlOut = l.ctlOut[:0]
	l.count.out(l.outCount, l.outBytes, calls)
	var broken *session
	if l.failed == nil {
		l.q.written = l.q.taken
		l.trim()
	}
	if err != nil && l.sess != nil && l.sess.c == c {
		l.dropControl()
		if hungUp(err) {
			l.sess.mute = true // who reads comes to the end, too, behind what the peer has said before
		} else {
			broken = l.sess
			l.sess = nil // so that the next take finds nothing
		}
	}
	l.mu.Unlock()
	if broken != nil && !errors.Is(err, ErrClosed) { // else it ends already, and says why
		broken.fail(err)
	}
}

// trim frees what is acknowledged; mu is held.
func (l *link) trim() {
	had := l.q.bytes
	l.q.trim()
	l.congestion()
	if had > 0 && l.q.bytes == 0 && l.ls.draining.Load() {
		l.ls.changed.open()
	}
}
