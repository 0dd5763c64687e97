package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxIov is the kernel's limit of buffers in one writev (UIO_MAXIOV).
const maxIov = 1024

// iovecs is the argument of writev, kept from call to call.
type iovecs []unix.Iovec

// readNow reads what a socket has; done is false if it has nothing
// yet. See rawReader for why the call is a raw one.
func readNow(fd int, b []byte) (n int, done bool, err error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return received(n, errno)
		}
	}
}

// readSoon is the same of a blocking socket with a time limit, for which it waits.
func readSoon(fd int, b []byte) (n int, done bool, err error) {
	n1, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
	return received(n1, errno)
}

func received(n uintptr, errno unix.Errno) (int, bool, error) {
	switch errno {
	case 0:
		return int(n), true, nil
	case unix.EAGAIN, unix.EINTR:
		return 0, false, nil
	}
	return 0, true, errno
}

// writev writes what fits now to a socket and returns the
// bytes taken; a full one is no error. It goes on past maxIov buffers.
func (v *iovecs) writev(fd int, bufs [][]byte) (int, error) {
	total := 0
	for len(bufs) > 0 {
		k := min(len(bufs), maxIov)
		want := v.fill(bufs[:k])
		n, err := v.call(fd)
		total += n
		if err != nil || n < want {
			return total, err
		}
		bufs = bufs[k:]
	}
	return total, nil
}

func (v *iovecs) fill(bufs [][]byte) (bytes int) {
	*v = (*v)[:0]
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		iov := unix.Iovec{Base: &b[0]}
		iov.SetLen(len(b))
		*v = append(*v, iov)
		bytes += len(b)
	}
	return bytes
}

func (v *iovecs) call(fd int) (int, error) {
	iov := *v
	defer clear(iov) // the buffers go back to their pool
	for len(iov) > 0 {
		n, errno := send(fd, iov)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, nil
		}
		return 0, errno
	}
	return 0, nil
}

// send has the kernel take a message apart only if it is of several parts.
func send(fd int, iov []unix.Iovec) (n uintptr, errno unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if len(iov) == 1 {
		n, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(iov[0].Base)), uintptr(iov[0].Len), flags, 0, 0)
		return n, errno
	}
	m := unix.Msghdr{Iov: &iov[0]}
	m.SetIovlen(len(iov))
	n, _, errno = unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), flags)
	return n, errno
}
