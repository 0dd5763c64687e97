package main

import (
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// A range is handed to a node, shown by it, refused to another, given back.
func TestRanges(t *testing.T) {
	nodes := daemontest.Cluster(t, 2, "--shards", "2")
	do := func(node int, want string, args ...string) {
		t.Helper()
		out, errs, status := nodes[node].Ctl(t, args...)
		if bad := strings.HasPrefix(want, "lockctl:"); bad != (status != 0) || !strings.Contains(out+errs, want) {
			t.Errorf("%q: status %d, %q %q, want %q", args, status, out, errs, want)
		}
	}
	do(0, "", "delegate", "s", "a/", "--rule", "last:/")
	do(0, "a/     owned", "ranges", "s")
	do(0, `"state": "owned"`, "ranges", "s", "--json")
	do(1, `lockctl: delegate of range "a/": lockify: range belongs to another node: node 1`, "delegate", "s", "a/", "--rule", "last:/")
	do(1, `lockctl: return of range "a/": lockify: range is not this node's`, "delegate", "s", "a/", "--rule", "last:/", "--return")
	do(1, "", "lock", "s", "a/x", "--rule", "last:/", "--", "true")
	do(1, "lockctl:", "lock", "s", "a/x", "--", "true")
	do(0, "", "delegate", "s", "a/", "--rule", "last:/", "--return")
	do(0, "no delegated ranges of lockspace s on this node", "ranges", "s")
	do(0, "lockctl: --rule is missing", "delegate", "s", "a/")
	do(0, `lockctl: --rule "half", want none, prefix:N`, "delegate", "s", "a/", "--rule", "half")
	do(0, `lockctl: lockify: invalid argument: range key: delegate of range "a": not a range key of lockspace "s"`, "delegate", "s", "a", "--rule", "last:/")
	do(0, `lockctl: lockify: lockspace exists with other properties in the cluster: `, "lock", "s", "a/x", "--rule", "last:/", "--value-size", "64")
	do(0, "lockctl: admin: the node answers with an error: lockspace x is not open on node 1", "ranges", "x")
	do(0, "lockctl: KEY is missing", "delegate", "s")
}
