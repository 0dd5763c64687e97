package node

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/access"
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
		c.Shards = min(c.Shards, 256)
	}
	if c.Shards < 1 || c.Shards > 256 {
		return fmt.Errorf("%w: %d shards, must be 1 to 256", ErrInvalid, c.Shards)
	}
	if c.Transport == nil {
		c.Transport = engine.NewPlain()
	}
	c.Cluster = orDefault(c.Cluster, "lockify")
	c.IdleAfter = orDefault(c.IdleAfter, 10*time.Second)
	c.CloseAfter = orDefault(c.CloseAfter, 5*time.Minute)
	c.Limits.setDefaults()
	c.LongWait = orDefault(c.LongWait, 10*time.Second)
	c.Rings = orDefault(c.Rings, DefaultRings)
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
	f := orDefault(c.Features, wire.Features)
	if c.Tracing == nil {
		f &^= wire.FeatureTrace
	}
	return f
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
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

// splitAddr cuts "unix:///path", "tcp://host:port" or "host:port".
func splitAddr(addr string) (network, rest string) {
	if p, ok := strings.CutPrefix(addr, "unix://"); ok {
		return "unix", p
	}
	return "tcp", strings.TrimPrefix(addr, "tcp://")
}

// Local says that only this machine reaches an address: "unix:///path", "tcp://host:port"
// or "host:port".
func Local(addr string) bool {
	network, rest := splitAddr(addr)
	if network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(rest)
	if err != nil || host == "localhost" {
		return err == nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
