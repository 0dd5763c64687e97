package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// holder starts a process that holds a lock of the test's lockspace through d.
func holder(t *testing.T, d *daemontest.Daemon, name string) *daemontest.Process {
	t.Helper()
	p := daemontest.Run(t, d.CtlCommand(t.Context(), "lock", testSpace, name, "--", "sh", "-c", "echo has it; exec sleep 600"))
	p.Out.Await(t, 0, "has it")
	return p
}

// lostIt says that the process has found out that its lock is lost.
func lostIt(t *testing.T, p *daemontest.Process) {
	t.Helper()
	if status := p.Wait(t); status != 5 || !strings.Contains(p.Err.String(), "lost") {
		t.Errorf("status %d, %s", status, p.Err)
	}
}

// TestStoppedClient: a client that is stopped for longer than its lease holds nothing any
// more, and finds out when it wakes up.
func TestStoppedClient(t *testing.T) {
	c := daemontest.NewJoined(t, 2, lease)
	_, s, _ := sessionsOf(t, c.Nodes[1].Client)
	p := holder(t, c.Nodes[0], "held")
	p.Signal(t, syscall.SIGSTOP)
	unlock(t, lock(t, s, "held", lockify.EX))
	p.Signal(t, syscall.SIGCONT)
	lostIt(t, p)
}

// TestDaemonEndsUnderStoppedClient: a daemon that ends in order does not let others have
// what a client of its may believe in.
func TestDaemonEndsUnderStoppedClient(t *testing.T) {
	c := daemontest.NewJoined(t, 2, lease)
	_, s, _ := sessionsOf(t, c.Nodes[0].Client)
	p := holder(t, c.Nodes[1], "held")
	p.Signal(t, syscall.SIGSTOP)
	c.Nodes[1].Signal(t, syscall.SIGTERM)
	l := lock(t, s, "held", lockify.EX)
	p.Signal(t, syscall.SIGCONT)
	lostIt(t, p)
	unlock(t, l)
	if status := c.Nodes[1].Wait(t); status != 0 {
		t.Errorf("the daemon ends with status %d", status)
	}
}
