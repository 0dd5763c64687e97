package lockify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/engine"
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
	space *Lockspace
	at    place // from when it is asked for; nil: it never was
	name  string

	mu    sync.Mutex
	id    uint64          // 0: not known yet
	req   uint64          // number of the running or last operation
	grant lockspace.Grant // as the last operation has left it; Pending: one is running
	wake  *waiter         // who waits for it
	done  func(error)     // called when it ends
	*rare                 // nil: none of it; to be written: Lock.rarely

	abandoned atomic.Bool // the caller's context has ended; written under mu
	op        opKind      // the running or last one
	gone      bool        // unlocked, lost, or never granted
	isLost    bool
}

// rare is what a lock has when something is going on with it. There may be very many
// locks.
type rare struct {
	blocking   func(*Lock, Mode)
	ranges     *ByteRanges   // whose handle this is; nil: a lock of the program
	idle       chan struct{} // closed when the running operation ends: for Force
	leaves     *Option       // of an unlock that begins when it has ended, in place of who has left
	err        error         // of the last operation
	keep       uint32        // Persistent, if the lock is: each conversion says so again
	value      []byte
	valueValid bool
	guards     []*Guarded   // one for each ring
	guarded    atomic.Int32 // requests to disks under way that the lock guards
	lost       chan struct{}
	confirmed  chan struct{}
}

// rarely gives l's rare state, to be written. mu is held.
func (l *Lock) rarely() *rare {
	if l.rare == nil {
		l.rare = &rare{}
	}
	return l.rare
}

// waiter is a caller that waits for an operation. The outcome is his even if
// the next operation begins before he looks.
type waiter struct {
	done  chan struct{} // closed when it has ended; nil: nobody sleeps yet
	err   error
	ended bool // guarded by Lock.mu
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
	return holds && !l.gone && l.grant.Mode != lockspace.NoMode
}

// holds says that the place where the lock was taken has not lost it.
func (l *Lock) holds() bool {
	if e, ok := l.at.(*embedded); ok {
		return e.holds()
	}
	return l.at == nil || l.at.holds()
}

// Mode gives the granted mode.
func (l *Lock) Mode() Mode {
	holds := l.holds()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !holds {
		return lockspace.NoMode
	}
	return l.grant.Mode
}

// Token gives the fencing token of the grant: it grows with every exclusive
// grant (PW, EX) of the name, whoever gets it; shared grants carry the last
// one. A storage service that has seen a higher one refuses a lower. Tokens begin
// anew when all nodes of a fixed membership (Config.Peers) have ended. Under an open
// claim (Confirmed) a token is not meant to be shown to anybody yet.
func (l *Lock) Token() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grant.Token
}

// Value gives a copy of the lock value block that came with the last grant
// that read it (ReadValue, WithValue). ok is false if there was none, or if it
// was not valid: never written, or its last writer is lost. (Kernel: VALBLK;
// SBF_VALNOTVALID.)
func (l *Lock) Value() (value []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rare == nil || !l.valueValid {
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
	return l.grant.Bits&wire.BitDemoted != 0
}

// Alternate says that the last request or conversion was granted in the
// alternate mode (AlternatePR, AlternateCW), which Mode gives, because the mode
// asked for could not be had at once. (Kernel: SBF_ALTMODE.)
func (l *Lock) Alternate() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grant.Bits&wire.BitAltMode != 0
}

// Messages gives the number of one-way messages between nodes that the last
// operation has waited for.
func (l *Lock) Messages() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.grant.Hops)
}

// Confirmed gives a channel that is closed when the cluster knows of the
// lock's name: at once for ordinary grants, after a round trip for New. It is
// also closed when the lock ends; Lost tells whether it was lost.
func (l *Lock) Confirmed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.claimOpen() || l.gone {
		return closedChan
	}
	if x := l.rarely(); x.confirmed == nil {
		x.confirmed = make(chan struct{})
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
	if x := l.rarely(); x.lost == nil {
		x.lost = make(chan struct{})
	}
	return l.lost
}

