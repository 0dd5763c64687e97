package lockify

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// backend is where a Lockspace's operations go: into the node in this
// process, or to a node over a connection. Outcomes come back through the
// Lock's Complete, Blocking, Confirmed and Lost.
type backend interface {
	newOwner() OwnerID
	lock(l *Lock, mode Mode, o Option, later bool) begun // sets l.at
	full() bool                                          // new asynchronous requests would only lengthen a queue
	wait(ctx context.Context) error                      // for room, where there is back-pressure; for a session
	barrier(done func(error))
	purge(node uint16, session uint64, done func(error))
	ranges(op rangeOp, key string, done func(st wire.Status, owner uint64, err error))
	close(ctx context.Context) error
}

// place is where a lock is: the node in this process, or the session that it was
// taken in.
type place interface {
	holds() bool // what is held there is not lost, as far as can be known now
	left() int64 // for how long that is certain, in ns; 0: no more
	why() error  // what was held there and is lost: ErrLost, and the reason if that is known
	convert(l *Lock, mode Mode, o Option, later bool) begun
	unlock(l *Lock, o Option, later bool) begun
	cancel(id, req uint64)                                                                               // the operation numbered req of lock id; 0: not known yet
	bytes(r *ByteRanges, rec wire.RangeRec, flags uint32, part *Option, ch chan byteResult) (tag uint64) // part: in which trace
	cancelBytes(r *ByteRanges, tag uint64)                                                               // the request of r with this tag
	hurry()                                                                                              // somebody waits for a confirmation
}

// reader has the reader's role of a connection: an engine.FrameConn or LinkReader.
type reader interface{ Until(over func() bool) }

// readTime is how long who reads an answer himself may be deaf for anything else: a connection is
// looked at for a millisecond, which the system's ticks make some more.
const readTime = 20 * time.Millisecond

// endsSoon says that ctx may end while somebody reads.
func endsSoon(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ok && time.Until(end) < readTime
}

// begun is what is left to do about an operation that has begun.
type begun struct {
	over  bool   // nothing: it has succeeded, and the lock says so; an unlock's did before
	reads reader // of its answer, as Session.start says; nil: others read
}

// Lockspace is a separate space of lock names. Its methods may be used by
// several goroutines at once.
type Lockspace struct {
	name   string
	props  node.Props
	be     backend
	here   *embedded // be, if it is the node in this process: its calls cost less
	calls  *calls
	closed atomic.Bool
	tracer trace.Tracer // nil: no spans

	conflict func(Conflict) // nil: nobody wants to hear
	deaf     func()         // ends that it is told
}

// SpaceOption changes how a lockspace is opened.
type SpaceOption struct {
	valueSize *int
	ranges    *lockspace.RangeRule
	conflict  func(Conflict)
}

// DefaultValueSize is the size of lock value blocks in bytes, the kernel's
// for user programs, unless ValueSize says otherwise.
const DefaultValueSize = 32

// ValueSize sets the size of the lock value blocks, 0 to 256 bytes. All who
// open the lockspace must say the same.
func ValueSize(bytes int) SpaceOption { return SpaceOption{valueSize: &bytes} }

// spaceArgs checks what both kinds of Open are asked for.
func spaceArgs(name string, opts []SpaceOption) (props node.Props, err error) {
	props.ValueLen = DefaultValueSize
	for _, o := range opts {
		if o.valueSize != nil {
			props.ValueLen = *o.valueSize
		}
		if o.ranges != nil {
			props.Range = *o.ranges
		}
	}
	switch {
	case len(name) == 0 || len(name) > wire.MaxName:
		return props, fmt.Errorf("%w of %d bytes for a lockspace, must be 1 to %d", ErrName, len(name), wire.MaxName)
	case props.ValueLen < 0 || props.ValueLen > wire.MaxValue:
		return props, fmt.Errorf("%w size %d of lockspace %q, must be 0 to %d bytes", ErrValue, props.ValueLen, name, wire.MaxValue)
	case !props.Range.Valid():
		return props, fmt.Errorf("%ws of lockspace %q, must be of 1 to %d bytes", ErrKey, name, wire.MaxName-1)
	}
	return props, nil
}

// Name gives the lockspace's name.
func (s *Lockspace) Name() string { return s.name }

// ValueSize gives the size of the lock value blocks in bytes.
func (s *Lockspace) ValueSize() int { return s.props.ValueLen }

// Lock waits until name, 1 to 64 bytes of any kind, is locked in mode. If ctx
// ends first, the request is withdrawn in the cluster and ctx's error is
// returned; a grant that has crossed the withdrawal is given back. Errors:
// ErrWouldBlock, ErrTimedOut, ErrInvalid, ErrLimit, ErrLost, ErrClosed; with Owner
// also ErrDeadlock, with AdoptOrphan ErrNoOrphan, ErrOrphanMode and ErrBusy.
func (s *Lockspace) Lock(ctx context.Context, name string, mode Mode, opts ...Option) (*Lock, error) {
	if s.tracer != nil {
		return s.lockTraced(ctx, name, mode, opts)
	}
	if err := s.ready(ctx); err != nil {
		return nil, opLock.of(name, err)
	}
	var all Option
	o := merged(opts, &all)
	l, err := s.newLock(name, mode, o)
	if err != nil {
		return nil, err
	}
	wake := l.wake
	var b begun
	if s.here != nil {
		b = s.here.lockHere(l, mode, o, false)
	} else {
		b = s.be.lock(l, mode, *o, false)
	}
	if b.over {
		return l, nil
	}
	if err := l.await(ctx, true, b, wake); err != nil {
		return nil, err
	}
	return l, nil
}

