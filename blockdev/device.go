package blockdev

import (
	"context"
	"fmt"
	"time"
	"unsafe"
)

// Features says what a device can do besides reading, writing and flushing.
type Features uint16

const (
	HasWriteZeroes   Features = 1 << iota
	HasDeallocate             // Deallocate does something
	HasCompare                // Compare
	HasCompareWrite           // CompareWrite, as one step with regard to other CompareWrites; more if the device says so
	HasVerify                 // Verify
	DeallocateZeroes          // what was deallocated reads as zeroes
)

// Info describes a device. It does not change while the device is open.
type Info struct {
	BlockSize     int   // bytes: a power of two, 512 to 65536
	Size          int64 // bytes: a multiple of BlockSize
	MaxTransfer   int   // bytes of one request with buffers; 0: no limit
	BufferAlign   int   // bytes: buffers begin at a multiple, a power of two; 0: anywhere. See Alloc
	VolatileCache bool  // writes are durable after a Flush
	ReadOnly      bool
	Features      Features
	Name          string // a path, an address, what people call it
	NQN           string // of NVMe: the subsystem
	NSID          uint32 // of NVMe: the namespace
}

// Validate says what is wrong with i.
func (i *Info) Validate() error {
	switch {
	case i.BlockSize < 512 || i.BlockSize > 65536 || i.BlockSize&(i.BlockSize-1) != 0:
		return fmt.Errorf("blockdev: %s: block size %d: must be a power of two from 512 to 65536", i.Name, i.BlockSize)
	case i.Size <= 0 || i.Size%int64(i.BlockSize) != 0:
		return fmt.Errorf("blockdev: %s: size %d: must be a positive multiple of the block size %d", i.Name, i.Size, i.BlockSize)
	case i.MaxTransfer < 0 || i.MaxTransfer%i.BlockSize != 0:
		return fmt.Errorf("blockdev: %s: largest transfer %d: must be a multiple of the block size %d", i.Name, i.MaxTransfer, i.BlockSize)
	case i.BufferAlign < 0 || i.BufferAlign&(i.BufferAlign-1) != 0:
		return fmt.Errorf("blockdev: %s: alignment of buffers %d: must be a power of two", i.Name, i.BufferAlign)
	}
	return nil
}

// Device makes rings. Its methods may be called from several goroutines.
type Device interface {
	Info() Info
	// NewRing makes a ring; ctx is for the time that this takes, such as that of a
	// connection. Each ring works independently of the others.
	NewRing(ctx context.Context, cfg RingConfig) (*Ring, error)
	// Close ends the device. Close its rings first.
	Close() error
}

// RingConfig says how a ring shall be. The zero value is good.
type RingConfig struct {
	// Depth is how many requests the ring has, from GetSQE to Peek: 1 to MaxDepth;
	// 0 stands for 128.
	Depth int
	// Spin is how long Wait looks for ends before it lets the goroutine sleep:
	// a core is spent for latency. Negative: Wait never sleeps.
	Spin time.Duration
	// Buffers are memory that requests will use much; a backend may make them known
	// to the kernel once. Requests may use other memory as well.
	Buffers [][]byte
	// Notify is called, from any goroutine, when something has ended, or is due,
	// after Arm. It must not block, and must not call the ring on the way.
	Notify func()
}

// MaxDepth is the largest depth of a ring.
const MaxDepth = 4096

const defaultDepth = 128

// Complete gives c with defaults in place of what is missing, or says what is wrong.
func (c RingConfig) Complete() (RingConfig, error) {
	if c.Depth == 0 {
		c.Depth = defaultDepth
	}
	if c.Depth < 1 || c.Depth > MaxDepth {
		return c, fmt.Errorf("blockdev: ring depth %d: must be from 1 to %d", c.Depth, MaxDepth)
	}
	return c, nil
}

// Backend does the requests of one ring. What it gets has been checked against Info,
// and may be done in any order: links, drains and deadlines are the ring's affair. All
// methods but Wake are called by the ring's owner, one at a time.
type Backend interface {
	// Submit starts the requests of batch and does not wait for them. A request stays
	// as it is, and so do its buffers, until Poll has given its end. batch itself is
	// the ring's again when Submit returns. Whatever goes wrong with a request is the
	// status of its end.
	Submit(batch []*Request)
	// Poll puts ends into done and says how many. It does not wait.
	Poll(done []Done) int
	// Wait returns when about n requests in flight have ended (n is not more than
	// there are), after timeout (negative: none), or after Wake; it may return early.
	Wait(n int, timeout time.Duration)
	// Wake ends a Wait, or the next one if there is none. Any goroutine may call it,
	// also after Close.
	Wake()
	// Cancel takes back a request in flight. Poll gives its end as usual, soon, with
	// StatusCanceled or, if it was too late, with what came of it.
	Cancel(q *Request)
	// Arm asks for one call of RingConfig.Notify when a request ends; if one has
	// ended that Poll has not given yet, Notify is called at once.
	Arm()
	// Close ends all requests in flight. Afterwards no buffer is touched any more.
	Close() error
}

// Request is a request as a Backend sees it.
type Request struct {
	SQE
	Tag uint16 // below RingConfig.Depth; no two requests in flight have the same

	state    state
	expired  bool          // its deadline is over, and it has been taken back
	drain    bool          // of a chain's first: the chain drains
	next     int32         // the next of its chain, or none
	queue    int32         // of a chain's first: the next one held
	deadline time.Duration // on the ring's clock; 0: none
}

// Done is the end of a request in flight.
type Done struct {
	Tag    uint16
	Status Status
	N      int64 // bytes done
}

// aligned says whether b begins where the device wants it to.
func (i *Info) aligned(b []byte) bool {
	return i.BufferAlign == 0 || uintptr(unsafe.Pointer(unsafe.SliceData(b)))&uintptr(i.BufferAlign-1) == 0
}

// Alloc gives n bytes of memory at an address that is a multiple of align, a power of
// two: files that bypass the page cache ask for it.
func Alloc(n, align int) []byte {
	b := make([]byte, n+align)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) & (align - 1)
	return b[skip : skip+n : skip+n]
}
