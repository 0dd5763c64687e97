package recipes

import (
	"context"

	"github.com/lockify-dlm/lockify"
)

// Barrier holds up all who wait at it while it is raised. It comes down when whoever has
// raised it lowers it, or dies. (That of a lockspace, Lockspace.Barrier, is another
// thing.)
type Barrier struct{ mutex RWMutex }

// NewBarrier gives a barrier on a name. It asks nobody.
func NewBarrier(space *lockify.Lockspace, name string) *Barrier {
	return &Barrier{RWMutex{writer: NewMutex(space, name)}}
}

// Raise holds up who comes from now on. It waits while another has raised the barrier.
// Errors are those of Lockspace.Lock.
func (b *Barrier) Raise(ctx context.Context) error { return b.mutex.Lock(ctx) }

// Lower lets all go on who wait. The error lockify.ErrLost says that the barrier came down
// before, lockify.ErrNotHeld that nobody here has raised it.
func (b *Barrier) Lower(ctx context.Context) error { return b.mutex.Unlock(ctx) }

// Wait returns when the barrier is down. Errors are those of Lockspace.Lock, or that of
// ctx.
func (b *Barrier) Wait(ctx context.Context) error {
	lock, err := b.mutex.writer.space.Lock(ctx, b.mutex.writer.name, lockify.PR)
	if err != nil {
		return err
	}
	return lock.Unlock(context.WithoutCancel(ctx))
}
