package kerneltest

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

const (
	bootTime = 3 * time.Minute // bounds the start of the guest; 5 s on an idle machine
	runTime  = 2 * time.Minute // bounds a command in it
)

// Guest is a virtual machine whose kernel does as it is told.
type Guest struct {
	// Target is where this machine reaches port 4420 of the guest, host:port.
	Target  string
	console *daemontest.Output

	mu   sync.Mutex // a command at a time
	conn net.Conn
	in   *bufio.Reader
}

// Boot starts the machine whose kernel and initramfs are in dir. It ends with the test.
func Boot(t testing.TB, dir string) *Guest {
	t.Helper()
	ctl := filepath.Join(t.TempDir(), "ctl")
	g := &Guest{Target: freePort(t)}
	p := daemontest.Run(t, exec.Command("qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
		"-kernel", filepath.Join(dir, "vmlinuz"), "-initrd", filepath.Join(dir, "initrd"),
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off",
		"-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
		"-nic", "user,model=virtio-net-pci,hostfwd=tcp:"+g.Target+"-:4420",
		"-chardev", "socket,id=ctl,server=on,wait=off,path="+ctl,
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=ctl"))
	g.console = p.Out
	for late := time.Now().Add(bootTime); ; {
		conn, err := net.Dial("unix", ctl)
		if err == nil {
			g.conn, g.in = conn, bufio.NewReader(conn)
			break
		}
		select {
		case <-p.Done():
			t.Fatalf("qemu has ended: %s", p.Err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(late) {
			t.Fatalf("qemu: %v", err)
		}
	}
	t.Cleanup(func() { g.conn.Close() })
	out, status, err := g.run("dmesg -n 7; uname -r", bootTime)
	if err != nil || status != 0 {
		t.Fatalf("the guest does not start: status %d, %v: %s", status, err, out)
	}
	t.Logf("the guest runs Linux %s", strings.TrimSpace(out))
	return g
}

// freePort gives an address at 127.0.0.1, which is what qemu forwards to, that nobody
// listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Run runs a line of shell, which must succeed, and gives what it has printed.
func (g *Guest) Run(t testing.TB, format string, args ...any) string {
	t.Helper()
	out, status := g.Try(t, format, args...)
	if status != 0 {
		t.Fatalf("in the guest: %s\nstatus %d\n%s", fmt.Sprintf(format, args...), status, out)
	}
	return out
}

// Try runs a line of shell, and gives what it has printed and its status.
func (g *Guest) Try(t testing.TB, format string, args ...any) (out string, status int) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	out, status, err := g.run(line, runTime)
	if err != nil {
		t.Fatalf("in the guest: %s\n%v\n%s", line, err, out)
	}
	return out, status
}

// run sends a line and reads up to the line with its status, ":0:".
func (g *Guest) run(line string, limit time.Duration) (out string, status int, err error) {
	if strings.Contains(line, "\n") {
		return "", 0, fmt.Errorf("%q is not one line", line)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return "", 0, err
	}
	if _, err := g.conn.Write([]byte(line + "\n")); err != nil {
		return "", 0, err
	}
	for {
		text, err := g.in.ReadString('\n')
		if err != nil {
			g.conn.Close() // whatever it still says would be taken for another's answer
			return out, 0, fmt.Errorf("no answer: %w", err)
		}
		if digits, ok := strings.CutSuffix(text, ":\n"); ok && strings.HasPrefix(digits, ":") {
			if status, err := strconv.Atoi(digits[1:]); err == nil {
				return strings.TrimSuffix(out, "\n"), status, nil
			}
		}
		out += text
	}
}
