package lockify

import (
	"fmt"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Mode is a lock mode.
type Mode = lockspace.Mode

// The six modes, weakest first. Two locks on one name may be granted together
// as the table in the package documentation says.
const (
	NL = lockspace.NL // null: interest only
	CR = lockspace.CR // concurrent read
	CW = lockspace.CW // concurrent write
	PR = lockspace.PR // protected read: shared
	PW = lockspace.PW // protected write: update
	EX = lockspace.EX // exclusive
)

// Option changes a request.
type Option struct {
	flags    uint32
	value    []byte
	blocking func(*Lock, Mode)
	owner    OwnerID
}

// New says that the caller has just created what the name stands for, so that
// nobody else can know the name: the node makes itself its master at once and
// tells the cluster behind the caller's back. Where the name is known here
// already, New changes nothing. If the name was not new after all, the lock is
// lost (Lost), never silently shared.
//
// The name must become known to others only through something that this node
// releases through lockify afterwards, such as the lock on the directory in
// which the new file stands, held in a mode that excludes its readers. A
// program that publishes names in another way calls Barrier first.
func New() Option { return Option{flags: lockspace.NewName} }

// NoQueue makes a request that cannot be granted at once fail with
// ErrWouldBlock instead of waiting.
func NoQueue() Option { return Option{flags: lockspace.NoQueue} }

// NoQueueBlocking is NoQueue, and tells the holders all the same that they
// block somebody (OnBlocking).
func NoQueueBlocking() Option { return Option{flags: lockspace.NoQueue | lockspace.NoQueueBast} }

// QueueConvert makes a conversion wait behind those that wait already, even
// if it could be granted at once. Only for conversions to a stronger mode.
func QueueConvert() Option { return Option{flags: lockspace.QueCvt} }

// DemoteOnDeadlock resolves a conversion deadlock by lowering this lock to NL
// while it waits, instead of failing with ErrDeadlock.
func DemoteOnDeadlock() Option { return Option{flags: lockspace.ConvDeadlk} }

// WaitOnDeadlock makes a conversion wait even in a conversion deadlock.
func WaitOnDeadlock() Option { return Option{flags: lockspace.NoDlckWt} }

// ReadValue asks for the lock value block with the grant; see Lock.Value.
func ReadValue() Option { return Option{flags: lockspace.ValBlk} }

// WithValue writes v into the lock value block when a conversion or an unlock
// gives up PW or EX (a conversion from EX to EX writes too), and asks a
// conversion for the value like ReadValue otherwise. v is at most the
// lockspace's value size, is padded with zeros, and is not kept.
func WithValue(v []byte) Option {
	if v == nil {
		v = []byte{}
	}
	return Option{flags: lockspace.ValBlk, value: v}
}

// InvalidateValue marks the lock value block as not valid when a conversion or
// an unlock gives up PW or EX.
func InvalidateValue() Option { return Option{flags: lockspace.IvValBlk} }

// OnBlocking has f called when the lock blocks somebody who wants mode, who
// then hopes that it is converted down or unlocked. Calls for one client come
// one at a time; f may use the lock.
func OnBlocking(f func(l *Lock, mode Mode)) Option {
	return Option{flags: lockspace.WantBast, blocking: f}
}

func merge(opts []Option) Option {
	var o Option
	for i := range opts {
		o.flags |= opts[i].flags
		if opts[i].value != nil {
			o.value = opts[i].value
		}
		if opts[i].blocking != nil {
			o.blocking = opts[i].blocking
		}
		if opts[i].owner != 0 {
			o.owner = opts[i].owner
		}
	}
	return o
}

// optionNames says which option sets a flag, for messages.
var optionNames = []struct {
	flag uint32
	name string
}{
	{lockspace.NewName, "New"},
	{lockspace.NoQueueBast, "NoQueueBlocking"}, // before NoQueue, which it includes
	{lockspace.NoQueue, "NoQueue"},
	{lockspace.QueCvt, "QueueConvert"},
	{lockspace.ConvDeadlk, "DemoteOnDeadlock"},
	{lockspace.NoDlckWt, "WaitOnDeadlock"},
	{lockspace.IvValBlk, "InvalidateValue"},
	{lockspace.WantBast, "OnBlocking"},
	{lockspace.ValBlk, "ReadValue or WithValue"},
}

// forbidden are the flags that an operation does not take.
var forbidden = [...]uint32{
	opLock:    lockspace.QueCvt | lockspace.ConvDeadlk | lockspace.IvValBlk,
	opConvert: lockspace.NewName,
	opUnlock: lockspace.NewName | lockspace.NoQueue | lockspace.NoQueueBast | lockspace.QueCvt |
		lockspace.ConvDeadlk | lockspace.NoDlckWt | lockspace.WantBast,
}

// check finds options that do not go together, or not with the operation. A
// node would refuse them without saying why.
func (o *Option) check(what opKind, name string, valueSize int) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s of %q: %s", ErrInvalid, what, name, fmt.Sprintf(format, args...))
	}
	for _, n := range optionNames {
		if o.flags&forbidden[what]&n.flag != 0 {
			return bad("takes no option %s", n.name)
		}
	}
	switch {
	case what == opLock && o.value != nil:
		return bad("takes no option WithValue")
	case what != opLock && o.owner != 0:
		return bad("takes no option Owner: the lock keeps the one it was asked for with")
	case len(o.value) > valueSize:
		return bad("value of %d bytes, at most %d", len(o.value), valueSize)
	case o.value != nil && o.flags&lockspace.IvValBlk != 0:
		return bad("WithValue and InvalidateValue exclude each other")
	case o.flags&lockspace.ConvDeadlk != 0 && o.flags&lockspace.NoQueue != 0:
		return bad("DemoteOnDeadlock waits, NoQueue does not")
	}
	return nil
}

// checkModes is check for what depends on a conversion's modes.
func (o *Option) checkModes(name string, from, to Mode) error {
	switch {
	case !to.Valid():
		return fmt.Errorf("%w: convert of %q: mode %d, must be NL to EX", ErrInvalid, name, to)
	case o.flags&lockspace.QueCvt != 0 && to <= from && !(from == PR && to == CW):
		return fmt.Errorf("%w: convert of %q: QueueConvert from %s to %s, which is not stronger", ErrInvalid, name, from, to)
	}
	return nil
}
