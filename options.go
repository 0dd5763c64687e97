package lockify

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

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
	wait     time.Duration // with timed
	timed    bool
	span     *trace.SpanContext // of which the request is part; nil: of none
	parent   *trace.SpanContext // of its span, where there is no context; nil: none
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

// Timeout bounds how long a request or conversion waits for other holders: what
// has not been granted d from now is withdrawn in the cluster and fails with
// ErrTimedOut, unless the grant came just before. The node looks every 10 ms.
// It differs from a context with a deadline in that the outcome is certain: no
// grant comes after it. So it waits for the node that may have granted it; a
// context bounds that, too. d must be above 0. (Kernel: TIMEOUT, which it
// dropped.)
func Timeout(d time.Duration) Option { return Option{wait: d, timed: true} }

// NoQueue makes a request that cannot be granted at once fail with
// ErrWouldBlock instead of waiting. (Kernel: NOQUEUE.)
func NoQueue() Option { return Option{flags: lockspace.NoQueue} }

// NoQueueBlocking is NoQueue, and tells the holders all the same that they
// block somebody (OnBlocking). (Kernel: NOQUEUE with NOQUEUEBAST.)
func NoQueueBlocking() Option { return Option{flags: lockspace.NoQueue | lockspace.NoQueueBast} }

// QueueConvert makes a conversion wait behind those that wait already, even
// if it could be granted at once. Only for conversions to a stronger mode.
// (Kernel: QUECVT.)
func QueueConvert() Option { return Option{flags: lockspace.QueCvt} }

// HeadOfQueue makes a request or conversion that has to wait do so ahead of
// those that wait already. (Kernel: HEADQUE.)
func HeadOfQueue() Option { return Option{flags: lockspace.HeadQue} }

// NoOrder lets a request or conversion be granted as soon as its mode fits what
// is held, whatever waits ahead of it. (Kernel: NOORDER.)
func NoOrder() Option { return Option{flags: lockspace.OutOfOrder} }

// Expedite grants a new lock in NL at once, which otherwise waits behind others
// though it excludes nothing. (Kernel: EXPEDITE.)
func Expedite() Option { return Option{flags: lockspace.Expedite} }

// AlternatePR makes a request or conversion be granted in PR where the mode
// asked for cannot be granted and PR can; Lock.Alternate tells. If neither can,
// it waits for either, in its place in the queue. (Kernel: ALTPR.)
func AlternatePR() Option { return Option{flags: lockspace.AltPR} }

// AlternateCW is AlternatePR with CW. Given both, PR is tried unless it is what
// was asked for. (Kernel: ALTCW.)
func AlternateCW() Option { return Option{flags: lockspace.AltCW} }

// Persistent keeps the lock when the program goes, that is when its session
// ends or its Lockspace is closed: the lock becomes an orphan of its node, stays
// granted, and can be taken over (AdoptOrphan) or unlocked (Lockspace.Purge)
// there. An operation under way is withdrawn. The option holds for the lock's
// life, and can be given to a conversion, too. A node that ends unlocks its
// orphans. (Kernel: PERSISTENT, which each conversion must say again.)
func Persistent() Option { return Option{flags: lockspace.Persistent} }

// AdoptOrphan takes over a lock that another program has left on this node in
// just this mode (Persistent). It fails with ErrNoOrphan if there is none of the
// name, with ErrOrphanMode if only in other modes, and with ErrBusy while
// another program is taking it over, or its last operation is not over yet. It
// never waits for other holders, and reads no value. The new holder gets a token
// of his own. (Kernel: ORPHAN.)
func AdoptOrphan() Option { return Option{flags: lockspace.Orphan} }

// Force makes Unlock withdraw an operation that is under way on the lock, by
// another goroutine or an asynchronous call, instead of failing with ErrBusy.
// That operation ends with ErrCancelled, or as it would have. (Kernel:
// FORCEUNLOCK.)
func Force() Option { return Option{flags: lockspace.ForceUnlock} }

// Retire makes Unlock of a lock in EX end the life of its name: the cluster forgets
// who manages it at once, not after a while without use. It is for a program
// that has just deleted what the name stands for, and is about to give the name
// away to be used again:
//
//	err := inode.Unlock(ctx, lockify.Retire())
//	err = allocator.Unlock(ctx)
//
// Whoever locks the allocator then, on any node, and creates something under the
// old name with New, cannot meet what is left of it. There is no need to wait for
// the first call (UnlockAsync): what a node releases after Retire waits in the
// background until the cluster has acknowledged it.
//
// ErrInUse: others hold locks on the name or wait for one; it lives on.
// ErrCancelled: the lockspace's members changed meanwhile (a node has opened or left it), so that
// it is not known.
// The lock is gone in these cases, too. Not together with Force.
func Retire() Option { return Option{flags: lockspace.Retire} }

// DemoteOnDeadlock resolves a conversion deadlock by lowering this lock to NL
// while it waits, instead of failing with ErrDeadlock; Lock.Demoted tells.
// (Kernel: CONVDEADLK.)
func DemoteOnDeadlock() Option { return Option{flags: lockspace.ConvDeadlk} }

// WaitOnDeadlock makes a request or conversion wait even in a deadlock: another
// one on the cycle ends then, or, if all say so, none. (Kernel: NODLCKWT.)
func WaitOnDeadlock() Option { return Option{flags: lockspace.NoDlckWt} }

