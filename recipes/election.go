package recipes

import (
	"context"
	"fmt"

	"github.com/lockify-dlm/lockify"
)

// Election chooses one leader among all who stand for it. The leader holds the name in
// PW, which leaves CR to those who read in its value block who leads.
type Election struct {
	space *lockify.Lockspace
	name  string
}

// NewElection gives the election on a name. It asks nobody.
func NewElection(space *lockify.Lockspace, name string) *Election { return &Election{space, name} }

// Campaign waits to become the leader, in the order in which programs have come. Others
// see value: up to Lockspace.ValueSize bytes, what is missing is zero. The lock that it
// gives is the leadership: it is lost as any lock (Lost), its Token grows from leader to
// leader, and Resign gives it up. Errors are those of Lockspace.Lock and Lock.Convert.
func (e *Election) Campaign(ctx context.Context, value []byte) (*lockify.Lock, error) {
	lock, err := e.space.Lock(ctx, e.name, lockify.EX)
	if err != nil {
		return nil, err
	}
	if err := lock.Convert(ctx, lockify.PW, lockify.WithValue(value)); err != nil {
		_ = lock.Unlock(ctx, lockify.InvalidateValue()) // behind the conversion, which may still run, and also if ctx has ended
		return nil, err
	}
	return lock, nil
}

// Resign gives up the leadership: the next one is chosen, and until then there is none.
// Errors: lockify.ErrLost, another may have been leader before; lockify.ErrNotHeld, leadership is
// nil, or was given up before.
func (e *Election) Resign(ctx context.Context, leadership *lockify.Lock) error {
	if leadership == nil {
		return fmt.Errorf("recipes: leadership of %q: %w", e.name, lockify.ErrNotHeld)
	}
	return leadership.Unlock(ctx, lockify.InvalidateValue())
}

// Leader gives the value of the leader; ok is false if there is none. It may have changed
// by the time that Leader returns. Errors are those of Lockspace.Lock.
func (e *Election) Leader(ctx context.Context) (value []byte, ok bool, err error) {
	// NoOrder: those who stand for election wait in front.
	lock, err := e.space.Lock(ctx, e.name, lockify.CR, lockify.ReadValue(), lockify.NoOrder())
	if err != nil {
		return nil, false, err
	}
	value, ok = lock.Value()
	return value, ok, lock.Unlock(context.WithoutCancel(ctx))
}
