package lockify

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

type opKind uint8

const (
	opLock opKind = iota
	opConvert
	opUnlock
)

func (o opKind) String() string { return [...]string{"lock", "convert", "unlock"}[o] }

// Lock is a granted lock, or one under way (LockAsync). One operation at a
// time runs on a lock; another begun meanwhile fails with ErrBusy. Methods may
// be called by several goroutines at once.
type Lock struct {
	space    *Lockspace
	at       place // from when it is asked for; nil: it never was
	name     string
	blocking func(*Lock, Mode)
	ranges   *ByteRanges // whose handle this is; nil: a lock of the program

	guarded atomic.Int32 // requests to disks under way that the lock guards

	mu        sync.Mutex
	id        uint64        // 0: not known yet
	req       uint64        // number of the running or last operation
	pending   bool          // an operation is running
	op        opKind        // the running or last one
	abandoned bool          // its caller's context has ended
	wake      *waiter       // who waits for it
	idle      chan struct{} // closed when it ends: for Force
	done      func(error)   // called when it ends
	after     func()        // called when it has ended and the lock is still there
	err       error         // of the last operation

	keep       uint32 // Persistent, if the lock is: each conversion says so again
	mode       Mode
	demoted    bool // by the last operation
	alternate  bool
	token      uint64
	value      []byte
	valueValid bool
	messages   int
	claimOpen  bool
	guards     []*Guarded // one for each ring
	gone       bool       // unlocked, lost, or never granted
	isLost     bool
	lost       chan struct{}
	confirmed  chan struct{}
}

// waiter is a caller that waits for an operation. The outcome is his even if
// the next operation begins before he looks.
type waiter struct {
	done chan struct{}
	err  error
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Name gives the lock's name.
func (l *Lock) Name() string { return l.name }

// Valid says that the lock is granted and not lost, as far as can be known now: it
// looks at the clock as well, and so finds that the lease has ended even if the process
// was stopped meanwhile. (A process that stops right behind it is a matter for Token.)
func (l *Lock) Valid() bool {
	holds := l.holds()
	l.mu.Lock()
	defer l.mu.Unlock()
	return holds && !l.gone && l.mode != lockspace.NoMode
}

// holds says that the place where the lock was taken has not lost it.
func (l *Lock) holds() bool { return l.at == nil || l.at.holds() }

// Mode gives the granted mode.
func (l *Lock) Mode() Mode {
	holds := l.holds()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !holds {
		return lockspace.NoMode
	}
	return l.mode
}

// Token gives the fencing token of the grant: it grows with every exclusive
// grant (PW, EX) of the name, whoever gets it; shared grants carry the last
// one. A storage service that has seen a higher one refuses a lower. Under an
// open claim (Confirmed) it is not meant to be shown to anybody yet.
func (l *Lock) Token() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.token
}

// Value gives a copy of the lock value block that came with the last grant
// that read it (ReadValue, WithValue). ok is false if there was none, or if it
// was not valid: never written, or its last writer is lost. (Kernel: VALBLK;
// SBF_VALNOTVALID.)
func (l *Lock) Value() (value []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.valueValid {
		return nil, false
	}
	return append([]byte(nil), l.value...), true
}

// Demoted says that the last conversion was to wait in a conversion deadlock,
// and that the lock was held in NL meanwhile (DemoteOnDeadlock): what it
// protected may have changed. The same is said of a conversion whose master has
// died, if that may have demoted it, or granted it in an alternate mode that
// protects less than the one held. (Kernel: SBF_DEMOTED.)
func (l *Lock) Demoted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.demoted
}

// Alternate says that the last request or conversion was granted in the
// alternate mode (AlternatePR, AlternateCW), which Mode gives, because the mode
// asked for could not be had at once. (Kernel: SBF_ALTMODE.)
func (l *Lock) Alternate() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.alternate
}

