package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

func isError(err, want error) bool { return errors.Is(err, want) }

// frozenPair gives two connected nodes on a frozen network, and the way to thaw it.
func frozenPair(t *testing.T, change func(c *LinksConfig)) (one, two *node, thaw func()) {
	m := NewMem()
	b := bench{network: "tcp", t: m, addr: func(testing.TB) string { return "node:0" }}
	one, two = pair(t, b, func(c *LinksConfig) {
		c.KeepAlive, c.DeadAfter = time.Minute, time.Hour
		c.MaxQueuedBytes = minQueuedBytes
		if change != nil {
			change(c)
		}
	})
	m.Freeze(true)
	return one, two, func() { m.Freeze(false) }
}

func TestCongestion(t *testing.T) {
	one, two, thaw := frozenPair(t, nil)
	one.send(2, 0, 480, 1000)
	if one.ls.Congested() {
		t.Error("congested below the limit")
	}
	one.send(2, 480, 640, 1000)
	if !one.ls.Congested() {
		t.Error("not congested above the limit")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := one.ls.WaitUncongested(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitUncongested: %v", err)
	}
	waited := make(chan error, 1)
	go func() { waited <- one.ls.WaitUncongested(testContext(t)) }()
	one.send(2, 640, 1600, 1000) // answers still go through
	thaw()
	if err := receive(t, waited); err != nil {
		t.Error(err)
	}
	two.awaitFrames(1, 1600)
}

// TestClogged: at twice the limit it is said that it can't go on like that, until it is below
// the limit again.
func TestClogged(t *testing.T) {
	one, two, thaw := frozenPair(t, nil)
	one.send(2, 0, 960, 1000)
	if !one.ls.Congested() || one.ls.Clogged() {
		t.Errorf("congested %v, clogged %v between the limit and twice as much", one.ls.Congested(), one.ls.Clogged())
	}
	one.send(2, 960, 1280, 1000)
	if !one.ls.Clogged() {
		t.Error("not clogged above twice the limit")
	}
	thaw()
	two.awaitFrames(1, 1280)
	if err := one.ls.WaitUncongested(testContext(t)); err != nil || one.ls.Clogged() {
		t.Errorf("clogged %v, error %v", one.ls.Clogged(), err)
	}
}

func TestOverrun(t *testing.T) {
	one, two, thaw := frozenPair(t, nil)
	one.send(2, 0, 2400, 1000)
	one.awaitEvent("down 2")
	if !errors.Is(one.downs[0], ErrOverrun) {
		t.Errorf("down with %v", one.downs[0])
	}
	s := one.ls.Stats()[2]
	if !s.Failed || s.Queued != 0 || s.Dropped == 0 || one.ls.Congested() {
		t.Errorf("stats: %+v, congested %v", s, one.ls.Congested())
	}
	thaw()
	two.awaitEvent("down 1")
	if err := one.ls.Close(testContext(t)); err != nil {
		t.Error(err)
	}
	one.ls = nil
	if n := one.seen("down 2"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// TestOverrunUnconnected fails a link that never came up.
func TestOverrunUnconnected(t *testing.T) {
	two := newNode(t, 2)
	two.start(benches()[0], []Peer{{ID: 1}}, func(c *LinksConfig) { c.MaxQueuedBytes = minQueuedBytes })
	two.send(1, 0, 2400, 1000)
	two.awaitEvent("down 1")
	if !errors.Is(two.downs[0], ErrOverrun) {
		t.Errorf("down with %v", two.downs[0])
	}
}

// TestDelay checks that no frame is early and that the order holds.
func TestDelay(t *testing.T) {
	const delay = 3 * time.Millisecond
	each(t, func(t *testing.T, b bench) {
		two := newNode(t, 2)
		early := 0
		two.onFrame = func(_ uint16, _ *wire.Header, payload []byte) {
			two.mu.Lock()
			defer two.mu.Unlock()
			if nanos()-int64(binary.LittleEndian.Uint64(payload)) < int64(delay) {
				early++
			}
			if seq := binary.LittleEndian.Uint64(payload[8:]); seq+1 != two.got[1] {
				two.bad = append(two.bad, "out of order")
			}
		}
		two.start(b, []Peer{{ID: 1}}, nil)
		one := newNode(t, 1)
		one.start(b, []Peer{{ID: 2, Addr: two.addr()}}, func(c *LinksConfig) {
			c.Delay = func(uint16) time.Duration { return delay }
		})
		const frames = 2000
		for i := range uint64(frames) {
			f := binary.LittleEndian.AppendUint64(GetBuf(), uint64(nanos()))
			f = binary.LittleEndian.AppendUint64(f, i)
			one.ls.Send(2, f, wire.Header{Kind: wire.KindNode, Count: 1})
		}
		two.awaitFrames(1, frames)
		one.awaitRTT(2)
		if early > 0 {
			t.Errorf("%d frames are early", early)
		}
		if err := one.ls.Close(testContext(t)); err != nil {
			t.Error(err)
		}
		if rtt := one.ls.Stats()[2].RTT; rtt < delay {
			t.Errorf("round trip of %v does not show the delay", rtt)
		}
		one.ls = nil
	})
}

// TestConcurrentSenders checks that each sender's frames keep their order.
func TestConcurrentSenders(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		two := newNode(t, 2)
		last := map[byte]uint64{}
		two.onFrame = func(_ uint16, h *wire.Header, payload []byte) {
			two.mu.Lock()
			defer two.mu.Unlock()
			who, number := payload[0], binary.LittleEndian.Uint64(payload[1:])
			if number != last[who]+1 || h.Shard != uint16(who) || h.Clock != number || h.Instance != 0x10001 {
				two.bad = append(two.bad, "bad order or header")
			}
			last[who] = number
		}
		two.start(b, []Peer{{ID: 1}}, nil)
		one := newNode(t, 1)
		one.start(b, []Peer{{ID: 2, Addr: two.addr()}}, nil)
		var wg sync.WaitGroup
		const senders, frames = 8, 1000
		for who := range byte(senders) {
			wg.Go(func() {
				for i := range uint64(frames) {
					f := binary.LittleEndian.AppendUint64(append(GetBuf(), who), i+1)
					one.ls.Send(2, f, wire.Header{Kind: wire.KindNode, Count: 1, Shard: uint16(who), Clock: i + 1})
				}
			})
		}
		wg.Wait()
		two.awaitFrames(1, senders*frames)
	})
}

// TestIdleFollowsFrames answers only from OnIdle: nothing may be forgotten.
func TestIdleFollowsFrames(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, two := newNode(t, 1), newNode(t, 2)
		answered := uint64(0)
		two.onIdle = func(peer uint16) {
			two.mu.Lock()
			got := two.got[peer]
			two.mu.Unlock()
			two.send(1, answered, got, 16)
			answered = got
		}
		two.start(b, []Peer{{ID: 1}}, nil)
		one.start(b, []Peer{{ID: 2, Addr: two.addr()}}, nil)
		for i := range uint64(500) {
			one.send(2, i, i+1, 16)
			if i%50 == 0 {
				one.awaitFrames(2, i+1)
			}
		}
		one.awaitFrames(2, 500)
	})
}

