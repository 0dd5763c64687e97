package lockify

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// TestStartedAgain: a node whose data directory has been in a cluster goes back to that one, whatever
// its configuration says of joining, and is never one of its own.
func TestStartedAgain(t *testing.T) {
	ctx := testContext(t)
	addr, data := freeAddrs(t, 1)[0], filepath.Join(t.TempDir(), "data")
	cfg := Config{ID: 1, Listen: addr, Data: data, Logger: slog.New(slog.DiscardHandler)}
	start := func(cfg Config) (err error) {
		n, err := StartNode(ctx, cfg)
		if err != nil {
			return err
		}
		defer n.Close(ctx)
		if n.part == nil {
			t.Errorf("with NewCluster %v its membership is fixed", cfg.NewCluster)
		}
		return n.Ready(ctx)
	}
	if err := start(cfg); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "which has no cluster") {
		t.Errorf("with an empty directory: %v", err)
	}
	first := cfg
	first.NewCluster = true
	for _, cfg := range []Config{first, cfg} {
		if err := start(cfg); err != nil {
			t.Error(err)
		}
	}
	cfg.Peers = []Peer{{ID: 2, Addr: "127.0.0.1:8"}}
	if err := start(cfg); !errors.Is(err, ErrInvalid) {
		t.Errorf("with peers: %v", err)
	}
}

// TestWrongJoin: what cannot be a member says why.
func TestWrongJoin(t *testing.T) {
	for what, cfg := range map[string]Config{
		"peers as well":   {ID: 1, Listen: "127.0.0.1:7", Join: []string{"127.0.0.1:8"}, Peers: []Peer{{ID: 2, Addr: "127.0.0.1:8"}}},
		"no directory":    {ID: 1, Listen: "127.0.0.1:7", NewCluster: true},
		"no address":      {ID: 1, Join: []string{"127.0.0.1:8"}},
		"a short lease":   {ID: 1, Listen: "127.0.0.1:7", NewCluster: true, Data: t.TempDir(), Lease: time.Millisecond},
		"no port to join": {ID: 1, Listen: "127.0.0.1:7", Join: []string{"127.0.0.1:8", "bla"}},
		"no host to join": {ID: 1, Listen: "127.0.0.1:7", Join: []string{":8"}},
		"a port in words": {ID: 1, Listen: "127.0.0.1:7", Join: []string{"127.0.0.1:http"}},
		"port 0 to join":  {ID: 1, Listen: "127.0.0.1:7", Join: []string{"127.0.0.1:0"}},
		"a path":          {ID: 1, Listen: "127.0.0.1:7", Join: []string{"unix://x"}},
		"only itself":     {ID: 1, Listen: "127.0.0.1:7", Join: []string{"127.0.0.1:7"}},
		"any address":     {ID: 1, Listen: "0.0.0.0:7", Join: []string{"127.0.0.1:8"}},
		"bad address":     {ID: 1, Listen: "127.0.0.1:7", Advertise: "bla", Join: []string{"127.0.0.1:8"}},
		"too many voters": {ID: 1, Listen: "127.0.0.1:7", NewCluster: true, Data: t.TempDir(), Voters: 8},
	} {
		if n, err := StartNode(t.Context(), cfg); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
			n.Close(t.Context())
		}
	}
}

