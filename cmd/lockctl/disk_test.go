package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

const diskNQN = "nqn.2025-01.test.lockify:disk"

// export starts a target with a disk of 1 MiB for any host, whose reservations are kept in
// dir.
func export(t testing.TB, dir string) string {
	t.Helper()
	return exportTo(t, dir, core.SubsystemConfig{NQN: diskNQN, AnyHost: true})
}

func exportTo(t testing.TB, dir string, cfg core.SubsystemConfig) string {
	t.Helper()
	mem, err := blockdev.NewMemory(1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	s, err := target.New(target.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err = s.AddSubsystem(target.Subsystem{
		SubsystemConfig: cfg,
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: mem}}, State: dir,
	}); err != nil {
		t.Fatal(err)
	}
	_, addr, err := s.Listen(context.Background(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

// lockctl runs a command and gives its output.
func lockctl(t *testing.T, status int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(args, &out, &errs); got != status {
		t.Fatalf("%v: status %d, want %d: %s", args, got, status, &errs)
	}
	return out.String(), errs.String()
}

func TestDisk(t *testing.T) {
	addr := export(t, t.TempDir())
	if out, _ := lockctl(t, 0, "disk", "discover", addr); !strings.Contains(out, diskNQN) {
		t.Fatalf("discover does not show the disk:\n%s", out)
	}
	var info diskInfo
	out, _ := lockctl(t, 0, "disk", "connect", addr, diskNQN, "--json")
	if err := json.Unmarshal([]byte(out), &info); err != nil || len(info.Namespaces) != 1 || info.Namespaces[0].Size != 1<<20 {
		t.Fatalf("connect: %v\n%s", err, out)
	}
	if out, _ = lockctl(t, 0, "disk", "connect", addr, diskNQN); !strings.Contains(out, "1.0 MiB") {
		t.Fatalf("connect:\n%s", out)
	}
	file := filepath.Join(t.TempDir(), "in")
	data := bytes.Repeat([]byte("0123456789abcdef"), 7000)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	lockctl(t, 0, "disk", "write", addr, diskNQN, "--offset", "1000", "--input", file, "--data-digest")
	if out, _ = lockctl(t, 0, "disk", "read", addr, diskNQN, "--offset", "1000", "--length", "112000"); out != string(data) {
		t.Fatal("something else is read than was written")
	}
	lockctl(t, 0, "disk", "read", addr, diskNQN, "-o", file, "--header-digest")
	if all, err := os.ReadFile(file); err != nil || len(all) != 1<<20 || !bytes.Equal(all[1000:113000], data) {
		t.Fatalf("the whole disk: %d bytes, %v", len(all), err)
	}
	var r diskResult
	out, _ = lockctl(t, 0, "disk", "bench", addr, diskNQN, "--duration", "50ms", "--depth", "8", "--rings", "2", "--json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Done == 0 || r.P50 <= 0 || r.IOPS <= 0 {
		t.Fatalf("bench: %v\n%s", err, out)
	}
}

func TestDiskErrors(t *testing.T) {
	addr := export(t, t.TempDir())
	silent := listenAt(t, "tcp", "127.0.0.1:0", nil).Addr().String()
	closing := listenAt(t, "tcp", "127.0.0.1:0", func(c net.Conn) { c.Close() }).Addr().String()
	for _, tc := range []struct {
		status int
		says   string
		args   []string
	}{
		{exitUsage, "which command", []string{"disk"}},
		{exitUsage, "NQN is missing", []string{"disk", "connect", addr}},
		{exitUsage, "bad NQN", []string{"disk", "connect", addr, "disk"}},
		{exitUsage, "--destroy", []string{"disk", "bench", addr, diskNQN, "--op", "write"}},
		{exitUsage, "no size", []string{"disk", "read", addr, diskNQN, "--offset", "12X"}},
		{exitError, "beyond the end", []string{"disk", "read", addr, diskNQN, "--offset", "1M", "--length", "1"}},
		{exitError, "no namespace 7", []string{"disk", "read", addr, diskNQN, "--nsid", "7"}},
		{exitError, "no answer of " + silent + " within 20ms: is that an NVMe/TCP target?", []string{"disk", "discover", silent, "--connect-timeout", "20ms"}},
		{exitError, "no answer of " + silent + " within 20ms: is that an NVMe/TCP target?", []string{"disk", "connect", silent, diskNQN, "--connect-timeout", "20ms"}},
		{exitError, "no answer of " + silent + " within 20ms: is that an NVMe/TCP target?", []string{"disk", "read", silent, diskNQN, "--connect-timeout", "20ms"}},
		{exitError, "closed the connection: is that an NVMe/TCP target?", []string{"disk", "discover", closing}},
		{exitError, "Connect", []string{"disk", "connect", addr, diskNQN + "2"}},
	} {
		if _, errs := lockctl(t, tc.status, tc.args...); !strings.Contains(errs, tc.says) {
			t.Errorf("%v: does not say %q: %s", tc.args, tc.says, errs)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "512": 512, "4K": 4096, "4KiB": 4096, "4kb": 4096, "3M": 3 << 20, "2g": 2 << 30, "1T": 1 << 40, "9b": 9} {
		var s size
		if err := s.Set(text); err != nil || int64(s) != want {
			t.Errorf("%s is %d, %v", text, s, err)
		}
		if again := s.String(); s.Set(again) != nil || int64(s) != want {
			t.Errorf("%s is printed as %s", text, again)
		}
	}
	for _, text := range []string{"", "K", "-1", "1.5M", "9000000T", "4X"} {
		if s := new(size); s.Set(text) == nil {
			t.Errorf("%q is taken for %d", text, *s)
		}
	}
}
