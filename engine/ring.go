package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/engine/shm"
)

// How frames go through memory
//
// Two processes on one machine, connected by a Unix socket, may move their frames
// through rings of bytes in memory that both have mapped (package shm). The node makes
// it and passes it through the socket. Then each end says, in its last frame on the
// socket, that all further ones are in the ring: what is under way keeps its order.
//
//	node                               client
//	OfferRing, its frame  ----------->  OpenRing
//	RingIn  <-------- last frame, RingOut
//	last frame, RingOut  ----------->  RingIn
//
// From then on the socket carries bells: a byte, of whatever value, that wakes the end
// which sleeps. It still says when the other process is gone.
//
// # Who reads
//
// The reader's role is a mutex. Who finds it held leaves rang and goes; who gives it up
// looks at rang after that. It is taken by
//
//	the transport's goroutine   when a bell rings; reads at most ringTurn bytes
//	a program's goroutine       which waits for an answer: Watch, Until
//	                            or handles them many at a time: Tend, Rest
//	a spinner                   a goroutine of its own, when it is likely that more
//	                            comes soon
//
// and who has nothing left to read sleeps (shm.End.Sleep) before giving it up, but for Tend, whose
// caller comes again very soon.

const (
	// RingSize is the size of one ring in bytes: a few hundred requests.
	RingSize = 64 << 10

	ringTurn = 2 * RingSize // bytes that one who is no spinner reads in a turn
)

// errNoRing says that there is nothing to open a ring of.
var errNoRing = errors.New("engine: no memory for a ring has come with this frame")

// bell is what is written to wake the other end.
var bell = [][]byte{{1}}

// ring is a connection's end of the rings. As a Conn it writes into one of them.
type ring struct {
	Conn // the socket
	fc   *FrameConn
	end  *shm.End
	node bool
	in   atomic.Bool // what comes is in the ring

	role    sync.Mutex // of the reader; guards what follows
	dead    bool       // nothing is read any more
	lr      *linearReader
	rang    atomic.Bool // somebody has rung meanwhile
	closing atomic.Bool

	spin spinner
	one  [1][]byte // of send

	room chan struct{} // the other end has rung: perhaps there is room
	gone chan struct{} // closed when the connection is

	ringing sync.Mutex // guards the socket's writing end, and what follows
	out     bool       // what leaves is in the ring, so bells may
	owed    bool       // a bell, as soon as that is so
}

func newRing(fc *FrameConn, end *shm.End, node bool) *ring {
	g := &ring{Conn: fc.c, fc: fc, end: end, node: node, lr: newLinearReader(), room: make(chan struct{}, 1), gone: make(chan struct{})}
	g.spin.init(node)
	return g
}

// OfferRing makes memory for two rings of RingSize and has it pass with the next frame.
// false: this connection cannot, or the system has none. For the end that was dialled,
// once, on the reading goroutine.
func (fc *FrameConn) OfferRing() bool {
	p, ok := fc.c.(filePasser)
	if !ok || !p.passesFiles() {
		return false
	}
	end, file, err := shm.Create(RingSize)
	if err != nil {
		return false
	}
	fc.ring.Store(newRing(fc, end, true))
	p.passFile(file)
	return true
}

// RingTaker is a FrameHandler that wants to be offered rings on connections that it
// dials. It has to call OpenRing or NoRing.
type RingTaker interface {
	FrameHandler
	TakesRing() bool // asked while it is dialled
}

// CanOpenRing says that a ring may be offered here.
func (fc *FrameConn) CanOpenRing() bool {
	t, ok := fc.c.(fileTaker)
	return ok && t.takesFiles()
}

// OpenRing takes the memory that has come with the present frame, for rings of size
// bytes. After an error the connection goes on without.
func (fc *FrameConn) OpenRing(size int) error {
	t, ok := fc.c.(fileTaker)
	if !ok {
		return errNoRing
	}
	file := t.takeFile()
	if file == nil {
		return errNoRing
	}
	defer file.Close()
	end, err := shm.Open(file, size)
	if err != nil {
		return err
	}
	fc.ring.Store(newRing(fc, end, false))
	return nil
}

