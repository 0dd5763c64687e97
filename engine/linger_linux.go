package engine

import (
	"reflect"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/cloudwego/netpoll"
	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/wire"
)

// netpoll's loop asks for events twice for each time that some come: without waiting, and
// when there are none it lets other goroutines run, and waits. The yield wakes another
// thread up, which takes the loop over or finds nothing to do and sleeps again: two system calls and
// a switch of threads for each request that comes alone. So a handler that has done its work does not
// return yet. It waits for the loop's next event itself, and if that is of its own
// connection, reads and goes on: a request then costs a wait, a read, and a write.
//
// Meanwhile the loop does nothing else, so it gets its turn as soon as there is an event of
// another connection, and nobody waits here while it has ends of connections to see to, which have had
// their event. netpoll's events are of levels, so what is seen here is seen there again. It has its turn after
// lingerMost requests, too, and other goroutines then: the runtime interrupts who has a thread for 10 ms,
// and looks every 20 us for a millisecond after that, each time with a system call.

const (
	lingerMost = 64  // requests, then the loop has its turn
	lingerFew  = 512 // bytes, see few
)

// loop is what is known of netpoll's loop of a connection. It is nil where there is no telling.
type loop struct {
	fd   int                         // its epoll instance
	ends *[]func(netpoll.Poll) error // of connections, that it has still to see to; for who runs on it
}

var lingers atomic.Bool

// Linger lets handlers wait on netpoll's event loops for what comes next, however long. It is for
// programs that do nothing else: a goroutine that a handler has made ready is not run by the thread
// of the loop any more, but by another one. Without it they let others run, and wait only as
// long as it is worth while not to sleep.
func Linger() { lingers.Store(true) }

// loopOf gives np's loop. netpoll does not; TestLoopOf fails if that is not where it keeps it any more.
func loopOf(np netpoll.Connection) *loop {
	poll := fieldOf(fieldOf(reflect.ValueOf(np), "operator"), "poll")
	fd, ends := fieldOf(poll, "fd"), fieldOf(poll, "hups")
	l := &loop{}
	if !fd.IsValid() || !fd.CanInt() || !ends.IsValid() || !ends.CanAddr() || ends.Type() != reflect.TypeOf(l.ends).Elem() {
		return nil
	}
	l.fd, l.ends = int(fd.Int()), (*[]func(netpoll.Poll) error)(unsafe.Pointer(ends.UnsafeAddr()))
	return l
}

// fieldOf gives a field of what v is, or points to; an invalid value if there is none.
func fieldOf(v reflect.Value, name string) reflect.Value {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// linger is the end of a handler on the loop that had so many bytes to handle. Where there is
// one processor, others have their turn before it waits.
func (c *netpollConn) linger(came int) error {
	if c.loop == nil || !c.onLoop.Load() || len(*c.loop.ends) > 0 {
		return nil
	}
	if c.rest > 0 {
		c.rest--
		return nil
	}
	sleeps, spins := lingers.Load(), few(came) && c.spin.begin()
	if spins {
		defer c.spin.end()
	}
	if !sleeps && !spins {
		return nil
	}
	buf := readBufs.Get().(*[readBufSize]byte)
	defer readBufs.Put(buf)
	for done := 0; ; done++ {
		look := look{loop: c.loop.fd}
		if !sleeps || c.spin.most == 0 {
			runtime.Gosched() // who waits for what has come runs here, and this goes on elsewhere
		}
		if !(spins && few(came) && c.spin.await(&look, socketLooks)) && sleeps {
			look.sleep()
		}
		if look.events != 1 || c.shut.Load() {
			return c.giveWay() // nothing comes, or for others as well
		}
		if done == lingerMost {
			runtime.Gosched()
			return nil // the loop has its turn, and finds this event
		}
		n, ok, err := readNow(c.fd, buf[:])
		if !ok || n <= 0 || err != nil {
			return c.giveWay() // it was another's, or is the end, which the loop sees as well
		}
		if err := c.took(buf[:n]); err != nil {
			return err
		}
		came = n
	}
}

// giveWay has the loop go on with others. On the only processor all of them wait for it, and a look
// that finds nothing for oneself is lost: so it is not tried again for some time.
func (c *netpollConn) giveWay() error {
	if c.spin.most == 0 {
		c.rest = lingerMost
	}
	return nil
}

// few says that the next request may be worth a look: what came was no bell of a ring, which is
// shorter than a frame and looked at itself, and not so many at once that they are worth being
// woken for.
func few(bytes int) bool { return bytes >= wire.HeaderSize && bytes <= lingerFew }

// look is a look at a loop.
type look struct {
	loop   int
	events int // that there were: 2: or more
}

// Ready implements looker.
func (l *look) Ready() bool {
	var events [2]unix.EpollEvent
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.loop), uintptr(unsafe.Pointer(&events[0])), 2, 0, 0, 0)
	if errno != 0 {
		n = 0
	}
	l.events = int(n)
	return n != 0
}

// sleep waits for events.
func (l *look) sleep() {
	var events [2]unix.EpollEvent
	n, err := unix.EpollWait(l.loop, events[:], -1)
	if err != nil {
		n = 0
	}
	l.events = n
}

// took has the handler do what was read.
func (c *netpollConn) took(b []byte) error {
	c.r.carry = append(c.r.carry, b...)
	return c.handle()
}
