package rig

import (
	"context"
	"errors"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/recipes"
)

// cacheLane locks one name after the other in a cache, which keeps the locks.
type cacheLane struct {
	cache *recipes.Cache
	lock  func(context.Context, string) (recipes.Use, error)
	held  []recipes.Use
	_     perf.CacheLine // nobody else's
}

func newCacheLane(o *Order, c *recipes.Cache) *cacheLane {
	l := &cacheLane{cache: c, lock: c.Lock, held: make([]recipes.Use, 0, perf.LineWords)}
	if o.New {
		l.lock = c.Create
	}
	return l
}

func newCache(space *lockify.Lockspace) *recipes.Cache {
	return recipes.NewCache(space, recipes.CacheConfig{})
}

func (l *cacheLane) Acquire(ctx context.Context, names []string) error {
	l.held = l.held[:0]
	for _, name := range names {
		use, err := l.lock(ctx, name)
		if err != nil {
			return err
		}
		l.held = append(l.held, use)
	}
	return nil
}

func (l *cacheLane) Release(context.Context) error {
	var err error
	for _, use := range l.held {
		err = errors.Join(err, use.Unlock())
	}
	return err
}
