package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// varies are the parts of what why says that differ from run to run.
var varies = regexp.MustCompile(`\b[0-9.]+m?s\b ?|0x[0-9a-f]+|lockctl.test| +`)

func steady(text string) string {
	text = strings.ReplaceAll(text, fmt.Sprintf("pid %d", os.Getpid()), "pid PID")
	return varies.ReplaceAllStringFunc(text, func(s string) string {
		switch {
		case s[0] == ' ':
			return " "
		case strings.HasSuffix(strings.TrimSpace(s), "s"):
			return "SINCE "
		case s[0] == '0':
			return "ID"
		}
		return "CLIENT"
	})
}

// whyScene: on node 1's "alpha", who waits on node 3 is behind an owner of node 2, who
// waits for "beta", which a client of node 3 holds.
func whyScene(t *testing.T) []*daemontest.Daemon {
	nodes := daemontest.Cluster(t, 3, "--shards", "2", "--idle-after", "1h")
	one, two, three := open(t, nodes[0], "files"), open(t, nodes[1], "files"), open(t, nodes[2], "files")
	lock(t, one, "alpha", lockify.NL) // makes node 1 the master
	lock(t, three, "beta", lockify.EX)
	lock(t, three, "gamma", lockify.PR)
	owner := lockify.Owner(7)
	lock(t, two, "alpha", lockify.PR, owner)
	two.LockAsync("beta", lockify.PW, func(*lockify.Lock, error) {}, owner)
	find(t, nodes[2], "files", "beta", "a request that waits", func(r *admin.Resource) bool { return len(r.Waiting) == 1 })
	three.LockAsync("alpha", lockify.EX, func(*lockify.Lock, error) {})
	find(t, nodes[0], "files", "alpha", "a request that waits", func(r *admin.Resource) bool { return len(r.Waiting) == 1 })
	return nodes
}

func TestWhy(t *testing.T) {
	nodes := whyScene(t)
	var texts []string
	for _, d := range nodes { // whichever is asked
		out, errs, status := d.Ctl(t, "why", "files", "alpha")
		if status != 0 || errs != "" {
			t.Fatalf("node %d: status %d, %s", d.ID, status, errs)
		}
		texts = append(texts, steady(out))
	}
	if texts[0] != texts[1] || texts[0] != texts[2] {
		t.Errorf("node 1 says:\n%s\nnode 2:\n%s\nnode 3:\n%s", texts[0], texts[1], texts[2])
	}
	golden(t, "why.txt", texts[0])

	out, _, _ := nodes[1].Ctl(t, "why", "files", "alpha", "--json")
	var doc admin.Why
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Names) != 2 || string(doc.Names[1].Name) != "beta" || doc.Names[0].Master != 1 || doc.Names[1].Master != 3 || len(doc.Unreached) != 0 {
		t.Fatalf("%+v", doc)
	}
	waiter := doc.Names[0].Locks[2]
	holder := doc.Names[0].Locks[1]
	if waiter.Node != 3 || waiter.SinceS == nil || len(waiter.BlockedBy) != 1 || waiter.BlockedBy[0] != (admin.LockID{Node: 2, ID: holder.ID}) ||
		holder.Owner != 7 || len(holder.WaitsFor) != 1 || !holder.WaitsFor[0].Sure {
		t.Errorf("waits %+v, holds %+v", waiter, holder)
	}
}

// Whom the node cannot ask it names, and lockctl says so by its status.
func TestWhyWithoutANode(t *testing.T) {
	nodes := whyScene(t)
	nodes[2].Signal(t, syscall.SIGSTOP)
	defer nodes[2].Signal(t, syscall.SIGCONT)
	out, errs, status := nodes[0].Ctl(t, "why", "files", "alpha")
	if status != exitIncomplete || !strings.HasPrefix(errs, "lockctl: incomplete: node 3: ") || !strings.Contains(out, "1 waiting") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

func TestWhyNothing(t *testing.T) {
	nodes := daemontest.Cluster(t, 2)
	open(t, nodes[0], "files")
	out, errs, status := nodes[0].Ctl(t, "why", "files", "nobody's")
	if want := "nobody's of lockspace files: no node says that it is the master, so nobody holds it\n"; status != 0 || out != want {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}

// What the page shows is the same, whichever node it is asked of: names mastered elsewhere,
// and who is in whose way there.
func TestTopOfALockspace(t *testing.T) {
	for _, d := range whyScene(t) {
		answer, err := http.Get("http://" + d.Admin + "/v1/top?lockspace=files")
		if err != nil {
			t.Fatal(err)
		}
		var top admin.Top
		err = json.NewDecoder(answer.Body).Decode(&top)
		answer.Body.Close()
		if err != nil || top.Waited == nil || top.Waited.All != 2 || len(top.Waited.Names) != 2 || len(top.Unreached) != 0 {
			t.Fatalf("node %d: %v, %+v", d.ID, err, top.Waited)
		}
		of := map[string]admin.WaitedName{}
		for _, n := range top.Waited.Names {
			of[string(n.Name)] = n
		}
		alpha, beta := of["alpha"], of["beta"]
		if alpha.Master != 1 || alpha.Waits != 1 || alpha.Holds != 2 || beta.Master != 3 || beta.Waits != 1 || beta.Holds != 1 {
			t.Fatalf("node %d: %+v", d.ID, top.Waited)
		}
		// Who holds alpha is who waits for beta: the graph joins them.
		holder, waiter := alpha.Holders[1], beta.Waiters[0]
		if holder.Node != 2 || holder.Owner != 7 || waiter.Node != 2 || waiter.Owner != 7 || waiter.Session != holder.Session || waiter.Wanted != "PW" || alpha.Waiters[0].Node != 3 {
			t.Errorf("node %d: holds alpha %+v, waits for beta %+v", d.ID, holder, waiter)
		}
	}
}
