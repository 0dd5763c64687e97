package target

import (
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxIov is how many buffers one call gets; the kernel's limit is 1024.
const maxIov = 1024

// iovecs is the argument of readv and writev, kept from call to call. The calls are raw
// ones: descriptors are non-blocking, and the scheduler need not be told (see package
// engine, rawReader).
type iovecs struct {
	list []unix.Iovec
	in   int32 // for available
}

// readv reads what there is, first into a, then into b; 0: there is nothing now. The end
// of the input is io.EOF.
func (v *iovecs) readv(fd int, a, b []byte) (int, error) {
	v.list = v.list[:0]
	v.add(a)
	v.add(b)
	return v.call(unix.SYS_READV, fd, io.EOF)
}

// writev writes what fits; 0: nothing does now.
func (v *iovecs) writev(fd int, bufs [][]byte) (int, error) {
	v.list = v.list[:0]
	for _, b := range bufs[:min(len(bufs), maxIov)] {
		v.add(b)
	}
	return v.call(unix.SYS_WRITEV, fd, nil)
}

// available gives the bytes that can be read now.
func (v *iovecs) available(fd int) int {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCINQ, uintptr(unsafe.Pointer(&v.in)))
	if errno != 0 {
		return 0
	}
	return int(v.in)
}

func (v *iovecs) add(b []byte) {
	if len(b) > 0 {
		iov := unix.Iovec{Base: &b[0]}
		iov.SetLen(len(b))
		v.list = append(v.list, iov)
	}
}

func (v *iovecs) call(trap uintptr, fd int, zero error) (int, error) {
	iov := v.list
	if len(iov) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, nil
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, zero
		}
		return int(n), nil
	}
}
