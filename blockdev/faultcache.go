package blockdev

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// cache pretends that a device keeps what is written in volatile memory. Everything goes
// to the device at once; for each block that is not durable, the cache has what the
// block would be after a loss of power.
//
// There is a generation for each Flush that has not succeeded, and one for what came
// after them. What generation i has for a block is what the block had when the first
// write after Flush i came. So when Flush i succeeds, generations up to i are of no
// interest any more; until then a crash may go back through all of them. Writes to one
// block that overlap in time count as one.
type cache struct {
	io    *IO // to the device
	first int // number of gens[0]
	gens  []map[int64]*saved
}

// saved is a block as it was.
type saved struct {
	data    []byte // when the first write of the generation came
	before  []byte // when the writes came that are under way; one after the other
	writing int    // writes under way, as the newest generation knows
}

func newCache(io *IO) *cache { return &cache{io: io, gens: []map[int64]*saved{{}}} }

// newest is the number of the newest generation.
func (c *cache) newest() int { return c.first + len(c.gens) - 1 }

func (c *cache) top() map[int64]*saved { return c.gens[len(c.gens)-1] }

// blocks calls do for each block of s.
func (c *cache) blocks(s *SQE, do func(at int64) error) error {
	for at := s.Offset; at < s.Offset+s.Length; at += int64(c.io.info.BlockSize) {
		if err := do(at); err != nil {
			return err
		}
	}
	return nil
}

// before saves what s will change.
func (c *cache) before(s *SQE) error {
	if !s.Op.Writes() {
		return nil
	}
	top := c.top()
	if err := c.blocks(s, func(at int64) error {
		b := top[at]
		if b != nil && b.writing > 0 {
			return nil
		}
		now := make([]byte, c.io.info.BlockSize)
		if _, err := c.io.ReadAt(now, at); err != nil {
			return err
		}
		if b == nil {
			b = &saved{data: now}
			top[at] = b
		}
		b.before = now
		return nil
	}); err != nil {
		return err
	}
	return c.blocks(s, func(at int64) error {
		top[at].writing++
		return nil
	})
}

// split begins a new generation, for a Flush that starts now. It does not make durable
// what is still being written.
func (c *cache) split() {
	next := map[int64]*saved{}
	for at, b := range c.top() {
		if b.writing > 0 {
			next[at] = &saved{data: b.before, before: b.before, writing: b.writing}
		}
	}
	c.gens = append(c.gens, next)
}

// after notes how s has ended; generation is that of before.
func (c *cache) after(st Status, generation int, s *SQE) {
	switch {
	case s.Op == Flush:
		if drop := generation - c.first + 1; st == OK && drop > 0 {
			c.gens = c.gens[drop:]
			c.first += drop
		}
	case s.Op.Writes():
		_ = c.blocks(s, func(at int64) error {
			b := c.top()[at]
			if b == nil {
				return nil // it was under way in a crash
			}
			b.writing--
			if st == OK && s.Flags&FUA != 0 && b.writing == 0 {
				for _, gen := range c.gens {
					delete(gen, at)
				}
			}
			return nil
		})
	}
}

// crash takes blocks back, from generation to generation, each with even odds.
func (c *cache) crash(rng *rand.Rand) error {
	for _, gen := range slices.Backward(c.gens) {
		for _, at := range slices.Sorted(maps.Keys(gen)) {
			if rng.IntN(2) == 0 {
				continue
			}
			if _, err := c.io.WriteAt(gen[at].data, at); err != nil {
				return err
			}
		}
	}
	c.first = c.newest() + 1
	c.gens = []map[int64]*saved{{}}
	return nil
}