// ReadValue asks for the lock value block with the grant; see Lock.Value.
// (Kernel: VALBLK.)
func ReadValue() Option { return Option{flags: lockspace.ValBlk} }

// WithValue writes v into the lock value block when a conversion or an unlock
// gives up PW or EX (a conversion from EX to EX writes too), and asks a
// conversion for the value like ReadValue otherwise. v is at most the
// lockspace's value size, is padded with zeros, and is not kept. (Kernel:
// VALBLK.)
func WithValue(v []byte) Option {
	if v == nil {
		v = []byte{}
	}
	return Option{flags: lockspace.ValBlk, value: v}
}

// InvalidateValue marks the lock value block as not valid when a conversion or
// an unlock gives up PW or EX. (Kernel: IVVALBLK.)
func InvalidateValue() Option { return Option{flags: lockspace.IvValBlk} }

// OnBlocking has f called when the lock blocks somebody who wants mode, who
// then hopes that it is converted down or unlocked. Calls for one client come
// one at a time; f may use the lock.
func OnBlocking(f func(l *Lock, mode Mode)) Option {
	return Option{flags: lockspace.WantBast, blocking: f}
}

// merged is merge without a copy where there is nothing to merge. What it gives is only to
// be read; room is a zero Option.
func merged(opts []Option, room *Option) *Option {
	switch len(opts) {
	case 0:
		return room
	case 1:
		return &opts[0]
	}
	*room = merge(opts)
	return room
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
		if opts[i].timed {
			o.wait, o.timed = opts[i].wait, true
		}
		if opts[i].parent != nil {
			o.parent = opts[i].parent
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
	{lockspace.Expedite, "Expedite"},
	{lockspace.HeadQue, "HeadOfQueue"},
	{lockspace.OutOfOrder, "NoOrder"},
	{lockspace.AltPR, "AlternatePR"},
	{lockspace.AltCW, "AlternateCW"},
	{lockspace.Persistent, "Persistent"},
	{lockspace.Orphan, "AdoptOrphan"},
	{lockspace.ForceUnlock, "Force"},
	{lockspace.Retire, "Retire"},
}

// forbidden are the flags that an operation does not take.
var forbidden = [...]uint32{
	opLock:    lockspace.QueCvt | lockspace.ConvDeadlk | lockspace.IvValBlk | lockspace.ForceUnlock | lockspace.Retire,
	opConvert: lockspace.NewName | lockspace.Expedite | lockspace.Orphan | lockspace.ForceUnlock | lockspace.Retire,
	opUnlock:  ^(lockspace.ValBlk | lockspace.IvValBlk | lockspace.ForceUnlock | lockspace.Retire),
}

// check finds options that do not go together, or not with the operation. A
// node would refuse them without saying why.
func (o *Option) check(what opKind, name string, valueSize int) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s of %q: %s", ErrFlags, what, name, fmt.Sprintf(format, args...))
	}
	switch {
	case o.flags&forbidden[what] != 0:
		for _, n := range optionNames {
			if o.flags&forbidden[what]&n.flag != 0 {
				return bad("takes no option %s", n.name)
			}
		}
	case what == opLock && o.value != nil:
		return bad("takes no option WithValue")
	case what != opLock && o.owner != 0:
		return bad("takes no option Owner: the lock keeps the one it was asked for with")
	case what == opUnlock && o.timed:
		return bad("takes no option Timeout")
	case o.timed && o.wait <= 0:
		return bad("Timeout of %v, must be above 0", o.wait)
	case len(o.value) > valueSize:
		return fmt.Errorf("%w: %s of %q: value of %d bytes, at most %d", ErrValue, what, name, len(o.value), valueSize)
	case o.value != nil && o.flags&lockspace.IvValBlk != 0:
		return bad("WithValue and InvalidateValue exclude each other")
	case o.flags&lockspace.Retire != 0 && o.flags&lockspace.ForceUnlock != 0:
		return bad("Retire and Force exclude each other")
	case o.flags&lockspace.ConvDeadlk != 0 && o.flags&lockspace.NoQueue != 0:
		return bad("DemoteOnDeadlock waits, NoQueue does not")
	}
	return nil
}

// checkLock is check for what only new locks have.
func (o *Option) checkLock(name string, mode Mode) error {
	why := ""
	switch {
	case o.flags&lockspace.Expedite != 0 && mode != NL:
		why = "Expedite is for NL, not " + mode.String()
	case o.flags&lockspace.Expedite != 0 && o.flags&lockspace.NoQueue != 0:
		why = "Expedite never waits, NoQueue says nothing more"
	case o.flags&lockspace.Orphan != 0 && o.flags&lockspace.NewName != 0:
		why = "what AdoptOrphan takes over is not New"
	default:
		return nil
	}
	return fmt.Errorf("%w: lock of %q: %s", ErrFlags, name, why)
}

// checkModes is check for what depends on a conversion's modes.
func (o *Option) checkModes(name string, from, to Mode) error {
	switch {
	case !to.Valid():
		return fmt.Errorf("%w: convert of %q: mode %d, must be NL to EX", ErrMode, name, to)
	case o.flags&lockspace.QueCvt != 0 && to <= from && !(from == PR && to == CW):
		return fmt.Errorf("%w: convert of %q: QueueConvert from %s to %s, which is not stronger", ErrFlags, name, from, to)
	}
	return nil
}
