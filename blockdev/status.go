package blockdev

import (
	"errors"
	"fmt"
)

// ErrClosed says that the ring or device has been closed.
var ErrClosed = errors.New("blockdev: closed")

// Status is how a request has ended. Below 800h it is that of NVMe: status code
// type << 8 | status code. From 800h on they are those of this package.
type Status uint16

const (
	OK                 Status = 0
	StatusInvalidOp    Status = 0x001 // the device does not know the request
	StatusInvalidField Status = 0x002 // no length, two sorts of buffers, too many of them, ...
	StatusInternal     Status = 0x006 // the device does not say what is wrong with it
	StatusAborted      Status = 0x007 // taken back on the device's side
	StatusOutOfRange   Status = 0x080 // the range goes beyond the device's end
	StatusFull         Status = 0x081 // no room for what is written
	StatusNotReady     Status = 0x082 // the device is not ready: later it may be
	StatusReservation  Status = 0x083 // another host holds a reservation that forbids it
	StatusReadOnly     Status = 0x182 // a write to what may only be read

	StatusWriteFault     Status = 0x280 // the medium has not taken the data
	StatusReadError      Status = 0x281 // the medium does not give the data
	StatusCompareFailure Status = 0x285 // the device holds something else
	StatusAccessDenied   Status = 0x286

	StatusANALoss         Status = 0x301 // the device is not reached this way, and will not be
	StatusANAInaccessible Status = 0x302 // the device is not reached this way now
	StatusANATransition   Status = 0x303 // the device is not reached this way now, but soon

	StatusCanceled   Status = 0x800 // Cancel was called
	StatusDeadline   Status = 0x801 // SQE.Deadline is over
	StatusLinkBroken Status = 0x802 // a request before it in its chain has failed; it was not started
	StatusMisaligned Status = 0x803 // offset, length or a buffer's address does not fit the block size
	StatusTooLong    Status = 0x804 // longer than Info.MaxTransfer
	StatusClosed     Status = 0x805 // the ring or device was closed
	StatusLost       Status = 0x806 // the way to the device broke: nobody knows whether it was done
	StatusGuarded    Status = 0x807 // the lock that guards it is lost, was not held, or not in a mode for it; it was not started
)

var statusNames = map[Status]string{
	OK:                   "success",
	StatusInvalidOp:      "the device does not have this operation",
	StatusInvalidField:   "invalid field",
	StatusInternal:       "internal error of the device",
	StatusAborted:        "aborted",
	StatusOutOfRange:     "beyond the end of the device",
	StatusFull:           "no room",
	StatusNotReady:       "not ready",
	StatusReservation:    "reservation conflict",
	StatusReadOnly:       "read only",
	StatusWriteFault:     "write fault",
	StatusReadError:      "unrecovered read error",
	StatusCompareFailure: "compare failure",
	StatusAccessDenied:   "access denied",

	StatusANALoss:         "the device is not reached this way any more",
	StatusANAInaccessible: "the device is not reached this way now",
	StatusANATransition:   "how the device is reached is changing",

	StatusCanceled:   "canceled",
	StatusDeadline:   "deadline exceeded",
	StatusLinkBroken: "a linked request before it failed",
	StatusMisaligned: "not aligned to blocks",
	StatusTooLong:    "longer than the device's largest transfer",
	StatusClosed:     "closed",
	StatusLost:       "connection lost, outcome unknown",
	StatusGuarded:    "the lock that guards it is not held, or not in a mode for it",
}

func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("status %d/%02Xh", s>>8, uint8(s))
}

func (s Status) Error() string { return s.String() }

// Err gives s as an error, nil for OK.
func (s Status) Err() error {
	if s == OK {
		return nil
	}
	return s
}
