package recipes

import (
	"context"

	"github.com/lockify-dlm/lockify"
)

// Hold locks a name and gives a context for what is done under the lock: it is canceled
// when the lock is lost, with the cause lockify.ErrLost, and when release is called or
// ctx ends. release gives up the lock, also if ctx has ended, and says with an error that
// it was lost before. It must be called, once; later ones have the error lockify.ErrNotHeld.
//
// Errors are those of Lockspace.Lock.
func Hold(ctx context.Context, space *lockify.Lockspace, name string, mode lockify.Mode, opts ...lockify.Option) (held context.Context, release func() error, err error) {
	lock, err := space.Lock(ctx, name, mode, opts...)
	if err != nil {
		return nil, nil, err
	}
	held, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-lock.Lost():
			cancel(lockify.ErrLost)
		case <-held.Done():
		}
	}()
	return held, func() error {
		cancel(context.Canceled)
		return lock.Unlock(context.WithoutCancel(ctx))
	}, nil
}
