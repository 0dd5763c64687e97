package host

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A ring that was armed while it had nothing to send, and is armed again while it has, is told when
// the socket takes something, too: the controller may have nothing to say before.
func TestArmedForMore(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var a armer
	told := make(chan struct{}, 10)
	notify := func() { told <- struct{}{} }
	a.start(notify, fds[0], false)
	a.start(notify, fds[0], true)
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Error("not told")
	}
	a.end()
}