func TestCompressedLink(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, two := pair(t, b, func(c *LinksConfig) { c.Compress = true })
		one.awaitEvent("up 2 0x10002") // so that the feature is agreed
		one.send(2, 0, 50, 60_000)     // frameFor repeats itself
		one.send(2, 50, 60, 1000)
		two.awaitFrames(1, 60)
		s := one.ls.Stats()[2]
		if s.BytesOut > 50*60_000/2 {
			t.Errorf("%d bytes written for 3 MB that repeat themselves", s.BytesOut)
		}
		if two.bytes[1] != 50*60_000+10*1000 {
			t.Errorf("%d bytes arrived", two.bytes[1])
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	good := func() LinksConfig {
		return LinksConfig{Transport: NewMem(), Self: 1, Instance: 0x70001, Cluster: "c", Peers: []Peer{{ID: 2, Addr: "x"}}}
	}
	for name, spoil := range map[string]func(c *LinksConfig){
		"transport":     func(c *LinksConfig) { c.Transport = nil },
		"network":       func(c *LinksConfig) { c.Network = "udp" },
		"self":          func(c *LinksConfig) { c.Self = 0 },
		"instance":      func(c *LinksConfig) { c.Instance = 0x70002 },
		"cluster":       func(c *LinksConfig) { c.Cluster = "" },
		"keep-alive":    func(c *LinksConfig) { c.KeepAlive = time.Microsecond },
		"dead after":    func(c *LinksConfig) { c.DeadAfter = time.Millisecond },
		"queue":         func(c *LinksConfig) { c.MaxQueuedBytes = 1000 },
		"peer twice":    func(c *LinksConfig) { c.Peers = append(c.Peers, c.Peers[0]) },
		"peer is self":  func(c *LinksConfig) { c.Peers[0].ID = 1 },
		"peer is zero":  func(c *LinksConfig) { c.Peers[0].ID = 0 },
		"peer nowhere":  func(c *LinksConfig) { c.Peers[0].Addr = "" },
		"delay too big": func(c *LinksConfig) { c.Delay = func(uint16) time.Duration { return time.Hour } },
	} {
		c := good()
		spoil(&c)
		if _, err := NewLinks(c, newNode(t, 1)); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := good()
	if err := c.complete(); err != nil {
		t.Error(err)
	}
}

// TestSendAllocatesNothing covers a frame's whole way: Send, write, read,
// deliver, acknowledge.
func TestSendAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("pools work differently under the race detector")
	}
	h := &benchHandler{node: *newNode(t, 2), done: make(chan struct{}, 1)}
	b := benches()[0]
	cfg := func(id uint16, peer Peer) LinksConfig {
		return LinksConfig{Transport: b.t, Self: id, Instance: 0x10000 + uint64(id), Cluster: "c",
			Listen: []string{b.addr(t)}, Peers: []Peer{peer}, KeepAlive: time.Minute}
	}
	far, err := NewLinks(cfg(2, Peer{ID: 1}), h)
	if err != nil {
		t.Fatal(err)
	}
	defer far.stop()
	near, err := NewLinks(cfg(1, Peer{ID: 2, Addr: far.Addrs()[0]}), &benchHandler{node: *newNode(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer near.stop()
	if err := near.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(2000, func() {
		h.until.Store(h.count.Load() + 1)
		near.Send(2, stamped(100), wire.Header{Kind: wire.KindNode, Count: 1})
		<-h.done
	})
	if allocs >= 1 {
		t.Errorf("%v allocations per frame", allocs)
	}
}
