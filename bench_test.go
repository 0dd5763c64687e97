package lockify

import (
	"context"
	"fmt"
	"testing"
)

// benchSpace gives a lockspace of a single node: embedded, or behind a Unix
// socket.
func benchSpace(b *testing.B, way string) (context.Context, *Lockspace) {
	ctx := context.Background()
	nodes := startCluster(b, clusterOptions{nodes: 1, transport: "plain"})
	if way == "embedded" {
		s, err := nodes[0].Open(ctx, "bench")
		if err != nil {
			b.Fatal(err)
		}
		return ctx, s
	}
	s, err := dialNode(b, nodes[0], way, "plain").Open(ctx, "bench")
	if err != nil {
		b.Fatal(err)
	}
	return ctx, s
}

func lockUnlock(ctx context.Context, b *testing.B, s *Lockspace, name string, opts ...Option) {
	l, err := s.Lock(ctx, name, EX, opts...)
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Unlock(ctx); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkUnixSync locks and unlocks over a Unix socket: two round trips.
func BenchmarkUnixSync(b *testing.B) {
	ctx, s := benchSpace(b, "unix")
	b.ReportAllocs()
	for b.Loop() {
		lockUnlock(ctx, b, s, "name")
	}
}

// BenchmarkUnixAsync64 keeps 64 names at work over a Unix socket; an operation
// is a lock and its unlock.
func BenchmarkUnixAsync64(b *testing.B) {
	_, s := benchSpace(b, "unix")
	b.ReportAllocs()
	const depth = 64
	free := make(chan string, depth)
	for i := range depth {
		free <- fmt.Sprintf("n%d", i)
	}
	for b.Loop() {
		name := <-free
		s.LockAsync(name, EX, func(l *Lock, err error) {
			if err != nil {
				b.Error(err)
				free <- name
				return
			}
			l.UnlockAsync(func(error) { free <- name })
		})
	}
	for range depth {
		<-free
	}
}
