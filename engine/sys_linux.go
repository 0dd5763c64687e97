package engine

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxIov is the kernel's limit of buffers in one writev (UIO_MAXIOV).
const maxIov = 1024

// iovecs is the argument of writev, kept from call to call.
type iovecs []unix.Iovec

// readNow reads what a non-blocking descriptor has; done is false if it has nothing
// yet. See rawReader for why the call is a raw one.
func readNow(fd int, b []byte) (n int, done bool, err error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), true, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, false, nil
		}
		return 0, true, errno
	}
}

// writev writes what fits now to a non-blocking descriptor and returns the
// bytes taken; a full socket is no error. It goes on past maxIov buffers.
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
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
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