// Convert waits until the lock's mode has changed. If ctx ends first, the
// conversion is withdrawn and ctx's error returned; it may have been granted
// just before, which Mode tells: the next Convert or Unlock waits until that
// is decided. Errors: ErrWouldBlock, ErrTimedOut, ErrDeadlock, ErrCancelled, ErrBusy,
// ErrNotHeld, ErrLost, ErrClosed, ErrInvalid. (Kernel: dlm_lock with CONVERT.)
func (l *Lock) Convert(ctx context.Context, mode Mode, opts ...Option) error {
	if l.space.tracer != nil {
		return l.convertTraced(ctx, mode, opts)
	}
	return l.convert(ctx, mode, merge(opts))
}

func (l *Lock) convert(ctx context.Context, mode Mode, o Option) error {
	if err := ctx.Err(); err != nil {
		return opConvert.of(l.name, err)
	}
	if err := l.settle(ctx); err != nil {
		return opConvert.of(l.name, err)
	}
	wake := &waiter{}
	if err := l.begin(&o, opConvert, mode, nil, wake); err != nil {
		return err
	}
	return l.await(ctx, false, l.at.convert(l, mode, o, false), wake)
}

// ConvertAsync begins a conversion; done is called as with LockAsync.
func (l *Lock) ConvertAsync(mode Mode, done func(error), opts ...Option) {
	o := merge(opts)
	if s := l.space; s.tracer != nil {
		done = s.asyncTraced(opConvert, l.name, mode, &o, done)
	}
	early := l.early(done)
	var wake *waiter
	if early == nil {
		wake = &waiter{}
	}
	if err := l.begin(&o, opConvert, mode, early, wake); err != nil {
		done(err)
		return
	}
	l.at.convert(l, mode, o, true)
	if early == nil {
		l.later(done, wake)
	}
}

// Cancel withdraws the running operation, if there is one. It then ends with
// ErrCancelled, unless its outcome came first. (Kernel: dlm_unlock with CANCEL.)
func (l *Lock) Cancel() {
	l.mu.Lock()
	running, id, req := l.grant.Pending, l.id, l.req
	l.mu.Unlock()
	if running {
		l.at.cancel(id, req)
	}
}

// early gives done if it can be noted before the operation begins: in a session it ends
// later than that, or says so (running.refuse). nil: to be noted behind it, by later.
func (l *Lock) early(done func(error)) func(error) {
	if l.space.here != nil {
		return nil
	}
	return done
}

// goesAtOnce says that l ends as soon as an unlock begins, so that nobody can begin anything
// behind that.
func (l *Lock) goesAtOnce(o *Option) bool {
	return l.space.here != nil && o.flags&lockspace.Retire == 0
}

// begin claims the lock for an operation; mode is that of a conversion, which may add to o.
// wake hears of its end, also if the next one begins before anybody looks.
func (l *Lock) begin(o *Option, what opKind, mode Mode, done func(error), wake *waiter) error {
	holds := l.holds()
	l.mu.Lock()
	err := l.claim(holds, o, what, mode, done, wake)
	l.mu.Unlock()
	if errors.Is(err, ErrLost) {
		return what.of(l.name, l.at.why()) // not under mu, which sessions take under theirs
	}
	return err
}

// claim is begin for who holds mu, and has asked holds before.
func (l *Lock) claim(holds bool, o *Option, what opKind, mode Mode, done func(error), wake *waiter) error {
	switch {
	case l.isLost, !holds && !l.gone:
		return what.of(l.name, ErrLost)
	case l.gone: // before Pending, which may stay
		return what.of(l.name, ErrNotHeld)
	case l.grant.Pending:
		return what.of(l.name, ErrBusy)
	case l.rare != nil && l.guarded.Load() > 0:
		return fmt.Errorf("%s of %q: %w: %d guarded requests to disks are under way", what, l.name, ErrBusy, l.guarded.Load())
	}
	if err := o.check(what, l.name, l.space.props.ValueLen); err != nil {
		return err
	}
	if o.flags&lockspace.Retire != 0 && l.grant.Mode != EX {
		return fmt.Errorf("%w: %s of %q: Retire is for a lock in EX, not %s", ErrFlags, what, l.name, l.grant.Mode)
	}
	if what == opConvert {
		if err := o.checkModes(l.name, l.grant.Mode, mode); err != nil {
			return err
		}
		if o.flags&lockspace.Persistent != 0 {
			l.rarely().keep = lockspace.Persistent
		}
		if l.rare != nil {
			o.flags |= l.keep
		}
	}
	if o.blocking != nil {
		l.rarely().blocking = o.blocking
	}
	l.op = what
	l.grant.Pending = true
	l.done, l.wake = done, wake
	l.req++
	if what == opUnlock && l.goesAtOnce(o) {
		l.end(false) // Pending stays if the node does it at once: mu is not taken again for that
	}
	return nil
}

