package lockify

import (
	"context"
	"fmt"
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Unlock gives the lock up. It does not wait for other nodes, but with Retire,
// and is not withdrawn when ctx ends: then ctx's error is returned, and the lock
// goes all the same. Errors: ErrBusy (not with Force), ErrNotHeld, ErrLost,
// ErrClosed, ErrInvalid; with Retire also ErrInUse and ErrCancelled, after which
// the lock is gone, and ErrLimit, after which it is not.
func (l *Lock) Unlock(ctx context.Context, opts ...Option) error {
	if l.space.tracer != nil {
		return l.unlockTraced(ctx, opts)
	}
	var all Option
	return l.unlock(ctx, merged(opts, &all))
}

func (l *Lock) unlock(ctx context.Context, o *Option) error {
	if o.flags&lockspace.ForceUnlock != 0 {
		if over, err := l.interrupt(ctx, o); over || err != nil {
			return err
		}
	}
	if l.abandoned.Load() {
		if err := l.settle(ctx); err != nil {
			l.unlockWhenIdle(*o)
			return opUnlock.of(l.name, err)
		}
	}
	var wake *waiter
	if !l.goesAtOnce(o) {
		wake = &waiter{}
	}
	if err := l.begin(o, opUnlock, NL, nil, wake); err != nil {
		return err
	}
	var b begun
	if e, ok := l.at.(*embedded); ok && o.span == nil { // whose calls cost less
		b.over = e.unlockHere(l, o.flags, o.value)
	} else {
		b = l.at.unlock(l, *o, false)
	}
	return l.await(ctx, false, b, wake)
}

// interrupt withdraws what is running and waits until it has ended. over says
// that the lock has ended with it.
func (l *Lock) interrupt(ctx context.Context, o *Option) (over bool, err error) {
	if err := o.check(opUnlock, l.name, l.space.props.ValueLen); err != nil {
		return false, err
	}
	for {
		l.mu.Lock()
		running := l.grant.Pending && !l.gone
		over = over && l.gone && !l.isLost
		var idle chan struct{}
		if running {
			x := l.rarely()
			if x.idle == nil {
				x.idle = make(chan struct{})
			}
			idle = x.idle
		}
		l.mu.Unlock()
		if !running {
			return over, nil
		}
		over = true
		l.Cancel()
		select {
		case <-idle:
		case <-ctx.Done():
			l.unlockWhenIdle(*o)
			return false, opUnlock.of(l.name, ctx.Err())
		}
	}
}

// UnlockAsync begins to unlock; done is called as with LockAsync. It does not
// wait for other operations, so that Force is refused.
func (l *Lock) UnlockAsync(done func(error), opts ...Option) {
	o := merge(opts)
	if s := l.space; s.tracer != nil {
		done = s.asyncTraced(opUnlock, l.name, NL, &o, done)
	}
	if o.flags&lockspace.ForceUnlock != 0 {
		done(fmt.Errorf("%w: unlock of %q: UnlockAsync takes no option Force", ErrFlags, l.name))
		return
	}
	l.unlockAsync(&o, done)
}

func (l *Lock) unlockAsync(o *Option, done func(error)) {
	early := l.early(done)
	var wake *waiter
	if early == nil && !l.goesAtOnce(o) {
		wake = &waiter{}
	}
	if err := l.begin(o, opUnlock, NL, early, wake); err != nil {
		done(err)
		return
	}
	switch over := l.at.unlock(l, *o, true).over; {
	case over:
		done(nil)
	case early == nil:
		l.later(done, wake)
	}
}

// unlockWhenIdle unlocks when the running operation has ended, if that leaves
// the lock; at once if none is running. Nobody hears of its end.
func (l *Lock) unlockWhenIdle(o Option) {
	o.value = slices.Clone(o.value) // the caller may use his again
	l.leave(&o, false)
}

// leave unlocks in place of who has left. kept says that the lock is busy for nothing but
// this: complete has left it so.
func (l *Lock) leave(o *Option, kept bool) {
	holds := l.holds()
	l.mu.Lock()
	if l.grant.Pending && !kept {
		l.rarely().leaves = o
		l.mu.Unlock()
		return
	}
	l.grant.Pending = false
	err := l.claim(holds, o, opUnlock, NL, nil, nil)
	l.mu.Unlock()
	if err == nil {
		l.at.unlock(l, *o, true)
	}
}
