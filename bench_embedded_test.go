package lockify

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nameLen is the length in bytes of the names of newNames.
const nameLen = 12

// newNames gives n different names, one behind the other: without a pointer for each.
func newNames(n int, prefix byte) string {
	var b strings.Builder
	b.Grow(n * nameLen)
	for i := range n {
		fmt.Fprintf(&b, "%c%0*d", prefix, nameLen-1, i)
	}
	return b.String()
}

// sampled calls op n times and reports the median time of one of 32.
func sampled(b *testing.B, n int, op func(i int)) {
	times := make([]time.Duration, 0, n/32+1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range n {
		if i%32 != 0 {
			op(i)
			continue
		}
		start := time.Now()
		op(i)
		times = append(times, time.Since(start))
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2]), "p50-ns")
}

// BenchmarkEmbeddedNewName locks and unlocks a name that is new each time, with New.
func BenchmarkEmbeddedNewName(b *testing.B) {
	ctx, s := benchSpace(b, "embedded")
	names := newNames(b.N, 'n')
	opts := []Option{New()}
	sampled(b, b.N, func(i int) { lockUnlock(ctx, b, s, names[i*nameLen:(i+1)*nameLen], opts...) })
}

// cachedNames are how many names the benchmarks of cached names go round.
const cachedNames = 1024

// BenchmarkEmbeddedCachedName locks and unlocks names that the node masters.
func BenchmarkEmbeddedCachedName(b *testing.B) {
	ctx, s := benchSpace(b, "embedded")
	names := newNames(cachedNames, 'n')
	sampled(b, b.N, func(i int) {
		i %= cachedNames
		lockUnlock(ctx, b, s, names[i*nameLen:(i+1)*nameLen])
	})
}

// BenchmarkEmbeddedTwoCores is BenchmarkEmbeddedCachedName by two goroutines with
// names of their own; an operation is one of either.
func BenchmarkEmbeddedTwoCores(b *testing.B) {
	ctx, s := benchSpace(b, "embedded")
	both(b, func(who byte, n int) {
		names := newNames(cachedNames, who)
		for i := range n {
			i %= cachedNames
			lockUnlock(ctx, b, s, names[i*nameLen:(i+1)*nameLen])
		}
	})
}

// both has two goroutines do half of b.N each.
func both(b *testing.B, do func(who byte, n int)) {
	var done sync.WaitGroup
	for _, who := range []byte("ab") {
		done.Go(func() { do(who, b.N/2) })
	}
	done.Wait()
}

// mapLocks is what lockify is measured against: locks of one process, in a map in
// shards with a mutex each. Like lockify's, a lock is a handle of which the holder
// hears nothing but whether it is held, and what is not granted fails.
type mapLocks struct {
	seed   maphash.Seed
	shards [256]struct {
		mu    sync.Mutex
		held  map[string]*mapLock
		token uint64
		_     [40]byte
	}
}

type mapLock struct {
	name  string
	token uint64
	held  atomic.Bool
}

func newMapLocks() *mapLocks {
	m := &mapLocks{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].held = map[string]*mapLock{}
	}
	return m
}

func (m *mapLocks) lock(_ context.Context, name string) *mapLock {
	s := &m.shards[maphash.String(m.seed, name)%256]
	l := &mapLock{name: name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[name] != nil {
		return nil
	}
	s.token++
	l.token = s.token
	l.held.Store(true)
	s.held[name] = l
	return l
}

func (m *mapLocks) unlock(l *mapLock) {
	s := &m.shards[maphash.String(m.seed, l.name)%256]
	s.mu.Lock()
	defer s.mu.Unlock()
	l.held.Store(false)
	delete(s.held, l.name)
}

// BenchmarkMap is the limit for BenchmarkEmbeddedCachedName.
func BenchmarkMap(b *testing.B) {
	ctx, m := context.Background(), newMapLocks()
	names := newNames(cachedNames, 'n')
	sampled(b, b.N, func(i int) {
		i %= cachedNames
		m.unlock(m.lock(ctx, names[i*nameLen:(i+1)*nameLen]))
	})
}
