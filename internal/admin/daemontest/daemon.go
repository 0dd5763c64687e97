package daemontest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/perf/proc"
)

// Process is a program that runs.
type Process struct {
	Out, Err *Output
	cmd      *exec.Cmd
	done     chan struct{} // closed when it has ended
}

// Run starts a program. It is killed when the test ends, if it still runs.
func Run(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Out: NewOutput(), Err: NewOutput(), cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.Out, p.Err
	cmd.WaitDelay = time.Second // for grandchildren that keep the pipes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // ProcessState says the same
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails if it has ended
		<-p.done
		if strings.Contains(p.Err.String(), "WARNING: DATA RACE") {
			t.Error("the race detector has found something in the process")
		}
		if t.Failed() {
			t.Logf("%s\nstdout:\n%s\nstderr:\n%s", strings.Join(cmd.Args, " "), p.Out, p.Err)
		}
	})
	return p
}

// Pid gives its number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process and gives its exit status, -1 if a
// signal ended it.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Patience):
		t.Fatalf("%s still runs\nstdout:\n%s\nstderr:\n%s", strings.Join(p.cmd.Args, " "), p.Out, p.Err)
		return -1
	}
}

// Daemon is a running lockifyd.
type Daemon struct {
	*Process
	ID     int
	Client string // address for clients, unix:///path
	Socket string // path of that socket
	Listen string // address for other nodes, host:port
	Admin  string // host:port
	Ready  map[string]string
}

// Start runs lockifyd with these arguments until its ready line.
func Start(t testing.TB, args ...string) *Daemon {
	t.Helper()
	return StartProgram(t, Bin("lockifyd"), args...)
}

// StartProgram is Start for a lockifyd of another version.
func StartProgram(t testing.TB, program string, args ...string) *Daemon {
	t.Helper()
	if race {
		args = append(args, "--transport", "plain")
	}
	d := &Daemon{Process: Run(t, exec.Command(program, args...)), Ready: map[string]string{}}
	go func() { // so that a daemon that ends is not waited for
		<-d.done
		fmt.Fprintln(d.Out, "ended ready")
	}()
	line := d.Out.Await(t, 0, "ready")
	if strings.HasPrefix(line, "ended") {
		t.Fatalf("lockifyd has ended: %s", d.Err)
	}
	for _, f := range strings.Fields(line) {
		if k, v, ok := strings.Cut(f, "="); ok {
			d.Ready[k] = v
		}
	}
	d.Client, _, _ = strings.Cut(d.Ready["clients"], ",")
	d.Socket = strings.TrimPrefix(d.Client, "unix://")
	d.Listen, d.Admin = d.Ready["listen"], d.Ready["admin"]
	if _, err := fmt.Sscan(d.Ready["id"], &d.ID); err != nil {
		t.Fatalf("ready line %q: %v", line, err)
	}
	return d
}

// Cluster runs n daemons that know each other, with ids 1 to n, and waits
// until all are connected. Each also gets the arguments given.
func Cluster(t testing.TB, n int, args ...string) []*Daemon {
	t.Helper()
	dir := t.TempDir()
	addrs := FreeAddrs(t, n)
	all := make([]*Daemon, n)
	for i := range all {
		var peers []string
		for j, a := range addrs {
			if j != i {
				peers = append(peers, fmt.Sprintf("%d=%s", j+1, a))
			}
		}
		own := []string{
			"--id", fmt.Sprint(i + 1), "--listen", addrs[i], "--admin", "127.0.0.1:0",
			"--clients", "unix://" + filepath.Join(dir, fmt.Sprintf("n%d.sock", i+1)),
		}
		if len(peers) > 0 {
			own = append(own, "--peers", strings.Join(peers, ","))
		}
		all[i] = Start(t, append(own, args...)...)
	}
	for _, d := range all {
		d.Until(t, "all links up", func(st *admin.Status) bool {
			for _, l := range st.Links {
				if l.State != "up" {
					return false
				}
			}
			return true
		})
	}
	return all
}

// FreeAddrs gives TCP addresses of this machine that nobody listens on.
func FreeAddrs(t testing.TB, n int) []string {
	t.Helper()
	addrs, err := proc.FreeAddrs(n)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

// Ask gives a client of the daemon's admin address.
func (d *Daemon) Ask(t testing.TB) *admin.Client {
	t.Helper()
	c, err := admin.NewClient(d.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Metrics gives what Prometheus reads of the daemon.
func (d *Daemon) Metrics(t testing.TB) string {
	t.Helper()
	answer, err := http.Get("http://" + d.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Until asks for the daemon's status until it is as wanted.
func (d *Daemon) Until(t testing.TB, what string, ok func(*admin.Status) bool) *admin.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	c := d.Ask(t)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		st, err := c.Status(ctx)
		if err != nil {
			t.Fatalf("node %d: waiting for %s: %v", d.ID, what, err)
		}
		if ok(st) {
			return st
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("node %d: waited in vain for %s: %+v", d.ID, what, *st)
		}
	}
}

// Ctl runs lockctl against this daemon and gives what it has written.
func (d *Daemon) Ctl(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := d.CtlCommand(t.Context(), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// CtlCommand prepares lockctl against this daemon.
func (d *Daemon) CtlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, Bin("lockctl"), args...)
	cmd.Env = append(os.Environ(), "LOCKIFY_ADMIN="+d.Admin, "LOCKIFY_ADDR="+d.Client)
	return cmd
}
