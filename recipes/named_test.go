package recipes

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
)

// TestContextErrorsNamed: whoever gives up waiting hears for what, and that it was his context,
// whatever cause that had.
func TestContextErrorsNamed(t *testing.T) {
	list, _ := spaces(t)
	space := list[0]
	held, err := list[1].Lock(testContext(t), "s/0", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	cache := NewCache(space, CacheConfig{})
	use, err := cache.Lock(testContext(t), "page")
	if err != nil {
		t.Fatal(err)
	}
	lost := NewMutex(space, "m")
	lost.turn <- struct{}{} // as one has who has lost it, and not unlocked it yet
	semaphore, err := NewSemaphore(space, "s", 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(context.Context) error{
		`"m"`:    lost.Lock,
		`"page"`: func(ctx context.Context) error { _, err := cache.RLock(ctx, "page"); return err },
		`"s`:     func(ctx context.Context) error { _, err := semaphore.Acquire(ctx); return err },
	} {
		ctx, cancel := context.WithTimeoutCause(testContext(t), 20*time.Millisecond, errors.New("a cause"))
		if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want it to name %s", err, name)
		}
		cancel()
	}
	if err := errors.Join(use.Unlock(), held.Unlock(testContext(t))); err != nil {
		t.Fatal(err)
	}
}
