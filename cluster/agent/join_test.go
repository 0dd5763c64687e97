package agent

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// awaitOutside waits until the node says so why it is not let in.
func (n *node) awaitOutside(t *testing.T, why string) {
	t.Helper()
	late := time.After(30 * time.Second)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !strings.Contains(n.agent.Outside(), why) {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("outside because of %q, want %q", n.agent.Outside(), why)
		}
	}
}

// asks begins to join, without waiting for anything.
func (n *node) asks() {
	n.t.Helper()
	n.starts += 1000 // another node's start is not an earlier one of the same
	if _, err := n.agent.Join(n.starts<<16|uint64(n.cfg.ID), newEars()); err != nil {
		n.t.Fatal(err)
	}
}

// TestSameID: a node whose id another one has hears so of that one, which it may know from the
// first or be sent to, and whether it has a store or not.
func TestSameID(t *testing.T) {
	t.Parallel()
	net, dir := newNetwork(), t.TempDir()
	one := net.node(t, 1, founder(dir)).join()
	net.node(t, 2, joiner("")).join()
	for _, c := range []struct{ addr, join, store string }{
		{"second:1", "node:1", ""}, {"third:1", "node:2", ""}, {"fourth:1", "node:2", filepath.Join(dir, "fourth")},
	} {
		n := net.node(t, 1, func(cfg *Config) {
			cfg.Addr, cfg.Mail, cfg.Join, cfg.Store = c.addr, port{net, c.addr}, []string{c.join}, c.store
		})
		n.asks()
		n.awaitOutside(t, "node 1 at node:1: id 1 is in use by this node")
	}
	if why := one.agent.Outside(); one.ended != nil {
		t.Errorf("the first one has ended: %v, %q", one.ended, why)
	}
}

// TestNoAnswerYet: who is not answered says what is known of those whom it asks, and when it asks
// itself, under another address than it knows.
func TestNoAnswerYet(t *testing.T) {
	t.Parallel()
	net := newNetwork()
	one := net.node(t, 1, func(c *Config) { c.Join = []string{"node:1", "x", "node:2", "x", "y", "z", "u", "alias"} })
	net.node(t, 2, joiner("")) // there, but no member
	net.mu.Lock()
	net.agents["alias"] = one.agent
	net.mu.Unlock()
	one.asks()
	one.awaitOutside(t, "no answer yet: x: nobody there; y: nobody there; z: nobody there; an address to join is this node's own")
	net.mu.Lock()
	delete(net.agents, "alias")
	net.mu.Unlock()
}
