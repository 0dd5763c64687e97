package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestNoDescriptors: a daemon that cannot take clients in for want of descriptors says so, and
// takes them again when it has some.
func TestNoDescriptors(t *testing.T) {
	for _, transport := range []string{"netpoll", "plain"} {
		t.Run(transport, func(t *testing.T) { testNoDescriptors(t, transport) })
	}
}

func testNoDescriptors(t *testing.T, transport string) {
	d := daemontest.Start(t, "--id", "1", "--clients", "unix://"+t.TempDir()+"/s", "--admin", "127.0.0.1:0", "--transport", transport)
	pid := d.Pid()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	few := unix.Rlimit{Cur: uint64(len(open)), Max: was.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		t.Fatal(err)
	}
	for range len(open) { // gaps between those it has are given out first
		c, err := net.Dial("unix", strings.TrimPrefix(d.Client, "unix://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	d.Err.Await(t, 0, "connections of clients could not be taken in", "addr="+d.Client, "too many open files")
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	c, err := lockify.Dial(t.Context(), d.Client)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
