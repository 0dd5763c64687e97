package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// certificates makes those of nodes 1 to n and of a client "c" in a directory.
func certificates(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	ctl := func(args ...string) {
		out, err := exec.Command(daemontest.Bin("lockctl"), append([]string{"tls", "--dir", dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ctl("init", "--cluster", "secure")
	for i := range n {
		ctl("node", fmt.Sprint(i+1))
	}
	ctl("client", "c")
	return dir
}

func filesOf(dir, name string) lockify.TLSFiles {
	return lockify.TLSFiles{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, "ca.crt")}
}

// secured gives the arguments of a node with the certificates called name.
func secured(t *testing.T, dir, name string, id int, listen string, more ...string) []string {
	f := filesOf(dir, name)
	return append([]string{
		"--id", fmt.Sprint(id), "--cluster", "secure", "--listen", listen, "--clients", "tcp://127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--data", t.TempDir(), "--lease", lease.String(), "--tls-cert", f.Cert, "--tls-key", f.Key, "--tls-ca", f.CA,
	}, more...)
}

// TestTLS: nodes with certificates of one CA make a cluster, and serve clients who have
// one; nobody else gets anything.
func TestTLS(t *testing.T) {
	dir, addrs := certificates(t, 3), daemontest.FreeAddrs(t, 3)
	nodes := []*daemontest.Daemon{daemontest.Start(t, secured(t, dir, "node-1", 1, addrs[0], "--new-cluster", "--voters", "1")...)}
	for i := 2; i <= 3; i++ {
		nodes = append(nodes, daemontest.Start(t, secured(t, dir, fmt.Sprint("node-", i), i, addrs[i-1], "--join", addrs[0])...))
	}
	nodes[0].Until(t, "links to both", func(s *admin.Status) bool {
		up := 0
		for _, l := range s.Links {
			if l.State == "up" {
				up++
			}
		}
		return up == 2
	})
	lock := func(d *daemontest.Daemon) error {
		c, err := lockify.Dial(t.Context(), d.Client, lockify.WithTLS(filesOf(dir, "c")), lockify.OneSession())
		if err != nil {
			return err
		}
		defer c.Close()
		s, err := c.Open(t.Context(), "files")
		if err != nil {
			return err
		}
		l, err := s.Lock(t.Context(), "name", lockify.EX)
		if err != nil {
			return err
		}
		return l.Unlock(t.Context())
	}
	for _, d := range nodes {
		if err := lock(d); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(filesOf(dir, "node-2").Cert, filesOf(dir, "node-2").Key)
	if err != nil {
		t.Fatal(err)
	}
	if line := fmt.Sprintf("\nlockify_certificate_end_timestamp_seconds %g\n", float64(pair.Leaf.NotAfter.Unix())); !strings.Contains(nodes[1].Metrics(t), line) {
		t.Errorf("no %s in %s", line, nodes[1].Metrics(t))
	}
	if _, err := lockify.Dial(t.Context(), nodes[1].Client, lockify.OneSession()); err == nil {
		t.Error("a client without TLS is served")
	}
	stranger := certificates(t, 3)
	if _, err := lockify.Dial(t.Context(), nodes[1].Client, lockify.WithTLS(filesOf(stranger, "c")), lockify.OneSession()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client of another CA: %v", err)
	}
	mixed := filesOf(stranger, "c")
	mixed.CA = filesOf(dir, "c").CA
	if _, err := lockify.Dial(t.Context(), nodes[1].Client, lockify.WithTLS(mixed)); !errors.Is(err, lockify.ErrInvalid) {
		t.Errorf("a certificate that its own CA file has not signed: %v", err)
	}

	// A node of another CA stays outside, and the others say so.
	from := nodes[0].Err.Lines()
	p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), secured(t, stranger, "node-3", 3, "127.0.0.1:0", "--join", addrs[0], "--advertise", "127.0.0.1:9")...))
	nodes[0].Err.Await(t, from, "connection refused", "reason")
	p.Err.Await(t, 0, "cannot reach a node for membership")
}

// TestTLSRefused: what a node says of wrong certificates, before it does anything.
func TestTLSRefused(t *testing.T) {
	dir := certificates(t, 1)
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"another node's":   {secured(t, dir, "node-1", 2, "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--new-cluster"), `the certificate is of node 1 of cluster "secure", this is node 2 of cluster "secure"`},
		"a client's":       {secured(t, dir, "c", 1, "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--new-cluster"), `the certificate is of client "c"`},
		"another cluster":  {append(secured(t, dir, "node-1", 1, "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--new-cluster"), "--cluster", "x"), `this is node 1 of cluster "x"`},
		"one file missing": {[]string{"--id", "1", "--tls-cert", "x", "--tls-ca", "y"}, `missing; want a file: tls_cert, tls_key and tls_ca go together`},
		"netpoll":          {append(secured(t, dir, "node-1", 1, "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--new-cluster"), "--transport", "netpoll"), `has no TLS; want plain`},
		"plain network":    {[]string{"--id", "1", "--listen", "0.0.0.0:7540"}, `--listen: got "0.0.0.0:7540", which others on the network can reach`},
		"plain clients":    {[]string{"--id", "1", "--clients", "tcp://10.0.0.1:1"}, `without TLS whoever does so is taken for a client`},
	} {
		t.Run(name, func(t *testing.T) {
			p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), tc.args...))
			if status := p.Wait(t); status == 0 || !strings.Contains(p.Err.String(), tc.want) {
				t.Errorf("status %d: %s\nwant %s", status, p.Err, tc.want)
			}
		})
	}
	if err := os.Chmod(filepath.Join(dir, "node-1.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), secured(t, dir, "node-1", 1, "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--new-cluster")...))
	if status := p.Wait(t); status == 0 || !strings.Contains(p.Err.String(), "all users can use this key") {
		t.Errorf("status %d: %s", status, p.Err)
	}
}
