package recipes

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify"
)

// Mutex is held by one goroutine of one program at a time. It may be used by many, and
// must not be copied. A holder that has lost it calls Unlock all the same: until then no
// other goroutine gets it from this Mutex, so that Unlock, Lost and Token are the holder's.
type Mutex struct {
	space *lockify.Lockspace
	name  string
	turn  chan struct{}                // full: somebody holds it, or has lost it and not unlocked yet
	held  atomic.Pointer[lockify.Lock] // the holder's
}

// NewMutex gives a mutex on a name. It asks nobody.
func NewMutex(space *lockify.Lockspace, name string) *Mutex {
	return &Mutex{space: space, name: name, turn: make(chan struct{}, 1)}
}

// Lock waits for the mutex. Errors are those of Lockspace.Lock, or that of ctx.
func (m *Mutex) Lock(ctx context.Context) error {
	lock, err := m.space.Lock(ctx, m.name, lockify.EX)
	if err != nil {
		return err
	}
	// Not before it is granted: the turn is free then, unless it was lost, and the cluster
	// keeps the order of all who wait.
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		lock.UnlockAsync(func(error) {})
		return fmt.Errorf("recipes: mutex %q: %w", m.name, ctx.Err())
	}
	m.held.Store(lock)
	return nil
}

// TryLock does not wait for other holders: lockify.ErrWouldBlock if there are some.
func (m *Mutex) TryLock(ctx context.Context) error {
	lock, err := m.space.TryLock(ctx, m.name, lockify.EX)
	if err != nil {
		return err
	}
	select {
	case m.turn <- struct{}{}:
	default:
		lock.UnlockAsync(func(error) {})
		return fmt.Errorf("recipes: mutex %q was lost by who has not unlocked it yet: %w", m.name, lockify.ErrWouldBlock)
	}
	m.held.Store(lock)
	return nil
}

// Unlock gives up the mutex. The error lockify.ErrLost says that it was lost before: what was
// done under it may have met what another holder did. Of a mutex that nobody here holds it is
// lockify.ErrNotHeld.
func (m *Mutex) Unlock(ctx context.Context) error {
	lock := m.held.Swap(nil)
	if lock == nil {
		return fmt.Errorf("recipes: mutex %q: %w", m.name, lockify.ErrNotHeld)
	}
	<-m.turn
	return lock.Unlock(ctx)
}

// Lost is closed when the mutex is lost. It is for the holder: where nobody here holds the
// mutex, it is closed already.
func (m *Mutex) Lost() <-chan struct{} {
	if lock := m.held.Load(); lock != nil {
		return lock.Lost()
	}
	return lost
}

// lost is for what nobody holds: whoever looks there must not go on.
var lost = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Token grows with each holder. It is for the holder: where nobody here holds the mutex, it is 0,
// which is no token.
func (m *Mutex) Token() uint64 {
	if lock := m.held.Load(); lock != nil {
		return lock.Token()
	}
	return 0
}

// Locker gives the mutex as package sync has it, for code that wants that. Its methods
// wait without end, and panic with an error in place of returning it: also Unlock, if the
// mutex was lost.
func (m *Mutex) Locker() sync.Locker {
	return locker{lock: m.Lock, unlock: m.Unlock}
}

// locker makes panics of errors.
type locker struct {
	lock, unlock func(context.Context) error
}

func (l locker) Lock() { must(l.lock(context.Background())) }

func (l locker) Unlock() { must(l.unlock(context.Background())) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}
