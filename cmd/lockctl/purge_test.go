package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// What a program has left behind is shown on its node, and unlocked by purge,
// through any node.
func TestPurge(t *testing.T) {
	nodes := daemontest.Cluster(t, 2, "--shards", "1", "--idle-after", "1h")
	keep := open(t, nodes[0], "s")
	open(t, nodes[0], "storage")
	names := []string{"one", "two"}
	const toldTwo = "node 2 is told to give up its orphans; how many these are only its own admin address says (--admin)\n"
	sessions := map[string]uint64{}
	orphans := func() (n int) {
		_, err := nodes[1].Ask(t).Locks(t.Context(), "s", 0, func(r *admin.Resource) error {
			for _, l := range r.Granted {
				if l.Orphan {
					n++
					sessions[string(r.Name)] = l.Session
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, name := range names {
		c, err := lockify.Dial(t.Context(), nodes[1].Client)
		if err != nil {
			t.Fatal(err)
		}
		s, err := c.Open(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		lock(t, s, name, lockify.EX, lockify.Persistent())
		c.Close()
		find(t, nodes[1], "s", name, "an orphan", func(r *admin.Resource) bool { return len(r.Granted) == 1 && r.Granted[0].Orphan })
	}
	if n := orphans(); n != 2 {
		t.Fatalf("%d orphans", n)
	}
	out, _, _ := nodes[1].Ctl(t, "locks", "s")
	if want := fmt.Sprintf("session %d", sessions["one"]); !strings.Contains(out, want) {
		t.Errorf("locks does not show %q:\n%s", want, out)
	}
	if out, errs, status := nodes[0].Ctl(t, "purge", "s", "--node", "2", "--session", fmt.Sprint(sessions["one"])); status != 0 || out+errs != toldTwo {
		t.Fatalf("status %d, %q %q", status, out, errs)
	}
	lock(t, keep, "one", lockify.EX) // granted when the orphan has gone
	if n := orphans(); n != 1 {
		t.Fatalf("%d orphans", n)
	}
	if out, errs, status := nodes[1].Ctl(t, "purge", "s", "--node", "2", "--session", "999"); status != 0 || out+errs != "0 orphans given up\n" {
		t.Fatalf("status %d, %q %q", status, out, errs)
	}
	if out, errs, status := nodes[1].Ctl(t, "purge", "s", "--node", "2"); status != 0 || out+errs != "1 orphan given up\n" {
		t.Fatalf("status %d, %q %q", status, out, errs)
	}
	lock(t, keep, "two", lockify.EX)
	for args, want := range map[string]string{
		"purge s":                         "--node is missing: whose orphans?",
		"purge s --node 2 --session 0":    "--session 0, want 1 or more",
		"purge s --node 9":                `purge in "s": lockify: invalid argument: no such node: node 9`,
		"purge stroage --node 1":          "lockspace stroage is not open on any node; did you mean storage?",
		"purge":                           "LOCKSPACE is missing",
		"purge s --node 1 --value-size 8": "value",
	} {
		if _, errs, status := nodes[0].Ctl(t, strings.Fields(args)...); status == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %q, want %q", args, status, errs, want)
		}
	}
	if out, _, _ := nodes[0].Ctl(t, "lockspaces"); strings.Contains(out, "stroage") {
		t.Errorf("purge has made a lockspace:\n%s", out)
	}
}
