package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// noMember starts node 2, which waits for a cluster at the last of three addresses.
func noMember(t *testing.T, addrs []string) *daemontest.Daemon {
	t.Helper()
	client := "unix://" + filepath.Join(t.TempDir(), "s")
	d := &daemontest.Daemon{ID: 2, Client: client, Admin: addrs[1], Process: daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), "--id", "2",
		"--listen", addrs[0], "--admin", addrs[1], "--join", addrs[2], "--clients", client))}
	d.UntilMembers(t, "that it waits", func(m *admin.Members) bool { return strings.Contains(m.Waits, "refused") })
	return d
}

// TestLockElsewhere: from a daemon without quorum lock goes on to the next address; where none has
// it, that is the error.
func TestLockElsewhere(t *testing.T) {
	without := noMember(t, daemontest.FreeAddrs(t, 3))
	with := daemontest.Cluster(t, 1)[0]
	gone := "unix://" + filepath.Join(t.TempDir(), "gone")
	for _, flags := range [][]string{nil, {"--no-wait"}, {"--timeout", "1m"}} {
		for _, c := range []struct {
			addrs  []string
			status int
			said   string
		}{
			{[]string{without.Client, with.Client}, 0, ""},
			{[]string{without.Client, gone, with.Client}, 0, ""},
			{[]string{without.Client, without.Client, with.Client}, 0, ""},
			{[]string{without.Client}, exitError, "no quorum since"},
			{[]string{without.Client, gone}, exitError, "no quorum since"},
		} {
			args := append([]string{"lock", "s", "n", "--addr", strings.Join(c.addrs, ",")}, flags...)
			if _, errs, status := with.Ctl(t, args...); status != c.status || !strings.Contains(errs, c.said) {
				t.Errorf("%v %q: status %d, %s", flags, c.addrs, status, errs)
			}
		}
	}
}

// TestNoMember: a node that waits to become a member says so, whatever it is asked.
func TestNoMember(t *testing.T) {
	addrs := daemontest.FreeAddrs(t, 3)
	d := noMember(t, addrs)
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
		{"node promote 2", exitError, "", "answers with an error: not done: node 2 has not joined the cluster yet"},
	} {
		out, errs, status := d.Ctl(t, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: status %d, %s%s", c.args, status, out, errs)
		}
	}
}
