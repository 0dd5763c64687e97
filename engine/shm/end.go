package shm

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"unsafe"
)

const (
	MinSize = 4 << 10  // bytes of the smallest ring
	MaxSize = 16 << 20 // and of the largest; a power of two

	lines    = 4096 // bytes in front of the rings
	lineStep = 128  // two lines of 64: processors fetch them in pairs
)

// Errors.
var (
	// ErrCorrupt says that the other end has written numbers into the memory that
	// cannot be.
	ErrCorrupt = errors.New("shm: the other end has spoilt the ring")
	// ErrSize says that a ring cannot be of this size, or that memory is not of the
	// size that was announced.
	ErrSize = errors.New("shm: wrong size")
)

// Bytes gives the memory, in bytes, that two rings of size bytes each need.
func Bytes(size int) int { return lines + 2*size }

func checkSize(size int) error {
	if size < MinSize || size > MaxSize || size&(size-1) != 0 {
		return fmt.Errorf("%w: a ring of %d bytes, must be a power of two from %d to %d", ErrSize, size, MinSize, MaxSize)
	}
	return nil
}

// line is what one end tells the other one.
type line struct {
	word  atomic.Uint64 // end<<32 | sleep
	head  atomic.Uint32
	wants atomic.Uint32
}

// End is one end of the two rings: a writer and a reader, each of which one goroutine
// at a time may use. It allocates nothing and never waits.
type End struct {
	mem          []byte
	mine, theirs *line
	size         uint32
	_            [64]byte

	// The writer's.
	out      []byte
	end      uint32
	free     uint32 // head of the other end, as last seen
	wants    uint32
	wokeRead uint32 // the sleep that the other one was woken from
	_        [64]byte

	// The reader's.
	waking   atomic.Uint64 // what the writer adds to the word: see WakeSoon
	in       []byte
	head     uint32
	shown    uint32 // head as the other end sees it
	sleep    uint32
	wokeRoom uint32 // the wait for room that the other one was woken from
	_        [64]byte
}

// NewEnd makes an end of memory that is Bytes(size) long, zero, and aligned to 8
// bytes. One of the two is the node's.
func NewEnd(mem []byte, size int, node bool) (*End, error) {
	if err := checkSize(size); err != nil {
		return nil, err
	}
	if len(mem) != Bytes(size) {
		return nil, fmt.Errorf("%w: %d bytes of memory for two rings of %d, want %d", ErrSize, len(mem), size, Bytes(size))
	}
	at := func(off int) *line { return (*line)(unsafe.Pointer(&mem[off])) }
	e := &End{mem: mem, size: uint32(size), mine: at(0), theirs: at(lineStep), out: mem[lines : lines+size], in: mem[lines+size:]}
	if !node {
		e.mine, e.theirs, e.out, e.in = e.theirs, e.mine, e.in, e.out
	}
	return e, nil
}

// Write puts as much of bufs into the ring as there is room for, and gives the bytes
// taken. wake says that the other end sleeps and has to be woken. Errors: ErrCorrupt.
func (e *End) Write(bufs [][]byte) (n int, wake bool, err error) {
	looked := false // what this call writes is not told before its end
	for _, b := range bufs {
		for len(b) > 0 {
			room := e.size - (e.end - e.free)
			if room < uint32(min(len(b), int(e.size))) && !looked {
				looked = true
				if err := e.look(e.end - uint32(n)); err != nil {
					return 0, false, err
				}
				continue
			}
			k := min(len(b), int(room))
			if k == 0 {
				break
			}
			at := int(e.end & (e.size - 1))
			k = copy(e.out[at:], b[:k])
			b = b[k:]
			e.end += uint32(k)
			n += k
		}
	}
	if n == 0 {
		return 0, false, nil
	}
	step := uint64(n) << 32
	if e.waking.Load() != 0 {
		step += e.waking.Swap(0)
	}
	e.mine.word.Add(step)
	if s := uint32(e.theirs.word.Load()); s&1 != 0 && s != e.wokeRead {
		e.wokeRead = s
		wake = true
	}
	return n, wake, nil
}

// look sees how much the other end has read of what there is up to told.
func (e *End) look(told uint32) error {
	head := e.theirs.head.Load()
	if head-e.free > told-e.free {
		return fmt.Errorf("%w: it has read %d bytes of %d", ErrCorrupt, head-e.free, told-e.free)
	}
	e.free = head
	return nil
}

// WantRoom says that the writer waits until it is woken. It must try to write once
// more before it waits.
func (e *End) WantRoom() {
	e.wants++
	e.mine.wants.Store(e.wants)
}

// Ready says that there is something to read, or something wrong that Read will tell.
func (e *End) Ready() bool { return uint32(e.theirs.word.Load()>>32) != e.head }

// Read takes what is there, at most len(dst) bytes. wake says that the other end waits
// for room and has to be woken. Errors: ErrCorrupt.
func (e *End) Read(dst []byte) (n int, wake bool, err error) {
	there := uint32(e.theirs.word.Load()>>32) - e.head
	if there > e.size {
		return 0, false, fmt.Errorf("%w: %d bytes in a ring of %d", ErrCorrupt, there, e.size)
	}
	n = min(len(dst), int(there))
	if n == 0 {
		return 0, false, nil
	}
	at := int(e.head & (e.size - 1))
	if k := copy(dst[:n], e.in[at:]); k < n {
		copy(dst[k:n], e.in)
	}
	e.head += uint32(n)
	if e.head-e.shown >= e.size/4 {
		e.shown = e.head
		e.mine.head.Store(e.head)
		if w := e.theirs.wants.Load(); w != e.wokeRoom {
			e.wokeRoom = w
			wake = true
		}
	}
	return n, wake, nil
}

// Sleep says that the reader will sleep. It must look once more whether it is Ready.
func (e *End) Sleep() {
	switch {
	case e.sleep&1 != 0:
	case e.waking.Load() != 0 && e.waking.Swap(0) != 0:
		e.sleep-- // nothing was written: the other end still takes it for asleep
	default:
		e.mine.word.Add(e.nextSleep())
	}
}

// Wake says that the reader is awake.
func (e *End) Wake() {
	if e.sleep&1 != 0 {
		e.mine.word.Add(e.nextSleep())
	}
}

// WakeSoon is Wake together with the next Write, which the caller is about to see to:
// one transfer of the line less. Should it not come to that, the other end may take
// the reader for asleep, and have woken it from that sleep already: then what has been
// rung for must be read before Sleep.
func (e *End) WakeSoon() {
	if e.sleep&1 != 0 {
		e.waking.Store(e.nextSleep())
	}
}

// nextSleep counts, and gives what to add to the word: its halves must not overflow
// into each other.
func (e *End) nextSleep() uint64 {
	e.sleep++
	if e.sleep == 0 {
		return 1 + math.MaxUint32<<32
	}
	return 1
}
