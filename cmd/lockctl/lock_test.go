package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// The command's exit status becomes lockctl's, its input and output are
// lockctl's, and the lock is held exactly while it runs.
func TestLockRuns(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	notRunnable := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(notRunnable, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		out    string
		errs   string
	}{
		{"success", []string{"--", "echo", "a b"}, 0, "a b\n", ""},
		{"no command", nil, 0, "", ""},
		{"failure", []string{"--", "sh", "-c", "exit 7"}, 7, "", ""},
		{"standard error", []string{"--", "sh", "-c", "echo x >&2; exit 200"}, 200, "", "x\n"},
		{"killed by a signal", []string{"--", "sh", "-c", "kill -SEGV $$"}, 128 + 11, "", ""},
		{"flags of the command", []string{"--", "echo", "--json", "-x"}, 0, "--json -x\n", ""},
		{"not found", []string{"--", "no-such-command-here"}, exitNotFound, "", "lockctl: exec: \"no-such-command-here\": executable file not found in $PATH\n"},
		{"not runnable", []string{"--", notRunnable}, exitCannotRun, "", "lockctl: fork/exec " + notRunnable + ": permission denied\n"},
		{"held by itself", []string{"--", daemontest.Bin("lockctl"), "lock", "s", "n", "--no-wait"}, exitWouldBlock, "", "lockctl: \"n\" is held by others\n"},
		{"shared with itself", []string{"--mode", "PR", "--", daemontest.Bin("lockctl"), "lock", "s", "n", "--no-wait", "--mode=pr", "--", "echo", "both"}, 0, "both\n", ""},
		{"new", []string{"--new", "--", "true"}, 0, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, errs, status := d.Ctl(t, append([]string{"lock", "s", "n"}, tc.args...)...)
			if status != tc.status || out != tc.out || errs != tc.errs {
				t.Errorf("status %d, output %q, errors %q; want %d, %q, %q", status, out, errs, tc.status, tc.out, tc.errs)
			}
			l, err := open(t, d, "s").TryLock(t.Context(), "n", lockify.EX)
			if err != nil {
				t.Fatalf("after the command: %v", err)
			}
			if err := l.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A value goes from holder to holder, and the token grows.
func TestLockValue(t *testing.T) {
	nodes := daemontest.Cluster(t, 2)
	show := []string{"--", "sh", "-c", `echo "$LOCKIFY_TOKEN ${LOCKIFY_VALUE-none}"`}
	last := uint64(0)
	for i, tc := range []struct {
		flags []string
		want  string
	}{{nil, "none"}, {[]string{"--value", "first one"}, "none"}, {[]string{"--value="}, "first one"}, {[]string{"--value", "third"}, ""}, {nil, "third"}} {
		cmd := nodes[i%2].CtlCommand(t.Context(), append(append([]string{"lock", "s", "n"}, tc.flags...), show...)...)
		cmd.Env = append(cmd.Env, "LOCKIFY_VALUE=of an outer lockctl")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		var token uint64
		if _, err := fmt.Sscan(string(out), &token); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if got := strings.TrimPrefix(string(out), fmt.Sprint(token, " ")); got != tc.want+"\n" || token <= last {
			t.Errorf("run %d: output %q with a token after %d, want value %q", i, out, last, tc.want)
		}
		last = token
	}
	if _, errs, status := nodes[0].Ctl(t, "lock", "s", "n", "--value-size", "64"); status != exitError || !strings.Contains(errs, "other properties") {
		t.Errorf("another value size: status %d, %s", status, errs)
	}
}

// start runs lockctl lock with a script that says its process id first.
func start(t *testing.T, d *daemontest.Daemon, script string, flags ...string) (p *daemontest.Process, pid int) {
	t.Helper()
	args := append(append([]string{"lock", "s", "n"}, flags...), "--", "sh", "-c", "echo pid $$; "+script)
	p = daemontest.Run(t, d.CtlCommand(t.Context(), args...))
	if _, err := fmt.Sscanf(p.Out.Await(t, 0, "pid "), "pid %d", &pid); err != nil {
		t.Fatal(err)
	}
	return p, pid
}

// untilTrap is the end of a script that runs until a trap, which kills $!.
const untilTrap = "sleep 1000 & echo armed; wait"

// A lock that others hold: --timeout ends the wait, and so does a signal; the
// request goes with it.
func TestLockWaits(t *testing.T) {
	nodes := daemontest.Cluster(t, 2)
	held := lock(t, open(t, nodes[0], "s"), "n", lockify.EX)
	idle := func(r *admin.Resource) bool { return len(r.Waiting) == 0 && len(r.Granted) == 1 }
	master := nodes[0]
	if !masters(t, nodes[0]) {
		master = nodes[1]
	}

	_, errs, status := nodes[1].Ctl(t, "lock", "s", "n", "--timeout", "50ms", "--", "echo", "no")
	if want := "lockctl: \"n\" was not granted within 50ms\n"; status != exitTimeout || errs != want {
		t.Errorf("timeout: status %d, %q", status, errs)
	}
	find(t, master, "s", "n", "the request to go", idle)

	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := daemontest.Run(t, nodes[1].CtlCommand(t.Context(), "lock", "s", "n", "--", "echo", "no"))
		find(t, master, "s", "n", "a request", func(r *admin.Resource) bool { return len(r.Waiting) == 1 })
		p.Signal(t, sig)
		if status := p.Wait(t); status != exitSignal+int(sig) || p.Out.String() != "" {
			t.Errorf("%v: status %d, output %q", sig, status, p.Out)
		}
		find(t, master, "s", "n", "the request to go", idle)
	}

	p := daemontest.Run(t, nodes[1].CtlCommand(t.Context(), "lock", "s", "n", "--", "echo", "at last"))
	find(t, master, "s", "n", "a request", func(r *admin.Resource) bool { return len(r.Waiting) == 1 })
	if err := held.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := p.Wait(t); status != 0 || p.Out.Lines() != 1 {
		t.Errorf("status %d, output %q", status, p.Out)
	}
}

// masters says whether d is master of the test's name.
func masters(t *testing.T, d *daemontest.Daemon) bool {
	t.Helper()
	found := false
	_, err := d.Ask(t).Locks(t.Context(), "s", 0, func(r *admin.Resource) error {
		found = found || r.Role == "master"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Signals reach the command, and what it does with them counts.
func TestLockPassesSignals(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		p, _ := start(t, d, fmt.Sprintf("trap 'echo got it; kill $!; exit 33' %d; %s", sig, untilTrap))
		p.Out.Await(t, 0, "armed")
		p.Signal(t, sig)
		p.Out.Await(t, 0, "got it")
		if status := p.Wait(t); status != 33 {
			t.Errorf("%v: status %d, want the command's 33", sig, status)
		}
	}
}

// With --on-lost=ignore the command goes on, and its end is reported as lost.
func TestLockLostIgnored(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	p, _ := start(t, d, "trap 'echo still here; kill $!; exit 0' TERM; "+untilTrap, "--on-lost=ignore", "--json")
	p.Out.Await(t, 0, "armed")
	d.Signal(t, syscall.SIGKILL)
	d.Wait(t)
	p.Signal(t, syscall.SIGTERM)
	p.Out.Await(t, 0, "still here")
	if status := p.Wait(t); status != exitLost {
		t.Errorf("status %d, want %d", status, exitLost)
	}
	p.Err.Await(t, 0, `"event":"lost"`)
}

// --json gives one event a line on the standard error.
func TestLockEvents(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	out, errs, status := d.Ctl(t, "lock", "s", "n", "--json", "--mode", "PW", "--", "sh", "-c", "echo out; exit 3")
	if status != 3 || out != "out\n" {
		t.Fatalf("status %d, output %q, errors %q", status, out, errs)
	}
	var events []string
	for line := range strings.Lines(errs) {
		var e struct {
			Event, Lockspace, Name, Mode string
			Token, Pid                   uint64
			Status                       int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e.Lockspace != "s" || e.Name != "n" {
			t.Errorf("event %q", line)
		}
		events = append(events, e.Event)
		switch {
		case e.Event == "granted" && (e.Mode != "PW" || e.Token == 0),
			e.Event == "started" && e.Pid == 0,
			e.Event == "ended" && e.Status != 3:
			t.Errorf("event %q", line)
		}
	}
	if got := strings.Join(events, " "); got != "granted started ended" {
		t.Errorf("events %s", got)
	}
}

// Nobody is there: an error, not a wait.
func TestNoDaemon(t *testing.T) {
	d := daemontest.Start(t, "--id", "1", "--clients", "unix://"+filepath.Join(t.TempDir(), "s"),
		"--admin", daemontest.FreeAddrs(t, 1)[0]) // which no other daemon takes meanwhile
	d.Signal(t, syscall.SIGTERM)
	d.Wait(t)
	for _, args := range [][]string{{"status"}, {"lockspaces"}, {"locks", "s"}, {"lock", "s", "n", "--", "echo", "no"}} {
		out, errs, status := d.Ctl(t, args...)
		if status != exitError || out != "" || !strings.HasPrefix(errs, "lockctl: ") {
			t.Errorf("%v: status %d, output %q, errors %q", args, status, out, errs)
		}
	}
}

// TestLockNotNew: under a name that is not new no command runs, and lockctl says so, also if it would have
// been done before the cluster could say.
func TestLockNotNew(t *testing.T) {
	nodes := daemontest.Cluster(t, 2)
	lost := 0
	for i := range 10 {
		for what, command := range map[string][]string{"a": {"--", "echo", "started"}, "b": nil} {
			name := fmt.Sprint(what, i)
			held := lock(t, open(t, nodes[0], "s"), name, lockify.EX)
			out, errs, status := nodes[1].Ctl(t, append([]string{"lock", "s", name, "--new", "--timeout", "100ms"}, command...)...)
			switch {
			case status == exitLost && out == "" && strings.Contains(errs, "was not new"):
				lost++
			case status != exitTimeout || out != "": // a node that has the name's directory knows better, and waits
				t.Errorf("%v: status %d, %q, %q", command, status, out, errs)
			}
			if err := held.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if lost == 0 {
		t.Error("no claim was wrong")
	}
}
