package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestSignalWhileRegistering: one signal while the node tries to register at a shared disk is an
// end in order.
func TestSignalWhileRegistering(t *testing.T) {
	for range 3 { // it was a matter of luck
		dir := t.TempDir()
		file := configFile(t, `
			id = 1
			new_cluster = true
			admin = "off"
			listen = "`+daemontest.FreeAddrs(t, 1)[0]+`"
			data = "`+dir+`"
			clients = ["unix://`+dir+`/s"]
			[[fence_disk]]
			addr = "127.0.0.1:1"
			nqn = "nqn.2026-01.com.example:disk"
		`)
		p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), "--config", file))
		p.Err.Await(t, 0, "no registration at the shared disks")
		p.Signal(t, syscall.SIGTERM)
		if status := p.Wait(t); status != 0 || strings.Contains(p.Err.String(), "second signal") {
			t.Errorf("status %d after one SIGTERM: %s", status, p.Err)
		}
	}
}

// TestSameSignal: what comes with the first signal is no second one.
func TestSameSignal(t *testing.T) {
	signals, other, second := make(chan os.Signal), make(chan time.Time), make(chan os.Signal)
	go func() { second <- secondSignal(signals, other) }()
	for range 3 {
		signals <- syscall.SIGTERM
	}
	other <- time.Now()
	signals <- syscall.SIGINT
	if got := <-second; got != syscall.SIGINT {
		t.Errorf("%v ends it at once", got)
	}
}

// TestReloadBeforeReady: SIGHUP does not make a node ready that is no member yet.
func TestReloadBeforeReady(t *testing.T) {
	env, said := notified(t)
	file := configFile(t, `
		id = 2
		admin = "off"
		listen = "`+daemontest.FreeAddrs(t, 1)[0]+`"
		join = ["127.0.0.1:1"]
		clients = ["unix://`+filepath.Join(t.TempDir(), "s")+`"]
	`)
	cmd := exec.Command(daemontest.Bin("lockifyd"), "--config", file)
	cmd.Env = env
	p := daemontest.Run(t, cmd)
	p.Err.Await(t, 0, "cannot reach a node")
	p.Signal(t, syscall.SIGHUP)
	p.Err.Await(t, 0, "msg=reloaded")
	p.Signal(t, syscall.SIGTERM)
	p.Wait(t)
	said.Await(t, 0, "STOPPING=1")
	if strings.Contains(said.String(), "READY=1") {
		t.Errorf("the service manager has heard that the node is ready, which has not joined:\n%s", said)
	}
}

// TestLogReaderGone: a node goes on when who reads its log has gone.
func TestLogReaderGone(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemontest.Bin("lockifyd"), "--id", "1", "--admin", "off", "--clients", "unix://"+sock)
	cmd.Stderr = w
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.HasPrefix(line, "ready") {
		t.Fatalf("%q, error %v", line, err)
	}
	w.Close()
	r.Close()
	ctl := exec.Command(daemontest.Bin("lockctl"), "--addr", "unix://"+sock, "lock", "s", "n")
	if text, err := ctl.CombinedOutput(); err != nil { // which is a line of the log
		t.Errorf("a client after that: %v: %s", err, text)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the daemon: %v", err)
	}
}
