package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/recipes"
)

// keptNames is how many names are used through caches (recipes.Cache), one on each node. They have no
// history: to use a kept lock again is no call of the cluster. What is looked at is who has them at
// a time, and what a disk has that all share.
const (
	keptNames   = 4
	keptWorkers = 3 // goroutines of each cache
)

// keeping is what all caches share.
type keeping struct {
	uses, fetches atomic.Int64

	mu    sync.Mutex
	disk  map[string]int // by name: how often it was changed
	users map[string][]*keptUse
	bad   []string
}

// keptUse is somebody who has a name.
type keptUse struct {
	recipes.Use
	node  int
	mode  lockify.Mode
	since time.Duration
}

// keeper is what a program keeps under its locks.
type keeper struct {
	*keeping
	mu      sync.Mutex
	content map[string]content
}

// content of a name is what is on the disk, or will be.
type content struct {
	n     int
	dirty bool // not written yet
}

func (k *keeper) get(name string) content {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.content[name]
}

func (k *keeper) set(name string, c content) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.content[name] = c
}

func (k *keeper) fetch(_ context.Context, lock *lockify.Lock) error {
	k.fetches.Add(1)
	k.keeping.mu.Lock()
	defer k.keeping.mu.Unlock()
	k.set(lock.Name(), content{n: k.disk[lock.Name()]})
	return nil
}

// flush writes back. What was written by who has lost the lock meanwhile is taken back before
// anybody has read it: that is the gap which a real disk closes by tokens or reservations.
func (k *keeper) flush(lock *lockify.Lock, to lockify.Mode) []byte {
	name := lock.Name()
	if lock.Mode() == lockify.EX {
		k.keeping.mu.Lock()
		before := k.disk[name]
		k.disk[name] = k.get(name).n
		if !lock.Valid() {
			k.disk[name] = before
		}
		k.set(name, content{n: k.disk[name]})
		k.keeping.mu.Unlock()
	}
	if to == lockify.NL {
		k.set(name, content{n: -1})
	}
	return nil
}

// keepLocks uses names through a cache until ctx ends.
func (w *worker) keepLocks(ctx context.Context) {
	k := &keeper{keeping: &w.keeping, content: map[string]content{}}
	cache := recipes.NewCache(w.space, recipes.CacheConfig{Names: keptNames - 1, Fetch: k.fetch, Flush: k.flush})
	var wg sync.WaitGroup
	for range keptWorkers {
		lane := *w
		lane.rng = rand.New(rand.NewPCG(w.rng.Uint64(), 0))
		wg.Go(func() {
			for sleep(ctx, lane.upTo(10*time.Millisecond)) {
				lane.useKept(ctx, cache, k)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTime)
	defer cancel()
	if err := cache.Close(ctx); err != nil {
		k.trouble("node %d: %v", w.node, err)
	}
}

// useKept has a name for a moment, several times, as a file's lock is used for a file's blocks.
func (w *worker) useKept(ctx context.Context, cache *recipes.Cache, k *keeper) {
	name, lock, mode := fmt.Sprint("k/", w.rng.IntN(keptNames)), cache.RLock, lockify.PR
	if w.chance(30) {
		lock, mode = cache.Lock, lockify.EX
	}
	for range 1 + w.rng.IntN(20) {
		ctx, cancel := context.WithTimeout(ctx, w.patience())
		use, err := lock(ctx, name)
		cancel()
		if err != nil {
			w.failed(err)
			return
		}
		k.uses.Add(1)
		u := &keptUse{Use: use, node: w.node, mode: mode, since: time.Duration(w.hist.now())}
		k.enter(name, u)
		if mode == lockify.EX {
			k.set(name, content{k.get(name).n + 1, true})
		} else {
			k.compare(name, u)
		}
		if w.chance(2) {
			sleep(ctx, w.upTo(w.cfg.Lease))
		}
		k.leave(name, u)
		if err := use.Unlock(); err != nil && !errors.Is(err, lockify.ErrLost) {
			k.trouble("node %d: unlock of %q: %v", w.node, name, err)
		}
	}
}

// enter notes who has a name. Two who exclude each other have it at the same time if the one that
// came first has it still when the other one has it already, and that one not only for the past.
func (k *keeping) enter(name string, u *keptUse) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, x := range k.users[name] {
		if (x.mode == lockify.EX || u.mode == lockify.EX) && x.Valid() && u.Valid() {
			k.bad = append(k.bad, fmt.Sprintf("%q: node %d has it in %v since %v, and node %d in %v since %v",
				name, x.node, x.mode, x.since, u.node, u.mode, u.since))
		}
	}
	k.users[name] = append(k.users[name], u)
}

func (k *keeping) leave(name string, u *keptUse) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := slices.Index(k.users[name], u)
	k.users[name] = slices.Delete(k.users[name], i, i+1)
}

// compare says that a reader has what is on the disk, if the lock is valid behind that.
func (k *keeper) compare(name string, u *keptUse) {
	k.keeping.mu.Lock()
	defer k.keeping.mu.Unlock()
	if kept, disk := k.get(name), k.disk[name]; !kept.dirty && kept.n != disk && u.Valid() {
		k.bad = append(k.bad, fmt.Sprintf("%q: node %d reads %d since %v, and the disk has %d", name, u.node, kept.n, u.since, disk))
	}
}

func (k *keeping) trouble(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bad = append(k.bad, fmt.Sprintf(format, args...))
}
