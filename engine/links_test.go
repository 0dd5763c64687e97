package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// testTimeout ends a test that waits for something that never comes.
const testTimeout = 60 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// bench is one of the transports, with a way to make addresses.
type bench struct {
	name    string
	network string
	t       Transport
	addr    func(t testing.TB) string
	lingers bool
}

// loopback is an address with ports that are not given to whatever connects to something,
// as those of 127.0.0.1 are: who stops listening at one can do so again.
var loopback = fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))

func benches() []bench {
	tcp := func(testing.TB) string { return loopback }
	unix := func(t testing.TB) string { return filepath.Join(t.TempDir(), "s") }
	return []bench{
		{"plain/tcp", "tcp", NewPlain(), tcp, false},
		{"plain/unix", "unix", NewPlain(), unix, false},
		{"tls/tcp", "tcp", testTLS(nil), tcp, false},
		{"mem", "tcp", NewMem(), func(testing.TB) string { return "node:0" }, false},
		{"netpoll/tcp", "tcp", NewNetpoll(), tcp, false},
		{"netpoll/unix", "unix", NewNetpoll(), unix, false},
		{"netpoll/unix/lingering", "unix", NewNetpoll(), unix, true},
	}
}

// each runs f over every transport.
func each(t *testing.T, f func(t *testing.T, b bench)) {
	for _, b := range benches() {
		t.Run(b.name, func(t *testing.T) {
			if raceEnabled && b.t.Name() == "netpoll" {
				t.Skip("netpoll runs other code under the race detector")
			}
			lingers.Store(b.lingers)
			defer lingers.Store(false)
			f(t, b)
		})
	}
}

// node is a LinkHandler that checks order and lets tests wait for events.
type node struct {
	t  testing.TB
	id uint16
	ls *Links

	onFrame func(peer uint16, h *wire.Header, payload []byte)
	onIdle  func(peer uint16)

	mu     sync.Mutex
	cond   sync.Cond
	got    map[uint16]uint64 // frames per peer
	bytes  map[uint16]uint64
	idle   map[uint16]int
	events []string
	bad    []string
	downs  []error
}

func newNode(t testing.TB, id uint16) *node {
	n := &node{t: t, id: id, got: map[uint16]uint64{}, bytes: map[uint16]uint64{}, idle: map[uint16]int{}}
	n.cond.L = &n.mu
	return n
}

// frameFor makes a frame whose payload starts with number and is size bytes.
func frameFor(number uint64, size int) []byte {
	f := GetBufSize(size)
	f = binary.LittleEndian.AppendUint64(f, number)
	for len(f) < wire.HeaderSize+size {
		f = append(f, byte(number)^byte(len(f)))
	}
	return f
}

func (n *node) OnFrame(peer uint16, h *wire.Header, payload []byte) {
	n.mu.Lock()
	want := n.got[peer]
	n.got[peer]++
	n.bytes[peer] += uint64(len(payload))
	if got := binary.LittleEndian.Uint64(payload); got != want && n.onFrame == nil {
		n.bad = append(n.bad, fmt.Sprintf("from %d: frame %d, want %d", peer, got, want))
	}
	for i := 8; i < len(payload); i++ {
		if payload[i] != byte(want)^byte(i+wire.HeaderSize) && n.onFrame == nil {
			n.bad = append(n.bad, fmt.Sprintf("from %d: frame %d is damaged at %d", peer, want, i))
			break
		}
	}
	n.cond.Broadcast()
	n.mu.Unlock()
	if n.onFrame != nil {
		n.onFrame(peer, h, payload)
	}
}

func (n *node) OnIdle(peer uint16) {
	n.mu.Lock()
	n.idle[peer]++
	n.mu.Unlock()
	if n.onIdle != nil {
		n.onIdle(peer)
	}
}

func (n *node) event(format string, args ...any) {
	n.mu.Lock()
	n.events = append(n.events, fmt.Sprintf(format, args...))
	n.cond.Broadcast()
	n.mu.Unlock()
}

func (n *node) OnPeerUp(peer uint16, instance, _ uint64) { n.event("up %d %#x", peer, instance) }

