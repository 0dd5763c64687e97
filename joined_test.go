package lockify

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"
)

// joined starts nodes in this process that join each other.
func joined(t *testing.T, n int) []*Node {
	t.Helper()
	return joinedAs(t, n, func(*Config) {})
}

// joinedAs is joined with a configuration that is changed.
func joinedAs(t *testing.T, n int, change func(*Config)) []*Node {
	t.Helper()
	addrs := freeAddrs(t, n)
	dir := t.TempDir()
	var nodes []*Node
	for i := range n {
		cfg := Config{
			ID: uint16(i + 1), Listen: addrs[i], Transport: "plain", Lease: 10 * time.Second, Logger: slog.New(slog.DiscardHandler),
			Data: filepath.Join(dir, addrs[i]),
		}
		if i == 0 {
			cfg.NewCluster = true
		} else {
			cfg.Join = addrs[:1]
		}
		change(&cfg)
		node, err := StartNode(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := node.Close(t.Context()); err != nil && !errors.Is(err, ErrClosed) {
				t.Log("close:", err) // the last ones have nobody left to agree with
			}
		})
		nodes = append(nodes, node)
	}
	for _, node := range nodes {
		if err := node.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// TestJoinedNodes: embedded nodes join each other, and the others go on at once when
// one of them leaves.
func TestJoinedNodes(t *testing.T) {
	nodes := joined(t, 3)
	var spaces []*Lockspace
	for _, n := range nodes {
		s, err := n.Open(t.Context(), "space", ValueSize(8))
		if err != nil {
			t.Fatal(err)
		}
		spaces = append(spaces, s)
	}
	if _, err := nodes[1].Open(t.Context(), "space", ValueSize(16)); !errors.Is(err, ErrMismatch) {
		t.Errorf("opened with another value size: %v", err)
	}
	held, err := spaces[2].Lock(t.Context(), "held", EX)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := spaces[0].Lock(t.Context(), "held", EX)
		got <- err
	}()
	if err := nodes[2].Close(t.Context()); err != nil {
		t.Error(err)
	}
	<-held.Lost()
	<-nodes[2].Lost()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestWrongJoin: what cannot be a member says why.
func TestWrongJoin(t *testing.T) {
	for what, cfg := range map[string]Config{
		"peers as well":   {ID: 1, Listen: "127.0.0.1:7", Join: []string{"127.0.0.1:8"}, Peers: []Peer{{ID: 2, Addr: "127.0.0.1:8"}}},
		"no directory":    {ID: 1, Listen: "127.0.0.1:7", NewCluster: true},
		"no address":      {ID: 1, Join: []string{"127.0.0.1:8"}},
		"a short lease":   {ID: 1, Listen: "127.0.0.1:7", NewCluster: true, Data: t.TempDir(), Lease: time.Millisecond},
		"too many voters": {ID: 1, Listen: "127.0.0.1:7", NewCluster: true, Data: t.TempDir(), Voters: 8},
	} {
		if n, err := StartNode(t.Context(), cfg); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
			n.Close(t.Context())
		}
	}
}
