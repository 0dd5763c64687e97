package tcp

import (
	"net"
	"syscall"
	"testing"
)

func TestNear(t *testing.T) {
	tests := []struct {
		local, remote string
		want          bool
	}{
		{"127.0.0.1:1", "127.0.0.1:2", true},
		{"127.0.0.1:1", "127.0.0.7:2", true},
		{"[::1]:1", "[::1]:2", true},
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", true},
		{"192.0.2.1:1", "192.0.2.2:2", false},
		{"[2001:db8::1]:1", "[2001:db8::2]:2", false},
	}
	for _, test := range tests {
		if got := near(address(t, test.local), address(t, test.remote)); got != test.want {
			t.Errorf("near(%s, %s) = %v, want %v", test.local, test.remote, got, test.want)
		}
	}
	if near(&net.UnixAddr{}, &net.UnixAddr{}) {
		t.Error("a Unix socket is a TCP connection")
	}
}

func address(t *testing.T, s string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestPrepare: the kernel has taken the size; Linux doubles it, for its own account.
func TestPrepare(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := Prepare(c); err != nil {
		t.Fatal(err)
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	ctl := raw.Control(func(fd uintptr) {
		size, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
	})
	if ctl != nil || err != nil {
		t.Fatal(ctl, err)
	}
	// A system may allow less (net.core.wmem_max), but nothing makes it more.
	if size > 2*nearBuffer || size < 4096 {
		t.Errorf("send buffer of %d bytes, want at most twice %d", size, nearBuffer)
	}
	_ = c.Close()
	if Prepare(c) == nil {
		t.Error("a closed connection is prepared")
	}
}
