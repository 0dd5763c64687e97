package uring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/io_uring.h.
const (
	opReadv       = 1
	opWritev      = 2
	opFsync       = 3
	opReadFixed   = 4
	opWriteFixed  = 5
	opPollAdd     = 6
	opAsyncCancel = 14
	opRead        = 22
	opWrite       = 23

	sqeFixedFile  = 1 << 0 // flags of an SQE
	fsyncDatasync = 1 << 0
	pollMulti     = 1 << 0 // in len of opPollAdd
	rwDsync       = 1 << 1

	cqeMore          = 1 << 1 // flags of a CQE
	cqEventfdDisable = 1 << 0 // flags of the CQ

	enterGetEvents = 1 << 0
	enterExtArg    = 1 << 3

	featSingleMmap   = 1 << 0
	featNoDrop       = 1 << 1
	featSubmitStable = 1 << 2
	featExtArg       = 1 << 8
	wanted           = featSingleMmap | featNoDrop | featSubmitStable | featExtArg // all since Linux 5.11

	registerBuffers = 0
	registerFiles   = 2
	registerEventfd = 4

	offSQEs = 0x10000000
)

type sqOffsets struct {
	head, tail, ringMask, ringEntries, flags, dropped, array, resv1 uint32
	userAddr                                                        uint64
}

type cqOffsets struct {
	head, tail, ringMask, ringEntries, overflow, cqes, flags, resv1 uint32
	userAddr                                                        uint64
}

type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	resv                                                                   [3]uint32
	sq                                                                     sqOffsets
	cq                                                                     cqOffsets
}

type kernelSQE struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	len, opFlags  uint32
	userData      uint64
	bufIndex      uint16
	personality   uint16
	file          int32
	pad           [2]uint64
}

type kernelCQE struct {
	userData uint64
	res      int32
	flags    uint32
}

// enterArg is the argument of a wait with a timeout.
type enterArg struct {
	sigmask   uint64
	sigmaskSz uint32
	minWait   uint32
	ts        uint64
}

// kernel is an io_uring. One goroutine at a time uses it.
type kernel struct {
	fd        int
	rings     []byte // SQ and CQ, mapped
	sqeMemory []byte

	sqHead, sqTail, cqHead, cqTail, cqFlags *uint32
	sqes                                    []kernelSQE
	cqes                                    []kernelCQE
	tail                                    uint32 // of the SQ, not yet shown to the kernel
	ready                                   uint32 // SQEs that the kernel has not taken
	arg                                     enterArg
	ts                                      unix.Timespec
}

// probe says why io_uring can't be used.
func probe() error {
	k, err := newKernel(4)
	if err != nil {
		return err
	}
	return k.close()
}

// newKernel makes an io_uring with at least n SQEs.
func newKernel(n int) (*kernel, error) {
	var p params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(n), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	k := &kernel{fd: int(fd)}
	unix.CloseOnExec(k.fd)
	if p.features&wanted != wanted {
		return nil, errors.Join(fmt.Errorf("io_uring: features %#x, need %#x: Linux 5.11 has them", p.features, wanted), k.close())
	}
	if err := k.mapRings(&p); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *kernel) mapRings(p *params) (err error) {
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(kernelCQE{})))
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if k.rings, err = unix.Mmap(k.fd, 0, int(size), prot, flags); err != nil {
		return fmt.Errorf("io_uring: mapping the rings: %w", err)
	}
	bytes := int(p.sqEntries) * int(unsafe.Sizeof(kernelSQE{}))
	if k.sqeMemory, err = unix.Mmap(k.fd, offSQEs, bytes, prot, flags); err != nil {
		return fmt.Errorf("io_uring: mapping the SQEs: %w", err)
	}
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&k.rings[off])) }
	k.sqHead, k.sqTail = word(p.sq.head), word(p.sq.tail)
	k.cqHead, k.cqTail, k.cqFlags = word(p.cq.head), word(p.cq.tail), word(p.cq.flags)
	k.sqes = unsafe.Slice((*kernelSQE)(unsafe.Pointer(&k.sqeMemory[0])), p.sqEntries)
	k.cqes = unsafe.Slice((*kernelCQE)(unsafe.Pointer(&k.rings[p.cq.cqes])), p.cqEntries)
	for i := range p.sqEntries { // SQE i is always entry i
		*word(p.sq.array + 4*i) = i
	}
	k.tail = *k.sqTail
	return nil
}

func (k *kernel) close() error {
	var err error
	if k.rings != nil {
		err = errors.Join(err, unix.Munmap(k.rings))
	}
	if k.sqeMemory != nil {
		err = errors.Join(err, unix.Munmap(k.sqeMemory))
	}
	return errors.Join(err, unix.Close(k.fd))
}

func (k *kernel) register(what int, arg unsafe.Pointer, n int) error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(k.fd), uintptr(what), uintptr(arg), uintptr(n), 0, 0)
	if errno != 0 {
		return fmt.Errorf("io_uring_register %d: %w", what, errno)
	}
	return nil
}

// next gives a cleared SQE; nil if there is none free.
func (k *kernel) next() *kernelSQE {
	if k.tail-atomic.LoadUint32(k.sqHead) == uint32(len(k.sqes)) {
		return nil
	}
	s := &k.sqes[k.tail&uint32(len(k.sqes)-1)]
	*s = kernelSQE{}
	k.tail++
	k.ready++
	return s
}

// submit has the kernel take what next gave. Some may be left if the kernel has no
// memory; a later call takes them. quick says that it won't take long.
func (k *kernel) submit(quick bool) {
	atomic.StoreUint32(k.sqTail, k.tail)
	for k.ready > 0 {
		var n uintptr
		var errno unix.Errno
		if quick {
			n, _, errno = unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(k.fd), uintptr(k.ready), 0, 0, 0, 0)
		} else {
			n, _, errno = unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(k.fd), uintptr(k.ready), 0, 0, 0, 0)
		}
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return
		default:
			k.ready -= uint32(n)
		}
	}
}

// wait submits what is left, and waits until n CQEs are there, or for timeout
// (negative: none). It may return early.
func (k *kernel) wait(n int, timeout time.Duration) {
	atomic.StoreUint32(k.sqTail, k.tail)
	k.arg = enterArg{}
	if timeout >= 0 {
		k.ts = unix.NsecToTimespec(int64(timeout))
		k.arg.ts = uint64(uintptr(unsafe.Pointer(&k.ts)))
	}
	taken, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(k.fd), uintptr(k.ready), uintptr(n),
		enterGetEvents|enterExtArg, uintptr(unsafe.Pointer(&k.arg)), unsafe.Sizeof(k.arg))
	if errno == 0 {
		k.ready -= uint32(taken)
	}
}

// peek gives the first CQE; seen frees it.
func (k *kernel) peek() *kernelCQE {
	head := *k.cqHead // only seen writes it
	if head == atomic.LoadUint32(k.cqTail) {
		return nil
	}
	return &k.cqes[head&uint32(len(k.cqes)-1)]
}

func (k *kernel) seen() { atomic.StoreUint32(k.cqHead, *k.cqHead+1) }