// settle waits for the outcome of an operation whose caller has left when its
// context ended.
func (l *Lock) settle(ctx context.Context) error {
	for l.abandoned.Load() {
		l.mu.Lock()
		wake := l.wake
		wait := l.abandoned.Load()
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
	return nil
}

// await waits for an operation that has begun, with wake noted for it; nil: nobody else can
// begin one behind it. If ctx ends first, the operation is withdrawn; with giveBack the lock
// is unlocked should it succeed nevertheless.
func (l *Lock) await(ctx context.Context, giveBack bool, b begun, wake *waiter) error {
	if b.over {
		return nil
	}
	if b.reads != nil {
		soon := endsSoon(ctx)
		b.reads.Until(func() bool { return soon || l.ended(wake) || ctx.Err() != nil }) // others may keep it reading
	}
	l.mu.Lock()
	if over, err := l.over(wake); over {
		l.mu.Unlock()
		return err
	}
	if wake == nil {
		l.wake = &waiter{}
	}
	l.wake.done = make(chan struct{})
	mine := l.wake
	l.mu.Unlock()
	return l.sleep(ctx, giveBack, mine)
}

// over says whether the operation that wake was noted for has ended, and how. Without wake
// it is the running or last one. mu is held.
func (l *Lock) over(wake *waiter) (bool, error) {
	if wake != nil {
		return wake.ended, wake.err
	}
	return !l.grant.Pending, l.outcome()
}

// ended is over for who does not hold mu.
func (l *Lock) ended(wake *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	over, _ := l.over(wake)
	return over
}

// sleep is the rest of await, with a channel in wake.
func (l *Lock) sleep(ctx context.Context, giveBack bool, wake *waiter) error {
	select {
	case <-wake.done:
	case <-ctx.Done():
		l.mu.Lock()
		running, what, id, req := !wake.ended, l.op, l.id, l.req // another operation may run by now
		if running {
			l.abandoned.Store(true)
			if giveBack {
				x := l.rarely()
				x.leaves = &Option{}
				x.blocking = nil // of a lock that the program never gets
			}
		}
		l.mu.Unlock()
		if running {
			l.at.cancel(id, req)
			return what.of(l.name, ctx.Err())
		}
		<-wake.done // it has ended, or is just about to say so
	}
	return wake.err
}

// outcome gives what the last operation came to. mu is held.
func (l *Lock) outcome() error {
	if l.rare == nil {
		return nil
	}
	return l.err
}

// later has done called with the outcome of an operation, with wake as await has it.
func (l *Lock) later(done func(error), wake *waiter) {
	l.mu.Lock()
	over, err := l.over(wake)
	if !over {
		l.done = done
	}
	l.mu.Unlock()
	if over {
		done(err)
	}
}

// complete is called by the backend with the outcome of an operation. What it gives, if it
// has f, is to be run by Lockspace.calls.
func (l *Lock) complete(id uint64, err error, st wire.Status, c *lockspace.Completion) (todo call) {
	l.mu.Lock()
	if l.gone && !l.grant.Pending { // of an operation that Close has ended before
		l.mu.Unlock()
		return todo
	}
	if l.id == 0 { // once it is known, others read it without mu
		l.id = id
	}
	switch {
	case l.op == opUnlock, st == wire.LostLock:
	case l.isLost:
		err, st = l.err, wire.NoSpace // from takenAway
	case l.space.closed.Load():
		err, st = ErrClosed, wire.NoSpace // Close gives up what has just been granted, too
	}
	if err != nil {
		err = l.op.of(l.name, err)
	}
	l.grant.Hops, l.grant.Bits = c.Hops, c.Bits&(wire.BitDemoted|wire.BitAltMode)|l.grant.Bits&wire.BitOpenClaim
	switch {
	case st == wire.LostLock, st == wire.NoSpace && l.isLost:
		l.end(true)
	case st == wire.OK:
		l.grant.Mode, l.grant.Token = c.Mode, c.Token
		l.takeValue(c)
		if l.op == opLock {
			l.grant.Bits |= c.Bits & wire.BitOpenClaim
		}
	case st == wire.Unlocked, st == wire.NoSpace, l.op == opLock, l.op == opUnlock && retired(st):
		l.end(false)
	case st == wire.Deadlock, st == wire.Cancelled, st == wire.TimedOut, st == wire.WouldBlock:
		l.grant.Mode = c.Mode // perhaps demoted
	}
	wake := l.wake
	todo = call{l.done, err}
	l.wake, l.done = nil, nil
	if l.abandoned.Load() {
		l.abandoned.Store(false)
	}
	var idle chan struct{}
	var leaves *Option
	if x := l.rare; x != nil {
		idle, leaves = x.idle, x.leaves
		x.idle, x.leaves = nil, nil
		if l.gone {
			leaves = nil
		}
	}
	l.grant.Pending = leaves != nil // else somebody could begin something before that unlock
	if err != nil || l.rare != nil {
		l.rarely().err = err
	}
	if wake != nil {
		wake.err, wake.ended = err, true
		if wake.done != nil {
			close(wake.done)
			engine.Woke()
		}
	}
	l.mu.Unlock()
	if idle != nil {
		close(idle)
	}
	if leaves != nil {
		submit(func() { l.leave(leaves, true) })
	}
	return todo
}

// claimOpen says that the cluster has not confirmed the lock's name. mu is held.
func (l *Lock) claimOpen() bool { return l.grant.Bits&wire.BitOpenClaim != 0 }

// retired says that an unlock with Retire has ended so. The lock is gone in any
// case.
func retired(st wire.Status) bool { return st == wire.InUse || st == wire.Cancelled }

func (l *Lock) takeValue(c *lockspace.Completion) {
	if c.Bits&(wire.BitValue|wire.BitNotValid) == 0 {
		return
	}
	x := l.rarely()
	x.valueValid = c.Bits&wire.BitValue != 0
	x.value = append(x.value[:0], c.Value...)
}

// end marks the lock as no longer held. mu is held.
func (l *Lock) end(lost bool) {
	l.gone = true
	l.grant.Mode = lockspace.NoMode
	first := lost && !l.isLost
	l.isLost = l.isLost || lost
	x := l.rare
	if x == nil {
		return
	}
	for _, g := range x.guards {
		go g.ring.Recheck() // not here: it may call the program
	}
	x.guards = nil
	l.tellConfirmed()
	if first && x.lost != nil {
		close(x.lost)
	}
}

// tellConfirmed tells who waits for the claim's end. mu is held.
func (l *Lock) tellConfirmed() {
	if x := l.rare; x != nil && x.confirmed != nil {
		close(x.confirmed)
		x.confirmed = nil
	}
}

// blocked gives what is to be run as complete does.
func (l *Lock) blocked(mode Mode) (todo call) {
	l.mu.Lock()
	var f func(*Lock, Mode)
	if l.rare != nil {
		f = l.blocking
	}
	l.mu.Unlock()
	if f != nil {
		todo.f = func(error) { f(l, mode) }
	}
	return todo
}

// run has todo run by the program's callbacks.
func (l *Lock) run(todo call) {
	if todo.f != nil {
		l.space.calls.add(todo)
	}
}

func (l *Lock) claimClosed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grant.Bits &^= wire.BitOpenClaim
	l.tellConfirmed()
}

// takenAway is the loss of a lock. why is what a running operation comes to.
func (l *Lock) takenAway(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grant.Pending && !l.gone {
		l.rarely().err = why
	}
	l.end(true)
}

// released is the end of a lock that its lockspace's Close has given up.
func (l *Lock) released() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(false)
}
