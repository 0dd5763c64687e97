package uring

import (
	"errors"

	"golang.org/x/sys/unix"
)

const (
	directFlag = unix.O_DIRECT
	canPunch   = true
)

// blockSize is the logical block size of a block device.
func blockSize(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.BLKSSZGET) }

func datasync(fd int) error { return again(func() error { return unix.Fdatasync(fd) }) }

// punch makes a hole.
func punch(fd int, at, length int64) error {
	return again(func() error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, length)
	})
}

// zero makes a range read as zeroes, and keeps its space.
func zero(fd int, at, length int64) error {
	return again(func() error {
		return unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, at, length)
	})
}

// again repeats what a signal has interrupted.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
