package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/internal/events"
)

// follow runs lockctl watch from the daemon's start on.
func follow(t *testing.T, d *daemontest.Daemon, args ...string) *daemontest.Process {
	t.Helper()
	return daemontest.Run(t, d.CtlCommand(t.Context(), append([]string{"watch", "--recent", "4096"}, args...)...))
}

// What happens is seen as it happens: sessions, lockspaces, long waits, deadlocks.
func TestWatch(t *testing.T) {
	d := daemontest.Cluster(t, 1, "--long-wait", "1s")[0]
	all, waits := follow(t, d), follow(t, d, "--json")
	s := open(t, d, "files")
	all.Out.Await(t, 0, "INFO  session-begin   client connected", "client=lockctl.test")
	all.Out.Await(t, 0, "lockspace-open", "lockspace=files", "session=")
	lock(t, s, "alpha", lockify.EX, lockify.Owner(1))
	lock(t, s, "beta", lockify.EX, lockify.Owner(2))
	s.LockAsync("alpha", lockify.PR, func(*lockify.Lock, error) {}, lockify.Owner(2))
	waits.Out.Await(t, 0, `"kind":"wait-long"`, `"lockspace":"files"`, `"mode":"PR"`, `"name":"alpha"`)
	if m := d.Metrics(t); !strings.Contains(m, "\nlockify_long_waits{lockspace=\"files\"} 1\n") {
		t.Error("no long wait in the metrics")
	}
	s.LockAsync("beta", lockify.PR, func(*lockify.Lock, error) {}, lockify.Owner(1))
	all.Out.Await(t, 0, "WARN  deadlock", "alpha: node 1 session", "owner 2 waits for node 1 session")
	all.Out.Await(t, 0, "wait-end", "end=over", "mode=PR", "name=")
	d.Signal(t, syscall.SIGTERM)
	if status := all.Wait(t); status != exitError {
		t.Errorf("status %d at the daemon's end", status)
	}
}

// However the daemon ends, watch says so.
func TestWatchEnds(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		d := daemontest.Cluster(t, 1)[0]
		w := follow(t, d)
		open(t, d, "files")
		w.Out.Await(t, 0, "lockspace-open")
		d.Signal(t, sig)
		if status := w.Wait(t); status != exitError || w.Err.String() != "lockctl: the daemon has ended\n" {
			t.Errorf("%v: status %d, %q", sig, status, w.Err)
		}
	}
}

// A lock that was waited for, and has gone by the time that the node looks again, has the
// name and the mode of the wait at its end.
func TestWatchWaitEnd(t *testing.T) {
	d := daemontest.Cluster(t, 1, "--long-wait", "1s")[0]
	all := follow(t, d)
	s := open(t, d, "files")
	held := lock(t, s, "alpha", lockify.EX)
	waits := make(chan *lockify.Lock)
	s.LockAsync("alpha", lockify.PR, func(l *lockify.Lock, err error) { waits <- l })
	all.Out.Await(t, 0, "wait-long", "mode=PR", "name=alpha")
	if err := held.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := (<-waits).Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Out.Await(t, 0, "wait-end", "mode=PR", "name=alpha")
}

// A recovery is told with its figures, on the nodes that stay.
func TestWatchRecovery(t *testing.T) {
	c := daemontest.NewJoined(t, 3, 2*time.Second)
	w := follow(t, c.Nodes[0], "--kind", "members,recovery-begin,recovery-end,link-up,link-down")
	w.Out.Await(t, 0, "link-up", "peer connected", "instance="+c.Nodes[2].Ready["instance"], "peer=3")
	c.Nodes[0].Err.Await(t, 0, `msg="link up"`, "peer=3", "instance="+c.Nodes[2].Ready["instance"])
	open(t, c.Nodes[0], "files")
	lock(t, open(t, c.Nodes[2], "files"), "held", lockify.EX)
	c.Nodes[2].Signal(t, syscall.SIGKILL)
	w.Out.Await(t, 0, "link-down")
	w.Out.Await(t, 0, "recovery-begin", "lockspace=files", "before=2", "members=1")
	w.Out.Await(t, 0, "members", `came=""`, "left=3", "members=2")
	w.Out.Await(t, 0, "recovery-end", "lockspace=files", "names=", "seconds=")
}

// What is asked for is shown once, and counted.
func TestWatchRecent(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	for _, space := range []string{"one", "two", "two"} {
		open(t, d, space)
	}
	out, errs, status := d.Ctl(t, "watch", "--recent", "100", "--once", "--kind", "lockspace-open", "--lockspace", "two", "--json")
	if status != 0 || strings.Count(out, "\n") != 3 {
		t.Fatalf("status %d, %s%s", status, out, errs)
	}
	var e admin.EventLine
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&e); err != nil || e.Kind != "lockspace-open" || e.Seq == 0 || e.Lockspace != "two" {
		t.Errorf("%+v, %v", e, err)
	}
	if out, _, status = d.Ctl(t, "watch", "--recent", "100", "--count", "1", "--kind", "lockspace-open"); status != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("status %d, %s", status, out)
	}
}

// A slow watcher holds nobody up, and is told how many events it has missed.
func TestSlowWatcher(t *testing.T) {
	d := daemontest.Cluster(t, 1, "--log-level", "error")[0]
	open(t, d, "files")
	w := follow(t, d)
	w.Out.Await(t, 0, "lockspace-open")
	w.Signal(t, syscall.SIGSTOP)
	c, err := lockify.Dial(t.Context(), d.Client, lockify.WithName(strings.Repeat("c", 1000))) // it is in each event
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 5000 { // more than the sockets between take, and the ring has
		s, err := c.Open(t.Context(), "files")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.Signal(t, syscall.SIGCONT)
	w.Out.Await(t, 0, "events missed)")
}

// TestEventIsOneLine: what others have put into an event does nothing to the terminal.
func TestEventIsOneLine(t *testing.T) {
	var out strings.Builder
	err := printEventText(&out, &admin.EventLine{Event: events.Event{
		Level: "INFO", Kind: "log", Message: "m", Lockspace: "a\x1b[2J", Attrs: map[string]any{"b": "c\u202ed", "e": "f\xff", "g": "h i", "j": "k-1"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `m lockspace="a\x1b[2J" b="c\u202ed" e="f\xff" g="h i" j=k-1` + "\n"
	if got := out.String(); !strings.HasSuffix(got, want) {
		t.Errorf("%q, want the end %q", got, want)
	}
}
