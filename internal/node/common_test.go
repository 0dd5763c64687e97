package node

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Lock asks for a new lock of a program on the node, and gives its id at once. The outcome goes to
// owner.Complete, perhaps before Lock returns.
func (s *Space) Lock(owner Owner, name []byte, mode lockspace.Mode, flags uint32, wait time.Duration, xid, tag uint64) (id uint64) {
	s.LockHere(&lockspace.Request{Mode: mode, Flags: flags, Owner: xid, User: owner, Tag: tag}, string(name), wait, &id)
	return id
}

// However claims are closed, the fence opens up to the first open one, no
// further.
func TestFenceOrder(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newCommon(func() {})
		open := map[uint64]bool{}
		for range 2000 {
			if r.IntN(2) == 0 || len(open) == 0 {
				n, ok := c.openClaim()
				if !ok || n != c.issued.Load() {
					t.Fatalf("seed %d: claim %d, %v", seed, n, ok)
				}
				open[n] = true
			} else {
				for n := range open { // any
					delete(open, n)
					c.closeClaim(n)
					break
				}
			}
			want := c.issued.Load()
			for n := range open {
				want = min(want, n-1)
			}
			if got := c.closed.Load(); got != want {
				t.Fatalf("seed %d: closed to %d, want %d", seed, got, want)
			}
		}
	}
}

func TestFenceFromManyGoroutines(t *testing.T) {
	var moved atomic.Int64
	c := newCommon(func() { moved.Add(1) })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var mine []uint64
			for i := range 20000 {
				n, ok := c.openClaim()
				if !ok {
					t.Error("no claim though few are open")
					return
				}
				mine = append(mine, n)
				if i%7 == 6 {
					for len(mine) > 0 {
						c.closeClaim(mine[len(mine)-1])
						mine = mine[:len(mine)-1]
					}
				}
			}
			for _, n := range mine {
				c.closeClaim(n)
			}
		})
	}
	wg.Wait()
	if c.issued.Load() != 80000 || c.closed.Load() != 80000 || moved.Load() == 0 {
		t.Errorf("issued %d, closed to %d, moved %d times", c.issued.Load(), c.closed.Load(), moved.Load())
	}
}

func TestClaimLimit(t *testing.T) {
	c := newCommon(func() {})
	for range maxOpenClaims {
		if _, ok := c.openClaim(); !ok {
			t.Fatal("refused below the limit")
		}
	}
	if n, ok := c.openClaim(); ok {
		t.Fatalf("claim %d over the limit", n)
	}
	c.closeClaim(2)
	if _, ok := c.openClaim(); ok {
		t.Fatal("claim 1 is open still, its slot must not be passed")
	}
	c.closeClaim(1)
	for want := uint64(maxOpenClaims + 1); want <= maxOpenClaims+2; want++ {
		if n, ok := c.openClaim(); !ok || n != want {
			t.Fatalf("claim %d, %v; want %d", n, ok, want)
		}
	}
}

// The token clock of a lockspace is the highest of its shards'.
func TestClock(t *testing.T) {
	c := newCommon(func() {})
	var one, two tokenClock
	a, b, other := c.forShard(&one), c.forShard(&one), c.forShard(&two)
	a.Advance(7)
	b.Advance(9)
	b.Advance(3)
	other.Advance(1)
	if a.Clock() != 9 || b.Clock() != 9 || other.Clock() != 1 {
		t.Errorf("clocks %d, %d and %d, want 9, 9 and 1", a.Clock(), b.Clock(), other.Clock())
	}
}
