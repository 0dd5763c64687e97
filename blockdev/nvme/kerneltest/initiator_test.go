package kerneltest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

const (
	diskNQN   = "nqn.2026-11.org.example:disk"   // memory, a file, a file to be read
	closedNQN = "nqn.2026-11.org.example:closed" // for another host than the guest
	secretNQN = "nqn.2026-11.org.example:secret" // wants authentication, which this kernel can't do
	guestNQN  = "nqn.2026-11.org.example:guest"
	guestID   = "5b5c1f62-7c1a-4a57-8d0e-2f3f6a1c9d11"
	diskSize  = 32 << 20 // bytes of memory, and of the file
)

// initiator is the guest as a host of our daemon.
type initiator struct {
	*Guest
	all    *testing.T // of all checks
	config string     // file of the daemon
	image  string     // of namespace 2
	daemon *daemontest.Daemon
	wire   *Wire
	disk   string // the controller that is connected, "nvme0"
}

func testInitiator(g *Guest, t *testing.T) {
	dir := t.TempDir()
	addr := daemontest.FreeAddrs(t, 1)[0]
	s := &initiator{Guest: g, all: t, config: filepath.Join(dir, "lockifyd.toml"), image: filepath.Join(dir, "image"), wire: NewWire(t, addr)}
	readOnly := filepath.Join(dir, "readonly")
	write(t, s.image, make([]byte, diskSize))
	write(t, readOnly, bytes.Repeat([]byte("read me\n"), 1<<17))
	secrets := filepath.Join(dir, "secrets")
	write(t, secrets, fmt.Appendf(nil, "%s %s\n", guestNQN, newSecret(t, "sha256")))
	write(t, s.config, fmt.Appendf(nil, `id = 1
clients = ["unix://%[1]s/s"]
admin = "off"
data = "%[1]s/data"
[[export]]
nqn = "%[2]s"
listen = ["%[3]s"]
namespaces = ["memory:%[4]d", "%[5]s", "readonly:%[6]s"]
any_host = true
[[export]]
nqn = "%[7]s"
listen = ["%[3]s"]
namespaces = ["memory:1MiB"]
hosts = ["nqn.2026-11.org.example:another"]
[[export]]
nqn = "%[8]s"
listen = ["%[3]s"]
namespaces = ["memory:1MiB"]
dhchap_secrets = "%[9]s"
`, dir, diskNQN, addr, diskSize, s.image, readOnly, closedNQN, secretNQN, secrets))
	s.start()
	runAll(t, s, []check[*initiator]{
		{"discover", (*initiator).discover},
		{"connect all", (*initiator).connectAll},
		{"another host is refused", (*initiator).refused},
		{"authentication", (*initiator).authentication},
		{"identify, logs, features", (*initiator).identify},
		{"queues and digests", (*initiator).digests},
		{"flush, write zeroes, deallocate, compare, verify", (*initiator).commands},
		{"read only", (*initiator).readOnly},
		{"ext4", (*initiator).ext4},
		{"reservations", (*initiator).reservations},
		{"reset while busy", (*initiator).reset},
		{"connections cut while busy", (*initiator).cut},
		{"disconnect while busy", (*initiator).disconnectBusy},
		{"restart of the target while busy", (*initiator).restart},
		{"target stopped for longer than its keep alive time", (*initiator).stopped},
	})
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// start starts the daemon, which the next checks use, too.
func (s *initiator) start() { s.daemon = daemontest.Start(s.all, "--config", s.config) }

// end ends the daemon.
func (s *initiator) end(t *testing.T, how syscall.Signal) {
	t.Helper()
	s.daemon.Signal(t, how)
	s.daemon.Wait(t)
}

// connect connects the guest to the disk's subsystem, and waits for its namespaces.
func (s *initiator) connect(t *testing.T, args string) {
	t.Helper()
	out := s.Run(t, "nvme connect -t tcp -a 10.0.2.2 -s %d -n %s -c 1 -o json %s", s.wire.Port, diskNQN, args)
	_, name, _ := strings.Cut(out, `"nvme`)
	digits, _, found := strings.Cut(name, `"`)
	if !found {
		t.Fatalf("nvme connect has said %q, no name of a device", out)
	}
	s.disk = "nvme" + digits
	for n := 1; n <= 3; n++ {
		s.await(t, "[ -b %s ]", s.dev(n))
	}
}

func (s *initiator) disconnect(t *testing.T) {
	t.Helper()
	s.Run(t, "nvme disconnect -n %s", diskNQN)
	s.await(t, "[ ! -e /sys/class/nvme/%s ]", s.disk)
}

// dev is the guest's name of a namespace.
func (s *initiator) dev(nsid int) string { return fmt.Sprintf("/dev/%sn%d", s.disk, nsid) }

// await has the guest wait until a condition holds.
func (g *Guest) await(t *testing.T, format string, args ...any) {
	t.Helper()
	g.Run(t, "for i in $(seq 600); do "+format+" && exit 0; sleep 0.1; done; exit 1", args...)
}

// want fails unless all parts are in out.
func want(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(out, p) {
			t.Fatalf("%q is missing in:\n%s", p, out)
		}
	}
}

