package recipes

import (
	"context"
	"fmt"
	"sync"

	"github.com/lockify-dlm/lockify"
)

// RWMutex is held by any number of readers or by one writer, in all programs together. It
// may be used by many goroutines, and must not be copied. Who waits to write is passed by
// no reader that comes later.
type RWMutex struct {
	writer *Mutex

	mu      sync.Mutex
	readers []*lockify.Lock // in the order of their grants
}

// NewRWMutex gives a readers-writer mutex on a name. It asks nobody.
func NewRWMutex(space *lockify.Lockspace, name string) *RWMutex {
	return &RWMutex{writer: NewMutex(space, name)}
}

// Lock waits until nobody else reads or writes. Errors are those of Lockspace.Lock.
func (m *RWMutex) Lock(ctx context.Context) error { return m.writer.Lock(ctx) }

// TryLock does not wait for other holders: lockify.ErrWouldBlock if there are some.
func (m *RWMutex) TryLock(ctx context.Context) error { return m.writer.TryLock(ctx) }

// Unlock ends writing, also where that was lost; lockify.ErrNotHeld if nobody here writes. See
// Mutex.
func (m *RWMutex) Unlock(ctx context.Context) error { return m.writer.Unlock(ctx) }

// RLock waits until nobody writes. Errors are those of Lockspace.Lock.
func (m *RWMutex) RLock(ctx context.Context) error {
	return m.read(m.writer.space.Lock(ctx, m.writer.name, lockify.PR))
}

// TryRLock does not wait for a writer: lockify.ErrWouldBlock if there is one.
func (m *RWMutex) TryRLock(ctx context.Context) error {
	return m.read(m.writer.space.TryLock(ctx, m.writer.name, lockify.PR))
}

func (m *RWMutex) read(lock *lockify.Lock, err error) error {
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.readers = append(m.readers, lock)
	return nil
}

// RUnlock ends reading. An error (lockify.ErrLost) says that a lock for reading was lost
// before. If others read through this RWMutex at the same time it may have been another
// reader's, who is then told nothing; no lock that is not lost ends with it, as the
// oldest one goes first. If nobody here reads it is lockify.ErrNotHeld.
func (m *RWMutex) RUnlock(ctx context.Context) error {
	m.mu.Lock()
	if len(m.readers) == 0 {
		m.mu.Unlock()
		return fmt.Errorf("recipes: readers' lock of %q: %w", m.writer.name, lockify.ErrNotHeld)
	}
	lock := m.readers[0]
	m.readers = m.readers[1:]
	m.mu.Unlock()
	return lock.Unlock(ctx)
}

// Locker gives the writers' side as package sync has it; see Mutex.Locker.
func (m *RWMutex) Locker() sync.Locker { return m.writer.Locker() }

// RLocker gives the readers' side as package sync has it; see Mutex.Locker.
func (m *RWMutex) RLocker() sync.Locker { return locker{lock: m.RLock, unlock: m.RUnlock} }
