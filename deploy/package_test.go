package deploy

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// debEnv names the package that make test-package has built.
const debEnv = "LOCKIFY_DEB"

// The package installs, starts, upgrades, is removed and purged on Debian, and the daemon
// that its unit starts tells systemd that it is ready.
func TestPackage(t *testing.T) {
	deb := os.Getenv(debEnv)
	if deb == "" {
		t.Skipf("needs a package in $%s: make test-package", debEnv)
	}
	dir := t.TempDir()
	newer := newerThan(t, deb, dir)

	name := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := os.Chmod(name, 0o777); err != nil { // the user lockify tells us
		t.Fatal(err)
	}
	out := run(t, "unshare", "--mount", "--net", "--pid", "--fork", "debian/test.sh", deb, newer, dir)
	t.Log(out)
	if !strings.HasSuffix(out, "== all is well\n") {
		t.Error("the script has not come to its end")
	}
	told := map[string]bool{}
	b := make([]byte, 4096)
	for !told["READY=1"] || !told["WATCHDOG=1"] || !told["STOPPING=1"] { // they are in the socket's buffer, or go test's time ends
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(b[:n]), "\n") {
			told[line] = true
		}
	}
}

// newerThan makes a package of a later version with the same in it.
func newerThan(t *testing.T, deb, dir string) string {
	t.Helper()
	newer := filepath.Join(dir, "newer.deb")
	run(t, "sh", "-ec", `dpkg-deb -R "$1" "$2/tree"
sed -i 's/^Version: .*/&+1/' "$2/tree/DEBIAN/control"
dpkg-deb --build --root-owner-group -Zgzip "$2/tree" "$3"
rm -r "$2/tree"`, "sh", deb, dir, newer)
	return newer
}

// systemdEnv says that a systemd may be booted for it, which takes a while.
const systemdEnv = "LOCKIFY_SYSTEMD"

// Under a real systemd the unit starts, is watched, upgraded, stopped and removed.
func TestSystemd(t *testing.T) {
	deb := os.Getenv(debEnv)
	if deb == "" || os.Getenv(systemdEnv) == "" {
		t.Skipf("needs a package in $%s, and $%s: make test-systemd", debEnv, systemdEnv)
	}
	out := run(t, "systemd/test.sh", deb, newerThan(t, deb, t.TempDir()))
	t.Log(out)
	if !strings.HasSuffix(out, "== all is well\n") {
		t.Error("the script has not come to its end")
	}
}

// run runs a command, and gives what it says. A failure ends the test.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Fatalf("%s: %v\n%s", name, err, strings.Join(lines[max(0, len(lines)-30):], "\n"))
	}
	return string(out)
}
