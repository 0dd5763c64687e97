package sim

// common is a node's claim sequence and token clock. It checks how it is used.
type common struct {
	r      *run
	last   uint64 // last claim number issued
	closed uint64 // all claims up to this one are closed
	done   []bool // by number: closed
	open   int
	limit  int
	clocks []uint64 // by shard
}

// shardCommon is a shard's view of it; it implements lockspace.Common.
type shardCommon struct {
	*common
	shard int
}

// OpenClaim is part of lockspace.Common.
func (c *common) OpenClaim() (uint64, bool) {
	if c.open >= c.limit {
		return 0, false
	}
	c.open++
	c.last++
	for uint64(len(c.done)) <= c.last {
		c.done = append(c.done, false)
	}
	return c.last, true
}

// CloseClaim is part of lockspace.Common.
func (c *common) CloseClaim(n uint64) {
	if n == 0 || n > c.last || c.done[n] {
		c.r.fail(inOnce, nil, "claim %d closed, but it is not open", n)
		return
	}
	c.done[n] = true
	c.open--
	if c.r.bug == bugFenceGap {
		c.closed = max(c.closed, n)
	}
	for c.closed < c.last && c.done[c.closed+1] {
		c.closed++
	}
}

// LastClaim is part of lockspace.Common.
func (c *common) LastClaim() uint64 { return c.last }

// ClosedTo is part of lockspace.Common.
func (c *common) ClosedTo() uint64 { return c.closed }

// clock gives the highest token of all shards.
func (c *common) clock() (t uint64) {
	for _, k := range c.clocks {
		t = max(t, k)
	}
	return t
}

// Clock is part of lockspace.Common.
func (c *shardCommon) Clock() uint64 {
	if c.r.bug == bugShardClock {
		return c.clocks[c.shard]
	}
	return c.clock()
}

// Advance is part of lockspace.Common.
func (c *shardCommon) Advance(token uint64) {
	c.clocks[c.shard] = max(c.clocks[c.shard], token)
}
