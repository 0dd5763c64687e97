package lockify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"
)

func freeAddrs(t testing.TB, n int) []string {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

func startCluster(t testing.TB, n int, transport string) []*Node {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	addrs := freeAddrs(t, n)
	var nodes []*Node
	for i := range n {
		cfg := Config{ID: uint16(i + 1), Listen: addrs[i], Transport: transport, Logger: slog.New(slog.DiscardHandler),
			Clients: []string{fmt.Sprintf("unix://%s/n%d.sock", t.TempDir(), i)}, IdleAfter: 100 * time.Millisecond}
		for j := range n {
			if j != i {
				cfg.Peers = append(cfg.Peers, Peer{ID: uint16(j + 1), Addr: addrs[j]})
			}
		}
		nd, err := StartNode(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, nd)
	}
	for _, nd := range nodes {
		if err := nd.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, nd := range nodes {
			nd.Close(ctx)
		}
	})
	return nodes
}

func TestLockAcrossNodes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nodes := startCluster(t, 3, "plain")
	var spaces []*Lockspace
	for _, n := range nodes {
		s, err := n.Open(ctx, "test")
		if err != nil {
			t.Fatal(err)
		}
		spaces = append(spaces, s)
		c, err := Dial(ctx, n.ClientAddrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if s, err = c.Open(ctx, "test"); err != nil {
			t.Fatal(err)
		}
		spaces = append(spaces, s)
	}
	for i := range 200 {
		name := fmt.Sprintf("name-%d", i)
		a, b := spaces[i%6], spaces[(i+1+i/6)%6]
		l, err := a.Lock(ctx, name, EX, New())
		if err != nil {
			t.Fatal(err)
		}
		<-l.Confirmed() // the name reaches the other by this test, not by a lock
		if _, err := b.TryLock(ctx, name, PR); !errors.Is(err, ErrWouldBlock) {
			t.Fatalf("%s: second lock: %v", name, err)
		}
		got := make(chan error, 1)
		go func() {
			l2, err := b.Lock(ctx, name, PR, ReadValue())
			if err == nil {
				v, ok := l2.Value()
				if !ok || string(v[:5]) != "hello" {
					err = fmt.Errorf("value %q %v", v, ok)
				}
				if l2.Token() < l.Token() {
					err = fmt.Errorf("token")
				}
				l2.Unlock(ctx)
			}
			got <- err
		}()
		if err := l.Unlock(ctx, WithValue([]byte("hello"))); err != nil {
			t.Fatal(err)
		}
		if err := <-got; err != nil {
			t.Fatal(name, err)
		}
	}
	for _, n := range nodes {
		st := n.Stats()
		for _, sp := range st.Spaces {
			for _, sh := range sp.Shards {
				t.Logf("node %d: %+v", st.ID, sh)
			}
		}
	}
}

func BenchmarkEmbeddedNew(b *testing.B) {
	nodes := startCluster(b, 1, "plain")
	s, _ := nodes[0].Open(context.Background(), "bench")
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		l, err := s.Lock(ctx, fmt.Sprintf("n%d", i), EX, New())
		if err != nil {
			b.Fatal(err)
		}
		l.Unlock(ctx)
	}
}