// NoRing says that no ring will be opened.
func (fc *FrameConn) NoRing() {
	if t, ok := fc.c.(fileTaker); ok {
		if file := t.takeFile(); file != nil {
			file.Close()
		}
	}
}

// RingIn says, in OnFrame, that all frames behind this one come through the ring.
func (fc *FrameConn) RingIn() {
	fc.fr.stop = true
}

// RingOut has all that is sent from now on leave through the ring.
func (fc *FrameConn) RingOut() {
	fc.mu.Lock()
	defer fc.mu.Unlock()
	fc.then, fc.turn = fc.ring.Load(), len(fc.pending)
	if !fc.writing {
		fc.turnOut()
	}
}

// turnOut has all that is pending leave through the ring. mu is held, and nobody
// writes.
func (fc *FrameConn) turnOut() {
	fc.then.opened()
	fc.out, fc.then = fc.then, nil
}

// HasRing says that RingOut has been called.
func (fc *FrameConn) HasRing() bool {
	fc.mu.Lock()
	defer fc.mu.Unlock()
	return fc.then != nil || fc.out != fc.c
}

// hereReader is a Conn that can be read by who waits.
type hereReader interface {
	readHere() bool         // takes the reader's role, if that is free
	until(over func() bool) // reads, and gives it up
}

// Watch takes the reader's role for a caller who is about to send what is answered
// soon, if that is worth while. true: he must call Until. A ring is opened before the
// first Watch, or never.
func (fc *FrameConn) Watch() bool {
	g := fc.ring.Load()
	if g == nil {
		c, ok := fc.c.(hereReader)
		return ok && c.readHere()
	}
	if !g.in.Load() || !g.role.TryLock() {
		return false
	}
	if g.dead || !g.spin.begin() {
		g.give(false)
		return false
	}
	g.end.WakeSoon()
	return true
}

// Until handles what comes, on the caller's goroutine, until over says true or it has
// taken too long. It ends what Watch has begun. The caller must not hold what
// handlers need.
func (fc *FrameConn) Until(over func() bool) {
	here(func() { fc.until(over) })
}

func (fc *FrameConn) until(over func() bool) {
	g := fc.ring.Load()
	if g == nil {
		fc.c.(hereReader).until(over)
		return
	}
	g.read(over)
	g.spin.end()
	g.give(g.turn())
}

// goesOn says that the connection may still bring something. role is held.
func (g *ring) goesOn() bool { return !g.dead && !g.closing.Load() }

// rung is told that the other end has rung.
func (g *ring) rung(r Reader) error {
	if n := r.Len(); n > 0 {
		if _, err := r.Next(n); err != nil {
			return err
		}
	}
	select {
	case g.room <- struct{}{}:
	default:
	}
	g.rang.Store(true)
	g.serve()
	return nil
}

// serve reads what has come, if nobody else does.
func (g *ring) serve() {
	if !g.role.TryLock() {
		return
	}
	g.rang.Store(false)
	if more := g.turn(); !more && g.node && g.goesOn() && g.spin.begin() {
		g.role.Unlock()
		go g.run(true)
	} else {
		g.give(more)
	}
}

// give gives up the role, and sees to it that what comes is read. more says that
// this end is awake.
func (g *ring) give(more bool) {
	g.role.Unlock()
	switch {
	case more:
		go g.run(false)
	case g.rang.Load():
		g.serve()
	}
}

// turn reads until there is nothing, and sleeps then. more says that it is too much
// for one turn. role is held.
func (g *ring) turn() (more bool) {
	if !g.goesOn() {
		return false // there may be no memory any more
	}
	g.end.Wake()
	for done := 0; g.goesOn(); {
		n, ok := g.take()
		switch done += n; {
		case !ok:
			return false
		case n == 0 && !g.awake():
			return false
		case done >= ringTurn:
			return true
		}
	}
	return false
}

// awake sleeps, and says whether that was in vain.
func (g *ring) awake() bool {
	g.end.Sleep()
	if !g.end.Ready() {
		return false
	}
	g.end.Wake()
	return true
}

