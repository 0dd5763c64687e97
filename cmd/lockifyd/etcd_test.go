package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/internal/etcdtest"
)

// etcdNodes starts nodes 1 to n, whose membership is kept in etcd, and gives what
// starts one of them again.
func etcdNodes(t *testing.T, s *etcdtest.Server, n int) ([]*daemontest.Daemon, func(i int) *daemontest.Daemon) {
	t.Helper()
	dir := t.TempDir()
	addrs := daemontest.FreeAddrs(t, n)
	start := func(i int) *daemontest.Daemon {
		id := fmt.Sprint(i + 1)
		return daemontest.Start(t, "--id", id, "--listen", addrs[i], "--etcd", "http://"+s.Addr, "--etcd-prefix", "/site/lockify",
			"--lease", "2s", "--data", filepath.Join(dir, id), "--admin", "127.0.0.1:0", "--clients", "unix://"+filepath.Join(dir, id+".sock"))
	}
	var nodes []*daemontest.Daemon
	for i := range n {
		nodes = append(nodes, start(i))
	}
	return nodes, start
}

// TestEtcdDaemons: two nodes on one etcd server. What a killed one held is free when
// its lease has ended; it comes back; one that ends in order is not waited for.
func TestEtcdDaemons(t *testing.T) {
	server := etcdtest.Start(t)
	nodes, start := etcdNodes(t, server, 2)
	one, two := nodes[0], nodes[1]
	one.UntilMembers(t, "both", func(m *admin.Members) bool { return nodesOf(m) == "1 member, 2 member" })
	held, err := space(t, two).Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	mine := space(t, one)
	if _, err := mine.Lock(t.Context(), "held", lockify.EX, lockify.NoQueue()); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Errorf("a lock that another node holds: %v", err)
	}
	two.Signal(t, syscall.SIGKILL)
	two.Wait(t)
	<-held.Lost()
	l, err := mine.Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	if l.Token() <= held.Token() {
		t.Errorf("token %d after %d", l.Token(), held.Token())
	}
	two = start(1)
	if _, err := space(t, two).Lock(t.Context(), "held", lockify.EX, lockify.NoQueue()); !errors.Is(err, lockify.ErrWouldBlock) {
		t.Errorf("a lock that node 1 holds: %v", err)
	}
	if out, errs, status := one.Ctl(t, "node", "promote", "2"); status == 0 || !strings.Contains(errs, "cannot vote") {
		t.Errorf("lockctl node promote: %d, %s%s", status, out, errs)
	}
	two.Signal(t, syscall.SIGTERM)
	if status := two.Wait(t); status != 0 {
		t.Errorf("ended with %d", status)
	}
	if m, err := one.Ask(t).Members(t.Context()); err != nil || nodesOf(m) != "1 member" {
		t.Errorf("after node 2 has left: %v, %v", m, err)
	}
	etcdStops(t, server, one, mine, l)
}

// etcdStops: without etcd nothing is granted and all is lost when the lease ends; with
// it, the node takes part again.
func etcdStops(t *testing.T, server *etcdtest.Server, one *daemontest.Daemon, mine *lockify.Lockspace, held *lockify.Lock) {
	instance := one.Ready["instance"]
	server.Signal(t, syscall.SIGSTOP)
	<-held.Lost()
	one.Err.Await(t, 0, "starting anew") // whoever notices it first, the shards or the membership
	server.Signal(t, syscall.SIGCONT)
	l, err := mine.Lock(t.Context(), "held", lockify.EX) // with the next session
	if err != nil {
		t.Fatal(err)
	}
	if l.Token() <= held.Token() {
		t.Errorf("token %d after %d", l.Token(), held.Token())
	}
	one.UntilMembers(t, "another start", func(m *admin.Members) bool {
		return nodesOf(m) == "1 member" && m.Members[0].Instance.String() != instance
	})
}

// TestWrongEtcd: settings that cannot be together, or are not enough.
func TestWrongEtcd(t *testing.T) {
	const good = "--id 1 --listen 127.0.0.1:7001 --etcd http://127.0.0.1:2379"
	for _, c := range []struct{ args, want string }{
		{good, ""},
		{good + " --etcd-prefix /p --lease 2s --cluster c", ""},
		{"--id 1 --etcd http://127.0.0.1:2379", "listen"},
		{"--id 1 --listen 127.0.0.1:0 --etcd http://127.0.0.1:2379", "advertise"},
		{"--id 1 --listen 127.0.0.1:7001 --etcd 127.0.0.1:2379", "want http://"},
		{"--id 1 --listen 127.0.0.1:7001 --etcd http://a:1,http://a:1", "twice"},
		{"--id 1 --listen 127.0.0.1:7001 --etcd http://a:1,https://a:1", "for all"},
		{good + " --join 127.0.0.1:7002", "together with join"},
		{good + " --peers 2=127.0.0.1:7002", "together with peer"},
		{good + " --new-cluster --data /tmp/d", "together with new_cluster"},
		{good + " --fence-command true", "together with fence_command"},
		{good + " --etcd-ca x", "not https"},
		{good + " --etcd-user x", "both a user"},
		{good + " --etcd-password-file x", "both a user"},
		{good + " --cluster a/b", "without a slash"},
		{"--id 1 --listen 127.0.0.1:7001 --etcd https://a:1 --etcd-cert x", "needs its key"},
		{"--id 1 --etcd-prefix /p", "want etcd as well"},
	} {
		var out, errs strings.Builder
		status := run(append(strings.Fields(c.args), "--check-config"), &out, &errs)
		if c.want == "" && status == 0 {
			continue
		}
		if status != exitConfig || c.want == "" || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: status %d, %s", c.args, status, errs.String())
		}
	}
}

// TestEtcdRefused: what cannot be read before etcd is asked ends the start.
func TestEtcdRefused(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"--etcd", "http://127.0.0.1:1", "--etcd-user", "u", "--etcd-password-file", filepath.Join(dir, "none")},
		{"--etcd", "https://127.0.0.1:1", "--etcd-ca", filepath.Join(dir, "none")},
	} {
		var out, errs strings.Builder
		args = append(args, "--id", "1", "--listen", daemontest.FreeAddrs(t, 1)[0], "--admin", "off", "--clients", "unix://"+filepath.Join(dir, "s"))
		if status := run(args, &out, &errs); status != 1 || !strings.Contains(errs.String(), "none") {
			t.Errorf("%q: status %d, %s", args, status, errs.String())
		}
	}
}
