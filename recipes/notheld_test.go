package recipes

import (
	"context"
	"errors"
	"testing"

	"github.com/lockify-dlm/lockify"
)

// TestNotHeld: what nobody holds says so, before it was ever held and when it was given up, and
// nothing panics.
func TestNotHeld(t *testing.T) {
	ctx := testContext(t)
	list, _ := spaces(t)
	space := list[0]
	m, rw, b, e := NewMutex(space, "mutex"), NewRWMutex(space, "rw"), NewBarrier(space, "barrier"), NewElection(space, "election")
	var leadership *lockify.Lock
	var release func() error
	all := func(when string) {
		t.Helper()
		for name, f := range map[string]func() error{
			"Mutex.Unlock":    func() error { return m.Unlock(ctx) },
			"RWMutex.Unlock":  func() error { return rw.Unlock(ctx) },
			"RWMutex.RUnlock": func() error { return rw.RUnlock(ctx) },
			"Barrier.Lower":   func() error { return b.Lower(ctx) },
			"Election.Resign": func() error { return e.Resign(ctx, leadership) },
		} {
			if err := f(); !errors.Is(err, lockify.ErrNotHeld) {
				t.Errorf("%s %s: %v", name, when, err)
			}
		}
		select {
		case <-m.Lost():
		default:
			t.Errorf("Mutex.Lost %s: not closed", when)
		}
		if token := m.Token(); token != 0 {
			t.Errorf("Mutex.Token %s: %d", when, token)
		}
	}
	all("before")
	hold := func(lock, unlock func(context.Context) error) {
		t.Helper()
		if err := errors.Join(lock(ctx), unlock(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	hold(m.Lock, m.Unlock)
	hold(rw.Lock, rw.Unlock)
	hold(rw.RLock, rw.RUnlock)
	hold(b.Raise, b.Lower)
	hold(func(ctx context.Context) (err error) {
		leadership, err = e.Campaign(ctx, nil)
		return err
	}, func(ctx context.Context) error { return e.Resign(ctx, leadership) })
	hold(func(ctx context.Context) (err error) {
		_, release, err = Hold(ctx, space, "hold", lockify.EX)
		return err
	}, func(context.Context) error { return release() })
	all("after")
	if err := release(); !errors.Is(err, lockify.ErrNotHeld) {
		t.Errorf("release: %v", err)
	}
	permits, err := NewSemaphore(space, "semaphore", 1)
	if err != nil {
		t.Fatal(err)
	}
	permit, err := permits.Acquire(ctx)
	if err == nil {
		err = permit.Unlock(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := permit.Unlock(ctx); !errors.Is(err, lockify.ErrNotHeld) {
		t.Errorf("permit: %v", err)
	}
	if err := m.Lock(ctx); err != nil || m.Token() == 0 {
		t.Errorf("held: token %d, %v", m.Token(), err)
	}
	select {
	case <-m.Lost():
		t.Error("lost while it is held")
	default:
	}
}
