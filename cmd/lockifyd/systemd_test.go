package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// notified listens as systemd does, and gives the variables for a daemon and what it says.
func notified(t *testing.T) (env []string, said *daemontest.Output) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	said = daemontest.NewOutput()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			fmt.Fprintln(said, string(b[:n]))
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return append(os.Environ(), "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=10000000"), said
}

// A daemon tells systemd when it is ready, feeds the watchdog in the time of its lease,
// reads its configuration again, and says that it ends.
func TestSystemd(t *testing.T) {
	env, said := notified(t)
	socket := filepath.Join(t.TempDir(), "n.sock")
	head := "id = 1\nadmin = \"off\"\nclients = [\"unix://" + socket + "\"]\nnew_cluster = true\n" +
		"listen = \"" + daemontest.FreeAddrs(t, 1)[0] + "\"\ndata = \"" + t.TempDir() + "\"\n"
	text := head + "lease = \"1500ms\"\n"
	file := configFile(t, text)
	cmd := exec.Command(daemontest.Bin("lockifyd"), "--config", file, "--transport", "plain")
	cmd.Env = env
	p := daemontest.Run(t, cmd)
	said.Await(t, 0, "WATCHDOG_USEC=3000000")
	said.Await(t, 0, "READY=1")
	said.Await(t, 0, `STATUS=node 1 of cluster "lockify"`)
	said.Await(t, said.Lines(), "WATCHDOG=1")

	reload := func(text, want string) {
		t.Helper()
		from := said.Lines()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.Signal(t, syscall.SIGHUP)
		said.Await(t, from, "RELOADING=1")
		said.Await(t, from, "MONOTONIC_USEC=")
		said.Await(t, from, "READY=1")
		p.Err.Await(t, 0, want)
	}
	reload(text+"shards = 1000\n", "not reloaded: what was configured stays")
	reload(text+"cluster = \"other\"\n", "settings=cluster")
	reload(head+"lease = \"2s\"\nvoters = 1\n", `no restart changes them there" settings=lease,voters`)
	if strings.Contains(p.Err.String(), "restart\" settings=lease") {
		t.Errorf("the lease waits for a restart:\n%s", p.Err)
	}
	reload(text+"log_level = \"debug\"\n", "msg=reloaded")
	reload(text+"log_level = \"error\"\n", "")
	p.Signal(t, syscall.SIGTERM)
	said.Await(t, 0, "STOPPING=1")
	if status := p.Wait(t); status != 0 {
		t.Errorf("status %d", status)
	}
	if strings.Contains(p.Err.String(), "shutting down") {
		t.Error("the log has less important messages than error, which was reloaded")
	}
}

// The watchdog is not fed while something is stuck in a shard, and is afterwards.
func TestWatchdogOfStuckShard(t *testing.T) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg, err := load("", nil, given{settingFor("id"): "1", settingFor("admin"): "off", settingFor("transport"): "plain",
		settingFor("clients"): "unix://" + filepath.Join(t.TempDir(), "n.sock")})
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cfg: cfg, log: quiet, stopProfile: func() {}}
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.stop()
	space, err := d.node.Load().Open(t.Context(), "stuck", node.Props{ValueLen: 32})
	if err != nil {
		t.Fatal(err)
	}
	held := make(owner, 1)
	space.LockHere(&lockspace.Request{Mode: lockspace.EX, User: held}, "name", 0, new(uint64))
	<-held

	inside, asked, fed := make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	var freed atomic.Bool
	go func() {
		_ = space.Inspect(context.Background(), func(lockspace.ResourceInfo) bool {
			close(inside)
			<-asked
			for range 10000 { // time for a watchdog that does not look
				runtime.Gosched()
			}
			freed.Store(true)
			return false
		})
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ticks := make(chan time.Time)
	go feed(ctx, ticks, func() error {
		close(asked)
		return d.alive()
	}, func() {
		if !freed.Load() {
			t.Error("fed while the shard was stuck")
		}
		fed <- struct{}{}
	}, func(err error) { t.Error(err) })
	ticks <- time.Time{}
	<-fed
}

// owner takes completions; nothing else comes in this test.
type owner chan struct{}

func (o owner) Complete(_, _ uint64, _ *lockspace.Completion) { o <- struct{}{} }
func (o owner) Blocking(uint64, lockspace.Mode)               {}
func (o owner) Confirmed(uint64)                              {}
func (o owner) Lost(uint64)                                   {}
func (o owner) Bytes(_, _ uint64, _ *lockspace.ByteOutcome)   {}

// An error starves the watchdog, and is told; the next tick asks again.
func TestFeed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ticks, events := make(chan time.Time, 2), make(chan string, 2)
	ticks <- time.Time{}
	ticks <- time.Time{}
	answers := []error{errUnfenced, nil}
	go feed(ctx, ticks, func() error {
		err := answers[0]
		answers = answers[1:]
		return err
	}, func() { events <- "fed" }, func(err error) {
		if !errors.Is(err, errUnfenced) {
			t.Error(err)
		}
		events <- "starved"
	})
	if a, b := <-events, <-events; a != "starved" || b != "fed" {
		t.Errorf("%s, %s", a, b)
	}
	cancel()
}

func TestWatchdogTime(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{200 * time.Millisecond: 2 * time.Second, 5 * time.Second: 10 * time.Second} {
		if got := watchdogTime(lease); got != want {
			t.Errorf("lease %v: %v, want %v", lease, got, want)
		}
	}
}
