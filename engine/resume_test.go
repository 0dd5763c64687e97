package engine

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// TestExactlyOnceUnderCuts runs traffic both ways through a proxy that keeps
// breaking the connections.
func TestExactlyOnceUnderCuts(t *testing.T) {
	for _, tr := range []Transport{NewPlain(), NewNetpoll()} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s/seed=%d", tr.Name(), seed), func(t *testing.T) {
				if raceEnabled && tr.Name() == "netpoll" {
					t.Skip("netpoll runs other code under the race detector")
				}
				b := bench{network: "tcp", t: tr, addr: func(testing.TB) string { return "127.0.0.1:0" }}
				compress, most := func(*LinksConfig) {}, 400<<10
				if seed == 2 { // a quarter of the bytes is left
					compress, most = func(c *LinksConfig) { c.Compress = true }, 100<<10
				}
				two := newNode(t, 2)
				two.start(b, []Peer{{ID: 1}}, compress)
				p := newProxy(t, two.addr(), seed, most)
				one := newNode(t, 1)
				one.start(b, []Peer{{ID: 2, Addr: p.addr()}}, compress)
				trafficUnderCuts(t, one, two, seed)
				p.calm()
				if p.count() < 5 {
					t.Errorf("only %d cuts", p.count())
				}
				s := one.ls.Stats()[2]
				if s.Reconnects == 0 || s.Resent == 0 {
					t.Errorf("nothing was resumed: %+v", s)
				}
			})
		}
	}
}

func trafficUnderCuts(t *testing.T, one, two *node, seed uint64) {
	const frames = 1500
	var wg sync.WaitGroup
	for _, way := range []struct {
		n    *node
		peer uint16
	}{{one, 2}, {two, 1}} {
		rng := rand.New(rand.NewPCG(seed, uint64(way.peer)))
		wg.Go(func() {
			for i := range uint64(frames) {
				size := 8 + rng.IntN(200)
				if rng.IntN(50) == 0 {
					size = rng.IntN(60<<10) + 8
				}
				way.n.ls.Send(way.peer, frameFor(i, size), wire.Header{Kind: wire.KindNode, Count: 1})
			}
		})
	}
	wg.Wait()
	one.awaitFrames(2, frames)
	two.awaitFrames(1, frames)
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.got[2] != frames {
		t.Errorf("%d frames, want %d", one.got[2], frames)
	}
}

// TestLastWords: what a peer has said before it went is heard also by who finds out in writing
// that it has gone.
func TestLastWords(t *testing.T) {
	two := newNode(t, 2)
	first, gone := make(chan struct{}), make(chan struct{})
	two.onFrame = func(_ uint16, h *wire.Header, _ []byte) {
		if h.Seq == 1 {
			close(first)
			<-gone
		}
	}
	two.start(benches()[0], []Peer{{ID: 1}}, nil)
	c, err := net.Dial("tcp", two.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	say := func(h wire.Header, m *wire.Msg) {
		h.Version, h.Instance, h.Kind = wire.HelloVersion, 0x10001, wire.KindLink
		if _, err := c.Write(sealOne(h, m)); err != nil {
			t.Fatal(err)
		}
	}
	say(wire.Header{}, (*fakePeer)(nil).hello())
	if _, err := io.ReadFull(c, make([]byte, wire.HeaderSize)); err != nil { // of the welcome
		t.Fatal(err)
	}
	say(wire.Header{}, &wire.Msg{Type: wire.LinkAck})
	for seq := range uint64(3) {
		say(wire.Header{Seq: seq + 1}, &wire.Msg{Type: wire.LinkSpace, Num: 1, Text: []byte("a space to lock in")})
	}
	say(wire.Header{}, &wire.Msg{Type: wire.LinkClose, Text: []byte("bye")})
	<-first
	c.(*net.TCPConn).SetLinger(0) // a reset
	c.Close()
	two.send(1, 0, 2, 100)
	close(gone)
	two.awaitFrames(1, 3)
	two.awaitEvent("down 1")
	if err := two.downs[0]; !errors.Is(err, ErrPeerClosed) {
		t.Errorf("down because of %v", err)
	}
}

// TestMemCuts cuts the mem network at moments that the traffic chooses.
func TestMemCuts(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			m := NewMem()
			b := bench{network: "tcp", t: m, addr: func(testing.TB) string { return "node:0" }}
			two := newNode(t, 2)
			two.start(b, []Peer{{ID: 1}}, nil)
			rng := rand.New(rand.NewPCG(seed, 9))
			next := uint64(100)
			two.onIdle = func(peer uint16) { // on the goroutine that reads
				two.mu.Lock()
				got := two.got[peer]
				two.mu.Unlock()
				if got >= next {
					next = got + 50 + rng.Uint64N(500)
					go m.Cut()
				}
			}
			one := newNode(t, 1)
			one.start(b, []Peer{{ID: 2, Addr: two.addr()}}, nil)
			trafficUnderCuts(t, one, two, seed)
			if s := two.ls.Stats()[1]; s.Reconnects == 0 {
				t.Errorf("no cut happened: %+v", s)
			}
		})
	}
}

