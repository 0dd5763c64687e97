package node

import (
	"sync/atomic"
)

// maxOpenClaims bounds the claims a node has open at the same time. A New
// request over it is done as a lookup. Power of two.
const maxOpenClaims = 1 << 16

// common is what all shards of the node share, lock-free: the claim sequence
// of the release fence.
//
// A closed claim leaves its number in slot number mod maxOpenClaims. closed
// advances over numbers found in their slots. A slot is written again only by
// a claim maxOpenClaims later, which is not issued before closed has passed
// this one; so nothing needs to be cleared.
type common struct {
	issued atomic.Uint64
	passed atomic.Uint64 // closed, as openClaim last saw it: it need not look each time
	_      [48]byte
	closed atomic.Uint64
	_      [56]byte
	done   [maxOpenClaims]atomic.Uint64
	moved  func() // called after closed has advanced
}

// tokenClock is the token clock that the shards of a lockspace share, lock-free.
// Epochs are of a lockspace, so its tokens are, too.
type tokenClock struct {
	slots atomic.Pointer[[]*clockSlot]
}

// clockSlot is one shard's share of the token clock, on its own cache line.
type clockSlot struct {
	token atomic.Uint64
	_     [56]byte
}

func newCommon(moved func()) *common { return &common{moved: moved} }

func (c *common) openClaim() (uint64, bool) {
	for {
		n := c.issued.Load()
		if n-c.passed.Load() >= maxOpenClaims {
			closed := c.closed.Load()
			c.passed.Store(closed)
			if n-closed >= maxOpenClaims {
				return 0, false
			}
		}
		if c.issued.CompareAndSwap(n, n+1) {
			return n + 1, true
		}
	}
}

func (c *common) closeClaim(n uint64) {
	c.done[n%maxOpenClaims].Store(n)
	moved := false
	for {
		next := c.closed.Load() + 1
		if c.done[next%maxOpenClaims].Load() != next {
			break
		}
		moved = c.closed.CompareAndSwap(next-1, next) || moved
	}
	if moved {
		c.moved()
	}
}

func (c *tokenClock) clock() uint64 {
	t := uint64(0)
	for _, s := range *c.slots.Load() {
		t = max(t, s.token.Load())
	}
	return t
}

// forShard gives a shard its view of the common state. Shards of a lockspace are
// made one at a time.
func (c *common) forShard(clock *tokenClock) *shardCommon {
	slot := &clockSlot{}
	all := []*clockSlot{slot}
	if old := clock.slots.Load(); old != nil {
		all = append(all, *old...)
	}
	clock.slots.Store(&all)
	return &shardCommon{c, clock, slot}
}

// shardCommon implements lockspace.Common. Advance has one caller at a time:
// the shard's.
type shardCommon struct {
	*common
	*tokenClock
	slot *clockSlot
}

func (s *shardCommon) OpenClaim() (uint64, bool) { return s.openClaim() }
func (s *shardCommon) CloseClaim(n uint64)       { s.closeClaim(n) }
func (s *shardCommon) LastClaim() uint64         { return s.issued.Load() }
func (s *shardCommon) ClosedTo() uint64          { return s.closed.Load() }
func (s *shardCommon) Clock() uint64             { return s.clock() }

func (s *shardCommon) Advance(token uint64) {
	if token > s.slot.token.Load() {
		s.slot.token.Store(token)
	}
}
