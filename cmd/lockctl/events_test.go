package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// eventPipe is a pipe for a command's standard error.
func eventPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// TestEventReaderGone: the command goes on when who reads the events has gone.
func TestEventReaderGone(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	r, w := eventPipe(t)
	in, command := eventPipe(t) // what the command waits for
	cmd := d.CtlCommand(t.Context(), "--json", "lock", "s", "n", "--", "sh", "-c", "read x; exit 7")
	cmd.Stdin, cmd.Stderr = in, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() && !bytes.Contains(lines.Bytes(), []byte(`"started"`)) {
	}
	r.Close()
	if _, err := command.WriteString("go on\n"); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.String(); got != "exit status 7" {
		t.Errorf("lockctl: %s, want the command's status 7", got)
	}
}

// TestEventReaderStuck: the command is killed when its lock is lost, though nobody reads the
// events, and the pipe is full.
func TestEventReaderStuck(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	_, w := eventPipe(t)
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("x"), size-150)); err != nil { // there is room for one event
		t.Fatal(err)
	}
	out := daemontest.NewOutput()
	cmd := d.CtlCommand(t.Context(), "--json", "lock", "s", "n", "--", "sh", "-c", "echo runs $$; read x")
	in, _ := eventPipe(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it waits for room to say why
		_ = cmd.Wait()
	}()
	pid, err := strconv.Atoi(strings.Fields(out.Await(t, 0, "runs"))[1])
	if err != nil {
		t.Fatal(err)
	}
	d.Signal(t, syscall.SIGKILL)
	for late := time.Now().Add(30 * time.Second); syscall.Kill(pid, 0) == nil; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatal("the command goes on")
		}
	}
}

// TestNohup: what is ignored when lockctl starts is ignored by the command, too.
func TestNohup(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	in, command := eventPipe(t)
	ctl := d.CtlCommand(t.Context(), "lock", "s", "n", "--", "sh", "-c", "echo runs; read x; echo done")
	cmd := exec.Command("nohup", ctl.Args...)
	cmd.Env, cmd.Stdin = ctl.Env, in
	p := daemontest.Run(t, cmd)
	p.Out.Await(t, 0, "runs")
	p.Signal(t, syscall.SIGHUP)
	if _, err := command.WriteString("go on\n"); err != nil {
		t.Fatal(err)
	}
	p.Out.Await(t, 0, "done")
	if status := p.Wait(t); status != 0 {
		t.Errorf("status %d", status)
	}
}
