package blockdev

import (
	"fmt"
	"time"
)

// Op is what a request does.
type Op uint8

const (
	Nop          Op = iota // does nothing, but takes part in links and drains
	Read                   // device to buffers
	Write                  // buffers to device
	Flush                  // writes that have ended before it was submitted become durable
	WriteZeroes            // the range reads as zeroes afterwards
	Deallocate             // the content of the range is needed no more
	Compare                // ends with StatusCompareFailure unless the device has what is in the buffers
	CompareWrite           // Compare with Buf, and if that succeeds write With, as one step
	Verify                 // the device reads the range and gives nothing
	opEnd
)

var opNames = [opEnd]string{"nop", "read", "write", "flush", "write zeroes", "deallocate", "compare", "compare and write", "verify"}

func (o Op) String() string {
	if o < opEnd {
		return opNames[o]
	}
	return fmt.Sprintf("op %d", uint8(o))
}

// Writes says whether o may change what the device holds.
func (o Op) Writes() bool {
	return o == Write || o == WriteZeroes || o == Deallocate || o == CompareWrite
}

// Flags change when and how a request is done.
type Flags uint8

const (
	Link  Flags = 1 << iota // the next request of this Submit starts when this one has succeeded
	Drain                   // starts when all before have ended, and holds up those behind
	FUA                     // a write ends when it is durable
)

// SQE is a request. Fill it in with one of the Prep methods, or by hand.
type SQE struct {
	Op       Op
	Flags    Flags
	Offset   int64         // bytes, a multiple of the block size
	Length   int64         // bytes, a multiple of the block size; of requests with buffers Submit sets it
	Buf      []byte        // belongs to the ring until the CQE is reaped
	Bufs     [][]byte      // in place of Buf; at most MaxBufs; the outer slice belongs to the ring, too
	With     []byte        // CompareWrite: what is written if Buf is found; as long as Buf
	UserData uint64        // comes back in the CQE
	Deadline time.Duration // from Submit; 0: none
	Gate     Gate          // asked when the request starts; nil: nobody
}

// MaxBufs is how many buffers one request may have.
const MaxBufs = 1024

// CQE tells how a request has ended.
type CQE struct {
	UserData uint64
	Status   Status
	N        int64 // bytes done; only of a success it is certain
}

// PrepRead makes s read len(buf) bytes at off.
func (s *SQE) PrepRead(off int64, buf []byte) { s.Op, s.Offset, s.Buf = Read, off, buf }

// PrepReadv makes s read at off into bufs, one after the other.
func (s *SQE) PrepReadv(off int64, bufs [][]byte) { s.Op, s.Offset, s.Bufs = Read, off, bufs }

// PrepWrite makes s write buf at off.
func (s *SQE) PrepWrite(off int64, buf []byte) { s.Op, s.Offset, s.Buf = Write, off, buf }

// PrepWritev makes s write bufs at off, one after the other.
func (s *SQE) PrepWritev(off int64, bufs [][]byte) { s.Op, s.Offset, s.Bufs = Write, off, bufs }

// PrepFlush makes s a Flush.
func (s *SQE) PrepFlush() { s.Op = Flush }

// PrepWriteZeroes makes s write length zeroes at off.
func (s *SQE) PrepWriteZeroes(off, length int64) { s.Op, s.Offset, s.Length = WriteZeroes, off, length }

// PrepDeallocate makes s give length bytes at off back to the device.
func (s *SQE) PrepDeallocate(off, length int64) { s.Op, s.Offset, s.Length = Deallocate, off, length }

// PrepCompare makes s compare buf with what is at off.
func (s *SQE) PrepCompare(off int64, buf []byte) { s.Op, s.Offset, s.Buf = Compare, off, buf }

// PrepCompareWrite makes s write with at off if the device has old there.
func (s *SQE) PrepCompareWrite(off int64, old, with []byte) {
	s.Op, s.Offset, s.Buf, s.With = CompareWrite, off, old, with
}

// PrepVerify makes s have the device read length bytes at off.
func (s *SQE) PrepVerify(off, length int64) { s.Op, s.Offset, s.Length = Verify, off, length }

// Vector gives the buffers of s; one is room for the case that there is only Buf.
func (s *SQE) Vector(one *[1][]byte) [][]byte {
	if s.Bufs != nil {
		return s.Bufs
	}
	one[0] = s.Buf
	return one[:]
}

// check says what is wrong with s for a device as info says, and sets Length.
func (s *SQE) check(info *Info) Status {
	switch s.Op {
	case Nop:
		return OK
	case Flush:
		s.Offset, s.Length = 0, 0
		return OK
	case Read, Write, Compare, CompareWrite:
		if st := s.checkBuffers(info); st != OK {
			return st
		}
	case WriteZeroes, Deallocate, Verify:
		if s.Buf != nil || s.Bufs != nil {
			return StatusInvalidField
		}
	default:
		return StatusInvalidOp
	}
	mask := int64(info.BlockSize) - 1
	switch {
	case (s.Offset|s.Length)&mask != 0:
		return StatusMisaligned
	case s.Length <= 0:
		return StatusInvalidField
	case s.Offset < 0 || s.Offset > info.Size || s.Length > info.Size-s.Offset:
		return StatusOutOfRange
	case s.Op.Writes() && info.ReadOnly:
		return StatusReadOnly
	}
	return OK
}

func (s *SQE) checkBuffers(info *Info) Status {
	total := int64(len(s.Buf))
	switch {
	case s.Bufs != nil && s.Buf != nil, len(s.Bufs) > MaxBufs:
		return StatusInvalidField
	case s.Op == CompareWrite && (s.Bufs != nil || len(s.With) != len(s.Buf)), s.Op != CompareWrite && s.With != nil:
		return StatusInvalidField
	}
	fits := info.aligned(s.Buf)
	for _, b := range s.Bufs {
		total += int64(len(b))
		fits = fits && info.aligned(b)
	}
	if !fits {
		return StatusMisaligned
	}
	s.Length = total
	if info.MaxTransfer > 0 && total > int64(info.MaxTransfer) {
		return StatusTooLong
	}
	return OK
}
