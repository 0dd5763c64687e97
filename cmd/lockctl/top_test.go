package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// busy makes one name of many hot, on two nodes, and leaves the scene of why.
func busy(t *testing.T) []*daemontest.Daemon {
	nodes := whyScene(t)
	for _, d := range nodes[:2] {
		s := open(t, d, "files")
		for i := range 600 {
			name := "hot"
			if i%3 == 0 {
				name = fmt.Sprint("cool ", i)
			}
			if err := lock(t, s, name, lockify.CR).Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return nodes
}

func TestTop(t *testing.T) {
	nodes := busy(t)
	out, errs, status := nodes[1].Ctl(t, "top", "--once", "--json")
	var top admin.Top
	if err := json.Unmarshal([]byte(out), &top); err != nil || status != 0 {
		t.Fatalf("status %d, %s%v", status, errs, err)
	}
	if len(top.Nodes) != 3 || top.Nodes[0].Waiting != 0 || top.Nodes[1].Waiting != 1 || top.Nodes[2].Waiting != 1 || top.Nodes[0].PerS == 0 {
		t.Errorf("nodes %+v", top.Nodes)
	}
	if len(top.Hot) == 0 || string(top.Hot[0].Name) != "hot" || top.Hot[0].PerS <= top.Hot[1].PerS {
		t.Errorf("hot %+v", top.Hot)
	}
	if len(top.Waits) != 2 {
		t.Fatalf("waits %+v", top.Waits)
	}
	for _, w := range top.Waits {
		holder := map[string]uint16{"alpha": 2, "beta": 3}[string(w.Name)]
		if w.Blocker == nil || w.Blocker.Node != holder || w.Blocker.Client == "" || w.SinceS < 0 {
			t.Errorf("wait for %v: %+v, blocked by %+v", w.Name, w, w.Blocker)
		}
	}
	out, _, _ = nodes[0].Ctl(t, "top", "--once")
	for _, want := range []string{
		`(?m)^NODE +CLIENTS +LOCKSPACES +NAMES +LOCKS +WAITING +REQUESTS/S$`, `(?m)^2 +2 +1 +\d+ +\d+ +1 +[\d.]+$`,
		`files +alpha +EX +3 +lockctl.test \(session 1\) +PR of node 2, lockctl.test \(session 1\)`, `(?m)^[\d.]+ +files +hot$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
	nodes[2].Signal(t, syscall.SIGSTOP)
	defer nodes[2].Signal(t, syscall.SIGCONT)
	if out, errs, status = nodes[0].Ctl(t, "top", "--once"); status != exitIncomplete || !regexp.MustCompile(`(?m)^3 +no answer`).MatchString(out) {
		t.Errorf("without node 3: status %d, %s%s", status, out, errs)
	}
}

// It draws again and again, within the screen, and gives the terminal back.
func TestTopLive(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	open(t, d, "files")
	p := daemontest.Run(t, d.CtlCommand(t.Context(), "top", "--every", "200ms"))
	first := p.Out.Lines()
	p.Out.Await(t, first, "NODE", "REQUESTS/S", "\x1b[K")
	p.Out.Await(t, p.Out.Lines(), "cluster lockify, asked by node 1")
	p.Signal(t, syscall.SIGINT)
	if status := p.Wait(t); status != 0 {
		t.Errorf("status %d", status)
	}
	out := p.Out.String()
	if !strings.HasPrefix(out, otherScreen+toTop) || !strings.HasSuffix(out, ownScreen) {
		t.Errorf("%.80q ... %q", out, out[max(0, len(out)-40):])
	}
}
