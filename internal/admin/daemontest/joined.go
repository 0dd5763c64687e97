package daemontest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin"
)

// Joined is a cluster with agreed membership. Each node has a data directory.
type Joined struct {
	Nodes []*Daemon // by number, from 0; the ids are one higher
	args  [][]string
}

// NewJoined starts a cluster of n daemons that join each other, with leases of the
// length given, and waits until all are members.
func NewJoined(t testing.TB, n int, lease time.Duration, args ...string) *Joined {
	t.Helper()
	return NewJoinedOf(t, Bin("lockifyd"), n, lease, args...)
}

// NewJoinedOf is NewJoined with a lockifyd of another version. Restart takes ours.
func NewJoinedOf(t testing.TB, program string, n int, lease time.Duration, args ...string) *Joined {
	t.Helper()
	dir, addrs := t.TempDir(), FreeAddrs(t, n)
	c := &Joined{}
	for i := range n {
		own := []string{
			"--id", fmt.Sprint(i + 1), "--listen", addrs[i], "--admin", "127.0.0.1:0", "--lease", lease.String(),
			"--clients", "unix://" + filepath.Join(dir, fmt.Sprintf("n%d.sock", i+1)),
			"--data", filepath.Join(dir, fmt.Sprintf("data%d", i+1)),
		}
		if i == 0 {
			own = append(own, "--new-cluster")
		} else {
			own = append(own, "--join", addrs[0])
		}
		c.args = append(c.args, append(own, args...))
		c.Nodes = append(c.Nodes, StartProgram(t, program, c.args[i]...))
	}
	for _, d := range c.Nodes {
		d.UntilMembers(t, "all are members and linked", func(m *admin.Members) bool {
			up := 0
			for i := range m.Members {
				if m.Members[i].Link != "down" {
					up++
				}
			}
			return up == n
		})
	}
	// A cluster of two voters cannot lose one: tests begin when the votes count.
	c.Nodes[0].UntilMembers(t, "all votes count", func(m *admin.Members) bool {
		for i := range m.Members {
			if m.Members[i].Vote != m.Members[i].Voting {
				return false
			}
		}
		return true
	})
	return c
}

// Restart starts node i anew.
func (c *Joined) Restart(t testing.TB, i int) *Daemon {
	t.Helper()
	c.Nodes[i] = Start(t, c.args[i]...)
	return c.Nodes[i]
}

// UntilMembers asks for the daemon's members until they are as wanted.
func (d *Daemon) UntilMembers(t testing.TB, what string, ok func(*admin.Members) bool) *admin.Members {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	c := d.Ask(t)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		m, err := c.Members(ctx)
		if err == nil && ok(m) {
			return m
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("node %d: waited in vain for %s: %+v, %v", d.ID, what, m, err)
		}
	}
}
