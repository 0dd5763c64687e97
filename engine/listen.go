package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// SocketModer is a Handler or FrameHandler that says who may connect to the Unix sockets where it
// listens: the mode of their files, 0: as the umask says.
type SocketModer interface{ SocketMode() fs.FileMode }

func listen(network, addr string, h any) (net.Listener, error) {
	var mode fs.FileMode
	if m, ok := h.(SocketModer); ok && network == "unix" {
		mode = m.SocketMode()
	}
	ln, err := bind(network, addr, mode)
	if err != nil && network == "unix" && errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(addr); err != nil {
			return nil, err
		}
		ln, err = bind(network, addr, mode)
	}
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err) // it says what and where
	}
	if mode != 0 { // the umask may have taken some of it
		if err := os.Chmod(addr, mode); err != nil {
			ln.Close()
			return nil, fmt.Errorf("engine: mode of the socket: %w", err)
		}
	}
	return ln, nil
}

// bind listens. On Linux the file of a socket gets no more than the socket's own mode (unix(7),
// unix_bind of the kernel), so that there is no moment in which more may connect than mode says.
// Where that is not so, whoever calls it changes the file's.
func bind(network, addr string, mode fs.FileMode) (net.Listener, error) {
	var lc net.ListenConfig
	if mode != 0 {
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), uint32(mode)) })
		}
	}
	return lc.Listen(context.Background(), network, addr)
}

// removeStale removes the socket file of a process that is gone. Whether it is
// gone is asked of the socket, not of a pid file: nobody answers on it.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("engine: socket %s: %w", path, err)
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: %s is there and is not a socket", ErrAddrInUse, path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%w: another process answers on %s", ErrAddrInUse, path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: %s: %w", ErrAddrInUse, path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("engine: stale socket: %w", err)
	}
	return nil
}
