package main

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// listenAt listens for the time of the test, and hands each connection to f; nil: nobody
// takes them.
func listenAt(t *testing.T, network, addr string, f func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for f != nil {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
		}
	}()
	return l
}

// TestNoAnswer: a daemon that hangs does not keep lockctl, which names it, and soon says what it
// waits for.
func TestNoAnswer(t *testing.T) {
	addr := "unix://" + listenAt(t, "unix", filepath.Join(t.TempDir(), "s"), nil).Addr().String()
	var said strings.Builder
	o := &options{
		addr: addr, admin: listenAt(t, "tcp", "127.0.0.1:0", nil).Addr().String(), stderr: &said,
		clientTime: time.Millisecond, adminTime: 100 * time.Millisecond, sayWaits: time.Millisecond,
	}
	noAdmin, waits := "no answer of the lockifyd at "+o.admin+" (--admin) within 100ms", "lockctl: waiting for the lockifyd at "+o.admin+" (--admin), for 100ms at most (--timeout)\n"
	lock := &lockRun{options: o, space: "s", name: "n", mode: lockify.EX, spaceFlags: spaceFlags{rule: "none"}}
	for what, c := range map[string]struct {
		f          func() error
		want, says string
	}{
		"lock":   {func() error { _, _, err := lock.take(t.Context()); return err }, "no answer of " + addr + " within 1ms", ""},
		"purge":  {func() error { return o.purge(t.Context(), "s", 1, 0, &lock.spaceFlags) }, noAdmin, waits},
		"dump":   {func() error { return o.dump(t.Context(), "s", false, false) }, noAdmin, waits},
		"watch":  {func() error { return o.watch(t.Context(), &watching{}) }, noAdmin, waits},
		"bundle": {func() error { return o.bundle(t.Context(), filepath.Join(t.TempDir(), "b"), &bundling{}) }, noAdmin, waits},
		"members": {func() error {
			return o.ask(t.Context(), func(ctx context.Context, c *admin.Client) error { _, err := c.Members(ctx); return err })
		}, noAdmin, waits},
	} {
		said.Reset()
		if err := c.f(); err == nil || err.Error() != c.want || said.String() != c.says {
			t.Errorf("%s: %v, want %s; says %q, want %q", what, err, c.want, said.String(), c.says)
		}
	}
}

// TestLateWithoutAnswer: --timeout says whether it was others' locks that were waited for, or a daemon.
func TestLateWithoutAnswer(t *testing.T) {
	addr := "unix://" + listenAt(t, "unix", filepath.Join(t.TempDir(), "s"), nil).Addr().String()
	o := &options{addr: addr, clientTime: time.Minute}
	r := &lockRun{options: o, space: "s", name: "n", mode: lockify.EX, timeout: time.Millisecond, spaceFlags: spaceFlags{rule: "none"}}
	_, _, err := r.take(t.Context())
	if want := `"n" was not granted within 1ms: no answer of ` + addr + " (--addr)"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestLateAnswer: no answer in time is told as such, too, if a socket sees the end of the time first.
func TestLateAnswer(t *testing.T) {
	o := &options{clientTime: time.Millisecond}
	for range 100 {
		err := o.atOnce(t.Context(), "there", func(ctx context.Context) error {
			at, _ := ctx.Deadline()
			for time.Now().Before(at) {
			}
			return os.ErrDeadlineExceeded
		})
		if err == nil || err.Error() != "no answer of there within 1ms" {
			t.Fatal(err)
		}
	}
}

// TestNobodyThere: what is told of an address without a daemon, or with one that wants TLS.
func TestNobodyThere(t *testing.T) {
	closes := listenAt(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1<<16))
		c.Close()
	})
	for addr, want := range map[string]string{
		"tcp://" + closes.Addr().String():                                                    "does it want TLS (--tls-cert, --tls-key, --tls-ca)?",
		"unix://" + filepath.Join(t.TempDir(), "none"):                                       "no lockifyd there: is it running? (--addr, $LOCKIFY_ADDR)",
		"tcp://" + daemontest.FreeAddrs(t, 1)[0] + ",tcp://" + daemontest.FreeAddrs(t, 1)[0]: "no lockifyd there",
	} {
		var out, errs strings.Builder
		if status := run([]string{"--addr", addr, "lock", "s", "n"}, &out, &errs); status != exitError || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: status %d, %s", addr, status, errs.String())
		}
	}
}

