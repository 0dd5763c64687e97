package byterange

import (
	"errors"
	"fmt"
	"math"
)

// Type is what a lock on a range excludes. Numbers are part of the wire format.
type Type uint8

const (
	None  Type = 0 // nothing: to set it is to unlock (F_UNLCK)
	Read  Type = 1 // shared (F_RDLCK)
	Write Type = 2 // exclusive (F_WRLCK)
)

// String gives "none", "read" or "write".
func (t Type) String() string {
	switch t {
	case None:
		return "none"
	case Read:
		return "read"
	case Write:
		return "write"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// excludes says that locks of two owners with these types cannot overlap.
func (t Type) excludes(o Type) bool { return t != None && o != None && (t == Write || o == Write) }

// Last is the last byte that can be locked.
const Last int64 = math.MaxInt64

// Range is the bytes from Start to End, both included, 0 <= Start <= End.
type Range struct{ Start, End int64 }

// Errors of New.
var (
	ErrStart    = errors.New("the range starts before byte 0")
	ErrOverflow = errors.New("the range ends behind the last byte")
)

// New makes a range of a start and a length in bytes, as struct flock has
// them: length 0 reaches to Last; a negative one gives the bytes that end just
// before start.
func New(start, length int64) (Range, error) {
	switch {
	case start < 0, length < 0 && start+length < 0:
		return Range{}, fmt.Errorf("%w: start %d, length %d", ErrStart, start, length)
	case length == 0:
		return Range{start, Last}, nil
	case length < 0:
		return Range{start + length, start - 1}, nil
	case start > Last-(length-1):
		return Range{}, fmt.Errorf("%w: start %d, length %d", ErrOverflow, start, length)
	}
	return Range{start, start + (length - 1)}, nil
}

// Valid says that r is a range at all: what comes from elsewhere may not be.
func (r Range) Valid() bool { return 0 <= r.Start && r.Start <= r.End }

// String gives "first-last", and "first-end" for a range to Last.
func (r Range) String() string {
	if r.End == Last {
		return fmt.Sprintf("%d-end", r.Start)
	}
	return fmt.Sprintf("%d-%d", r.Start, r.End)
}

func (r Range) overlaps(o Range) bool { return r.Start <= o.End && o.Start <= r.End }

// Lock is a range that is locked.
type Lock struct {
	Type Type
	Range
}

// String gives "write 0-9".
func (l Lock) String() string { return l.Type.String() + " " + l.Range.String() }
