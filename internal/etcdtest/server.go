package etcdtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// binary gives the path of the server.
var binary = sync.OnceValues(func() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	build := exec.Command("go", "tool", "-modfile=tools/go.mod", "-n", "go.etcd.io/etcd/server/v3")
	build.Dir = root
	var said strings.Builder
	build.Stderr = &said
	path, err := build.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, said.String())
	}
	return strings.TrimSpace(string(path)), nil
})

// Server is a running etcd of one member. Leases of 1 s are possible.
type Server struct {
	*daemontest.Process
	Addr string // where clients connect, host:port

	args []string
}

// Start runs a server with nothing in it until it serves clients. The arguments come
// behind those that it needs. It is killed when the test ends.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{args: append([]string{
		"--data-dir", filepath.Join(t.TempDir(), "etcd"), "--unsafe-no-fsync", "--logger", "zap",
		"--heartbeat-interval", "50", "--election-timeout", "500",
		"--listen-peer-urls", "http://127.0.0.1:0", "--initial-advertise-peer-urls", "http://127.0.0.1:0",
		"--initial-cluster", "default=http://127.0.0.1:0",
	}, args...)}
	s.Restart(t)
	return s
}

// Restart starts the server again, which has ended, with its data and address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	path, err := binary()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no etcd server: %v", err)
		}
		t.Skipf("SKIPPED, NOT TESTED: no etcd server could be built: %v", err)
	}
	scheme, addr := "http", s.Addr
	if slices.Contains(s.args, "--cert-file") {
		scheme = "https"
	}
	switch {
	case addr != "":
	case scheme == "https":
		addr = "127.0.0.1:0" // certificates are for this one
	default: // nobody takes it while the server is restarted
		addr = daemontest.FreeAddrs(t, 1)[0]
	}
	url := scheme + "://" + addr
	s.Process = daemontest.Run(t, exec.Command(path, append([]string{"--listen-client-urls", url, "--advertise-client-urls", url}, s.args...)...))
	p := s.Process
	go func() { // so that a server that ends is not waited for
		<-p.Done()
		fmt.Fprintln(p.Err, `{"msg":"ended", "for":"serving client traffic"}`)
	}()
	line := p.Err.Await(t, 0, "serving client traffic")
	var entry struct{ Msg, Address string }
	if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Address == "" {
		t.Fatalf("etcd has not begun: %s", p.Err)
	}
	s.Addr = entry.Address
}