// TestResumeManyInFlight loses a full pipe of frames and all their
// acknowledgements.
func TestResumeManyInFlight(t *testing.T) {
	m := NewMem()
	b := bench{network: "tcp", t: m, addr: func(testing.TB) string { return "node:0" }}
	one, two := pair(t, b, func(c *LinksConfig) { c.KeepAlive, c.DeadAfter = time.Minute, time.Hour })
	one.send(2, 0, 10, 100)
	two.awaitFrames(1, 10)
	m.Freeze(true)
	const frames = 2000
	one.send(2, 10, frames, 100)
	two.send(1, 0, frames, 100)
	if q := one.ls.queued(2); q < 1990*164 {
		t.Errorf("%d bytes queued", q)
	}
	m.Cut()
	one.awaitEvent("down 2")
	two.awaitEvent("down 1")
	m.Freeze(false)
	two.awaitFrames(1, frames)
	one.awaitFrames(2, frames)
	s := one.ls.Stats()[2]
	if s.Resent < 1000 || s.Reconnects != 1 {
		t.Errorf("stats: %+v", s)
	}
	if err := one.ls.Close(testContext(t)); err != nil {
		t.Error(err)
	}
	one.ls = nil
}

// TestKeepAlive freezes a network: nobody is told, only silence shows it.
func TestKeepAlive(t *testing.T) {
	m := NewMem()
	b := bench{network: "tcp", t: m, addr: func(testing.TB) string { return "node:0" }}
	one, two := pair(t, b, func(c *LinksConfig) {
		c.KeepAlive, c.DeadAfter = 5*time.Millisecond, 200*time.Millisecond
	})
	m.Freeze(true)
	one.awaitEvent("down 2")
	two.awaitEvent("down 1")
	if !errors.Is(one.downs[0], ErrDead) && !errors.Is(one.downs[0], ErrReplaced) {
		t.Errorf("node 1 lost the link with %v", one.downs[0])
	}
	if !errors.Is(two.downs[0], ErrDead) && !errors.Is(two.downs[0], ErrReplaced) {
		t.Errorf("node 2 lost the link with %v", two.downs[0])
	}
	one.send(2, 0, 100, 50)
	m.Freeze(false)
	two.awaitFrames(1, 100)
	one.awaitRTT(2)
}

func TestCloseDrains(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, two := pair(t, b, nil)
		one.send(2, 0, 3000, 500)
		if err := one.ls.Close(testContext(t)); err != nil {
			t.Error(err)
		}
		if q := one.ls.queued(2); q != 0 {
			t.Errorf("%d bytes left", q)
		}
		one.send(2, 3000, 3001, 8)
		if s := one.ls.Stats()[2]; s.Dropped != 1 || s.Connected {
			t.Errorf("after Close: %+v", s)
		}
		one.ls = nil
		two.awaitFrames(1, 3000)
		two.awaitEvent("down 1")
		if !errors.Is(two.downs[0], ErrPeerClosed) {
			t.Errorf("node 2 was told %v", two.downs[0])
		}
		two.send(1, 0, 1, 8)
		if err := two.ls.Close(testContext(t)); !errors.Is(err, ErrClosed) {
			t.Errorf("Close with a frame left: %v", err)
		}
		two.ls = nil
	})
}