// Messages gives the number of one-way messages between nodes that the last
// operation has waited for.
func (l *Lock) Messages() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.messages
}

// Confirmed gives a channel that is closed when the cluster knows of the
// lock's name: at once for ordinary grants, after a round trip for New. It is
// also closed when the lock ends; Lost tells whether it was lost.
func (l *Lock) Confirmed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.claimOpen || l.gone {
		return closedChan
	}
	if l.confirmed == nil {
		l.confirmed = make(chan struct{})
		go l.at.hurry() // not under mu, which the backend may need
	}
	return l.confirmed
}

// Lost gives a channel that is closed when the lock is lost: its holder must
// stop using what it protects. Unlock does not close it.
func (l *Lock) Lost() <-chan struct{} {
	holds := l.holds()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isLost || !holds && !l.gone {
		return closedChan
	}
	if l.lost == nil {
		l.lost = make(chan struct{})
	}
	return l.lost
}

// Convert waits until the lock's mode has changed. If ctx ends first, the
// conversion is withdrawn and ctx's error returned; it may have been granted
// just before, which Mode tells: the next Convert or Unlock waits until that
// is decided. Errors: ErrWouldBlock, ErrTimedOut, ErrDeadlock, ErrCancelled, ErrBusy,
// ErrNotHeld, ErrLost, ErrClosed, ErrInvalid. (Kernel: dlm_lock with CONVERT.)
func (l *Lock) Convert(ctx context.Context, mode Mode, opts ...Option) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.settle(ctx); err != nil {
		return err
	}
	o := merge(opts)
	if err := l.begin(&o, opConvert, mode); err != nil {
		return err
	}
	l.at.convert(l, mode, o, false)
	return l.await(ctx, nil)
}

// ConvertAsync begins a conversion; done is called as with LockAsync.
func (l *Lock) ConvertAsync(mode Mode, done func(error), opts ...Option) {
	o := merge(opts)
	if err := l.begin(&o, opConvert, mode); err != nil {
		done(err)
		return
	}
	l.at.convert(l, mode, o, true)
	l.later(done)
}

// Unlock gives the lock up. It does not wait for other nodes, but with Retire,
// and is not withdrawn when ctx ends: then ctx's error is returned, and the lock
// goes all the same. Errors: ErrBusy (not with Force), ErrNotHeld, ErrLost,
// ErrClosed, ErrInvalid; with Retire also ErrInUse and ErrCancelled, after which
// the lock is gone, and ErrLimit, after which it is not.
func (l *Lock) Unlock(ctx context.Context, opts ...Option) error {
	o := merge(opts)
	if o.flags&lockspace.ForceUnlock != 0 {
		if over, err := l.interrupt(ctx, &o); over || err != nil {
			return err
		}
	}
	if err := l.settle(ctx); err != nil {
		o.value = slices.Clone(o.value) // the caller may use his again
		l.whenIdle(func() { l.unlockAsync(&o, func(error) {}) })
		return err
	}
	if err := l.begin(&o, opUnlock, NL); err != nil {
		return err
	}
	l.at.unlock(l, o.flags, o.value, false)
	return l.await(ctx, nil)
}

// interrupt withdraws what is running and waits until it has ended. over says
// that the lock has ended with it.
func (l *Lock) interrupt(ctx context.Context, o *Option) (over bool, err error) {
	if err := o.check(opUnlock, l.name, l.space.props.ValueLen); err != nil {
		return false, err
	}
	for {
		l.mu.Lock()
		running := l.pending
		over = over && l.gone && !l.isLost
		if running && l.idle == nil {
			l.idle = make(chan struct{})
		}
		idle := l.idle
		l.mu.Unlock()
		if !running {
			return over, nil
		}
		over = true
		l.Cancel()
		select {
		case <-idle:
		case <-ctx.Done():
			kept := *o
			kept.value = slices.Clone(o.value) // the caller may use his again
			l.whenIdle(func() { l.unlockAsync(&kept, func(error) {}) })
			return false, ctx.Err()
		}
	}
}

