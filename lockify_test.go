package lockify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/lockspace"
)

// testTimeout bounds a test that hangs; no test depends on its length.
const testTimeout = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// transports are those that this build can test.
func transports() []string {
	if raceEnabled {
		return []string{"plain"}
	}
	return []string{"plain", "netpoll"}
}

// freeAddrs gives addresses that nothing else has. They are not of 127.0.0.1, whose ports
// are given to whatever connects to something.
func freeAddrs(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	host := fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	for range n {
		l, err := net.Listen("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

// clusterOptions says what is special about a test's cluster.
type clusterOptions struct {
	nodes     int
	transport string
	traces    trace.TracerProvider             // nil: none
	delay     func(from, to int) time.Duration // by index; nil: none
}

// startCluster starts nodes 1 to n, which serve clients on a Unix socket and a
// TCP port, and waits until all are connected.
func startCluster(t testing.TB, o clusterOptions) []*Node {
	t.Helper()
	ctx := testContext(t)
	addrs := freeAddrs(t, o.nodes)
	dir := t.TempDir()
	var nodes []*Node
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, n := range nodes {
			n.Close(ctx)
		}
	})
	for i := range o.nodes {
		cfg := Config{
			ID: uint16(i + 1), Listen: addrs[i], Transport: o.transport, Logger: slog.New(slog.DiscardHandler), TracerProvider: o.traces,
			Clients: []string{fmt.Sprintf("unix://%s/%d.sock", dir, i), "tcp://127.0.0.1:0"},
		}
		for j := range o.nodes {
			if j == i {
				continue
			}
			p := Peer{ID: uint16(j + 1), Addr: addrs[j]}
			if o.delay != nil {
				p.Delay = o.delay(i, j)
			}
			cfg.Peers = append(cfg.Peers, p)
		}
		n, err := StartNode(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// env is a cluster of two nodes with a lockspace handle on each of them.
type env struct {
	ctx   context.Context
	nodes []*Node
	a, b  *Lockspace
	dial  func(t testing.TB, node int) *Client // nil: embedded
	next  int
}

// name gives a name that no other test has used. Both nodes occur as its
// directory, by chance of the hash.
func (e *env) name() string {
	e.next++
	return fmt.Sprintf("name-%d", e.next)
}

// eachWay runs f once for each way to reach a node, over each transport.
func eachWay(t *testing.T, f func(t *testing.T, e *env)) {
	for _, transport := range transports() {
		for _, way := range []string{"embedded", "unix", "tcp", "ring"} {
			t.Run(way+"/"+transport, func(t *testing.T) {
				e := &env{ctx: testContext(t), nodes: startCluster(t, clusterOptions{nodes: 2, transport: transport})}
				if way != "embedded" {
					e.dial = func(t testing.TB, node int) *Client { return dialNode(t, e.nodes[node], way, transport) }
				}
				e.a, e.b = e.open(t, 0, "test"), e.open(t, 1, "test")
				f(t, e)
			})
		}
	}
}

func dialNode(t testing.TB, n *Node, way, transport string) *Client {
	t.Helper()
	addr := n.ClientAddrs()[0]
	opts := []DialOption{WithName("test")}
	switch way {
	case "tcp":
		addr = n.ClientAddrs()[1]
		opts = append(opts, WithTransport(transport))
	case "unix":
		opts = append(opts, WithTransport(transport), NoRing())
	}
	c, err := Dial(testContext(t), addr.String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if got := c.Session().Ring(); got != (way == "ring") {
		t.Errorf("by way of %s: ring %t", way, got)
	}
	return c
}

// open opens a lockspace on a node, through a client of its own if there are
// sockets.
func (e *env) open(t testing.TB, node int, name string, opts ...SpaceOption) *Lockspace {
	t.Helper()
	var s *Lockspace
	var err error
	if e.dial == nil {
		s, err = e.nodes[node].Open(e.ctx, name, opts...)
	} else {
		s, err = e.dial(t, node).Open(e.ctx, name, opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// must locks, or ends the test.
func (e *env) must(t testing.TB, s *Lockspace, name string, mode Mode, opts ...Option) *Lock {
	t.Helper()
	l, err := s.Lock(e.ctx, name, mode, opts...)
	if err != nil {
		t.Fatalf("lock %q %s: %v", name, mode, err)
	}
	return l
}

func (e *env) unlock(t testing.TB, l *Lock, opts ...Option) {
	t.Helper()
	if err := l.Unlock(e.ctx, opts...); err != nil {
		t.Fatalf("unlock %q: %v", l.Name(), err)
	}
}

func (e *env) convert(t testing.TB, l *Lock, mode Mode, opts ...Option) {
	t.Helper()
	if err := l.Convert(e.ctx, mode, opts...); err != nil {
		t.Fatalf("convert %q to %s: %v", l.Name(), mode, err)
	}
}

// wait waits for something that happens, or ends the test.
func wait[T any](t testing.TB, ctx context.Context, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-ctx.Done():
		t.Fatalf("%s did not happen", what)
	}
	return v
}

// outcome is what an operation that runs beside the test gave.
type outcome struct {
	l   *Lock
	err error
}

// begin starts Lock beside the test.
func begin(ctx context.Context, s *Lockspace, name string, mode Mode, opts ...Option) <-chan outcome {
	ch := make(chan outcome, 1)
	go func() {
		l, err := s.Lock(ctx, name, mode, opts...)
		ch <- outcome{l, err}
	}()
	return ch
}

// beginConvert starts Convert beside the test.
func beginConvert(ctx context.Context, l *Lock, mode Mode, opts ...Option) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- l.Convert(ctx, mode, opts...) }()
	return ch
}

// resource gives a name as its master sees it, with the role "" if no node
// masters it.
func resource(t testing.TB, nodes []*Node, space, name string) (info lockspace.ResourceInfo) {
	t.Helper()
	for _, n := range nodes {
		err := n.n.Space(space).Inspect(context.Background(), func(i lockspace.ResourceInfo) bool {
			if string(i.Name) == name && (i.Role == "master" || i.Role == "claimed") {
				info = i
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return info
}

// until waits for a state that announces itself by nothing.
func until(t testing.TB, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		if ctx.Err() != nil {
			t.Fatalf("%s did not happen", what)
		}
		runtime.Gosched()
	}
}

// expect compares an error with the one wanted; nil wants none.
func expect(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
