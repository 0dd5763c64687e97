package member

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify/cluster"
)

// checkAddrs refuses addresses that nobody can connect to, which would be tried for ever. That
// there is one for this node is checked by its agent.
func (c *Config) checkAddrs() error {
	for _, addr := range c.Join {
		if err := checkAddr(addr); err != nil {
			return fmt.Errorf("%w: address %q to join: %w", cluster.ErrInvalid, addr, err)
		}
	}
	if c.Addr == "" {
		return nil
	}
	err := checkAddr(c.Addr)
	if err == nil && Unspecified(c.Addr) {
		err = errors.New("it is that of all interfaces, want one to connect to")
	}
	if err != nil {
		return fmt.Errorf("%w: address %q where other nodes reach this one: %w", cluster.ErrInvalid, c.Addr, err)
	}
	return nil
}

// checkAddr checks an address to connect to.
func checkAddr(addr string) error {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		if !strings.HasPrefix(path, "/") {
			return errors.New("the path of a socket must begin with /")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(addr, "tcp://"))
	if err != nil {
		return errors.New("want host:port or unix:///path")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return errors.New("want a host, and a port from 1 to 65535")
	}
	return nil
}

// Unspecified says that an address, host:port or unix:///path, is that of all interfaces, to which
// nobody can connect.
func Unspecified(addr string) bool {
	host, _, _ := net.SplitHostPort(strings.TrimPrefix(addr, "tcp://"))
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}
