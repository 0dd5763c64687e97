package node

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/wire"
)

// maxSpaces bounds the lockspaces of a node at the same time. They are few.
const maxSpaces = 1024

// shardsAlone is how many shards a processor gets by default on a node that is alone for ever. Programs
// on several processors then seldom meet in one. With other nodes that would be dear: what a shard has
// to say to them travels in frames of its own.
const shardsAlone = 16

func (c *Config) setDefaults(alone bool) error {
	if c.ID == 0 {
		return fmt.Errorf("%w: node id 0, must be 1 to 65535", ErrInvalid)
	}
	if c.Instance == 0 {
		c.Instance = NewInstance(c.ID)
	}
	if wire.NodeOf(c.Instance) != c.ID {
		return fmt.Errorf("%w: instance %#x is not of node %d", ErrInvalid, c.Instance, c.ID)
	}
	seen := map[uint16]bool{c.ID: true}
	for _, p := range c.Peers {
		if p.ID == 0 || seen[p.ID] {
			return fmt.Errorf("%w: peer id %d is zero or used twice", ErrInvalid, p.ID)
		}
		seen[p.ID] = true
	}
	if c.Shards == 0 {
		c.Shards = runtime.GOMAXPROCS(0)
		if alone && c.Shards > 1 {
			c.Shards *= shardsAlone
		}
		c.Shards = min(c.Shards, bounds.Shards.Most)
	}
	if !bounds.Shards.Has(c.Shards) {
		return fmt.Errorf("%w: %d shards, must be %v", ErrInvalid, c.Shards, bounds.Shards)
	}
	if c.Transport == nil {
		c.Transport = engine.NewPlain()
	}
	c.Cluster = cmp.Or(c.Cluster, bounds.Cluster)
	c.IdleAfter = cmp.Or(c.IdleAfter, bounds.IdleAfter.Default)
	c.CloseAfter = cmp.Or(c.CloseAfter, bounds.CloseAfter.Default)
	c.Limits.setDefaults()
	c.LongWait = cmp.Or(c.LongWait, bounds.LongWait.Default)
	c.Rings = cmp.Or(c.Rings, bounds.Rings.Default)
	if c.Access == nil {
		policy := &access.Policy{Self: uint32(os.Geteuid())}
		c.Access = func() *access.Policy { return policy }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Secure != nil {
		c.Transport = SecureTransport(c.Secure, c.Logger)
		c.Links = c.Transport
	}
	if c.Links == nil {
		c.Links = c.Transport
	}
	return nil
}

// features gives what this node offers, to other nodes and to clients.
func (c *Config) features() uint64 {
	f := cmp.Or(c.Features, wire.Features)
	if c.Tracing == nil {
		f &^= wire.FeatureTrace
	}
	return f
}

// NewInstance makes a node instance from the clock: ms since 1970 in 41 bits,
// 7 random bits, the node id in 16.
func NewInstance(id uint16) uint64 {
	ms := uint64(time.Now().UnixMilli()) & (1<<41 - 1)
	return ms<<23 | uint64(rand.N(1<<7))<<16 | uint64(id)
}

// NewTransport gives a transport by name: "netpoll" or "plain".
func NewTransport(name string) (engine.Transport, error) {
	switch name {
	case "netpoll":
		return engine.NewNetpoll(), nil
	case "plain":
		return engine.NewPlain(), nil
	}
	return nil, fmt.Errorf("%w: transport %q, want netpoll or plain", ErrInvalid, name)
}