// UnlockAsync begins to unlock; done is called as with LockAsync. It does not
// wait for other operations, so that Force is refused.
func (l *Lock) UnlockAsync(done func(error), opts ...Option) {
	o := merge(opts)
	if o.flags&lockspace.ForceUnlock != 0 {
		done(fmt.Errorf("%w: unlock of %q: UnlockAsync takes no option Force", ErrFlags, l.name))
		return
	}
	l.unlockAsync(&o, done)
}

func (l *Lock) unlockAsync(o *Option, done func(error)) {
	if err := l.begin(o, opUnlock, NL); err != nil {
		done(err)
		return
	}
	l.at.unlock(l, o.flags, o.value, true)
	l.later(done)
}

// Cancel withdraws the running operation, if there is one. It then ends with
// ErrCancelled, unless its outcome came first. (Kernel: dlm_unlock with CANCEL.)
func (l *Lock) Cancel() {
	l.mu.Lock()
	running, id, req := l.pending, l.id, l.req
	l.mu.Unlock()
	if running {
		l.at.cancel(id, req)
	}
}

// begin claims the lock for an operation; mode is that of a conversion.
func (l *Lock) begin(o *Option, what opKind, mode Mode) error {
	holds := l.holds()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.isLost, !holds && !l.gone:
		return fmt.Errorf("%s of %q: %w", what, l.name, ErrLost)
	case l.pending:
		return fmt.Errorf("%s of %q: %w", what, l.name, ErrBusy)
	case l.gone:
		return fmt.Errorf("%s of %q: %w", what, l.name, ErrNotHeld)
	case l.guarded.Load() > 0:
		return fmt.Errorf("%s of %q: %w: %d guarded requests to disks are under way", what, l.name, ErrBusy, l.guarded.Load())
	}
	if err := o.check(what, l.name, l.space.props.ValueLen); err != nil {
		return err
	}
	if o.flags&lockspace.Retire != 0 && l.mode != EX {
		return fmt.Errorf("%w: %s of %q: Retire is for a lock in EX, not %s", ErrFlags, what, l.name, l.mode)
	}
	if what == opConvert {
		if err := o.checkModes(l.name, l.mode, mode); err != nil {
			return err
		}
		l.keep |= o.flags & lockspace.Persistent
		o.flags |= l.keep
	}
	if o.blocking != nil {
		l.blocking = o.blocking
	}
	l.pending, l.op, l.err = true, what, nil
	l.req++
	return nil
}

