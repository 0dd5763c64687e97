package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directConn is what the plain transport has on Linux: a socket that Go's own event loop
// does not know. It would want to hear of room for writing as well, and so be woken each
// time the other end of a Unix socket has read something: that made two wake-ups of each
// answer. The socket is in an epoll instance of its own, for input only, and that is what
// the goroutine of the connection waits for.
//
// Who waits for an answer can read the socket himself meanwhile (FrameConn.Watch), and wait for
// it in the kernel: that spares the way through two goroutines and a scheduler. Whoever
// has reading reads; the goroutine of the connection stands behind it.
type directConn struct {
	connBase
	passing
	taking
	fd     int
	ep     int // epoll instance with fd
	file   *os.File
	wait   syscall.RawConn // of ep
	h      Handler
	lone   bool // there is one processor: who waits in the kernel leaves nobody to be woken needlessly
	closed atomic.Bool

	reading sync.Mutex // held to read and to call the handler
	asleep  bool       // input does not wake the goroutine of the connection
	r       *linearReader
	err     error   // why nothing more is read
	short   bool    // the last read has left nothing
	spin    spinner // of who waits for an answer
	serving spinner // of the goroutine of the connection, see linger
	serves  bool    // what comes is requests, too

	writing sync.Mutex // held to write, and to set gone
	wrote   atomic.Bool
	gone    bool // the descriptors are closed
	iov     iovecs
}

const inputEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// directTime is how long one look of a caller may last, in us, and the system's ticks may make
// it some ms: how late a caller finds out that his context has ended.
const directTime = 1000

// roomTime is how long a full socket is waited for before the clock is looked at, in ms.
const roomTime = 100

// newDirectConn takes over nc, if it can.
func newDirectConn(nc net.Conn, h Handler) (*directConn, error) {
	fd, err := duplicate(nc)
	if err != nil {
		return nil, err
	}
	creds := credsOf(nc)
	c := &directConn{connBase: connBase{remote: remoteOf(nc, creds), creds: creds}, fd: fd, h: h, lone: runtime.GOMAXPROCS(0) == 1}
	if c.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("engine: epoll: %w", err)
	}
	err = errors.Join(c.watch(unix.EPOLL_CTL_ADD, inputEvents), unix.SetNonblock(c.ep, true))
	c.file = os.NewFile(uintptr(c.ep), "epoll")
	if err == nil {
		c.wait, err = c.file.SyscallConn()
	}
	if err != nil {
		unix.Close(fd)
		c.file.Close()
		return nil, fmt.Errorf("engine: epoll: %w", err)
	}
	nc.Close()
	// A caller who waits does so in the read itself. All others say in each call that they do not.
	_ = unix.SetNonblock(fd, false)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: directTime})
	c.r = newLinearReader()
	c.spin.init(false)
	c.serving.init(true)
	_, c.serves = h.(linkSide)
	return c, nil
}

// watch changes for what input the goroutine of the connection is woken.
func (c *directConn) watch(op int, events uint32) error { return control(c.ep, op, c.fd, events) }

// control is epoll_ctl, which does not wait.
func control(ep, op, fd int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd)}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(ep), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// awake is called when the goroutine has been woken, before it reads. The socket stands
// as ready in ep, and as long as it does watch says nothing to who waits for ep, even if
// there is input. So it is taken off first; what comes from now on puts it there again.
//
// It says whether there may be an end to read behind what there is: only then must a read
// find nothing before the socket is known to be empty. Who has got less than there was
// room for has got all there was, and what comes later wakes again.
func (c *directConn) awake() (ends bool) {
	if c.lone {
		return true
	}
	var ev unix.EpollEvent
	_, _, _ = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(c.ep), uintptr(unsafe.Pointer(&ev)), 1, 0, 0, 0)
	return ev.Events != unix.EPOLLIN
}

// run is the goroutine of the connection.
func (c *directConn) run() {
	err := c.wait.Read(func(uintptr) bool {
		c.reading.Lock()
		defer c.reading.Unlock()
		c.wrote.Store(false)
		before := woken.Load()
		for ends := c.awake(); c.input(readNow) && (ends || !c.short); {
		}
		c.linger(before)
		c.wakes(true) // it was told of this before Tend
		return c.err != nil
	})
	c.reading.Lock()
	if c.err == nil {
		c.err = err // never, as long as the runtime polls epoll instances
	}
	err = c.because(c.err)
	c.r.free()
	c.reading.Unlock()
	c.Close()
	c.writing.Lock()
	c.gone = true
	c.passing.drop()
	c.taking.drop()
	unix.Close(c.fd)
	c.file.Close()
	c.writing.Unlock()
	c.h.OnClose(c, err)
}

