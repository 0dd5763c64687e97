//go:build !linux

package uring

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/blockdev"
)

// What only Linux has is done without.
const (
	directFlag = 0
	canPunch   = false
)

var errLinux = errors.New("io_uring is Linux's")

func blockSize(int) (int, error)    { return 512, nil }
func datasync(fd int) error         { return unix.Fsync(fd) }
func punch(int, int64, int64) error { return unix.EOPNOTSUPP }
func zero(int, int64, int64) error  { return unix.EOPNOTSUPP }
func probe() error                  { return errLinux }

func newKernelRing(*Device, blockdev.RingConfig) (blockdev.Backend, error) { return nil, errLinux }
