package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/node"
)

// This file reads settings that hold addresses.

// parseAddrs takes addresses that check has nothing against, each once.
func parseAddrs(list []string, to *[]string, check func(addr string) error) error {
	*to = nil
	for _, addr := range list {
		if err := check(addr); err != nil {
			return fmt.Errorf("address %q: %w", addr, err)
		}
		if slices.Contains(*to, addr) {
			return fmt.Errorf("address %q is there twice", addr)
		}
		*to = append(*to, addr)
	}
	return nil
}

func checkEtcdURL(url string) error {
	scheme, addr, _ := strings.Cut(url, "://")
	if scheme != "http" && scheme != "https" {
		return errWant
	}
	_, _, err := address.SplitHostPort(addr)
	return err
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
		if err := address.CheckDial(addr); err != nil {
			return fmt.Errorf("address %q of peer %d: %w", addr, p.ID, err)
		}
		p.Addr = addr
		if slices.ContainsFunc(*to, func(q node.Peer) bool { return q.ID == p.ID }) {
			return fmt.Errorf("peer %d is there twice", p.ID)
		}
		*to = append(*to, p)
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
