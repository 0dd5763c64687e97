package lockify

import (
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
// gives up PW or EX, and asks for the value like ReadValue otherwise. v is at
// most the lockspace's value size, is padded with zeros, and is not kept.
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
	}
	return o
}
