//go:build !linux

package engine

import (
	"context"
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// iovecs stands for the prepared argument of writev, which only Linux has here.
type iovecs struct{}

// writev writes what fits now, one buffer after the other.
func (*iovecs) writev(fd int, bufs [][]byte) (int, error) {
	total := 0
	for _, b := range bufs {
		for len(b) > 0 {
			n, err := unix.Write(fd, b)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case errors.Is(err, unix.EAGAIN):
				return total, nil
			case err != nil:
				return total, err
			}
			total += n
			b = b[n:]
		}
	}
	return total, nil
}

// hasty has no such option here: broken connections are found late.
func hasty(context.Context, string, string, syscall.RawConn) error { return nil }
