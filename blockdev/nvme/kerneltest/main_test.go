package kerneltest

import (
	"os"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// kernelDir has the kernel and the initramfs; without it there is nothing to test.
var kernelDir = os.Getenv("LOCKIFY_KERNEL")

func TestMain(m *testing.M) {
	if kernelDir == "" {
		os.Exit(m.Run())
	}
	os.Exit(daemontest.Main(m))
}

// check is a thing that must work, which the ones after it may build upon.
type check[S any] struct {
	name string
	run  func(s S, t *testing.T)
}

// runAll runs checks in their order. The first that fails is the last.
func runAll[S any](t *testing.T, s S, checks []check[S]) {
	for _, c := range checks {
		if !t.Run(c.name, func(t *testing.T) { c.run(s, t) }) {
			t.FailNow()
		}
	}
}

func TestKernel(t *testing.T) {
	if kernelDir == "" {
		t.Skip("no LOCKIFY_KERNEL; make test-kernel sets it")
	}
	g := Boot(t, kernelDir)
	g.Run(t, "echo %s >/etc/nvme/hostnqn; echo %s >/etc/nvme/hostid", guestNQN, guestID)
	g.Run(t, "dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null")
	for _, part := range []check[*Guest]{
		{"initiator", testInitiator},
		{"paths", testPaths},
		{"target", testTarget},
		{"no complaints", complaints},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(g, t) }) {
			return
		}
	}
}

// complaints: the kernel has found nothing wrong with itself.
func complaints(g *Guest, t *testing.T) {
	out, status := g.Try(t, "dmesg | grep -E 'BUG|WARNING|Oops|Call Trace|blocked for more'")
	if status == 0 {
		t.Fatalf("the kernel says:\n%s", out)
	}
}