// TryLock is Lock with NoQueue: it gives ErrWouldBlock where Lock would wait
// for another holder.
func (s *Lockspace) TryLock(ctx context.Context, name string, mode Mode, opts ...Option) (*Lock, error) {
	return s.Lock(ctx, name, mode, append(slices.Clip(opts), NoQueue())...)
}

// LockAsync begins to lock and returns; many can be under way. done is called
// once with the outcome: by LockAsync itself, before it returns, if that is
// known at once, else later, one call at a time for a client. The Lock that is
// returned (nil if nothing was begun) can only be cancelled until then. Where
// Lock would wait for room, LockAsync fails with ErrLimit: another node does
// not keep up, or 32768 operations of a connection are under way.
func (s *Lockspace) LockAsync(name string, mode Mode, done func(*Lock, error), opts ...Option) *Lock {
	o := merge(opts)
	if s.tracer != nil {
		end, untold := s.beginAsync(opLock, name, mode, &o), done
		done = func(l *Lock, err error) { end(err); untold(l, err) }
	}
	l, err := s.newLock(name, mode, &o)
	if err == nil && s.be.full() {
		err = fmt.Errorf("lock of %q: %w: too much is under way", name, ErrLimit)
	}
	if err != nil {
		done(nil, err)
		return nil
	}
	told := func(err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(l, nil)
	}
	if s.here == nil {
		l.done = told
		s.be.lock(l, mode, o, true)
		return l
	}
	wake := l.wake
	if s.be.lock(l, mode, o, true).over {
		told(nil)
	} else {
		l.later(told, wake)
	}
	return l
}

// Barrier waits until the cluster knows all that this node has created with
// New so far. A program that makes names known by another road than locks
// calls it first.
func (s *Lockspace) Barrier(ctx context.Context) error {
	if s.closed.Load() {
		return fmt.Errorf("barrier of %q: %w", s.name, ErrClosed)
	}
	return answered(ctx, s.be.barrier)
}

// Purge unlocks the orphans that session has left on a node, 0: those of all
// sessions: persistent locks whose program has gone (Persistent). Those of
// programs in a node's own process are session 0's, so only all can be named.
// lockctl locks shows them. Another node is asked, and its answer not waited
// for. Errors: ErrNode, ErrClosed. (Kernel: dlm_ls_purge.)
func (s *Lockspace) Purge(ctx context.Context, node uint16, session uint64) error {
	if s.closed.Load() {
		return fmt.Errorf("purge in %q: %w", s.name, ErrClosed)
	}
	err := answered(ctx, func(done func(error)) { s.be.purge(node, session, done) })
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("purge in %q: %w", s.name, err)
	}
	return err
}

// answered waits until what ask has begun is done.
func answered(ctx context.Context, ask func(done func(error))) error {
	ch := make(chan error, 1)
	ask(func(err error) { ch <- err })
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close gives up all locks that were taken through this Lockspace. As with Unlock, that does
// not close their Lost, nor that of its ByteRanges: whoever waits there has to be told in
// another way. Requests that wait fail with ErrClosed, and so does all that is asked for
// later. Persistent locks stay, as orphans; those of a Client with several Lockspaces of the
// name are orphans when the last of these is closed. If ctx ends first, its error is
// returned, and all is given up all the same.
func (s *Lockspace) Close(ctx context.Context) error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.deaf != nil {
		s.deaf()
	}
	return s.be.close(ctx)
}

// ready waits for room where a request would only lengthen a queue.
func (s *Lockspace) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.here != nil {
		return s.here.wait(ctx)
	}
	return s.be.wait(ctx)
}

// newLock makes a lock that is to be asked for. Where a blocking callback may begin the next
// operation before who asks for the lock looks at the outcome, its wake is noted.
func (s *Lockspace) newLock(name string, mode Mode, o *Option) (*Lock, error) {
	switch {
	case s.closed.Load():
		return nil, fmt.Errorf("lock of %.*q in %q: %w", wire.MaxName, name, s.name, ErrClosed)
	case len(name) == 0 || len(name) > wire.MaxName:
		return nil, fmt.Errorf("lock in %q: %w of %d bytes, must be 1 to %d", s.name, ErrName, len(name), wire.MaxName)
	case !mode.Valid():
		return nil, fmt.Errorf("%w: lock of %q: mode %d, must be NL to EX", ErrMode, name, mode)
	}
	if err := o.check(opLock, name, s.props.ValueLen); err != nil {
		return nil, err
	}
	if err := o.checkLock(name, mode); err != nil {
		return nil, err
	}
	l := &Lock{space: s, name: name, req: 1, grant: lockspace.Grant{Mode: lockspace.NoMode, Pending: true}}
	if keep := o.flags & lockspace.Persistent; keep != 0 || o.blocking != nil {
		l.rare = &rare{keep: keep, blocking: o.blocking}
	}
	if o.blocking != nil {
		l.wake = &waiter{}
	}
	return l, nil
}
