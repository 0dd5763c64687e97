package recipes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockify-dlm/lockify"
)

// disk is what programs share, and what a program keeps of it under its locks. A name's
// content counts how often it was changed.
type disk struct {
	mu      sync.Mutex
	content map[string]int
}

func (d *disk) get(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.content[name]
}

func (d *disk) set(name string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.content[name] = n
}

// program keeps what it has read from the disk as long as its cache keeps the lock.
type program struct {
	*Cache
	kept             disk
	fetched, flushed atomic.Int32
}

func (d *disk) program(space *lockify.Lockspace, names int) *program {
	p := &program{kept: disk{content: map[string]int{}}}
	p.Cache = NewCache(space, CacheConfig{
		Names: names,
		Fetch: func(_ context.Context, lock *lockify.Lock) error {
			p.fetched.Add(1)
			p.kept.set(lock.Name(), d.get(lock.Name()))
			return nil
		},
		Flush: func(lock *lockify.Lock, to lockify.Mode) []byte {
			p.flushed.Add(1)
			if lock.Valid() && lock.Mode() == lockify.EX {
				d.set(lock.Name(), p.kept.get(lock.Name()))
			}
			if to == lockify.NL {
				p.kept.set(lock.Name(), -1)
			}
			return nil
		},
	})
	return p
}

// TestCacheCoherent: programs that keep contents as long as their locks find the last one
// written, with readers and writers of one program beside each other, and with few places.
func TestCacheCoherent(t *testing.T) {
	for _, places := range []int{1, 100} {
		t.Run(fmt.Sprint(places), func(t *testing.T) {
			list, _ := spaces(t)
			ctx, d := testContext(t), &disk{content: map[string]int{}}
			var users [4]struct{ readers, writers, written atomic.Int32 }
			var wg sync.WaitGroup
			var programs []*program
			for _, space := range list {
				p := d.program(space, places)
				programs = append(programs, p)
				for worker := range 4 {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(uint64(worker), 1))
						for range 400 {
							i := r.IntN(len(users))
							name, u := fmt.Sprint("name-", i), &users[i]
							if r.IntN(3) > 0 {
								use, err := p.RLock(ctx, name)
								if err != nil {
									t.Error(err)
									return
								}
								u.readers.Add(1)
								if got, want := p.kept.get(name), int(u.written.Load()); u.writers.Load() != 0 || got != want {
									t.Errorf("read %d of %s, want %d; %d write", got, name, want, u.writers.Load())
								}
								u.readers.Add(-1)
								if err := use.Unlock(); err != nil {
									t.Error(err)
								}
								continue
							}
							use, err := p.Lock(ctx, name)
							if err != nil {
								t.Error(err)
								return
							}
							if u.writers.Add(1) != 1 || u.readers.Load() != 0 {
								t.Error("not alone")
							}
							p.kept.set(name, p.kept.get(name)+1)
							u.written.Add(1)
							u.writers.Add(-1)
							if err := use.Unlock(); err != nil {
								t.Error(err)
							}
						}
					})
				}
			}
			wg.Wait()
			for _, p := range programs {
				spares(t, p.Cache)
				if err := p.Close(ctx); err != nil {
					t.Error(err)
				}
				if _, err := p.Lock(ctx, "name-0"); !errors.Is(err, lockify.ErrClosed) {
					t.Error("locked behind Close:", err)
				}
			}
			for i := range users {
				name := fmt.Sprint("name-", i)
				if got, want := d.get(name), int(users[i].written.Load()); got != want {
					t.Errorf("%s has %d, want %d", name, got, want)
				}
				free(t, list[0], name)
			}
		})
	}
}

// spares checks what a cache counts of those that nobody uses.
func spares(t *testing.T, c *Cache) {
	t.Helper()
	for i := range c.parts {
		p := &c.parts[i]
		p.mu.Lock()
		idle := 0
		for _, e := range p.list {
			if e.idle() {
				idle++
			}
		}
		if p.spare != idle {
			t.Errorf("%d are counted that nobody uses, there are %d", p.spare, idle)
		}
		p.mu.Unlock()
	}
}

