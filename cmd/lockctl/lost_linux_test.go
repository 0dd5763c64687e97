package main

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// gone waits for the end of a process that is not our child.
func gone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(daemontest.Patience.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || n != 1:
			t.Fatalf("process %d still runs (%v)", pid, err)
		default:
			return
		}
	}
}

// When the node dies, so does the command, with all that it has started.
func TestLockLostKills(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		d := daemontest.Cluster(t, 1)[0]
		p, pid := start(t, d, "trap '' TERM INT; sleep 1000 & echo child $!; wait")
		var grandchild int
		if _, err := fmt.Sscanf(p.Out.Await(t, 0, "child "), "child %d", &grandchild); err != nil {
			t.Fatal(err)
		}
		d.Signal(t, sig)
		if status := p.Wait(t); status != exitLost {
			t.Errorf("node ends by %v: status %d, want %d", sig, status, exitLost)
		}
		p.Err.Await(t, 0, `the lock on "n" was lost, the command was killed`)
		gone(t, pid)
		gone(t, grandchild)
	}
}

// The command ends, and then the node, before it has taken the lock back.
func TestLockLostAtTheEnd(t *testing.T) {
	for _, script := range []string{"cat", "cat; exit 33"} {
		d := daemontest.Cluster(t, 1)[0]
		cmd := d.CtlCommand(t.Context(), "lock", "s", "n", "--json", "--on-lost=ignore", "--", "sh", "-c", "echo begins; "+script)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		p := daemontest.Run(t, cmd)
		p.Out.Await(t, 0, "begins")
		d.Signal(t, syscall.SIGSTOP)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		p.Err.Await(t, 0, `"event":"ended"`)
		d.Signal(t, syscall.SIGKILL)
		if status := p.Wait(t); status != exitLost {
			t.Errorf("%s: status %d, want %d", script, status, exitLost)
		}
		p.Err.Await(t, 0, `"event":"lost"`)
	}
}

// lockctl itself is killed: the lock is free, and the command is dead, with all that it has started.
func TestLockctlKilled(t *testing.T) {
	nodes := daemontest.Cluster(t, 2)
	p, pid := start(t, nodes[0], "trap '' TERM INT HUP; sleep 1000 & echo child $!; wait")
	var grandchild int
	if _, err := fmt.Sscanf(p.Out.Await(t, 0, "child "), "child %d", &grandchild); err != nil {
		t.Fatal(err)
	}
	p.Signal(t, syscall.SIGKILL)
	lock(t, open(t, nodes[1], "s"), "n", lockify.EX)
	gone(t, pid)
	gone(t, grandchild)
}
