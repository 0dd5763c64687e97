package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestRestartsAreNoErrors: that nodes end in order, die and come back is no error in the others' logs.
func TestRestartsAreNoErrors(t *testing.T) {
	c := daemontest.NewJoined(t, 3, time.Second)
	log := c.Nodes[0].Err
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		from := log.Lines()
		old := c.Nodes[2].Ready["instance"]
		c.Nodes[2].Signal(t, sig)
		c.Nodes[2].Wait(t)
		d := c.Restart(t, 2)
		log.Await(t, from, `msg="peer connected"`, "peer=3", "instance="+d.Ready["instance"])
		if sig == syscall.SIGKILL {
			log.Await(t, from, "peer has lost what it shared with us", "instance="+old, "now="+d.Ready["instance"])
		} else {
			log.Await(t, from, `msg="link removed"`, "peer=3")
		}
	}
	for _, line := range strings.Split(fmt.Sprint(log), "\n") {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "level=WARN") && strings.Contains(line, "removed") {
			t.Error(line)
		}
	}
}
