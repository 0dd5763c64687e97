package lockify

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// guarded is what a lock protects. Its fields are atomic because the race
// detector does not see what orders goroutines through a socket.
type guarded struct{ writers, readers, written atomic.Int32 }

// TestMutualExclusion has many goroutines on both nodes use few names.
func TestMutualExclusion(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		const goroutines, rounds = 12, 80
		names := [3]string{"h0", "h1", "h2"}
		var data [3]guarded
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(g)))
				for range rounds {
					i := rng.IntN(len(names))
					if err := hammer(e, []*Lockspace{e.a, e.b}[g%2], names[i], &data[i], rng); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		until(t, e.ctx, "that no lock is left", func() bool { return countLocks(e.nodes) == 0 })
	})
}

// TestLockOrdersMemory: on one node a lock orders memory as a mutex does, which
// the race detector checks.
func TestLockOrdersMemory(t *testing.T) {
	const goroutines, rounds = 6, 200
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	s := e.open(t, 0, "test")
	var count [2]int
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range rounds {
				n := (g + i) % 2
				l, err := s.Lock(e.ctx, fmt.Sprintf("count-%d", n), EX)
				if err != nil {
					t.Error(err)
					return
				}
				count[n]++
				if err := l.Unlock(e.ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if count != [2]int{goroutines * rounds / 2, goroutines * rounds / 2} {
		t.Fatalf("counts %v", count)
	}
}

// hammer takes a name, checks that the lock does what it should, and releases
// it.
func hammer(e *env, s *Lockspace, name string, d *guarded, rng *rand.Rand) error {
	mode := PR
	if rng.IntN(2) == 0 {
		mode = EX
	}
	l, err := s.Lock(e.ctx, name, mode)
	if err != nil {
		return err
	}
	if mode == PR {
		d.readers.Add(1)
		n := d.written.Load()
		if d.writers.Load() != 0 || d.written.Load() != n {
			return fmt.Errorf("%s: a writer beside a reader", name)
		}
		d.readers.Add(-1)
		return l.Unlock(e.ctx)
	}
	if d.writers.Add(1) != 1 || d.readers.Load() != 0 {
		return fmt.Errorf("%s: somebody beside a writer", name)
	}
	d.written.Add(1)
	d.writers.Add(-1)
	if rng.IntN(2) == 0 {
		if err := l.Convert(e.ctx, PR); err != nil {
			return err
		}
	}
	return l.Unlock(e.ctx)
}