// refuse runs a command that must fail, and say why.
func (g *Guest) refuse(t *testing.T, why, format string, args ...any) {
	t.Helper()
	out, status := g.Try(t, format, args...)
	if status == 0 || !strings.Contains(strings.ToLower(out), strings.ToLower(why)) {
		t.Fatalf("%s: status %d, want a failure with %q\n%s", fmt.Sprintf(format, args...), status, why, out)
	}
}

func (s *initiator) discover(t *testing.T) {
	out := s.Run(t, "nvme discover -t tcp -a 10.0.2.2 -s %d", s.wire.Port)
	want(t, out, "trtype:  tcp", "subnqn:  "+diskNQN, "subtype: nvme subsystem")
	if strings.Contains(out, closedNQN) {
		t.Fatalf("%s is offered to a host that may not use it:\n%s", closedNQN, out)
	}
}

// connectAll connects to what discovery names, where it names it: the address is not of the
// guest's network, so that a relay in the guest stands for it.
func (s *initiator) connectAll(t *testing.T) {
	_, port, err := net.SplitHostPort(s.wire.to)
	if err != nil {
		t.Fatal(err)
	}
	s.Run(t, "nc -ll -p %s -e nc 10.0.2.2 %d >/dev/null 2>&1 & echo $! >/tmp/relay", port, s.wire.Port)
	s.await(t, "netstat -lnt | grep -q :%s", port)
	s.Run(t, "nvme connect-all -t tcp -a 127.0.0.1 -s %s", port)
	s.await(t, "nvme list-subsys | grep -q 'NQN=%s'", diskNQN)
	want(t, s.Run(t, "nvme list-subsys"), "traddr="+strings.TrimSuffix(s.wire.to, ":"+port)+",trsvcid="+port)
	s.Run(t, "nvme disconnect-all; kill $(cat /tmp/relay)")
	s.await(t, "! ls /sys/class/nvme | grep -q nvme")
}

func (s *initiator) refused(t *testing.T) {
	s.refuse(t, "", "nvme connect -t tcp -a 10.0.2.2 -s %d -n %s", s.wire.Port, closedNQN)
	s.refuse(t, "", "nvme connect -t tcp -a 10.0.2.2 -s %d -n %s:nobody", s.wire.Port, diskNQN)
	want(t, s.Run(t, "dmesg | tail -20"), "Connect for subsystem "+closedNQN+" is not allowed, hostnqn: "+guestNQN)
}

func (s *initiator) identify(t *testing.T) {
	s.connect(t, "")
	defer s.disconnect(t)
	ctrl := "/dev/" + s.disk
	want(t, s.Run(t, "nvme id-ctrl %s", ctrl), "subnqn    : "+diskNQN, "mn        : lockify")
	want(t, s.Run(t, "nvme list-ns %s", ctrl), "0x1", "0x2", "0x3")
	for n := 1; n <= 3; n++ {
		s.Run(t, "nvme id-ns %[1]s && nvme ns-descs %[1]s", s.dev(n))
	}
	for _, c := range []string{
		"smart-log", "error-log", "fw-log", "effects-log -c 0", "supported-log-pages", "resv-notif-log", "ana-log", "get-property -o 0x8",
		"get-feature -f 0x7", "get-feature -f 0xb", "get-feature -f 0xf", "get-feature -f 6", "list-ctrl", "nvm-id-ctrl", "id-iocs", "cmdset-ind-id-ns -n 1",
	} {
		s.Run(t, "nvme %s %s", c, ctrl)
	}
	want(t, s.Run(t, "nvme list"), s.dev(1), s.dev(2), s.dev(3))
	s.refuse(t, "invalid log page", "nvme get-log %s -i 0xc0 -l 512", ctrl)
	s.refuse(t, "invalid command opcode", "nvme admin-passthru %s --opcode=0xc1", ctrl)
	s.refuse(t, "invalid command opcode", "nvme io-passthru %s --opcode=0x91 -n 1", s.dev(1))
}

