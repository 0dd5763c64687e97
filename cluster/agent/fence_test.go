package agent

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
)

// council is a voter and two members, as agents run them, at a time that the test makes.
type council struct {
	t       *testing.T
	now     int64
	server  *cluster.Server
	members map[uint16]*cluster.Member // those that run
	fenced  []uint64
}

// newCouncil has a voter whose own configuration is cfg; terms are agreed.
func newCouncil(t *testing.T, cfg *Config, terms cluster.Terms) *council {
	t.Helper()
	const store = 9<<16 | 1
	st := cluster.NewMemory()
	if err := cluster.Found(st, cluster.Birth{Cluster: 7, Terms: terms, Want: 1, Store: store, Addr: "a"}); err != nil {
		t.Fatal(err)
	}
	c := &council{t: t, members: map[uint16]*cluster.Member{}}
	var err error
	if c.server, err = cluster.NewServer(cfg.voter(store, nil), st); err != nil {
		t.Fatal(err)
	}
	for id := range uint16(2) {
		m, err := cluster.NewMember(cluster.MemberConfig{
			Instance: 1<<16 | uint64(id+1), Addr: "b", Retry: int64((&Config{Terms: terms}).retry()), Contacts: []cluster.Contact{{Addr: "a"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.members[id+1] = m
	}
	return c
}

// run lets d pass.
func (c *council) run(d, tick time.Duration) {
	c.t.Helper()
	for end := c.now + int64(d); c.now < end; {
		c.now += int64(tick)
		out, err := c.server.Tick(c.now)
		c.carry(1, out, err)
		for id, m := range c.members {
			c.carry(id, m.Tick(c.now), nil)
		}
	}
}

// carry brings the messages of a node where they go, at once, and those that answer them.
func (c *council) carry(from uint16, out cluster.Output, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	c.fenced = append(c.fenced, out.Fence...)
	for _, msg := range out.Messages {
		if cluster.ForServer(msg.Payload) {
			out, err := c.server.Deliver(c.now, from, "", msg.Payload)
			c.carry(1, out, err)
			continue
		}
		for id, m := range c.members {
			c.carry(id, m.Deliver(c.now, msg.Payload), nil)
		}
	}
}

// TestFenceTheSilent: with a fence agent, who renews his lease is let alone, whatever lease
// the voter's own configuration names; who is silent is fenced before his lease has ended.
func TestFenceTheSilent(t *testing.T) {
	for _, lease := range []struct {
		own, agreed time.Duration
		drift       uint32
	}{
		{5 * time.Second, 5 * time.Second, 1000},
		{5 * time.Second, 5 * time.Second, 100_000},
		{2 * time.Second, 2 * time.Second, 1000},
		{60 * time.Second, 60 * time.Second, 1000},
		{5 * time.Second, 60 * time.Second, 1000},
		{30 * time.Second, 4 * time.Second, 1000},
	} {
		own := cluster.Terms{Lease: int64(lease.own), DriftPPM: lease.drift}
		agreed := cluster.Terms{Lease: int64(lease.agreed), DriftPPM: lease.drift}
		cfg := &Config{Terms: own, Fence: func(context.Context, uint64) error { return nil }}
		c := newCouncil(t, cfg, agreed)
		c.run(3*lease.agreed, cfg.tick()/2)
		if s := c.server.State(); len(s.Nodes) != 2 || len(c.fenced) > 0 {
			t.Fatalf("%+v: of %d members that renew, %x are to be fenced", lease, len(s.Nodes), c.fenced)
		}
		silent := c.members[2].Instance()
		delete(c.members, 2)
		from := c.now
		for len(c.fenced) == 0 && c.server.State().Member(silent) != nil {
			c.run(cfg.tick(), cfg.tick()/2)
		}
		if !slices.Equal(c.fenced, []uint64{silent}) {
			t.Errorf("%+v: %x are to be fenced after %v of silence, want %x", lease, c.fenced, time.Duration(c.now-from), silent)
		}
	}
}