// TestNotForClients: what is told of an address where something else is than what takes clients of a
// lockifyd, or answers lockctl.
func TestNotForClients(t *testing.T) {
	answer := func(text string) string {
		return listenAt(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1<<16))
			_, _ = c.Write([]byte(text))
			c.Close()
		}).Addr().String()
	}
	dir := t.TempDir()
	for _, args := range [][]string{{"init"}, {"client", "a"}} {
		if status := run(append([]string{"tls", "--dir", dir}, args...), io.Discard, os.Stderr); status != 0 {
			t.Fatalf("%q: status %d", args, status)
		}
	}
	tls := []string{"--tls-cert", filepath.Join(dir, "a.crt"), "--tls-key", filepath.Join(dir, "a.key"), "--tls-ca", filepath.Join(dir, "ca.crt"), "lock", "s", "n"}
	for _, c := range []struct {
		args []string
		want string
	}{
		{append([]string{"--addr", "tcp://" + answer("")}, tls...), "closed the connection: is that where a lockifyd takes clients? (--addr, $LOCKIFY_ADDR)"},
		{append([]string{"--addr", "tcp://" + answer("400 Bad Request")}, tls...), "there is no TLS: is that where a lockifyd takes clients"},
		{[]string{"--admin", answer(""), "status"}, "closed the connection: is that an admin address? (--admin, $LOCKIFY_ADMIN)"},
	} {
		var errs strings.Builder
		if status := run(c.args, io.Discard, &errs); status != exitError || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%q: status %d, %s", c.args, status, errs.String())
		}
	}
}

// TestNobodyAtAdmin: all commands that ask an admin address say what to do when nobody is there.
func TestNobodyAtAdmin(t *testing.T) {
	admin := daemontest.FreeAddrs(t, 1)[0]
	for _, command := range []string{
		"status", "lockspaces", "members", "locks s", "ranges s", "why s n", "dump s", "dump s --dlm", "dump s --json", "top --once",
		"watch", "watch --recent 1 --once", "node remove 3", "node leave", "node promote 2", "debug bundle " + filepath.Join(t.TempDir(), "b"),
	} {
		var out, errs strings.Builder
		status := run(append(strings.Fields(command), "--admin", admin), &out, &errs)
		if status != exitError || !strings.Contains(errs.String(), "no lockifyd there: is it running? (--admin, $LOCKIFY_ADMIN)") {
			t.Errorf("%s: status %d, %s%s", command, status, out.String(), errs.String())
		}
	}
}

// TestDaemonEndsWhileWaiting: who waits at a daemon that is killed is told so, or goes on
// waiting at another one that was named.
func TestDaemonEndsWhileWaiting(t *testing.T) {
	c := daemontest.NewJoined(t, 3, 2*time.Second)
	one, two, three := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	open(t, one, "s")
	open(t, two, "s")
	held := lock(t, open(t, three, "s"), "n", lockify.EX)
	here := daemontest.Run(t, one.CtlCommand(t.Context(), "lock", "s", "n"))
	both := daemontest.Run(t, one.CtlCommand(t.Context(), "--addr", one.Client+","+two.Client, "lock", "s", "n", "--", "echo", "granted"))
	waiting := func(d *daemontest.Daemon, want int) {
		t.Helper()
		find(t, d, "s", "n", "those who wait", func(r *admin.Resource) bool { return len(r.Waiting) == want })
	}
	waiting(one, 2)
	one.Signal(t, syscall.SIGKILL)
	if status := here.Wait(t); status != exitError || !strings.Contains(here.Err.String(), one.Client+`: connection lost while waiting: lock of "n": lockify: session lost`) {
		t.Errorf("status %d, %s", status, here.Err)
	}
	waiting(two, 1)
	if err := held.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status := both.Wait(t); status != 0 || both.Out.String() != "granted\n" {
		t.Errorf("status %d, %s%s", status, both.Out, both.Err)
	}
}
