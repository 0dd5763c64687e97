package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/wire"
)

// TestStrangerAtNode: a node that is not a member yet is dialled by members that know of it already,
// which is nothing to warn of. With fixed membership it is.
func TestStrangerAtNode(t *testing.T) {
	dial := frame(wire.KindLink, nil, linkHello(wire.VersionRange(wire.VersionMin, wire.VersionMax)))
	for _, c := range []struct{ other, level string }{
		{"--join=", "level=DEBUG"}, {"--peers=3=", "level=WARN"},
	} {
		addr := daemontest.FreeAddrs(t, 2)
		args := single(t, "--id=2", "--log-level=debug", "--listen", addr[0], c.other+addr[1])
		p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), args...))
		p.Err.Await(t, 0, addr[1]) // it cannot reach the other one, so it listens by now
		in := badInput{send: dial, answer: wire.LinkRefuse}
		checkEnd(t, misbehave(t, "tcp", addr[0], &in), &in)
		line := p.Err.Await(t, 0, "connection refused", "node 1 is not a peer of node 2")
		if !strings.Contains(line, c.level) {
			t.Errorf("%s: %s", c.other, line)
		}
	}
}

// TestSaysWhyItIsNotAnswered: a node that asks the wrong one, or under a number that is not its own, or
// the wrong port, says so.
func TestSaysWhyItIsNotAnswered(t *testing.T) {
	c := daemontest.NewJoined(t, 1, lease, "--clients", "tcp://127.0.0.1:0")
	one := c.Nodes[0]
	client := strings.TrimPrefix(one.Ready["clients"], "tcp://")
	addr := daemontest.FreeAddrs(t, 5)
	var waits []*daemontest.Process
	tests := []struct{ id, join, want string }{
		{"1", one.Listen, "node 1 at " + one.Listen + ": id 1 is in use by this node"},
		{"2", one.Admin, "no answer yet: " + one.Admin + ": "},
		{"2", client, "no answer yet: " + client + ": closed by the other end"},
		{"2", addr[4], "no answer yet: " + addr[4] + ": connection refused"},
	}
	for i, c := range tests {
		waits = append(waits, daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--id", c.id, "--join", c.join, "--listen", addr[i])...)))
	}
	for i, c := range tests {
		waits[i].Err.Await(t, 0, "waiting to become a member", c.want)
	}
	one.Err.Await(t, 0, "mail of another node with this one's id dropped")
	own := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--join", addr[0], "--listen", addr[0], "--data", t.TempDir())...))
	if status := own.Wait(t); status != exitFailed || !strings.Contains(own.Err.String(), "names only this node itself") {
		t.Errorf("status %d: %s", status, own.Err)
	}
}

// TestSaysWhatIsNotTaken: a node says which of its settings the cluster has otherwise, and that it has
// asked nobody since it was to make a cluster.
func TestSaysWhatIsNotTaken(t *testing.T) {
	one := daemontest.NewJoined(t, 1, lease).Nodes[0]
	addr := daemontest.FreeAddrs(t, 2)
	run := func(args ...string) *daemontest.Process {
		return daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, args...)...))
	}
	joins := run("--id=2", "--listen", addr[0], "--join", one.Listen, "--lease=9s", "--voters=5")
	joins.Err.Await(t, 0, "the lease is another one", "lease=2s configured=9s")
	joins.Err.Await(t, 0, "the number of voters is another one", "voters=3 configured=5")
	founds := run("--id=3", "--listen", addr[1], "--join", one.Listen, "--new-cluster", "--data", t.TempDir())
	founds.Err.Await(t, 0, "nobody was asked", one.Listen)
}

// TestVotesRefused: who asks for what cannot be voted for is told why.
func TestVotesRefused(t *testing.T) {
	one := daemontest.NewJoined(t, 1, lease).Nodes[0]
	joins := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--id=2", "--listen", daemontest.FreeAddrs(t, 1)[0], "--join", one.Listen)...))
	joins.Out.Await(t, 0, "ready")
	for args, want := range map[string]string{
		"node promote 2": "promote node 2: cluster: cannot vote: it has no data directory",
		"node remove 1":  "remove node 1: cluster: last voter: the cluster would end: promote another node first",
	} {
		if _, errs, status := one.Ctl(t, strings.Fields(args)...); status != 1 || !strings.Contains(errs, want) {
			t.Errorf("lockctl %s: %d, %s", args, status, errs)
		}
	}
}
