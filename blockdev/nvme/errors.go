package nvme

import (
	"errors"
	"fmt"
)

// What can be wrong with received bytes, besides what ends the connection
// (FatalError).
var (
	ErrTruncated = errors.New("nvme: truncated")
	ErrField     = errors.New("nvme: bad field")
	ErrTooLarge  = errors.New("nvme: over a limit")
	ErrNQN       = errors.New("nvme: bad NQN")
)

// FatalStatus says in a TermReq why the connection ends (TCP transport
// specification, figures "H2CTermReq" and "C2HTermReq", field FES).
type FatalStatus uint16

const (
	FatalHeaderField   FatalStatus = 1 // Info: offset of the field in the header, in bytes
	FatalSequence      FatalStatus = 2 // a PDU that may not come now
	FatalHeaderDigest  FatalStatus = 3 // Info: the digest as received
	FatalDataRange     FatalStatus = 4 // data out of the range asked for
	FatalTransferLimit FatalStatus = 5 // C2HTermReq: more data than allowed; H2CTermReq: more R2T than allowed
	FatalUnsupported   FatalStatus = 6 // Info: offset of the parameter, in bytes
)

var fatalNames = [...]string{
	"", "invalid PDU header field", "PDU sequence error", "header digest error", "data transfer out of range",
	"transfer limit exceeded", "unsupported parameter",
}

func (s FatalStatus) String() string {
	if s == 0 || int(s) >= len(fatalNames) {
		return fmt.Sprintf("fatal status %d", uint16(s))
	}
	return fatalNames[s]
}

// FatalError is an error of the transport: there is no way to go on with the
// connection. It holds what a TermReq tells the peer.
type FatalError struct {
	Status FatalStatus
	Info   uint32 // field FEI, see the FatalStatus
	Reason string // for people; does not travel
}

func (e *FatalError) Error() string {
	return fmt.Sprintf("nvme: %v: %s", e.Status, e.Reason)
}

// Fatal makes a FatalError; the state machines of both roles use it as well.
func Fatal(s FatalStatus, info uint32, format string, args ...any) *FatalError {
	return &FatalError{Status: s, Info: info, Reason: fmt.Sprintf(format, args...)}
}

// need returns an error if b is shorter than size.
func need(what string, b []byte, size int) error {
	if len(b) < size {
		return fmt.Errorf("%w: %s has %d of %d bytes", ErrTruncated, what, len(b), size)
	}
	return nil
}
