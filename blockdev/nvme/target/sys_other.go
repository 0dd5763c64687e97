//go:build !linux

package target

import (
	"errors"
	"io"
	"syscall"
)

// iovecs reads and writes without gathering.
type iovecs struct{}

// readv reads what there is into a; 0: there is nothing now. The end of the input is
// io.EOF.
func (*iovecs) readv(fd int, a, _ []byte) (int, error) {
	n, err := syscall.Read(fd, a)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// available would give the bytes that can be read now.
func (*iovecs) available(int) int { return 0 }

// writev writes what fits; 0: nothing does now.
func (*iovecs) writev(fd int, bufs [][]byte) (total int, err error) {
	for _, b := range bufs {
		n, err := syscall.Write(fd, b)
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if total += n; n < len(b) {
			return total, nil
		}
	}
	return total, nil
}
