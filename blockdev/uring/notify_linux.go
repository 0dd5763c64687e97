package uring

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// listen has the kernel tell of CQEs by an eventfd, and a goroutine call Notify then.
func (r *kernelRing) listen() error {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	fd32 := int32(fd)
	if err := r.k.register(registerEventfd, unsafe.Pointer(&fd32), 1); err != nil {
		_ = unix.Close(fd)
		return err
	}
	atomic.StoreUint32(r.k.cqFlags, cqEventfdDisable) // until Arm
	r.events = os.NewFile(uintptr(fd), "io_uring events")
	r.gone = make(chan struct{})
	go func() {
		defer close(r.gone)
		var count [8]byte
		for {
			if _, err := r.events.Read(count[:]); err != nil {
				return // closed
			}
			r.sink.ring()
		}
	}()
	return nil
}

func (r *kernelRing) Arm() {
	r.sink.armed.Store(true)
	atomic.StoreUint32(r.k.cqFlags, 0)
	if r.sink.count.Load() > 0 || r.k.peek() != nil {
		r.sink.ring()
	}
}
