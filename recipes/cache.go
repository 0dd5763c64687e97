package recipes

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify"
)

// Cache keeps locks behind their use until somebody else wants them, as file systems of a
// shared disk do (GFS2's glocks, OCFS2's lock resources). To use a name again is then a look
// into a map: no message, no call of the lock manager. What a lock protects may be kept as
// long as the lock is: CacheConfig says how it is read and written back.
//
//	cache := recipes.NewCache(space, recipes.CacheConfig{Fetch: read, Flush: write})
//	use, err := cache.Lock(ctx, "inode-17")
//	...
//	err = use.Unlock() // others of this program may have it; it is kept in the cluster
//
// Goroutines of the program wait for each other in the order in which they came. When
// another program wants a name, those that use it finish, who waited for the grant has his
// turn, and then the lock goes, before any who came later. So no side can shut out the other.
//
// Names are locked in EX and PR. Others may lock them without a Cache, in any mode. The locks
// have no owners (lockify.Owner): circles of programs that wait for each other are not
// found, so who needs several names locks them in one order.
type Cache struct {
	space *lockify.Lockspace
	cfg   CacheConfig
	most  int // locks kept of each part
	seed  maphash.Seed
	parts []cachePart

	closed  atomic.Bool
	closing sync.Once
	rest    atomic.Int64  // names that are there, and one for who has not called Close
	empty   chan struct{} // closed when rest is 0
}

// CacheConfig says what a Cache does.
type CacheConfig struct {
	// Names is how many locks are kept; there are more only while they are in use. Of those
	// in nobody's use one that was not used lately goes first. Default: 65,536.
	Names int

	// Fetch is called when a lock was granted by the cluster, before anybody has it: what it
	// protects may have changed since, so read it, or forget what is known of it. The lock's
	// value block is there as well (lockify.Lock.Value). With an error the lock is given up
	// again, and who asked for it has the error. ctx is his. Default: nothing.
	Fetch func(ctx context.Context, lock *lockify.Lock) error

	// Flush is called before a lock goes to another mode: to lockify.PR, others will read, so
	// write back what was changed; to lockify.NL, it is given up, so forget the rest, too. Of a lock that is
	// not Valid, or in lockify.NL already, nothing must be written any more. A value that is not nil is written to the
	// value block, if the lock was EX; one that is longer than the lockspace's values
	// is a mistake of the program, and Cache panics. Nobody uses the name meanwhile, but for readers if
	// it goes to PR. Default: nothing.
	Flush func(lock *lockify.Lock, to lockify.Mode) (value []byte)
}

const (
	cacheNames = 65_536
	cacheParts = 256 // at most; each has its mutex
	cacheLeast = 16  // names in a part, at least: a part that is full gives up one of its own
)

// cachePart has some of a cache's names.
type cachePart struct {
	mu    sync.Mutex
	names map[string]*cached
	list  []*cached // all of them, in no order
	hand  int       // in list: where the one was found that had to go last
	going int       // so many of the list were told to go, and have not yet
	spare int       // so many of the list are idle
	_     [64]byte  // another part's mutex is not in the same line
}

// NewCache gives a cache of the lockspace's locks. It asks nobody.
func NewCache(space *lockify.Lockspace, cfg CacheConfig) *Cache {
	if cfg.Names <= 0 {
		cfg.Names = cacheNames
	}
	n := min(cacheParts, 1<<(bits.Len(uint(max(1, cfg.Names/cacheLeast)))-1))
	c := &Cache{
		space: space, cfg: cfg, most: (cfg.Names + n - 1) / n, seed: maphash.MakeSeed(),
		parts: make([]cachePart, n), empty: make(chan struct{}),
	}
	for i := range c.parts {
		c.parts[i].names = make(map[string]*cached)
	}
	c.rest.Store(1)
	return c
}

// Lock waits until nobody else uses the name, here or elsewhere. Errors are those of
// Lockspace.Lock and of Fetch; lockify.ErrClosed behind Close.
func (c *Cache) Lock(ctx context.Context, name string) (Use, error) {
	return c.use(ctx, name, lockify.EX, false)
}

// RLock waits until nobody else changes what the name stands for.
func (c *Cache) RLock(ctx context.Context, name string) (Use, error) {
	return c.use(ctx, name, lockify.PR, false)
}

// Create is Lock for the name of something that was created just now (lockify.New).
func (c *Cache) Create(ctx context.Context, name string) (Use, error) {
	return c.use(ctx, name, lockify.EX, true)
}

// Close gives up all locks, each as soon as nobody uses it, and waits for that. If ctx ends
// first it says how many are left, which are given up all the same.
func (c *Cache) Close(ctx context.Context) error {
	c.closing.Do(func() {
		c.closed.Store(true)
		for i := range c.parts {
			p := &c.parts[i]
			p.mu.Lock()
			for _, e := range append([]*cached(nil), p.list...) {
				e.serve()
			}
			p.mu.Unlock()
		}
		c.gone()
	})
	select {
	case <-c.empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("recipes: cache: %d names are still in use: %w", c.rest.Load(), ctx.Err())
	}
}

// gone counts one less.
func (c *Cache) gone() {
	if c.rest.Add(-1) == 0 {
		close(c.empty)
	}
}

// use is Lock, RLock and Create.
func (c *Cache) use(ctx context.Context, name string, mode lockify.Mode, created bool) (Use, error) {
	if err := ctx.Err(); err != nil {
		return Use{}, fmt.Errorf("recipes: cache: %q: %w", name, err)
	}
	p := &c.parts[maphash.String(c.seed, name)&uint64(len(c.parts)-1)]
	p.mu.Lock()
	e := p.names[name]
	if e != nil && len(e.queue) == 0 && e.fits(mode) && !e.due() {
		u := e.enter(mode)
		e.count()
		p.mu.Unlock()
		return u, nil
	}
	defer p.mu.Unlock()
	if c.closed.Load() {
		return Use{}, fmt.Errorf("recipes: cache: %w", lockify.ErrClosed)
	}
	if e == nil {
		e = c.add(p, name)
	}
	return e.wait(ctx, &waiter{mode: mode, created: created, wake: make(chan struct{}, 1)})
}

// add gives a name a place, and has another one go if there are too many. p.mu is held.
func (c *Cache) add(p *cachePart, name string) *cached {
	e := &cached{cache: c, part: p, name: name, place: len(p.list), mode: lockify.NL}
	p.names[name] = e
	p.list = append(p.list, e)
	c.rest.Add(1)
	p.shrink(c.most)
	return e
}

// remove takes a name out of which nothing is left. p.mu is held.
func (p *cachePart) remove(e *cached) {
	last := len(p.list) - 1
	p.list[e.place] = p.list[last]
	p.list[e.place].place = e.place
	p.list[last] = nil
	p.list = p.list[:last]
	delete(p.names, e.name)
	e.cache.gone()
}

// shrink has names go until no more than most will be left. If all others are in use, none
// goes. p.mu is held.
func (p *cachePart) shrink(most int) {
	for len(p.list)-p.going > most && p.spare > 0 {
		p.evict()
	}
}

// evict has a name go that nobody uses and that was not used since the hand went by (the
// clock algorithm). There must be one that nobody uses.
func (p *cachePart) evict() {
	for {
		p.hand = (p.hand + 1) % len(p.list)
		e := p.list[p.hand]
		if e.idle() && !e.recent {
			e.goes = true
			p.going++
			e.want(e.lock, lockify.NL)
			e.serve()
			return
		}
		e.recent = false
	}
}
