package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

const authHost = "nqn.2025-01.test.lockify:host"

func newSecret(t testing.TB, h nvme.AuthHash) auth.Secret {
	t.Helper()
	s, err := auth.NewSecret(h)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// record keeps what a target logs.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

// serveSecrets starts a target whose hosts have to authenticate themselves.
func serveSecrets(t *testing.T, s core.Secrets, choice auth.Choice) (string, *record) {
	t.Helper()
	mem, err := blockdev.NewMemory(4<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	log := &record{}
	srv, err := target.New(target.Config{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	if err = srv.AddSubsystem(target.Subsystem{
		SubsystemConfig: core.SubsystemConfig{NQN: subNQN, Secrets: map[string]core.Secrets{authHost: s}, Auth: choice},
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: mem}},
	}); err != nil {
		t.Fatal(err)
	}
	_, addr, err := srv.Listen(context.Background(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	return addr.String(), log
}

// TestAuthenticated: both ends of this repository agree with each hash and group, in both
// directions, on the admin queue and on those for I/O.
func TestAuthenticated(t *testing.T) {
	groups := []nvme.AuthGroup{nvme.AuthGroupNull, nvme.AuthGroup2048, nvme.AuthGroup3072}
	for i, g := range groups {
		h := nvme.AuthSHA256 + nvme.AuthHash(i)
		t.Run(fmt.Sprint(h, g), func(t *testing.T) {
			s := core.Secrets{Host: newSecret(t, h), Controller: newSecret(t, 0)}
			addr, _ := serveSecrets(t, s, auth.Choice{Hashes: []nvme.AuthHash{h}, Groups: []nvme.AuthGroup{g}})
			everything(t, host.Config{Addr: addr, SubNQN: subNQN, HostNQN: authHost, Secret: s.Host, ControllerSecret: s.Controller})
			everything(t, host.Config{Addr: addr, SubNQN: subNQN, HostNQN: authHost, Secret: s.Host, DataDigest: true})
		})
	}
}

// TestNotAuthenticated: what is wrong is said, to whom it concerns; no secret is.
func TestNotAuthenticated(t *testing.T) {
	s := core.Secrets{Host: newSecret(t, 1), Controller: newSecret(t, 2)}
	other := newSecret(t, 1)
	addr, log := serveSecrets(t, s, auth.Choice{})
	oneWay, _ := serveSecrets(t, core.Secrets{Host: s.Host}, auth.Choice{})
	open := serve(t, 1<<20, 0)
	for name, tc := range map[string]struct {
		cfg  host.Config
		says string
	}{
		"no secret":          {host.Config{Addr: addr}, "needs the secret that the target has for it"},
		"another secret":     {host.Config{Addr: addr, Secret: other}, "nvme: Authentication: DH-HMAC-CHAP failed: the controller says: authentication failed: it has another secret, or none, for " + authHost},
		"another controller": {host.Config{Addr: addr, Secret: s.Host, ControllerSecret: other}, "the controller does not know its secret"},
		"one-way only":       {host.Config{Addr: oneWay, Secret: s.Host, ControllerSecret: s.Controller}, "it has another secret, or none"},
		"no common group":    {host.Config{Addr: addr, Secret: s.Host, Auth: auth.Choice{Hashes: []nvme.AuthHash{9}}}, "hash 9"},
		"not asked":          {host.Config{Addr: open, Secret: s.Host, ControllerSecret: s.Controller}, "asks for no authentication"},
		"half":               {host.Config{Addr: addr, ControllerSecret: s.Controller}, "none of this host"},
	} {
		tc.cfg.SubNQN, tc.cfg.HostNQN = subNQN, authHost
		d, err := host.Open(t.Context(), tc.cfg)
		if err == nil {
			d.Close()
			t.Errorf("%s: the host is let in", name)
		} else if !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
	}
	cfg := host.Config{Addr: open, SubNQN: subNQN, HostNQN: authHost, Secret: s.Host}
	everything(t, cfg) // who is not asked need not show what he has
	log.mu.Lock()
	defer log.mu.Unlock()
	if text := log.text.String(); !strings.Contains(text, "host does not know its secret") || !strings.Contains(text, authHost) {
		t.Errorf("the target logs\n%s", text)
	} else if strings.Contains(text, "DHHC") {
		t.Error("the target logs a secret")
	}
}

// TestAuthenticatedAgain: connections that break are made again, with authentication; what
// was read meanwhile is read again.
func TestAuthenticatedAgain(t *testing.T) {
	s := core.Secrets{Host: newSecret(t, 1), Controller: newSecret(t, 1)}
	addr, _ := serveSecrets(t, s, auth.Choice{})
	c := newCutter(t, addr)
	d := open(t, host.Config{Addr: c.ln.Addr().String(), HostNQN: authHost, Secret: s.Host, ControllerSecret: s.Controller})
	ring, err := d.NewRing(t.Context(), blockdev.RingConfig{Depth: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	c.after.Store(100_000)
	buf := make([]byte, 4096)
	for n := 0; c.cuts.Load() < 3; n++ {
		ring.GetSQE().PrepRead(0, buf)
		if _, err := ring.Submit(); err != nil {
			t.Fatal(err)
		}
		if err := ring.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if e, _ := ring.Peek(); e.Status != blockdev.OK || n > 1000 {
			t.Fatalf("read %d: %v", n, e.Status)
		}
	}
	c.after.Store(0)
}

// TestTsharkAuth has a dissector written by others read authentications.
func TestTsharkAuth(t *testing.T) {
	s := core.Secrets{Host: newSecret(t, 1), Controller: newSecret(t, 1)}
	addr, _ := serveSecrets(t, s, auth.Choice{})
	c := newCutter(t, addr)
	everything(t, host.Config{Addr: c.ln.Addr().String(), SubNQN: subNQN, HostNQN: authHost, Secret: s.Host, ControllerSecret: s.Controller})
	c.ln.Close()
	c.wg.Wait()
	got := c.tape.Check(t, "nvme.fabrics.cmd.auth.secp")
	if n := len(got["nvme.fabrics.cmd.auth.secp"]); n != 10 || !slices.Contains(got["nvme.fabrics.cmd.auth.secp"], "0xe9") {
		t.Errorf("%d authentication commands, want 5 on each of two queues: %v", n, got)
	}
}
