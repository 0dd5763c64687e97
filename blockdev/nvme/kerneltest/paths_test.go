package kerneltest

import (
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

const pathsNQN = "nqn.2026-11.org.example:paths"

// testPaths: the guest reaches a namespace on two ways.
func testPaths(g *Guest, t *testing.T) {
	s, err := target.New(target.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mem, err := blockdev.NewMemory(16<<20, 4096)
	if err != nil {
		t.Fatal(err)
	}
	var ports [2]*core.Port
	var wires [2]*Wire
	for i := range ports {
		p, addr, err := s.Bind(t.Context(), "127.0.0.1:0", "")
		if err != nil {
			t.Fatal(err)
		}
		ports[i], wires[i] = p, NewWire(t, addr.String())
	}
	sub := target.Subsystem{SubsystemConfig: core.SubsystemConfig{NQN: pathsNQN, AnyHost: true}}
	sub.Namespaces = []core.NamespaceConfig{{NSID: 1, Device: mem}}
	if err := s.AddSubsystem(sub); err != nil {
		t.Fatal(err)
	}
	s.Start()

	for _, w := range wires {
		g.Run(t, "nvme connect -t tcp -a 10.0.2.2 -s %d -n %s -i 2 -c 1", w.Port, pathsNQN)
	}
	g.await(t, "[ -b /dev/nvme0n1 ] && [ -e /sys/class/nvme/nvme1/nvme0c1n1 ]")
	want(t, g.Run(t, "nvme list-subsys /dev/nvme0n1"), "nvme0 tcp", "nvme1 tcp", "live optimized")
	g.busy(t, "/dev/nvme0n1")
	g.rounds(t, 1)

	// With the one away, all goes on over the other.
	for i, w := range wires {
		w.Cut()
		g.await(t, "[ $(cat /sys/class/nvme/nvme%d/state) = connecting ]", i)
		g.rounds(t, 2)
		w.Mend()
		g.await(t, "[ $(cat /sys/class/nvme/nvme%d/state) = live ]", i)
	}

	// The guest hears of it when the target changes a way.
	state := func(i int, want string) {
		g.await(t, "[ $(cat /sys/class/nvme/nvme%[1]d/nvme0c%[1]dn1/ana_state) = %[2]s ]", i, want)
	}
	s.SetANA(ports[0], 1, nvme.ANAInaccessible)
	state(0, "inaccessible")
	before := requests(t, g, 0)
	g.rounds(t, 2)
	if after := requests(t, g, 0); after != before {
		t.Fatalf("requests go over the path that is inaccessible: %s, then %s", before, after)
	}
	s.SetANA(ports[0], 1, nvme.ANAOptimized)
	s.SetANA(ports[1], 1, nvme.ANANonOptimized)
	state(0, "optimized")
	state(1, "non-optimized")
	g.rounds(t, 2)
	if after := requests(t, g, 0); after == before {
		t.Fatal("no request goes over the path that is the best")
	}
	g.calm(t)
	g.Run(t, "nvme disconnect -n %s", pathsNQN)
}

// requests gives the reads and writes that have gone over a path.
func requests(t *testing.T, g *Guest, path int) string {
	t.Helper()
	f := strings.Fields(g.Run(t, "cat /sys/class/nvme/nvme%[1]d/nvme0c%[1]dn1/stat", path))
	if len(f) < 5 {
		t.Fatalf("stat of path %d: %v", path, f)
	}
	return f[0] + " reads, " + f[4] + " writes"
}
