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
