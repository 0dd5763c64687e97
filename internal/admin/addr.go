package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
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
	if network || host == "localhost" {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return fmt.Errorf("%w: %q, want one of the loopback interface, such as 127.0.0.1:%s", ErrNetwork, addr, port)
	}
	return nil
}
