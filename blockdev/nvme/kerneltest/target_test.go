package kerneltest

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

const (
	kernelNQN = "nqn.2026-11.org.example:kernel"
	ramSize   = 16 << 20 // bytes of /dev/ram0 and ram1, which tools/kernel.sh says
	subsystem = "/sys/kernel/config/nvmet/subsystems/" + kernelNQN
	nvmetPort = "/sys/kernel/config/nvmet/ports/1"
	nvmetLink = nvmetPort + "/subsystems/disk"
)

// testTarget: the guest's target and our initiator.
func testTarget(g *Guest, t *testing.T) {
	g.Run(t, "modprobe nvmet-tcp; cd /sys/kernel/config/nvmet; mkdir subsystems/%s; echo 1 >%s/attr_allow_any_host", kernelNQN, subsystem)
	for n := range 2 {
		g.Run(t, "ns=%s/namespaces/%d; mkdir $ns; echo /dev/ram%d >$ns/device_path; echo 1 >$ns/enable", subsystem, n+1, n)
	}
	g.Run(t, "mkdir %[1]s; cd %[1]s; echo tcp >addr_trtype; echo ipv4 >addr_adrfam; echo 0.0.0.0 >addr_traddr; echo 4420 >addr_trsvcid; ln -s %[2]s %[3]s", nvmetPort, subsystem, nvmetLink)
	runAll(t, g, []check[*Guest]{
		{"discover", targetDiscover},
		{"connect, write, read", targetCopy},
		{"conformance", func(g *Guest, t *testing.T) { targetConformance(g, t, false) }},
		{"conformance with digests", func(g *Guest, t *testing.T) { targetConformance(g, t, true) }},
		{"refused", targetRefused},
		{"disconnect while busy", targetDisconnect},
		{"restart of the target while busy", targetRestart},
	})
}

// lockctl runs it, and gives what it has printed.
func lockctl(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(daemontest.Bin("lockctl"), append([]string{"disk", "--connect-timeout", "30s"}, args...)...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return out
}

func targetDiscover(g *Guest, t *testing.T) {
	want(t, string(lockctl(t, nil, "discover", g.Target)), kernelNQN)
}

// targetCopy: what lockctl writes is what the kernel has, and the other way round.
func targetCopy(g *Guest, t *testing.T) {
	want(t, string(lockctl(t, nil, "connect", g.Target, kernelNQN)), "Linux", "16.0 MiB")
	data := make([]byte, 1<<20+777)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, digests := range [][]string{nil, {"--header-digest"}, {"--data-digest"}, {"--header-digest", "--data-digest"}} {
		nsid := i%2 + 1
		args := append([]string{g.Target, kernelNQN, "--nsid", fmt.Sprint(nsid), "--offset", "513"}, digests...)
		g.Run(t, "dd if=/dev/zero of=/dev/ram%d bs=1M count=%d oflag=direct 2>&1", nsid-1, ramSize>>20)
		lockctl(t, nil, append([]string{"write", "--input", file}, args...)...)
		sum := g.Run(t, "dd if=/dev/ram%d bs=1M iflag=direct 2>/dev/null | tail -c +514 | head -c %d | md5sum", nsid-1, len(data))
		if got := lockctl(t, nil, append([]string{"read", "--length", fmt.Sprint(len(data))}, args...)...); !bytes.Equal(got, data) {
			t.Fatalf("%v: read something else than was written", digests)
		}
		want(t, sum, fmt.Sprintf("%x", md5.Sum(data)))
	}
}

// targetDevice opens a namespace of the guest that is all zero.
func targetDevice(g *Guest, t *testing.T, cfg host.Config) *host.Device {
	t.Helper()
	g.Run(t, "dd if=/dev/zero of=/dev/ram0 bs=1M count=%d oflag=direct 2>&1", ramSize>>20)
	cfg.Addr, cfg.SubNQN, cfg.NSID = g.Target, kernelNQN, 1
	dev, err := host.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if size := dev.Info().Size; size != ramSize {
		t.Fatalf("the namespace has %d bytes, want %d", size, ramSize)
	}
	return dev
}

func targetConformance(g *Guest, t *testing.T, digests bool) {
	devtest.Run(t, func(t *testing.T) blockdev.Device {
		return targetDevice(g, t, host.Config{HeaderDigest: digests, DataDigest: digests})
	})
}
