package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
)

// Mailer carries payloads to addresses; they may be lost. engine.Mailer is one, with
// addresses that are split.
type Mailer interface {
	Send(addr string, payload []byte)
	// Trouble says what was wrong with an address when mail was sent there lately, "":
	// nothing that is known.
	Trouble(addr string) string
}

// Config says how a node takes part.
type Config struct {
	ID      uint16   // of the node, 1 to 65535
	Cluster string   // name that all nodes share, 1 to 255 bytes
	Addr    string   // where the others reach this node: its links and its mail; at most 100 bytes
	Found   bool     // make a new cluster if Store has none: for its first node, once
	Join    []string // addresses of nodes that may be in the cluster; the members known of before are asked, too
	// Store is the file of the voter's store; "": the node has no vote. An agent that
	// founds a cluster needs one.
	Store string
	// Terms and Voters are of a new cluster. Zero: cluster.DefaultTerms, 3. The
	// lease tells every agent also how often to ask and to elect.
	Terms  cluster.Terms
	Voters int
	// Fence makes sure that an instance does nothing any more, and returns nil when
	// that is so; nil: only the end of its lease does.
	Fence func(ctx context.Context, instance uint64) error
	// Bar keeps an instance from what the members share, such as a disk, and returns nil
	// when nothing of it can reach that any more; nil: there is nothing to do. It is tried
	// until it has succeeded: no member goes before. All voters should have one, or none.
	Bar func(ctx context.Context, instance uint64) error

	Mail     Mailer
	Features uint64 // what this version understands, as in the handshake of links
	Logger   *slog.Logger
}

func (c *Config) check() error {
	switch {
	case c.ID == 0:
		return fmt.Errorf("%w: node id 0", cluster.ErrInvalid)
	case len(c.Cluster) == 0 || len(c.Cluster) > maxNameLen:
		return fmt.Errorf("%w: cluster name of %d bytes, must be 1 to %d", cluster.ErrInvalid, len(c.Cluster), maxNameLen)
	case len(c.Addr) == 0 || len(c.Addr) > cluster.MaxAddr:
		return fmt.Errorf("%w: address of %d bytes for the other nodes, must be 1 to %d", cluster.ErrInvalid, len(c.Addr), cluster.MaxAddr)
	case c.Found && c.Store == "":
		return fmt.Errorf("%w: a new cluster needs a store", cluster.ErrInvalid)
	}
	for _, addr := range c.Join {
		if len(addr) == 0 || len(addr) > cluster.MaxAddr {
			return fmt.Errorf("%w: address of %d bytes to join, must be 1 to %d", cluster.ErrInvalid, len(addr), cluster.MaxAddr)
		}
	}
	if c.Terms == (cluster.Terms{}) {
		c.Terms = cluster.DefaultTerms()
	}
	if c.Voters == 0 {
		c.Voters = 3
	}
	if c.Voters < 1 || c.Voters > cluster.MaxVoters {
		return fmt.Errorf("%w: %d voters, must be 1 to %d", cluster.ErrInvalid, c.Voters, cluster.MaxVoters)
	}
	if _, err := cluster.NewState(1, c.Terms); err != nil {
		return err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// How long things take, from the length of a lease: with 5 s, a tick of 50 ms, an
// election after 0.5 to 1 s without the leader, a question again after 200 ms. When the
// leader dies, the others have to elect one and find it while their leases last: of
// those three quarters are left at least, which is enough for two or three elections.
const electionTicks = 10

func (c *Config) tick() time.Duration {
	return min(max(time.Duration(c.Terms.Lease/100), 10*time.Millisecond), 100*time.Millisecond)
}

// voter says how the node's voter runs.
func (c *Config) voter(store uint64, logf func(format string, args ...any)) cluster.ServerConfig {
	s := cluster.ServerConfig{Store: store, Seed: random(), Tick: int64(c.tick()), Elections: electionTicks, Bars: c.Bar != nil, Logf: logf}
	if c.Fence != nil {
		// A fence agent is for those who do not answer: a renewal that was lost, or that
		// waits for an election, comes within this time.
		s.FenceLate = 2 * electionTicks * s.Tick
	}
	return s
}

func (c *Config) retry() time.Duration {
	return min(max(time.Duration(c.Terms.Lease/25), 20*time.Millisecond), 500*time.Millisecond)
}
