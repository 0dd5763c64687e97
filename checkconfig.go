package lockify

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/internal/member"
)

// check refuses what no node can have, before anything is made or written: a data directory that
// a refused start has left something in would not be as good as new. The limits are those of
// lockifyd's settings.
func (c *Config) check() error {
	err := cmp.Or(
		inBounds("Shards", c.Shards, bounds.Shards),
		inBounds("IdleAfter", c.IdleAfter, bounds.IdleAfter),
		inBounds("CloseAfter", c.CloseAfter, bounds.CloseAfter),
		inBounds("Lease", c.Lease, bounds.Lease),
	)
	switch {
	case c.ID == 0:
		return wrongField("ID", c.ID, "1 to 65535")
	case err != nil:
		return err
	case c.Voters != 0 && !bounds.CanVote(c.Voters):
		return wrongField("Voters", c.Voters, fmt.Sprintf("%s, or 0 for %d", bounds.WantVoters, bounds.Voters))
	case len(c.Cluster) > bounds.MaxClusterName:
		return wrongField("Cluster", fmt.Sprintf("a name of %d bytes", len(c.Cluster)), fmt.Sprintf("of 1 to %d", bounds.MaxClusterName))
	}
	if err := cmp.Or(c.checkAddrs(), c.checkReach()); err != nil {
		return err
	}
	switch {
	case c.agreed():
		return c.checkAgreed()
	case c.Data != "" && c.Listen != "" && len(c.Peers) == 0:
		// It would be all of a cluster of its own, and grant what others hold.
		return fmt.Errorf("%w: Config.Data is %q, which has no cluster (is it empty, or not mounted?): set Join to join one, or NewCluster to make one", ErrInvalid, c.Data)
	}
	return nil
}

// agreed says that membership is agreed: the node makes a cluster or joins one, or its data directory
// has been in one.
func (c *Config) agreed() bool {
	return c.NewCluster || len(c.Join) > 0 || c.Data != "" && member.InCluster(c.Data)
}

// inBounds refuses what is neither in the range nor zero, which stands for the default.
func inBounds[T int | time.Duration](name string, v T, r bounds.Range[T]) error {
	if v == 0 || r.Has(v) {
		return nil
	}
	def := "the default"
	if r.Default != 0 {
		def = bounds.Text(r.Default)
	}
	return wrongField(name, v, fmt.Sprintf("%v, or 0 for %s", r, def))
}

// wrongField says what is wrong with a field.
func wrongField(name string, value any, want string) error {
	return fmt.Errorf("%w: Config.%s is %v, must be %s", ErrInvalid, name, value, want)
}

// checkAddrs refuses what is no address, or none that can be connected to.
func (c *Config) checkAddrs() (err error) {
	check := func(field, addr string, by func(addr string) error) {
		if wrong := by(addr); wrong != nil && err == nil {
			err = fmt.Errorf("%w: Config.%s is %q: %w", ErrInvalid, field, addr, wrong)
		}
	}
	if c.Listen != "" {
		check("Listen", c.Listen, address.CheckListen)
	}
	if c.Advertise != "" {
		check("Advertise", c.Advertise, address.CheckDial)
	}
	for _, p := range c.Peers {
		if p.Addr != "" { // the one with the smaller id dials
			check("Peers", p.Addr, address.CheckDial)
		}
	}
	for _, addr := range c.Clients {
		check("Clients", addr, address.CheckClients)
	}
	for _, addr := range c.Join {
		check("Join", addr, address.CheckDial)
	}
	return err
}

// checkReach refuses addresses that others on the network reach, where nothing says who comes.
func (c *Config) checkReach() error {
	if c.TLS.Given() || c.AllowPlaintextNetwork {
		return nil
	}
	const want = "an address of the loopback interface or of a Unix socket: others on the network can reach this one, and without TLS whoever does so is taken for a %s; else set TLS, or AllowPlaintextNetwork"
	if c.Listen != "" && !address.Local(c.Listen) {
		return wrongField("Listen", strconv.Quote(c.Listen), fmt.Sprintf(want, "node"))
	}
	for _, addr := range c.Clients {
		if !address.Local(addr) {
			return wrongField("Clients", strconv.Quote(addr), fmt.Sprintf(want, "client"))
		}
	}
	return nil
}

// checkAgreed is check for what a membership that is agreed needs.
func (c *Config) checkAgreed() error {
	if len(c.Peers) > 0 {
		return fmt.Errorf("%w: with Config.Peers the membership is fixed: want either Peers, or Join, NewCluster and a Data that has been in a cluster", ErrInvalid)
	}
	if c.NewCluster && c.Data == "" {
		return wrongField("Data", `""`, "a directory: a new cluster needs one on its first node")
	}
	if c.Advertise != "" {
		return nil
	}
	if err := address.CheckDial(c.Listen); err != nil {
		return fmt.Errorf("%w: other nodes cannot reach this one at Config.Listen, %q: %w; want Advertise, or Listen with an address that they can reach", ErrInvalid, c.Listen, err)
	}
	return nil
}