// run is a spinner: it reads for as long as more comes soon.
func (g *ring) run(spins bool) {
	g.role.Lock()
	g.rang.Store(false)
	if g.goesOn() {
		g.end.Wake()
	}
	for g.goesOn() {
		n, ok := g.take()
		if !ok || n == 0 && !(spins && g.spin.await(g.end, memoryLooks)) && !g.awake() {
			break
		}
	}
	if spins {
		g.spin.end()
	}
	g.role.Unlock()
	if g.rang.Load() {
		g.serve()
	}
}

// take reads once and handles the frames that are complete. not ok: the connection is
// over. role is held.
func (g *ring) take() (n int, ok bool) {
	err := g.lr.room()
	if err == nil {
		var wake bool
		if n, wake, err = g.end.Read(g.lr.buf[g.lr.w:]); wake {
			g.ring()
		}
	}
	frames := 0
	if n > 0 {
		g.lr.w += n
		frames, err = g.fc.fr.read(g.lr, &g.fc.count, g.fc.on)
	}
	if err != nil {
		g.dead = true
		g.fc.fail(err)
		return n, false
	}
	if frames > 0 {
		g.fc.h.OnIdle(g.fc)
	}
	return n, true
}

// ring wakes the other end. A full socket is full of bells.
func (g *ring) ring() error {
	g.ringing.Lock()
	defer g.ringing.Unlock()
	if !g.out {
		g.owed = true
		return nil
	}
	g.fc.count.out(0, 0, 1)
	_, err := g.Conn.TryWritev(bell)
	return err
}

// opened is called by the writer, who has written his last frame to the socket.
func (g *ring) opened() {
	g.ringing.Lock()
	g.out = true
	owed := g.owed
	g.ringing.Unlock()
	if owed {
		_ = g.ring() // an error ends the connection, which says so itself
	}
}

// send writes a frame without a writer, for there is none now, and nothing waits for
// one. What does not fit is given back. mu of the connection is held.
func (g *ring) send(frame []byte) (rest []byte, wake bool, err error) {
	g.one[0] = frame
	n, wake, err := g.end.Write(g.one[:])
	g.one[0] = nil
	if err == nil && n < len(frame) {
		g.fc.count.out(0, n, 0)
		return frame[n:], wake, nil
	}
	g.fc.count.out(1, len(frame), 0)
	PutBuf(frame)
	return nil, wake, err
}

// sent does what is left to do behind send, without mu.
func (g *ring) sent(wake bool, err error) error {
	if wake {
		err = g.ring()
	}
	if err != nil {
		return g.fc.fail(err)
	}
	return nil
}

// TryWritev implements Conn.
func (g *ring) TryWritev(bufs [][]byte) (int, error) {
	n, wake, err := g.end.Write(bufs)
	if wake {
		err = g.ring()
	}
	return n, err
}

// Writev implements Conn.
func (g *ring) Writev(bufs [][]byte) error {
	var late <-chan time.Time
	for waits := false; ; {
		n, err := g.TryWritev(bufs)
		if err != nil {
			return err
		}
		bufs = skip(bufs, n)
		switch {
		case len(bufs) == 0:
			return nil
		case n > 0:
			waits = false
			continue
		case !waits:
			g.end.WantRoom()
			waits = true
			continue
		case late == nil:
			t := time.NewTimer(writeTimeout)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-g.room:
			waits = false
		case <-g.gone:
			return ErrClosed
		case <-late:
			return ErrTimeout
		}
	}
}

// close ends the reading; what the other end has written before it went is handled,
// if this end wants it. Nobody reads when it returns.
func (g *ring) close(wanted bool) {
	g.closing.Store(true)
	close(g.gone)
	g.role.Lock()
	defer g.role.Unlock()
	for done := 0; wanted && !g.dead && done < RingSize; {
		n, ok := g.take()
		if !ok || n == 0 {
			break
		}
		done += n
	}
	g.dead = true
	g.lr.free()
}

// unmap gives the memory back; nobody writes any more.
func (g *ring) unmap() { _ = g.end.Unmap() } // it can only be kept, for nothing
