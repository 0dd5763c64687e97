package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestNoMember: a node that waits to become a member says so, whatever it is asked.
func TestNoMember(t *testing.T) {
	addrs := daemontest.FreeAddrs(t, 3)
	d := &daemontest.Daemon{ID: 2, Admin: addrs[1], Process: daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), "--id", "2",
		"--listen", addrs[0], "--admin", addrs[1], "--join", addrs[2], "--clients", "unix://"+filepath.Join(t.TempDir(), "s")))}
	d.UntilMembers(t, "that it waits", func(m *admin.Members) bool { return strings.Contains(m.Waits, "refused") })
	why := "this node has not joined the cluster yet: no answer yet: " + addrs[2] + ": connection refused"
	for _, c := range []struct {
		args      string
		status    int
		out, errs string
	}{
		{"members", exitIncomplete, "this node is no member: " + why, "incomplete: this node is no member"},
		{"members --json", exitIncomplete, why, "incomplete"},
		{"status", 0, "\nno member: " + why + "\n", ""},
		{"top --once", 0, "\nno member: " + why + "\n", ""},
		{"why s n", exitError, "", "node 2 is no member of the cluster, and cannot say: " + why},
		{"dump s", exitError, "", "node 2 is no member of the cluster, and cannot say: " + why},
	} {
		out, errs, status := d.Ctl(t, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: status %d, %s%s", c.args, status, out, errs)
		}
	}
}