func (n *node) OnPeerDown(peer uint16, err error) {
	n.mu.Lock()
	n.downs = append(n.downs, err)
	n.mu.Unlock()
	n.event("down %d", peer)
}

func (n *node) OnPeerReset(peer uint16, oldInstance, newInstance uint64) {
	n.event("reset %d %#x %#x", peer, oldInstance, newInstance)
}

// await waits until ok, which is called with n.mu held.
func (n *node) await(what string, ok func() bool) {
	n.t.Helper()
	late := time.AfterFunc(testTimeout, func() {
		n.mu.Lock()
		n.bad = append(n.bad, "timed out")
		n.cond.Broadcast()
		n.mu.Unlock()
	})
	defer late.Stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	for !ok() {
		if len(n.bad) > 0 {
			n.t.Fatalf("node %d waits for %s: %v; events %v", n.id, what, n.bad, n.events)
		}
		n.cond.Wait()
	}
	if len(n.bad) > 0 {
		n.t.Fatalf("node %d: %v", n.id, n.bad)
	}
}

// awaitRTT waits until a ping has been answered, of which nobody tells.
func (n *node) awaitRTT(peer uint16) {
	n.t.Helper()
	ctx := testContext(n.t)
	for n.ls.Stats()[peer].RTT == 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			n.t.Fatalf("node %d knows no round trip time of node %d", n.id, peer)
		}
	}
}

func (n *node) awaitFrames(peer uint16, count uint64) {
	n.t.Helper()
	n.await(fmt.Sprintf("%d frames from %d", count, peer), func() bool { return n.got[peer] >= count })
}

func (n *node) awaitEvent(want string) {
	n.t.Helper()
	n.await(want, func() bool { return n.seen(want) > 0 })
}

// seen counts an event; n.mu is held.
func (n *node) seen(want string) (count int) {
	for _, e := range n.events {
		if e == want {
			count++
		}
	}
	return count
}

// start opens the links of n; change may alter the configuration.
func (n *node) start(b bench, peers []Peer, change func(c *LinksConfig)) {
	n.t.Helper()
	cfg := LinksConfig{
		Transport: b.t, Network: b.network, Self: n.id, Instance: 0x10000 + uint64(n.id),
		Cluster: "test", Listen: []string{b.addr(n.t)}, Peers: peers,
		Backoff: func(int) time.Duration { return time.Millisecond },
	}
	if change != nil {
		change(&cfg)
	}
	ls, err := NewLinks(cfg, n)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	n.ls = ls
	n.mu.Unlock()
	n.t.Cleanup(func() { n.stop() })
}

// stop closes at once; twice does no harm.
func (n *node) stop() {
	if n.ls != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		n.ls.Close(ctx)
		n.ls = nil
	}
}

func (n *node) addr() string { return n.ls.Addrs()[0] }

// pair gives two connected nodes, 1 and 2.
func pair(t testing.TB, b bench, change func(c *LinksConfig)) (*node, *node) {
	t.Helper()
	two := newNode(t, 2)
	two.start(b, []Peer{{ID: 1}}, change)
	one := newNode(t, 1)
	one.start(b, []Peer{{ID: 2, Addr: two.addr()}}, change)
	ctx := testContext(t)
	for _, n := range []*node{one, two} {
		if err := n.ls.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return one, two
}

func (n *node) send(peer uint16, from, to uint64, size int) {
	n.mu.Lock()
	ls := n.ls // callbacks use it too
	n.mu.Unlock()
	for i := from; i < to; i++ {
		ls.Send(peer, frameFor(i, size), wire.Header{Kind: wire.KindNode, Count: 1})
	}
}

func TestLinksDeliverInOrder(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, two := pair(t, b, nil)
		const frames = 5000
		var wg sync.WaitGroup
		wg.Go(func() { one.send(2, 0, frames, 200) })
		wg.Go(func() { two.send(1, 0, frames, 200) })
		wg.Wait()
		one.awaitFrames(2, frames)
		two.awaitFrames(1, frames)
		if err := one.ls.Close(testContext(t)); err != nil {
			t.Error(err)
		}
		one.ls = nil
		two.awaitEvent("down 1")
	})
}