// digests: with each sort of checksums, and each sort of queues, data comes back as it
// was, in small and in large requests.
func (s *initiator) digests(t *testing.T) {
	for _, c := range []struct {
		args   string
		queues int // with the admin queue
	}{
		{"-i 1", 2},
		{"-i 2 -W 2 -P 1 -g", 6},
		{"-i 2 -Q 16 -G", 3},
		{"-i 2 -g -G -D", 3},
	} {
		s.connect(t, c.args)
		if got := s.Run(t, "cat /sys/class/nvme/%s/queue_count", s.disk); strings.TrimSpace(got) != fmt.Sprint(c.queues) {
			t.Fatalf("%s: %s queues, want %d", c.args, got, c.queues)
		}
		s.roundTrip(t, s.dev(1), 4, 64)
		s.roundTrip(t, s.dev(2), 512, 4)
		s.disconnect(t)
	}
}

// roundTrip writes data in n requests of some KiB, past the kernel's
// cache, and reads it back.
func (s *initiator) roundTrip(t *testing.T, dev string, kib, n int) {
	t.Helper()
	s.Run(t, "dd if=/dev/zero of=%s bs=1M count=4 oflag=direct 2>&1", dev)
	s.Run(t, "dd if=/tmp/data of=%s bs=%dk count=%d oflag=direct 2>&1", dev, kib, n)
	s.Run(t, "dd if=%s bs=%dk count=%d iflag=direct 2>/tmp/said | cmp -n %d - /tmp/data && ! cat /tmp/said | grep rror", dev, kib, n, kib*n<<10)
}

func (s *initiator) commands(t *testing.T) {
	s.connect(t, "-i 2")
	defer s.disconnect(t)
	for n := 1; n <= 2; n++ {
		dev := s.dev(n)
		s.Run(t, "dd if=/tmp/data of=%s bs=1M oflag=direct 2>&1 && nvme flush %[1]s", dev)
		block := 0
		if _, err := fmt.Sscan(s.Run(t, "blockdev --getss %s", dev), &block); err != nil {
			t.Fatal(err)
		}
		last := (1<<20)/block - 1 // of the first mebibyte, as count: they begin at 0
		s.Run(t, "head -c 4096 /tmp/data >/tmp/a; head -c 4096 /dev/zero >/tmp/zero")
		s.Run(t, "nvme compare %s -s 0 -c %d -z 4096 -d /tmp/a", dev, 4096/block-1)
		s.refuse(t, "compare", "nvme compare %s -s 0 -c %d -z 4096 -d /tmp/zero", dev, 4096/block-1)
		s.Run(t, "nvme verify %s -s 0 -c %d", dev, last)
		s.refuse(t, "out of range", "nvme verify %s -s %d -c 7", dev, diskSize/block)
		s.Run(t, "nvme write-zeroes %s -s 0 -c %d", dev, last)
		s.Run(t, "nvme compare %s -s 0 -c %d -z 4096 -d /tmp/zero", dev, 4096/block-1)
		s.Run(t, "dd if=%s bs=1M skip=1 count=3 iflag=direct 2>/dev/null >/tmp/rest; dd if=/tmp/data bs=1M skip=1 2>/dev/null | cmp - /tmp/rest", dev)
		s.Run(t, "nvme dsm %s -d -s %d -b %d", dev, last+1, last+1)
		s.Run(t, "blkdiscard -o 2097152 -l 2097152 %s", dev)
		s.Run(t, "head -c 4194304 /dev/zero >/tmp/rest; dd if=%s bs=1M count=4 iflag=direct 2>/dev/null | cmp - /tmp/rest", dev)
	}
}

func (s *initiator) readOnly(t *testing.T) {
	s.connect(t, "")
	defer s.disconnect(t)
	want(t, s.Run(t, "head -c 16 %s", s.dev(3)), "read me\nread me")
	s.Run(t, "[ $(blockdev --getro %s) = 1 ]", s.dev(3))
	s.refuse(t, "", "nvme write-zeroes %s -s 0 -c 0", s.dev(3))
}

// ext4: a file system outlives its mount, its connection and, in a file, its target.
func (s *initiator) ext4(t *testing.T) {
	s.connect(t, "-i 2 -g -G")
	for n := 1; n <= 2; n++ {
		s.Run(t, "/sbin/mke2fs -q -t ext4 %[1]s && mount -t ext4 %[1]s /mnt", s.dev(n))
		s.Run(t, "cp -r /lib/modules /mnt && for i in $(seq 200); do echo $i >/mnt/$i; done; rm /mnt/1?; fstrim /mnt; sync")
		s.Run(t, "cd /mnt && find . -type f -exec sha256sum {} + >/tmp/sums && cd / && umount /mnt")
		s.disconnect(t)
		if n == 2 {
			s.end(t, syscall.SIGTERM)
			s.start()
		}
		s.connect(t, "-i 2")
		s.Run(t, "/sbin/e2fsck -fn %[1]s && mount -t ext4 %[1]s /mnt && cd /mnt && sha256sum -cs /tmp/sums && cd / && umount /mnt", s.dev(n))
	}
	s.disconnect(t)
}