// free says that nobody has a lock of the name.
func free(t *testing.T, space *lockify.Lockspace, name string) {
	t.Helper()
	ctx := testContext(t)
	l, err := space.TryLock(ctx, name, lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(ctx); err != nil {
		t.Fatal(err)
	}
}

// use locks a name and lets go of it.
func (p *program) use(t *testing.T, lock func(context.Context, string) (Use, error), name string) {
	t.Helper()
	u, err := lock(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// TestCacheKeeps: what is kept is used without asking, until another one wants it.
func TestCacheKeeps(t *testing.T) {
	list, _ := spaces(t)
	d := &disk{content: map[string]int{}}
	a, b := d.program(list[0], 0), d.program(list[1], 0)
	check := func(what string, p *program, fetched, flushed int32) {
		t.Helper()
		if p.fetched.Load() != fetched || p.flushed.Load() != flushed {
			t.Errorf("%s: fetched %d, flushed %d; want %d, %d", what, p.fetched.Load(), p.flushed.Load(), fetched, flushed)
		}
	}
	for range 10 {
		a.use(t, a.Lock, "name")
		a.use(t, a.RLock, "name")
	}
	check("used often", a, 1, 0)
	b.use(t, b.RLock, "name")
	check("lowered for a reader", a, 1, 1)
	a.use(t, a.RLock, "name")
	b.use(t, b.RLock, "name")
	check("both read", a, 1, 1)
	check("both read", b, 1, 0)
	b.use(t, b.Lock, "name")
	check("raised", b, 1, 0)
	check("given up for a writer", a, 1, 2)
	a.use(t, a.RLock, "name")
	check("read again", a, 2, 2)
	a.use(t, a.Create, "other")
	check("created", a, 3, 2)
	b.use(t, b.Lock, "other")
	check("used by another one", a, 3, 3)
}

// TestCacheBothRaise: readers on two nodes who want to write do not wait for each other, and
// the one that has let the other go first reads anew.
func TestCacheBothRaise(t *testing.T) {
	list, _ := spaces(t)
	d := &disk{content: map[string]int{}}
	a, b := d.program(list[0], 0), d.program(list[1], 0)
	var wg sync.WaitGroup
	for range 50 {
		a.use(t, a.RLock, "name")
		b.use(t, b.RLock, "name")
		for _, p := range []*program{a, b} {
			wg.Go(func() {
				u, err := p.Lock(testContext(t), "name")
				if err != nil {
					t.Error(err)
					return
				}
				p.kept.set("name", p.kept.get("name")+1)
				if err := u.Unlock(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	for _, p := range []*program{a, b} {
		if err := p.Close(testContext(t)); err != nil {
			t.Error(err)
		}
	}
	if n := d.get("name"); n != 100 {
		t.Errorf("%d changes, want 100", n)
	}
}

// TestCacheIsFair: goroutines of one program that use a name all the time do not shut out
// another one.
func TestCacheIsFair(t *testing.T) {
	list, _ := spaces(t)
	d := &disk{content: map[string]int{}}
	a, b := d.program(list[0], 0), d.program(list[1], 0)
	a.use(t, a.Lock, "name")
	var wg sync.WaitGroup
	var done atomic.Bool
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				a.use(t, a.Lock, "name")
			}
		})
	}
	for range 20 {
		b.use(t, b.Lock, "name")
	}
	done.Store(true)
	wg.Wait()
}

// TestCacheNames: no more locks are kept than is said, and those used lately stay.
func TestCacheNames(t *testing.T) {
	list, _ := spaces(t)
	c := NewCache(list[0], CacheConfig{Names: 10})
	p := &program{Cache: c}
	for i := range 100 {
		p.use(t, p.RLock, fmt.Sprint("name-", i))
		p.use(t, p.RLock, "often")
	}
	part := &c.parts[0]
	if len(c.parts) != 1 {
		t.Fatal(len(c.parts), "parts")
	}
	part.mu.Lock()
	kept, often := 0, part.names["often"]
	for _, e := range part.list {
		if !e.busy {
			kept++
		}
	}
	stays := often != nil && often.idle()
	part.mu.Unlock()
	if kept > 10 {
		t.Errorf("%d are kept", kept)
	}
	if !stays {
		t.Error("what is used all the time has gone")
	}
	// What is in use stays, however many it is.
	var uses []Use
	for i := range 30 {
		u, err := p.Lock(testContext(t), fmt.Sprint("used-", i))
		if err != nil {
			t.Fatal(err)
		}
		uses = append(uses, u)
	}
	part.mu.Lock()
	for _, u := range uses[20:] {
		if !u.name.recent {
			t.Error("all are in use, and were looked through for one that is not")
		}
	}
	part.mu.Unlock()
	for _, u := range uses {
		if !u.Valid() || u.Token() == 0 {
			t.Error("not held")
		}
		if err := u.Unlock(); err != nil {
			t.Error(err)
		}
	}
}

// TestCacheLost: with a lost lock nobody goes on, who has it hears of it, and the next one
// fetches again.
func TestCacheLost(t *testing.T) {
	space, restart := restarted(t)
	d := &disk{content: map[string]int{"name": 7, "idle": 7}}
	p := d.program(space, 0)
	ctx := testContext(t)
	p.use(t, p.Lock, "idle")
	u, err := p.Lock(ctx, "name")
	if err != nil {
		t.Fatal(err)
	}
	p.kept.set("name", 8) // not to be written any more
	next := make(chan error)
	go func() {
		v, err := p.Lock(ctx, "name")
		if err == nil {
			if !v.Valid() || v.Token() == 0 {
				err = errors.New("not held")
			}
			err = errors.Join(err, v.Unlock())
		}
		next <- err
	}()
	restart()
	isLost(t, u.Lost())
	select {
	case err := <-next:
		t.Fatal("two have it here:", err)
	default:
	}
	if err := u.Unlock(); !errors.Is(err, lockify.ErrLost) {
		t.Error("unlocked:", err)
	}
	if err := <-next; err != nil {
		t.Error(err)
	}
	p.use(t, p.RLock, "idle")
	if p.kept.get("name") != 7 || p.fetched.Load() != 4 {
		t.Errorf("has %d, fetched %d times", p.kept.get("name"), p.fetched.Load())
	}
}

// TestCacheFetchFails: nobody has a lock whose content could not be read.
func TestCacheFetchFails(t *testing.T) {
	list, _ := spaces(t)
	broken, fails := errors.New("broken"), true
	c := NewCache(list[0], CacheConfig{
		Fetch: func(context.Context, *lockify.Lock) error {
			if fails {
				return broken
			}
			return nil
		},
		Flush: func(*lockify.Lock, lockify.Mode) []byte {
			t.Error("flushed")
			return nil
		},
	})
	p := &program{Cache: c}
	if _, err := c.Lock(testContext(t), "name"); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	fails = false
	p.use(t, p.Lock, "name")
}

// TestCacheValue: Flush writes the value block, and the next one reads it.
func TestCacheValue(t *testing.T) {
	list, _ := spaces(t)
	ctx := testContext(t)
	keep, err := list[1].Lock(ctx, "name", lockify.NL) // or nobody would keep the value
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Cache: NewCache(list[0], CacheConfig{
		Flush: func(lock *lockify.Lock, to lockify.Mode) []byte { return []byte("to " + to.String()) },
	})}
	p.use(t, p.Lock, "name")
	for _, x := range []struct {
		mode lockify.Mode
		want string
	}{{lockify.PR, "to PR"}, {lockify.EX, "to PR"}} { // what is in PR writes no value
		l, err := list[1].Lock(ctx, "name", x.mode, lockify.ReadValue())
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := l.Value(); !ok || strings.TrimRight(string(v), "\x00") != x.want {
			t.Errorf("%v: value %q, %v", x.mode, v, ok)
		}
		if err := l.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
	}
	u, err := p.RLock(ctx, "name")
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := u.Value(); !ok || !strings.HasPrefix(string(v), "to PR") {
		t.Errorf("value %q, %v", v, ok)
	}
	if err := errors.Join(u.Unlock(), keep.Unlock(ctx)); err != nil {
		t.Error(err)
	}
}

// waits says that somebody waits for the name here.
func waits(c *Cache, name string) bool {
	for i := range c.parts {
		p := &c.parts[i]
		p.mu.Lock()
		e := p.names[name]
		found := e != nil && len(e.queue) > 0
		p.mu.Unlock()
		if found {
			return true
		}
	}
	return false
}

// TestCacheErrors: wrong calls, and contexts that end.
func TestCacheErrors(t *testing.T) {
	list, _ := spaces(t)
	ctx := testContext(t)
	c := NewCache(list[0], CacheConfig{})
	if _, err := c.Lock(ctx, ""); !errors.Is(err, lockify.ErrName) {
		t.Error("no name:", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Lock(ended, "name"); !errors.Is(err, context.Canceled) {
		t.Error("ended context:", err)
	}
	u, err := c.Lock(ctx, "name")
	if err != nil {
		t.Fatal(err)
	}
	wait := func(where string) {
		t.Helper()
		ctx, cancel := context.WithCancel(ctx)
		ends := make(chan error)
		go func() {
			_, err := c.RLock(ctx, where)
			ends <- err
		}()
		for !waits(c, where) {
			runtime.Gosched()
		}
		cancel()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Error("waited for", where, err)
		}
	}
	wait("name")
	other, err := list[1].Lock(ctx, "other", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	wait("other")
	if err := other.Unlock(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(ended); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 names") {
		t.Error("closed with a name in use:", err)
	}
	if err := u.Unlock(); err != nil {
		t.Error(err)
	}
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
	for what, u := range map[string]Use{"again": u, "none": {}} {
		if err := u.Unlock(); !errors.Is(err, lockify.ErrNotHeld) {
			t.Error("unlocked", what, err)
		}
	}
	free(t, list[1], "name")
}

// TestCacheAllocations: what is kept is used without memory.
func TestCacheAllocations(t *testing.T) {
	list, _ := spaces(t)
	p := &program{Cache: NewCache(list[0], CacheConfig{})}
	p.use(t, p.Lock, "name")
	ctx := context.Background()
	if n := testing.AllocsPerRun(1000, func() {
		u, err := p.Lock(ctx, "name")
		if err != nil || u.Unlock() != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCache(b *testing.B) {
	n, err := lockify.StartNode(context.Background(), lockify.Config{ID: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close(context.Background())
	s, err := n.Open(context.Background(), "recipes")
	if err != nil {
		b.Fatal(err)
	}
	c := NewCache(s, CacheConfig{})
	ctx := context.Background()
	for b.Loop() {
		u, err := c.Lock(ctx, "name")
		if err != nil {
			b.Fatal(err)
		}
		if err := u.Unlock(); err != nil {
			b.Fatal(err)
		}
	}
}
