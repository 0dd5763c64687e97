package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxDial = 100 // bytes of an address that nodes tell each other, as package cluster has it
	maxPath = 107 // bytes of the path of a Unix socket
)

// Split cuts an address into "unix" and the path, or "tcp" and host:port.
func Split(addr string) (network, rest string) {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		return "unix", path
	}
	return "tcp", strings.TrimPrefix(addr, "tcp://")
}

// Network gives "unix" or "tcp".
func Network(addr string) string {
	network, _ := Split(addr)
	return network
}

// CheckListen says what is wrong with an address to listen on. Port 0 is a free one, and no host
// stands for all interfaces.
func CheckListen(addr string) error {
	network, rest := Split(addr)
	if network == "unix" {
		return checkPath(rest)
	}
	if _, _, err := net.SplitHostPort(rest); err != nil {
		if strings.Count(rest, ":") > 1 && !strings.ContainsAny(rest, "[/") {
			return errors.New("an address of IPv6 has brackets around it, as in [::1]:7540")
		}
		return errors.New("this is neither host:port nor unix:///path")
	}
	_, _, err := SplitHostPort(rest)
	return err
}

// CheckClients is CheckListen for clients. Programs and lockctl are given the address as it is, and
// there it must say which network it is of.
func CheckClients(addr string) error {
	if !strings.HasPrefix(addr, "unix://") && !strings.HasPrefix(addr, "tcp://") {
		return errors.New("this is neither unix:///path nor tcp://host:port")
	}
	return CheckListen(addr)
}

// CheckDial says what is wrong with an address at which other nodes reach one. Where nobody can
// connect to they would try for ever.
func CheckDial(addr string) error {
	if err := CheckListen(addr); err != nil {
		return err
	}
	if len(addr) > maxDial {
		return fmt.Errorf("an address for other nodes has at most %d bytes, this one %d", maxDial, len(addr))
	}
	network, rest := Split(addr)
	if network == "unix" {
		return nil
	}
	host, port, _ := SplitHostPort(rest)
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified():
		return errors.New("nobody can connect to all interfaces")
	case port == 0:
		return errors.New("nobody can connect to port 0")
	}
	return nil
}

// SplitHostPort cuts host:port, or says what is wrong with it. The host may be empty.
func SplitHostPort(addr string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, errors.New("this is not host:port")
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port %q is no number from 0 to 65535", text)
	}
	return host, uint16(n), nil
}

func checkPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("the path %q of a socket must begin with /", path)
	case strings.HasSuffix(path, "/"):
		return fmt.Errorf("the path %q is that of a directory, want one of a socket in it", path)
	case len(path) > maxPath:
		return fmt.Errorf("the path of a socket has %d bytes, at most %d", len(path), maxPath)
	}
	return nil
}

// Local says that only this machine reaches an address.
func Local(addr string) bool {
	network, rest := Split(addr)
	if network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(rest)
	if err != nil || host == "localhost" {
		return err == nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
