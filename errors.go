package lockify

import (
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/wire"
)

// Errors of lock operations; test with errors.Is. What an operation returns begins with what
// was asked of which lock, and so does the error of a context that has ended.
var (
	ErrWouldBlock = errors.New("lockify: lock is held in an incompatible mode")                  // NoQueue and not grantable now
	ErrDeadlock   = errors.New("lockify: deadlock")                                              // it waited in a circle (DeadlockError says which); a conversion's lock keeps its mode
	ErrCancelled  = errors.New("lockify: cancelled")                                             // withdrawn before it was granted
	ErrLost       = errors.New("lockify: lock lost")                                             // a name asked for with New was not new, or the session or node has ended
	ErrInvalid    = errors.New("lockify: invalid argument")                                      // name, mode, option or value that no request may have
	ErrBusy       = errors.New("lockify: another operation on this lock is running")             // one operation a lock at a time
	ErrNotHeld    = errors.New("lockify: no such lock")                                          // unlocked already
	ErrLimit      = errors.New("lockify: limit reached")                                         // of the node: locks, sessions
	ErrClosed     = errors.New("lockify: closed")                                                // node, client or lockspace is closed
	ErrVersion    = errors.New("lockify: no common protocol version")                            // client and node are too far apart
	ErrRangeTaken = errors.New("lockify: range belongs to another node")                         // Delegate
	ErrNoRange    = errors.New("lockify: range is not this node's")                              // Return
	ErrMismatch   = errors.New("lockify: lockspace exists with other properties in the cluster") // e.g. the value size; they are gone when nobody has had it open for Config.CloseAfter
	ErrTimedOut   = errors.New("lockify: not granted in time")                                   // Timeout; withdrawn in the cluster
	ErrNoOrphan   = errors.New("lockify: no orphan of this name on the node")                    // AdoptOrphan
	ErrOrphanMode = errors.New("lockify: the orphan has another mode")                           // AdoptOrphan
	ErrInUse      = errors.New("lockify: name is in use")                                        // Retire: others hold or want locks on it
	ErrNoQuorum   = errors.New("lockify: no quorum")                                             // the node is no member of the cluster, or cannot be sure to be one
	ErrDenied     = errors.New("lockify: permission denied")                                     // the node's rules of access do not let this client do it
	ErrNotOwner   = errors.New("lockify: another session's lock")                                // it is not ours to use
)

// ErrSessionLost is ErrLost, too: the client's session has ended, and what was asked of
// it with it. The client redials: it can be asked for anew.
var ErrSessionLost error = sessionLost{}

type sessionLost struct{}

func (sessionLost) Error() string { return "lockify: session lost" }
func (sessionLost) Unwrap() error { return ErrLost }

// These are ErrInvalid, too.
var (
	ErrName  = fmt.Errorf("%w: name", ErrInvalid)         // of a lock or lockspace, not 1 to 64 bytes
	ErrMode  = fmt.Errorf("%w: mode", ErrInvalid)         // not NL to EX; of bytes, not ReadRange or WriteRange
	ErrFlags = fmt.Errorf("%w: options", ErrInvalid)      // that do not go together, or not with the operation
	ErrValue = fmt.Errorf("%w: value", ErrInvalid)        // longer than the lockspace's; a size that is not 0 to 256
	ErrNode  = fmt.Errorf("%w: no such node", ErrInvalid) // in the cluster
	ErrBytes = fmt.Errorf("%w: byte range", ErrInvalid)   // it begins before byte 0, or ends behind the last one
	ErrOwner = fmt.Errorf("%w: owner", ErrInvalid)        // 0, where there must be one
	ErrKey   = fmt.Errorf("%w: range key", ErrInvalid)    // none of the lockspace's; a rule that cannot be
)

var statusErrors = map[wire.Status]error{
	wire.WouldBlock: ErrWouldBlock, wire.Deadlock: ErrDeadlock, wire.Cancelled: ErrCancelled,
	wire.LostLock: ErrLost, wire.Invalid: ErrInvalid, wire.Busy: ErrBusy, wire.NoLock: ErrNotHeld,
	wire.NoSpace: ErrClosed, wire.Limit: ErrLimit, wire.ShuttingDown: ErrClosed,
	wire.BadVersion: ErrVersion, wire.Mismatch: ErrMismatch,
	wire.InUse: ErrInUse, wire.RangeTaken: ErrRangeTaken, wire.NoSuchRange: ErrNoRange, wire.TimedOut: ErrTimedOut,
	wire.BadName: ErrName, wire.BadMode: ErrMode, wire.BadFlags: ErrFlags, wire.BadValue: ErrValue,
	wire.BadBytes: ErrBytes, wire.BadOwner: ErrOwner, wire.BadKey: ErrKey,
	wire.NotOwner: ErrNotOwner, wire.NoOrphan: ErrNoOrphan, wire.OrphanMode: ErrOrphanMode, wire.NoNode: ErrNode, wire.NotAllowed: ErrDenied,
}

// statusError gives the error of a status, nil for success.
func statusError(st wire.Status, text string) error {
	if st == wire.OK || st == wire.Unlocked {
		return nil
	}
	if st == wire.NoQuorum {
		return noQuorum(text)
	}
	err := statusErrors[st]
	if err == nil {
		err = fmt.Errorf("lockify: status %d", st)
	}
	if len(text) > 0 {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// opError is what an operation has come to, with the name of the lock. Its text is made when
// somebody wants it: of those who try a lock, many do not.
type opError struct {
	what, name string
	err        error
}

func (e *opError) Error() string {
	return fmt.Sprintf("%s of %.*q: %v", e.what, wire.MaxName, e.name, e.err)
}
func (e *opError) Unwrap() error { return e.err }

// of gives err, which is not nil, with the lock's name.
func (o opKind) of(name string, err error) error { return &opError{o.String(), name, err} }

// noQuorum is ErrNoQuorum with the node's text, which says since when and why.
type noQuorum string

func (e noQuorum) Error() string { return "lockify: " + string(e) }
func (noQuorum) Unwrap() error   { return ErrNoQuorum }

// outcomeError is statusError of what an operation on a lock came to.
func outcomeError(st wire.Status, text string, cycle wire.Path) error {
	if st == wire.Deadlock && len(cycle) > 0 {
		return deadlockError(cycle)
	}
	return statusError(st, text)
}