// settle waits for the outcome of an operation whose caller has left when its
// context ended.
func (l *Lock) settle(ctx context.Context) error {
	for {
		l.mu.Lock()
		wake := l.wake
		wait := l.pending && l.abandoned
		l.mu.Unlock()
		if !wait {
			return nil
		}
		select {
		case <-wake.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// whenIdle has f called when the running operation has ended, if that leaves
// the lock; at once if none is running.
func (l *Lock) whenIdle(f func()) {
	l.mu.Lock()
	if l.pending {
		l.after = f
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	f()
}

// await waits for the running operation. If ctx ends first, the operation is
// withdrawn, and after is called should it succeed nevertheless.
func (l *Lock) await(ctx context.Context, after func()) error {
	l.mu.Lock()
	if !l.pending {
		defer l.mu.Unlock()
		return l.err
	}
	wake := &waiter{done: make(chan struct{})}
	l.wake = wake
	l.mu.Unlock()
	select {
	case <-wake.done:
	case <-ctx.Done():
		l.mu.Lock()
		running, id, req := l.pending, l.id, l.req
		if running {
			l.abandoned, l.after = true, after
		}
		l.mu.Unlock()
		if running {
			l.at.cancel(id, req)
			return ctx.Err()
		}
		<-wake.done // it has ended, or is just about to say so
	}
	return wake.err
}

// later has done called with the outcome of the running operation.
func (l *Lock) later(done func(error)) {
	l.mu.Lock()
	if l.pending {
		l.done = done
		l.mu.Unlock()
		return
	}
	err := l.err
	l.mu.Unlock()
	done(err)
}

// complete is called by the backend with the outcome of an operation.
func (l *Lock) complete(id uint64, err error, st wire.Status, c *lockspace.Completion) {
	l.mu.Lock()
	if l.gone && !l.pending { // of an operation that Close has ended before
		l.mu.Unlock()
		return
	}
	if id != 0 {
		l.id = id
	}
	if l.op != opUnlock && st != wire.LostLock && (l.isLost || l.space.closed.Load()) {
		err, st = ErrClosed, wire.NoSpace // Close gives up what has just been granted, too
	}
	if err != nil && c.Text != "" { // which says what is wrong, but not with what
		err = fmt.Errorf("%s of %q: %w", l.op, l.name, err)
	}
	l.pending, l.err = false, err
	l.messages = int(c.Hops)
	l.demoted, l.alternate = c.Bits&wire.BitDemoted != 0, c.Bits&wire.BitAltMode != 0
	switch {
	case st == wire.LostLock, st == wire.NoSpace && l.isLost:
		l.end(true)
	case st == wire.OK:
		l.mode, l.token = c.Mode, c.Token
		l.takeValue(c)
		if l.op == opLock {
			l.claimOpen = c.Bits&wire.BitOpenClaim != 0
		}
	case st == wire.Unlocked, st == wire.NoSpace, l.op == opLock, l.op == opUnlock && retired(st):
		l.end(false)
	case st == wire.Deadlock, st == wire.Cancelled, st == wire.TimedOut, st == wire.WouldBlock:
		l.mode = c.Mode // perhaps demoted
	}
	wake, idle, done, after := l.wake, l.idle, l.done, l.after
	if l.gone {
		after = nil
	}
	l.wake, l.idle, l.done, l.after, l.abandoned = nil, nil, nil, nil, false
	l.mu.Unlock()
	if idle != nil {
		close(idle)
	}
	if wake != nil {
		wake.err = err
		close(wake.done)
	}
	if done != nil {
		l.space.calls.add(func() { done(err) })
	}
	if after != nil {
		submit(after)
	}
}

// retired says that an unlock with Retire has ended so. The lock is gone in any
// case.
func retired(st wire.Status) bool { return st == wire.InUse || st == wire.Cancelled }

func (l *Lock) setReq(req uint64) {
	l.mu.Lock()
	l.req = req
	l.mu.Unlock()
}

func (l *Lock) takeValue(c *lockspace.Completion) {
	if c.Bits&(wire.BitValue|wire.BitNotValid) == 0 {
		return
	}
	l.valueValid = c.Bits&wire.BitValue != 0
	l.value = append(l.value[:0], c.Value...)
}

// end marks the lock as no longer held. mu is held.
func (l *Lock) end(lost bool) {
	l.gone = true
	l.mode = lockspace.NoMode
	for _, g := range l.guards {
		go g.ring.Recheck() // not here: it may call the program
	}
	l.guards = nil
	if l.confirmed != nil {
		close(l.confirmed)
		l.confirmed = nil
	}
	if lost && !l.isLost {
		l.isLost = true
		if l.lost != nil {
			close(l.lost)
		}
	}
}

func (l *Lock) blocked(mode Mode) {
	l.mu.Lock()
	f := l.blocking
	l.mu.Unlock()
	if f != nil {
		l.space.calls.add(func() { f(l, mode) })
	}
}

func (l *Lock) claimClosed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claimOpen = false
	if l.confirmed != nil {
		close(l.confirmed)
		l.confirmed = nil
	}
}

func (l *Lock) takenAway() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(true)
}

// released is the end of a lock that its lockspace's Close has given up.
func (l *Lock) released() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(false)
}
