package lockify

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/internal/node"
)

// What a membership that is agreed has room for, as package cluster/agent has it, in bytes.
const (
	maxClusterName = 255
	maxNodeAddr    = 100
)

// check refuses what no node can have, before anything is made or written: a data directory that
// a refused start has left something in would not be as good as new. The limits are those of
// lockifyd's settings.
func (c *Config) check() error {
	switch {
	case c.ID == 0:
		return wrongField("ID", c.ID, "1 to 65535")
	case c.Shards < 0 || c.Shards > 256:
		return wrongField("Shards", c.Shards, "1 to 256, or 0 for the default")
	case c.IdleAfter != 0 && (c.IdleAfter < time.Millisecond || c.IdleAfter > 24*time.Hour):
		return wrongField("IdleAfter", c.IdleAfter, "1ms to 24h, or 0 for 10s")
	case c.CloseAfter != 0 && (c.CloseAfter < time.Millisecond || c.CloseAfter > 24*time.Hour):
		return wrongField("CloseAfter", c.CloseAfter, "1ms to 24h, or 0 for 5m")
	case c.Lease != 0 && (c.Lease < 200*time.Millisecond || c.Lease > time.Hour):
		return wrongField("Lease", c.Lease, "200ms to 1h, or 0 for 5s")
	case c.Voters != 0 && (c.Voters < 1 || c.Voters > 7 || c.Voters%2 == 0):
		return wrongField("Voters", c.Voters, "1, 3, 5 or 7, or 0 for 3")
	}
	if err := c.checkReach(); err != nil {
		return err
	}
	if c.NewCluster || len(c.Join) > 0 {
		return c.checkAgreed()
	}
	return nil
}

// checkReach refuses addresses that others on the network reach, where nothing says who comes.
func (c *Config) checkReach() error {
	if c.TLS.Given() || c.AllowPlaintextNetwork {
		return nil
	}
	const want = "an address of the loopback interface or of a Unix socket: others on the network can reach this one, and without TLS whoever does so is taken for a %s; else set TLS, or AllowPlaintextNetwork"
	if c.Listen != "" && !node.Local(c.Listen) {
		return wrongField("Listen", strconv.Quote(c.Listen), fmt.Sprintf(want, "node"))
	}
	for _, addr := range c.Clients {
		if !node.Local(addr) {
			return wrongField("Clients", strconv.Quote(addr), fmt.Sprintf(want, "client"))
		}
	}
	return nil
}

// wrongField says what is wrong with a field.
func wrongField(name string, value any, want string) error {
	return fmt.Errorf("%w: Config.%s is %v, must be %s", ErrInvalid, name, value, want)
}

// checkAgreed is check for what a membership that is agreed needs.
func (c *Config) checkAgreed() error {
	if len(c.Peers) > 0 {
		return fmt.Errorf("%w: with Config.Peers the membership is fixed: want either Peers, or Join and NewCluster", ErrInvalid)
	}
	if c.NewCluster && c.Data == "" {
		return wrongField("Data", `""`, "a directory: a new cluster needs one on its first node")
	}
	if n := len(c.Cluster); n > maxClusterName {
		return wrongField("Cluster", fmt.Sprintf("a name of %d bytes", n), fmt.Sprintf("of 1 to %d", maxClusterName))
	}
	name := "Advertise"
	if c.Advertise == "" {
		name = "Listen"
	}
	err := checkNodeAddr(name, cmp.Or(c.Advertise, c.Listen))
	for _, addr := range c.Join {
		err = cmp.Or(err, checkNodeAddr("Join", addr))
	}
	return err
}

func checkNodeAddr(field, addr string) error {
	if n := len(addr); n == 0 || n > maxNodeAddr {
		return wrongField(field, fmt.Sprintf("an address of %d bytes", n), fmt.Sprintf("of 1 to %d", maxNodeAddr))
	}
	return nil
}
