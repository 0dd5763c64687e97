package host

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// These calls never wait, so the scheduler need not hear of them: each call that may
// take long wakes the thread that looks for such calls, which costs more than the
// call itself.

// vector is the argument of readv and writev, kept from call to call.
type vector []unix.Iovec

const maxIov = 1024 // the kernel's limit (UIO_MAXIOV)

func (v *vector) fill(bufs [][]byte) {
	*v = (*v)[:0]
	for _, b := range bufs[:min(len(bufs), maxIov)] {
		iov := unix.Iovec{Base: &b[0]}
		iov.SetLen(len(b))
		*v = append(*v, iov)
	}
}

// call reads or writes what is possible now. n is -1 if that is nothing, and 0 at the
// end of input.
func (v *vector) call(trap uintptr, fd int, bufs [][]byte) (int, error) {
	v.fill(bufs)
	iov := *v
	defer clear(iov)
	for {
		n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return -1, nil
		}
		return -1, errno
	}
}

func (v *vector) readv(fd int, bufs [][]byte) (int, error)  { return v.call(unix.SYS_READV, fd, bufs) }
func (v *vector) writev(fd int, bufs [][]byte) (int, error) { return v.call(unix.SYS_WRITEV, fd, bufs) }

// waker is a descriptor that ends a wait.
type waker struct{ fd int }

func newWaker() (waker, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	return waker{fd}, err
}

func (w waker) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(w.fd, one[:]) // full: it is awake already
}

func (w waker) clear() {
	var b [8]byte
	_, _ = unix.Read(w.fd, b[:]) // empty: nobody has called
}

func (w waker) close() { _ = unix.Close(w.fd) }

// await waits until fd can be read, or written if out says so, or the waker was woken,
// which it says; for timeout at most, if that is not negative. fd is -1 if there is
// none.
func (w waker) await(fd int, out bool, timeout time.Duration) bool {
	fds := [2]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(fd), Events: unix.POLLIN}}
	if out {
		fds[1].Events |= unix.POLLOUT
	}
	var ts *unix.Timespec
	if timeout >= 0 {
		t := unix.NsecToTimespec(int64(timeout))
		ts = &t
	}
	if n, err := unix.Ppoll(fds[:], ts, nil); err != nil || n == 0 {
		return false
	}
	if fds[0].Revents == 0 {
		return false
	}
	w.clear()
	return true
}