// linger looks for what comes next before the goroutine of the connection sleeps: who has just
// got an answer mostly asks again. It ends when a handler has woken somebody since woken was before,
// and after lingerMost requests, as not all say so. reading is held.
func (c *directConn) linger(before uint32) {
	if c.err != nil || !c.serves || !c.wrote.Load() || woken.Load() != before || !c.serving.begin() {
		return
	}
	defer c.serving.end()
	c.wakes(false)
	for range lingerMost {
		if !c.serving.await(c, socketLooks) || c.err != nil || woken.Load() != before {
			return
		}
	}
}

// input reads what there is and gives it to the handler. false: there is no more, now or
// for ever. reading is held.
func (c *directConn) input(read func(fd int, b []byte) (int, bool, error)) (more bool) {
	if c.err == nil && c.closed.Load() {
		c.err = ErrClosed // what came before the end is not read any more
	}
	if c.err != nil {
		return false
	}
	if c.err = c.r.room(); c.err != nil {
		return false
	}
	room := c.r.buf[c.r.w:]
	if c.takesFiles() {
		read = c.readFile
	}
	n, done, err := read(c.fd, room)
	switch {
	case !done:
		return false
	case err != nil:
		c.err = err
	case n > 0:
		c.short = n < len(room) && !c.takesFiles() // a file ends a read early
		c.r.w += n
		c.err = c.h.OnData(c, c.r)
	case c.r.Len() > 0:
		c.err = fmt.Errorf("%w: %d bytes of an incomplete frame", io.ErrUnexpectedEOF, c.r.Len())
	default:
		c.err = io.EOF
	}
	return c.err == nil
}

// readFile is readNow for bytes that may have a file with them.
func (c *directConn) readFile(fd int, b []byte) (n int, done bool, err error) {
	var oob [oneFile]byte
	n, k, _, _, err := unix.Recvmsg(fd, b, oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, false, nil
	}
	c.keep(oob[:max(k, 0)])
	return max(n, 0), true, err
}

// readHere implements hereReader.
func (c *directConn) readHere() bool {
	if !c.reading.TryLock() {
		return false
	}
	if c.err != nil {
		c.reading.Unlock()
		return false
	}
	return true
}

// Ready implements looker: it reads.
func (c *directConn) Ready() bool { return c.input(readNow) || c.err != nil }

// until implements hereReader.
func (c *directConn) until(over func() bool) {
	defer c.reading.Unlock()
	if c.lone {
		runtime.Gosched() // what else is to be done is done before we wait with the only processor
	} else {
		c.wakes(false)
		defer c.wakes(true)
	}
	spins := c.spin.begin()
	for !over() {
		if !(spins && c.spin.await(c, socketLooks) || c.input(readSoon)) || c.err != nil {
			break
		}
	}
	if spins {
		c.spin.end()
	}
	c.passOn()
}

// passOn lets the goroutine of the connection see its end.
func (c *directConn) passOn() {
	if c.err != nil {
		c.because(c.err)
		c.Close()
	}
}

// wakes says whether input wakes the goroutine of the connection, also such as is there already.
// reading is held.
func (c *directConn) wakes(yes bool) {
	if yes != c.asleep {
		return
	}
	c.asleep = !yes
	events := uint32(0)
	if yes {
		events = inputEvents
	}
	_ = c.watch(unix.EPOLL_CTL_MOD, events)
}

// tend implements tender.
func (c *directConn) tend(over func() bool) (ok bool) {
	if c.lone || !c.reading.TryLock() {
		return false // who reads has the goroutine of the connection woken in the end
	}
	defer c.reading.Unlock()
	if c.err != nil {
		return false // the descriptors may be closed
	}
	if c.spin.begin() {
		c.wakes(false)
		for c.err == nil && !ok && c.spin.await(c, socketLooks) {
			ok = c.err == nil && over()
		}
		c.spin.end()
	}
	if !ok {
		c.wakes(true)
		c.passOn()
	}
	return ok
}

// rest implements tender.
func (c *directConn) rest() {
	if !c.reading.TryLock() {
		return // who reads does that in the end, or goes on with Tend
	}
	defer c.reading.Unlock()
	if c.err == nil {
		c.wakes(true)
	}
}

func (c *directConn) TryWritev(bufs [][]byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.gone || c.closed.Load() {
		return 0, ErrClosed
	}
	if c.serves {
		c.wrote.Store(true)
	}
	if n, done, err := c.with(c.fd, bufs); done {
		return n, err
	}
	return c.iov.writev(c.fd, bufs)
}

func (c *directConn) Writev(bufs [][]byte) error {
	bufs = append([][]byte(nil), bufs...)
	for end := time.Now().Add(writeTimeout); ; {
		n, err := c.TryWritev(bufs)
		if err != nil {
			return err
		}
		if bufs = skip(bufs, n); len(bufs) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return ErrTimeout
		}
		pfd := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}
		_, _ = unix.Poll(pfd, roomTime) // if fd is somebody else's by now, the next TryWritev knows
	}
}

func (c *directConn) Close() error {
	c.because(ErrClosed)
	c.writing.Lock()
	defer c.writing.Unlock()
	if !c.gone && !c.closed.Swap(true) {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	}
	return nil
}
