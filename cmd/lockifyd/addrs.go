package main

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify/internal/node"
)

// This file reads settings that hold addresses.

// maxPath is the longest path of a Unix socket in bytes.
const maxPath = 107

// parseNodeAddr takes host:port or unix:///path.
func parseNodeAddr(v string, to *string) error {
	*to = v
	if path, ok := strings.CutPrefix(v, "unix://"); ok {
		return checkPath(path)
	}
	return checkHostPort(v)
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

func checkHostPort(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errWant
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q, want a number from 0 to 65535", port)
	}
	return nil
}

func parseClients(list []string, to *[]string) error {
	*to = nil
	for _, addr := range list {
		if err := checkClient(addr); err != nil {
			return fmt.Errorf("address %q: %w", addr, err)
		}
		if slices.Contains(*to, addr) {
			return fmt.Errorf("address %q is there twice", addr)
		}
		*to = append(*to, addr)
	}
	return nil
}

func checkClient(addr string) error {
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		return checkPath(path)
	}
	rest, ok := strings.CutPrefix(addr, "tcp://")
	if !ok {
		return errWant
	}
	return checkHostPort(rest)
}

// parsePeers takes the flag's form.
func parsePeers(v string, to *[]node.Peer) error {
	*to = nil
	for part := range strings.SplitSeq(v, ",") {
		id, addr, ok := strings.Cut(part, "=")
		if !ok {
			return fmt.Errorf("%q has no =", part)
		}
		var p node.Peer
		if err := parseID(id, &p.ID); err != nil {
			return fmt.Errorf("id %q, want a whole number from 1 to 65535", id)
		}
		if err := parsePeerAddr(addr, &p.Addr); err != nil {
			return fmt.Errorf("address of peer %d: %w", p.ID, err)
		}
		if slices.ContainsFunc(*to, func(q node.Peer) bool { return q.ID == p.ID }) {
			return fmt.Errorf("peer %d is there twice", p.ID)
		}
		*to = append(*to, p)
	}
	return nil
}

func parseJoin(list []string, to *[]string) error {
	*to = nil
	for _, part := range list {
		var addr string
		if err := parsePeerAddr(part, &addr); err != nil {
			return err
		}
		if slices.Contains(*to, addr) {
			return fmt.Errorf("address %q is there twice", addr)
		}
		*to = append(*to, addr)
	}
	return nil
}

func parseEtcd(list []string, to *[]string) error {
	*to = nil
	for _, url := range list {
		scheme, addr, _ := strings.Cut(url, "://")
		if scheme != "http" && scheme != "https" {
			return errWant
		}
		if err := checkHostPort(addr); err != nil {
			return fmt.Errorf("address %q: %w", url, err)
		}
		if slices.Contains(*to, url) {
			return fmt.Errorf("address %q is there twice", url)
		}
		*to = append(*to, url)
	}
	return nil
}

// parsePeerAddr is parseNodeAddr for an address to connect to.
func parsePeerAddr(v string, to *string) error {
	if err := parseNodeAddr(v, to); err != nil {
		if err == errWant {
			return fmt.Errorf("%q, want host:port or unix:///path", v)
		}
		return err
	}
	if host, port, err := net.SplitHostPort(v); err == nil && (host == "" || strings.Trim(port, "0") == "") {
		return fmt.Errorf("%q, want a host and a port to connect to", v)
	}
	return nil
}

func showPeers(peers []node.Peer) string {
	var parts []string
	for _, p := range peers {
		s := fmt.Sprintf("%d=%s", p.ID, p.Addr)
		if p.Delay > 0 {
			s += fmt.Sprintf(" (delay %v)", p.Delay)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ",")
}

// network gives "unix" or "tcp".
func network(addr string) string {
	if strings.HasPrefix(addr, "unix://") {
		return "unix"
	}
	return "tcp"
}
