package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// Peer is another node.
type Peer struct {
	ID       uint16 // 1 to 65535
	Addr     string // where it listens; needed only where ID is above our own, as the smaller id dials
	Instance uint64 // the start of it that is meant; 0: the one that is met first
}

// LinksConfig says how a node talks to the others. The zero value of a field
// means its default, where one is named.
type LinksConfig struct {
	_ struct{}

	Transport Transport
	Network   string   // "tcp" (default) or "unix"
	Listen    []string // addresses to listen on; may be empty if no peer has a smaller id
	Self      uint16   // this node's id, 1 to 65535
	Instance  uint64   // this start of the node; the low 16 bits are Self
	Cluster   string   // all nodes must agree on it; 1 to 256 bytes
	Peers     []Peer   // without Self; SetPeers changes them
	Moving    bool     // peers come and go, from the start: a stranger may be one that this node has not heard of yet

	Features uint64 // feature bits to offer; default wire.Features
	Compress bool   // compress payloads above wire.CompressAbove for peers that read it; costs processor time

	// Delay is an artificial one-way delay towards a peer, up to a second, the
	// same whenever it is asked; nil: none. It applies to lock traffic and pings.
	Delay func(peer uint16) time.Duration

	// Mail takes what another node's Mailer has sent here; nil: connections that
	// bring mail are refused. from is the node that has sent it, as PeerNode says, 0 without
	// that. payload lives until it returns. Calls overlap.
	Mail func(from uint16, payload []byte)

	// PeerNode says which node a connection comes from, or goes to, as its transport
	// has proven; an error refuses it. nil: what the other end says of itself counts.
	PeerNode func(c Conn) (id uint16, err error)

	KeepAlive time.Duration // between pings; default 500 ms, from 1 ms
	DeadAfter time.Duration // a connection that was silent so long is dead; default 6 x KeepAlive, at least 2 x

	// MaxQueuedBytes is how many bytes a peer may leave unacknowledged before
	// Congested asks for less; default 16 MiB, from 512 KiB. At four times
	// that, which is at least two of the largest frames, the link fails for good.
	MaxQueuedBytes int

	// Backoff says how long to wait before dialling again after a number of
	// failures in a row, from 0. Default: 10 ms, doubled each time, at most
	// 1 s, plus up to half of it at random.
	Backoff func(failures int) time.Duration

	Logger *slog.Logger // default: none
}

// ErrConfig is what NewLinks and SetPeers find wrong.
var ErrConfig = errors.New("engine: bad links configuration")

const (
	maxClusterName = 256                 // bytes
	minQueuedBytes = wire.MaxPayload / 2 // bytes
)

// complete fills in defaults and reports the first thing wrong.
func (c *LinksConfig) complete() error {
	c.setDefaults()
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	switch {
	case c.Transport == nil:
		return bad("no transport")
	case c.Network != "tcp" && c.Network != "unix":
		return bad("network %q", c.Network)
	case c.Self == 0:
		return bad("node id 0")
	case wire.NodeOf(c.Instance) != c.Self:
		return bad("instance %#x is not of node %d", c.Instance, c.Self)
	case len(c.Cluster) == 0 || len(c.Cluster) > maxClusterName:
		return bad("cluster name of %d bytes, want 1 to %d", len(c.Cluster), maxClusterName)
	case c.KeepAlive < time.Millisecond:
		return bad("keep-alive %v, at least 1ms", c.KeepAlive)
	case c.DeadAfter < 2*c.KeepAlive:
		return bad("dead after %v, at least twice the keep-alive of %v", c.DeadAfter, c.KeepAlive)
	case c.MaxQueuedBytes < minQueuedBytes:
		return bad("at most %d bytes queued, want %d or more", c.MaxQueuedBytes, minQueuedBytes)
	}
	return c.checkPeers(c.Peers)
}

func (c *LinksConfig) checkPeers(peers []Peer) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	seen := map[uint16]bool{c.Self: true, 0: true}
	for _, p := range peers {
		if seen[p.ID] {
			return bad("peer id %d is zero, our own, or there twice", p.ID)
		}
		seen[p.ID] = true
		if p.ID > c.Self && p.Addr == "" {
			return bad("no address for peer %d", p.ID)
		}
		if p.Instance != 0 && wire.NodeOf(p.Instance) != p.ID {
			return bad("instance %#x is not of peer %d", p.Instance, p.ID)
		}
		if d := c.Delay(p.ID); d < 0 || d > time.Second {
			return bad("delay %v towards peer %d, want 0 to 1s", d, p.ID)
		}
	}
	return nil
}

func (c *LinksConfig) setDefaults() {
	if c.Network == "" {
		c.Network = "tcp"
	}
	if c.Features == 0 {
		c.Features = wire.Features
	}
	if c.Delay == nil {
		c.Delay = func(uint16) time.Duration { return 0 }
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = 500 * time.Millisecond
	}
	if c.DeadAfter == 0 {
		c.DeadAfter = 6 * c.KeepAlive
	}
	if c.MaxQueuedBytes == 0 {
		c.MaxQueuedBytes = 16 << 20
	}
	if c.Backoff == nil {
		c.Backoff = defaultBackoff
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func defaultBackoff(failures int) time.Duration {
	d := min(10*time.Millisecond<<min(failures, 10), time.Second)
	return d + rand.N(d/2)
}
