package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// What CheckAddr finds wrong.
var (
	ErrAddr    = errors.New("admin: bad address")
	ErrNetwork = errors.New("admin: address can be reached from the network, and there are no passwords")
)

// CheckAddr says what is wrong with an address to listen on. It must be
// "host:port"; host must be localhost or an address of the loopback
// interface, unless network is set, and is never empty: who wants all
// interfaces says 0.0.0.0 or [::]. Errors: ErrAddr, ErrNetwork.
func CheckAddr(addr string, network bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w %q: want host:port", ErrAddr, addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%w %q: port %q, want a number from 0 to 65535", ErrAddr, addr, port)
	}
	if host == "" {
		return fmt.Errorf("%w %q: no host before the colon; want one, such as 127.0.0.1", ErrAddr, addr)
	}
	if !network && !isLoopback(addr) {
		return fmt.Errorf("%w: %q, want one of the loopback interface, such as 127.0.0.1:%s", ErrNetwork, addr, port)
	}
	return nil
}

// isLoopback says that host, which may have a port, is localhost or an address of the
// loopback interface.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}