// TestCorrectedConfig: a start that is refused says which field is wrong and leaves nothing in the
// data directory, so that the corrected one finds it as new.
func TestCorrectedConfig(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	long := strings.Repeat("h", 106) + ":7"
	good := Config{
		ID: 1, Listen: "127.0.0.1:0", NewCluster: true, Data: data, Logger: slog.New(slog.DiscardHandler),
		Advertise: "127.0.0.1:7", Lease: 10 * time.Second,
	}
	for _, c := range []struct {
		says  string
		wrong func(*Config)
	}{
		{"Config.ID is 0, must be 1 to 65535", func(c *Config) { c.ID = 0 }},
		{"Config.Shards is 257, must be 1 to 256", func(c *Config) { c.Shards = 257 }},
		{"Config.Shards is -1, must be 1 to 256", func(c *Config) { c.Shards = -1 }},
		{"Config.IdleAfter is 1ns, must be 1ms to 24h", func(c *Config) { c.IdleAfter = 1 }},
		{"Config.IdleAfter is -1s, must be 1ms to 24h", func(c *Config) { c.IdleAfter = -time.Second }},
		{"Config.IdleAfter is 24h0m0.000000001s, must be 1ms to 24h", func(c *Config) { c.IdleAfter = 24*time.Hour + 1 }},
		{"Config.CloseAfter is 1ns, must be 1ms to 24h", func(c *Config) { c.CloseAfter = 1 }},
		{"Config.CloseAfter is -1s, must be 1ms to 24h", func(c *Config) { c.CloseAfter = -time.Second }},
		{"Config.CloseAfter is 24h0m0.000000001s, must be 1ms to 24h", func(c *Config) { c.CloseAfter = 24*time.Hour + 1 }},
		{"Config.Lease is 1ms, must be 200ms to 1h", func(c *Config) { c.Lease = time.Millisecond }},
		{"Config.Lease is -1s, must be 200ms to 1h", func(c *Config) { c.Lease = -time.Second }},
		{"Config.Lease is 199ms, must be 200ms to 1h", func(c *Config) { c.Lease = 199 * time.Millisecond }},
		{"Config.Lease is 1h0m0.000000001s, must be 200ms to 1h", func(c *Config) { c.Lease = time.Hour + 1 }},
		{"Config.Voters is -1, must be 1, 3, 5 or 7", func(c *Config) { c.Voters = -1 }},
		{"Config.Voters is 4, must be 1, 3, 5 or 7", func(c *Config) { c.Voters = 4 }},
		{"Config.Voters is 9, must be 1, 3, 5 or 7", func(c *Config) { c.Voters = 9 }},
		{"Config.Cluster is a name of 256 bytes, must be of 1 to 255", func(c *Config) { c.Cluster = strings.Repeat("x", 256) }},
		{"for other nodes has at most 100 bytes, this one 108", func(c *Config) { c.Advertise = long }},
		{`cannot reach this one at Config.Listen, ""`, func(c *Config) { c.Advertise, c.Listen = "", "" }},
		{`Config.Join is "bla": this is neither host:port nor unix:///path`, func(c *Config) { c.Join = []string{"bla"} }},
		{`Config.Join is "0.0.0.0:7": nobody can connect to all interfaces`, func(c *Config) { c.Join = []string{"0.0.0.0:7"} }},
		{`cannot reach this one at Config.Listen, "127.0.0.1:0": nobody can connect to port 0`, func(c *Config) { c.Advertise = "" }},
		{`Config.Clients is "127.0.0.1:7": this is neither unix:///path nor tcp://host:port`, func(c *Config) { c.Clients = []string{"127.0.0.1:7"} }},
		{`Config.Listen is "127.0.0.1:http": port "http" is no number`, func(c *Config) { c.Listen = "127.0.0.1:http" }},
		{`Config.Join is "hhh`, func(c *Config) { c.Join = []string{long} }},
		{"with Config.Peers", func(c *Config) { c.Peers = []Peer{{ID: 2, Addr: "127.0.0.1:8"}} }},
	} {
		cfg := good
		c.wrong(&cfg)
		n, err := StartNode(t.Context(), cfg)
		if err == nil {
			n.Close(t.Context())
		}
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
		if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: the data directory is there: %v", c.says, err)
		}
	}
	n, err := StartNode(t.Context(), good)
	if err == nil {
		err = n.Ready(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	n.Close(t.Context())
}

// TestReadySaysWhy: whoever waits in vain for a node to be a member hears why it is none, and so
// does who uses it before.
func TestReadySaysWhy(t *testing.T) {
	addrs := freeAddrs(t, 2)
	n, err := StartNode(t.Context(), Config{ID: 2, Listen: addrs[0], Join: addrs[1:], Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(t.Context())
	// The first ends at once, perhaps before anything is known of the other node.
	why := "not yet a member of the cluster: no answer yet: " + addrs[1] + ": connection refused"
	for late := testContext(t); ; {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := n.Ready(ctx)
		if !errors.Is(err, ctx.Err()) || !strings.Contains(err.Error(), "context canceled: not yet a member of the cluster: no answer yet") {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), why) {
			break
		}
		select {
		case <-time.After(time.Millisecond):
		case <-late.Done():
			t.Fatal(err)
		}
	}
	if _, err := n.Open(t.Context(), "space"); !errors.Is(err, ErrNoQuorum) || !strings.Contains(err.Error(), why) {
		t.Error(err)
	}
	if _, err := n.Open(t.Context(), ""); !errors.Is(err, ErrName) || strings.Contains(err.Error(), "answer") {
		t.Error(err)
	}
}
