package engine

import (
	"context"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// hasty lets TCP give a connection up when nothing is acknowledged for mailTimeout. It
// would try for minutes, less and less often, and so find late that a network is
// whole again.
func hasty(_ context.Context, network, _ string, c syscall.RawConn) (err error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	ms := int(mailTimeout.Milliseconds())
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, ms) }); e != nil {
		return e
	}
	return err
}
