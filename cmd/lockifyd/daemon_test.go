package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// single gives the flags of a node without peers.
func single(t *testing.T, more ...string) []string {
	return append([]string{"--id", "1", "--admin", "127.0.0.1:0", "--clients", "unix://" + filepath.Join(t.TempDir(), "c.sock")}, more...)
}

func instanceOf(t *testing.T, d *daemontest.Daemon) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(d.Ready["instance"], 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// stopDaemon ends a daemon in order.
func stopDaemon(t *testing.T, d *daemontest.Daemon, s os.Signal) {
	t.Helper()
	d.Signal(t, s)
	if status := d.Wait(t); status != 0 {
		t.Fatalf("exit status %d after %v, want 0; log:\n%s", status, s, d.Err)
	}
}

// Each start on a data directory has a higher instance than all before, after
// a clean end and after a kill, and even if the clock has gone back.
func TestInstanceGrows(t *testing.T) {
	data := filepath.Join(t.TempDir(), "made", "data")
	args := single(t, "--data", data)
	last := uint64(0)
	for i, end := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT} {
		d := daemontest.Start(t, args...)
		in := instanceOf(t, d)
		if in>>16 <= last>>16 || in&0xffff != 1 {
			t.Fatalf("start %d has instance %#x after %#x", i, in, last)
		}
		last = in
		if end == syscall.SIGKILL {
			d.Signal(t, end)
			d.Wait(t)
		} else {
			stopDaemon(t, d, end)
		}
	}
	future := last + 1<<55 // years ahead
	text := fmt.Sprintf(`{"node":1,"instance":"%#x","starts":9}`, future)
	if err := os.WriteFile(filepath.Join(data, "instance"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := daemontest.Start(t, args...)
	if in := instanceOf(t, d); in != future+1<<16 {
		t.Errorf("instance %#x after %#x, want the next one", in, future)
	}
	if left, err := filepath.Glob(filepath.Join(data, "*new*")); err != nil || len(left) > 0 {
		t.Errorf("files left over: %v, %v", left, err)
	}
}

// A data directory that can't be used safely is refused, not repaired.
func TestDataRefused(t *testing.T) {
	for _, tc := range []struct{ name, content, want string }{
		{"another node", `{"node":2,"instance":"0x10002","starts":1}`, "instance is of node 2, this is node 1"},
		{"no JSON", `0x10001`, "this data directory is damaged"},
		{"cut off", `{"node":1,"inst`, "move its files away and start again, with --join"},
		{"id does not fit", `{"node":1,"instance":"0x10002","starts":1}`, "this data directory is damaged"},
		{"used up", `{"node":1,"instance":"0xffffffffffff0001","starts":1}`, "the last that there can be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := t.TempDir()
			if err := os.WriteFile(filepath.Join(data, "instance"), []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--data", data)...))
			if status := p.Wait(t); status != exitFailed {
				t.Errorf("exit status %d, want %d", status, exitFailed)
			}
			p.Err.Await(t, 0, tc.want)
			if now, err := os.ReadFile(filepath.Join(data, "instance")); err != nil || string(now) != tc.content {
				t.Errorf("the file was changed to %q, %v", now, err)
			}
		})
	}
}

func TestDataInUse(t *testing.T) {
	data := t.TempDir()
	first := daemontest.Start(t, single(t, "--data", data)...)
	second := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--data", data)...))
	if status := second.Wait(t); status != exitFailed {
		t.Errorf("exit status %d, want %d", status, exitFailed)
	}
	line := second.Err.Await(t, 0, "another lockifyd uses this data directory", data, "process ")
	if pid := line[strings.LastIndex(line, " ")+1:]; pid != readFile(t, filepath.Join(data, "lock")) {
		t.Errorf("%q does not name the process that has the directory", line)
	}
	unlock(t, lock(t, open(t, first), "still served", lockify.EX))
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// SIGTERM: clients hear of it, sockets go, status 0; the other nodes go on
// with the names that they are directory of.
func TestShutdown(t *testing.T) {
	nodes := daemontest.Cluster(t, 3)
	one, two := open(t, nodes[0]), open(t, nodes[1])
	mine := directedBy(t, nodes, one, 1, 2)
	c, err := lockify.Dial(t.Context(), nodes[2].Client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Open(t.Context(), testSpace)
	if err != nil {
		t.Fatal(err)
	}
	held := lock(t, s, mine[0], lockify.EX)
	heir := make(chan error, 1)
	one.LockAsync(mine[0], lockify.EX, func(_ *lockify.Lock, err error) { heir <- err })
	untilMaster(t, nodes, mine[0], "the heir's request", func(r *admin.Resource) bool { return len(r.Waiting) == 1 })

	stopDaemon(t, nodes[2], syscall.SIGTERM)
	<-c.Session().Lost()
	<-held.Lost()
	if err := <-heir; err != nil {
		t.Errorf("the lock of the node that ended was not passed on: %v", err)
	}
	if _, err := os.Stat(nodes[2].Socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("socket after the end: %v", err)
	}
	for _, name := range mine[1:] {
		unlock(t, lock(t, one, name, lockify.EX))
		unlock(t, lock(t, two, name, lockify.EX))
	}
	for _, d := range nodes[:2] {
		d.Until(t, "one link down", func(st *admin.Status) bool {
			return len(st.Links) == 2 && st.Links[0].State == "up" && st.Links[1].State == "down"
		})
	}
}

// directedBy gives names whose directory node is one of ids.
func directedBy(t *testing.T, nodes []*daemontest.Daemon, s *lockify.Lockspace, ids ...uint16) []string {
	t.Helper()
	var names []string
	var held []*lockify.Lock
	for i := range 24 {
		held = append(held, lock(t, s, fmt.Sprintf("name-%d", i), lockify.PR))
	}
	_, err := nodes[0].Ask(t).Locks(t.Context(), testSpace, 0, func(r *admin.Resource) error {
		for _, id := range ids {
			if r.Directory == id {
				names = append(names, string(r.Name))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range held {
		unlock(t, l)
	}
	if len(names) < 4 || len(names) == len(held) {
		t.Fatalf("%d of %d names are for nodes %v", len(names), len(held), ids)
	}
	return names
}

// A second signal does not wait: here for a claim that can't be closed, as the
// directory node is stopped.
func TestSecondSignal(t *testing.T) {
	nodes := daemontest.Cluster(t, 2)
	s := open(t, nodes[0])
	names := directedBy(t, nodes, s, 2)
	nodes[1].Signal(t, syscall.SIGSTOP)
	for _, name := range names {
		lock(t, s, name+" fresh", lockify.EX, lockify.New())
	}
	from := nodes[0].Err.Lines()
	nodes[0].Signal(t, syscall.SIGTERM)
	nodes[0].Err.Await(t, from, "shutting down")
	again := time.NewTicker(10 * time.Millisecond) // the first of them are taken for the first signal once more
	defer again.Stop()
	for ended := false; !ended; {
		select {
		case <-nodes[0].Done():
			ended = true
		case <-again.C:
			_ = syscall.Kill(nodes[0].Pid(), syscall.SIGTERM) // fails if it has just ended
		}
	}
	if status := nodes[0].Wait(t); status != 128+int(syscall.SIGTERM) {
		t.Errorf("exit status %d, want %d", status, 128+int(syscall.SIGTERM))
	}
	nodes[0].Err.Await(t, from, "second signal (terminated)")
}

// An address in use is an error of the start, not of the configuration.
func TestAddressInUse(t *testing.T) {
	d := daemontest.Start(t, single(t)...)
	for _, args := range [][]string{
		{"--id=2", "--admin=off", "--clients=" + d.Client},
		{"--id=2", "--admin=" + d.Admin, "--clients=unix://" + filepath.Join(t.TempDir(), "other")},
	} {
		p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), args...))
		if status := p.Wait(t); status != exitFailed {
			t.Errorf("%v: exit status %d, want %d", args, status, exitFailed)
		}
		p.Err.Await(t, 0, "in use")
	}
	unlock(t, lock(t, open(t, d), "still served", lockify.EX))
}

func TestProfile(t *testing.T) {
	for kind, file := range map[string]string{"cpu": "cpu.pprof", "mutex": "mutex.pprof"} {
		dir := filepath.Join(t.TempDir(), "profiles")
		d := daemontest.Start(t, single(t, "--profile", kind, "--profile-dir", dir)...)
		unlock(t, lock(t, open(t, d), "x", lockify.EX))
		stopDaemon(t, d, syscall.SIGTERM)
		if text := readFile(t, filepath.Join(dir, file)); !strings.HasPrefix(text, "\x1f\x8b") {
			t.Errorf("%s profile of %d bytes is not compressed pprof data", kind, len(text))
		}
	}
}

func TestPprofAnswers(t *testing.T) {
	d := daemontest.Start(t, single(t)...)
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=1": "goroutine profile: total",
		"/debug/pprof/heap":              "\x1f\x8b",
		"/debug/pprof/cmdline":           "lockifyd",
	} {
		resp, err := http.Get("http://" + d.Admin + path)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := errors.Join(resp.Write(&b), resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s, no %q in the answer", path, resp.Status, want)
		}
	}
}

// The log can be JSON, and quiet.
func TestLogFormat(t *testing.T) {
	d := daemontest.Start(t, single(t, "--log-format=json", "--log-level=info")...)
	open(t, d)
	d.Err.Await(t, 0, `{"time":`, `"level":"INFO"`, `"msg":"client connected"`)
	quiet := daemontest.Start(t, single(t, "--log-level=error")...)
	stopDaemon(t, quiet, syscall.SIGTERM)
	if log := quiet.Err.String(); log != "" {
		t.Errorf("log at level error: %s", log)
	}
}
