package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/internal/node"
)

// lease is long enough for a machine that does much else.
const lease = 2 * time.Second

func dial(t *testing.T, d *daemontest.Daemon) *lockify.Client {
	t.Helper()
	c, err := lockify.Dial(t.Context(), d.Client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func space(t *testing.T, d *daemontest.Daemon) *lockify.Lockspace {
	t.Helper()
	s, err := dial(t, d).Open(t.Context(), "storage", lockify.ValueSize(16))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nodesOf lists members as "id state vote".
func nodesOf(m *admin.Members) string {
	var all []string
	for _, n := range m.Members {
		s := string('0'+rune(n.Node)) + " " + n.State
		if n.Vote {
			s += " vote"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

// TestClusterOfDaemons: nodes join one that has made a cluster; what a killed one held
// is free when its lease has ended, and not before; it comes back as another start;
// operators remove, promote and let leave.
func TestClusterOfDaemons(t *testing.T) {
	c := daemontest.NewJoined(t, 4, lease)
	one, four := c.Nodes[0], c.Nodes[3]
	if out, errs, status := one.Ctl(t, "members"); status != 0 || !strings.Contains(out, "LOCKSPACES") {
		t.Errorf("lockctl members: %d, %s%s", status, out, errs)
	}
	held, err := space(t, four).Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	mine := space(t, one)
	if _, err := mine.Lock(t.Context(), "held", lockify.EX, lockify.NoQueue()); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Errorf("a lock that another node holds: %v", err)
	}
	four.Signal(t, syscall.SIGKILL)
	four.Wait(t)
	<-held.Lost()
	l, err := mine.Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	if l.Token() <= held.Token() {
		t.Errorf("token %d after %d", l.Token(), held.Token())
	}
	one.UntilMembers(t, "the killed node is out", func(m *admin.Members) bool { return nodesOf(m) == "1 member vote, 2 member vote, 3 member vote" })
	four = c.Restart(t, 3)
	if _, err := space(t, four).Lock(t.Context(), "held", lockify.EX, lockify.NoQueue()); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Errorf("a lock that node 1 holds: %v", err)
	}
	operators(t, c)
}

// operators changes the membership with lockctl.
func operators(t *testing.T, c *daemontest.Joined) {
	one, two, four := c.Nodes[0], c.Nodes[1], c.Nodes[3]
	for _, bad := range []struct{ args, want string }{
		{"node remove 9", "remove node 9: cluster: not a member"}, {"node remove x", "want a number"}, {"node promote 9", "promote node 9: cluster: not a member"}, {"node", "which change?"},
	} {
		if _, errs, status := one.Ctl(t, strings.Fields(bad.args)...); status == 0 || !strings.Contains(errs, bad.want) {
			t.Errorf("lockctl %s: %d, %s", bad.args, status, errs)
		}
	}
	if _, errs, status := one.Ctl(t, "node", "promote", "4"); status != 0 {
		t.Fatal(errs)
	}
	one.UntilMembers(t, "node 4 has a vote", func(m *admin.Members) bool {
		return nodesOf(m) == "1 member vote, 2 member vote, 3 member vote, 4 member vote"
	})
	if _, errs, status := four.Ctl(t, "node", "leave"); status != 0 {
		t.Fatal(errs)
	}
	if status := four.Wait(t); status != 0 {
		t.Errorf("node 4 has left with status %d", status)
	}
	// Until its vote is taken away it counts: another node that died meanwhile would be
	// the second of four.
	one.UntilMembers(t, "node 4's vote is gone", func(m *admin.Members) bool {
		return nodesOf(m) == "1 member vote, 2 member vote, 3 member vote"
	})
	two.Signal(t, syscall.SIGKILL)
	two.Wait(t)
	if _, errs, status := one.Ctl(t, "node", "remove", "2"); status != 0 {
		t.Fatal(errs)
	}
	one.UntilMembers(t, "two are left", func(m *admin.Members) bool { return nodesOf(m) == "1 member vote, 3 member vote" })
}

// TestStoppedDaemon: a daemon that was stopped for longer than its lease tells its
// clients that their locks are lost before it does anything else, and takes part anew.
func TestStoppedDaemon(t *testing.T) {
	c := daemontest.NewJoined(t, 3, lease)
	three := c.Nodes[2]
	first := instanceOf(t, three)
	held, err := space(t, three).Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	three.Signal(t, syscall.SIGSTOP)
	l, err := space(t, c.Nodes[0]).Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	three.Signal(t, syscall.SIGCONT)
	<-held.Lost()
	three.UntilMembers(t, "another start of it", func(m *admin.Members) bool {
		return len(m.Members) == 3 && m.Waits == "" && uint64(m.Members[2].Instance) > first
	})
	if text := three.Metrics(t); !strings.Contains(text, "\nlockify_fenced_total 1\n") {
		t.Error("its metrics do not say that it was fenced")
	}
	if _, err := space(t, three).Lock(t.Context(), "held", lockify.EX, lockify.NoQueue()); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Errorf("a lock that node 1 holds: %v", err)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestFencedBesideStoppedDaemons: a node without quorum begins anew at once. It does not
// wait for the others to take what it had to say, and nothing is wrong with that.
func TestFencedBesideStoppedDaemons(t *testing.T) {
	c := daemontest.NewJoined(t, 3, lease)
	one := c.Nodes[0]
	first := instanceOf(t, one)
	s := space(t, one)
	for _, d := range c.Nodes[1:] {
		space(t, d) // so that names have it as their directory node
		d.Signal(t, syscall.SIGSTOP)
	}
	ends := make(chan error, 24)
	for i := range cap(ends) {
		s.LockAsync(fmt.Sprint("asked of a stopped node ", i), lockify.EX, func(_ *lockify.Lock, err error) { ends <- err })
	}
	one.Err.Await(t, 0, "starting anew")
	one.Until(t, "its next start", func(st *admin.Status) bool { return uint64(st.Instance) > first })
	if log := one.Err.String(); strings.Contains(log, "has not ended well") {
		t.Error(log)
	}
	for _, d := range c.Nodes[1:] {
		d.Signal(t, syscall.SIGCONT)
	}
	one.UntilMembers(t, "membership", func(m *admin.Members) bool {
		return len(m.Members) == 3 && m.Waits == "" && uint64(m.Members[0].Instance) > first
	})
	for range cap(ends) {
		if err := <-ends; err != nil && !errors.Is(err, lockify.ErrLost) {
			t.Error(err)
		}
	}
}

// TestWholeClusterRestarts: all daemons end, in order or not, and come back.
func TestWholeClusterRestarts(t *testing.T) {
	c := daemontest.NewJoined(t, 3, lease)
	for i, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGKILL} {
		c.Nodes[i].Signal(t, s)
		c.Nodes[i].Wait(t)
	}
	started := make(chan struct{})
	for i := range c.Nodes { // they need each other to get ready
		go func() {
			defer func() { started <- struct{}{} }()
			c.Restart(t, i)
		}()
	}
	for range c.Nodes {
		<-started
	}
	for _, d := range c.Nodes {
		d.UntilMembers(t, "all are back", func(m *admin.Members) bool { return nodesOf(m) == "1 member vote, 2 member vote, 3 member vote" })
	}
	if _, err := space(t, c.Nodes[1]).Lock(t.Context(), "x", lockify.EX); err != nil {
		t.Error(err)
	}
}

// TestWrongMembership: settings that cannot be together, or are not enough.
func TestWrongMembership(t *testing.T) {
	data := filepath.Join(t.TempDir(), "d")
	for _, c := range []struct{ args, want string }{
		{"--id 1 --new-cluster --data " + data, "listen"},
		{"--id 1 --new-cluster --listen 127.0.0.1:7001", "data"},
		{"--id 1 --join 127.0.0.1:7002 --listen 0.0.0.0:7001", "advertise"},
		{"--id 1 --join 127.0.0.1:7002 --listen 127.0.0.1:0", "advertise"},
		{"--id 1 --join 127.0.0.1:7002,127.0.0.1:7002 --listen 127.0.0.1:7001", "twice"},
		{"--id 1 --join unix:///tmp/x --listen 127.0.0.1:7001", "both over TCP"},
		{"--id 1 --join 127.0.0.1:7002 --peers 2=127.0.0.1:7002 --listen 127.0.0.1:7001", "membership is fixed"},
		{"--id 1 --listen 127.0.0.1:7001 --peers 2=127.0.0.1:7002 --lease 3s", "--lease: with peers the membership is fixed"},
		{"--id 1 --listen 127.0.0.1:7001 --peers 2=127.0.0.1:7002 --voters 1", "--voters: with peers the membership is fixed"},
		{"--id 1 --listen 127.0.0.1:7001 --peers 2=127.0.0.1:7002 --advertise 127.0.0.1:9", "--advertise: with peers the membership is fixed"},
		{"--id 1 --lease 3s", "--lease: this node is in no cluster"},
		{"--id 1 --voters 1", "--voters: this node is in no cluster"},
		{"--id 1 --advertise 127.0.0.1:9", "--advertise: this node is in no cluster"},
		{"--id 1 --fence-command true", "--fence-command: this node is in no cluster"},
		{"--id 1 --voters 4", "1, 3, 5 or 7"},
		{"--id 1 --lease 1ms", "200ms"},
	} {
		var out, errs strings.Builder
		if status := run(append(strings.Fields(c.args), "--check-config"), &out, &errs); status != exitConfig || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: status %d, %s", c.args, status, errs.String())
		}
	}
}

// TestDataOfAnotherMembership: a daemon whose data directory is not of the cluster that its
// settings rely on does not start, and is no cluster of its own.
func TestDataOfAnotherMembership(t *testing.T) {
	empty, founded := t.TempDir(), t.TempDir()
	addr := daemontest.FreeAddrs(t, 2)
	listen := []string{"--listen", addr[0]}
	d := daemontest.Start(t, single(t, append(listen, "--data", founded, "--new-cluster")...)...)
	stopDaemon(t, d, syscall.SIGTERM)
	p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--data", empty, "--lease", "3s")...))
	if status := p.Wait(t); status != exitFailed || !strings.Contains(p.Err.String(), "lease is set, but "+empty+" has no cluster") {
		t.Errorf("a lease for nobody: status %d, %s", status, p.Err)
	}
	disks := filepath.Join(t.TempDir(), "disks.toml")
	if err := os.WriteFile(disks, []byte("[[fence_disk]]\naddr = \"127.0.0.1:4420\"\nnqn = \"nqn.2026-01.com.example:disk\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--data", empty, "--config", disks)...))
	if status := p.Wait(t); status != exitFailed || !strings.Contains(p.Err.String(), "fence_disk is set, but "+empty+" has no cluster") {
		t.Errorf("disks for nobody: status %d, %s", status, p.Err)
	}
	for _, c := range []struct{ data, more, want string }{
		{empty, "", "listen is set, but " + empty + " has no cluster: set join"},
		{filepath.Join(empty, "missing"), "", "missing has no cluster: set join"},
		{founded, "--peers 2=" + addr[1], "drop peers"},
	} {
		args := append(single(t, append(listen, "--data", c.data)...), strings.Fields(c.more)...)
		p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), args...))
		if status := p.Wait(t); status != exitFailed || !strings.Contains(p.Err.String(), c.want) {
			t.Errorf("%s %s: status %d, %s", c.data, c.more, status, p.Err)
		}
	}
	for _, args := range [][]string{
		append(listen, "--data", founded), {"--data", empty}, append(listen, "--data", empty, "--peers", "2="+addr[1]), listen,
	} {
		stopDaemon(t, daemontest.Start(t, single(t, args...)...), syscall.SIGTERM)
	}
}

// TestSaysWhyItWaits: a node that is not let in says why, as the others have told it.
func TestSaysWhyItWaits(t *testing.T) {
	c := daemontest.NewJoined(t, 1, lease)
	p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), single(t, "--cluster", "other",
		"--join", c.Nodes[0].Listen, "--listen", daemontest.FreeAddrs(t, 1)[0])...))
	p.Err.Await(t, 0, "waiting to become a member", `this node is of cluster`, `you are of`)
	refuses := strings.Count(p.Err.String(), "another node refuses us")
	if refuses != 1 {
		t.Errorf("the same refusal is said %d times", refuses)
	}
}

// TestFinal: a node whose membership has ended starts anew, unless that cannot help.
func TestFinal(t *testing.T) {
	for err, want := range map[error]bool{
		cluster.ErrNoQuorum: false, cluster.ErrMember: false, cluster.ErrBusy: false, node.ErrFenced: false, node.ErrInvalid: false,
		cluster.ErrOther: true, cluster.ErrLimit: true, cluster.ErrInvalid: true,
	} {
		if why := fmt.Errorf("%w: %w", node.ErrFenced, err); final(why) != want {
			t.Errorf("%v: %v, want %v", why, !want, want)
		}
	}
}
