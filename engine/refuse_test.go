package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// logBuffer collects log lines and lets tests wait for one.
type logBuffer struct {
	mu   sync.Mutex
	cond sync.Cond
	b    bytes.Buffer
	late bool
}

func newLogBuffer() *logBuffer {
	l := &logBuffer{}
	l.cond.L = &l.mu
	return l
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cond.Broadcast()
	return l.b.Write(p)
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logBuffer) await(t *testing.T, node int, text string) {
	t.Helper()
	late := time.AfterFunc(testTimeout, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.late = true
		l.cond.Broadcast()
	})
	defer late.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for line := range strings.Lines(l.b.String()) {
			if strings.Contains(line, fmt.Sprintf("node=%d ", node)) && strings.Contains(line, text) {
				return
			}
		}
		if l.late {
			t.Fatalf("node %d has not logged %q:\n%s", node, text, l.b.String())
		}
		l.cond.Wait()
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		one, two func(c *LinksConfig)
		text     string
	}{
		"cluster": {one: func(c *LinksConfig) { c.Cluster = "other" }, text: "meets cluster"},
		"proven otherwise": {two: func(c *LinksConfig) {
			c.PeerNode = func(Conn) (uint16, error) { return 9, nil }
		}, text: "node 9 says that it is node 1"},
		"not proven": {one: func(c *LinksConfig) {
			c.PeerNode = func(Conn) (uint16, error) { return 0, fmt.Errorf("nobody has shown anything") }
		}, text: "nobody has shown anything"},
		"not known": {two: func(c *LinksConfig) { c.Peers = []Peer{{ID: 7, Addr: "127.0.0.1:1"}} }, text: "not a peer"},
		"other node": {two: func(c *LinksConfig) {
			c.Self, c.Instance = 3, 0x10003
			c.Peers = []Peer{{ID: 1}}
		}, text: "node 3 answers at"},
		"direction": {two: func(c *LinksConfig) {
			c.Self, c.Instance = 0, 0
			c.Self, c.Instance, c.Peers = 1, 0x10001, []Peer{{ID: 1001, Addr: "127.0.0.1:1"}}
		}, one: func(c *LinksConfig) {
			c.Self, c.Instance, c.Peers = 1001, 0x103E9, []Peer{{ID: 1002, Addr: c.Peers[0].Addr}}
		}, text: "not the other way round"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b bench) {
				log := newLogBuffer()
				with := func(change func(c *LinksConfig)) func(c *LinksConfig) {
					return func(c *LinksConfig) {
						c.Logger = log.logger()
						if change != nil {
							change(c)
						}
					}
				}
				two := newNode(t, 2)
				two.start(b, []Peer{{ID: 1}}, with(c.two))
				one := newNode(t, 1)
				one.start(b, []Peer{{ID: 2, Addr: two.addr()}}, with(c.one))
				log.await(t, int(one.ls.cfg.Self), c.text)
				log.await(t, int(two.ls.cfg.Self), c.text)
				one.mu.Lock()
				defer one.mu.Unlock()
				if len(one.events) > 0 {
					t.Errorf("events: %v", one.events)
				}
			})
		})
	}
}

// TestPeerRestarts lets each end in turn come back as another instance, and
// as the same one without its memory.
func TestPeerRestarts(t *testing.T) {
	for _, c := range []struct {
		who      uint16
		instance uint64
		frames   uint64 // exchanged before
	}{{1, 0x20001, 5}, {2, 0x20002, 5}, {1, 0x20001, 0}, {2, 0x20002, 0}, {1, 0x10001, 5}, {2, 0x10002, 5}} {
		t.Run(fmt.Sprintf("node=%d/instance=%#x/frames=%d", c.who, c.instance, c.frames), func(t *testing.T) {
			each(t, func(t *testing.T, b bench) {
				// Retries of the dialling node, from the third failure on.
				retries := make(chan int, 1000)
				backoff := func(c *LinksConfig) {
					c.Backoff = func(failures int) time.Duration {
						if failures >= 3 {
							select {
							case retries <- failures:
							default:
							}
						}
						return time.Millisecond
					}
				}
				one, two := pair(t, b, backoff)
				one.send(2, 0, c.frames, 50)
				two.send(1, 0, c.frames, 50)
				one.awaitFrames(2, c.frames)
				two.awaitFrames(1, c.frames)
				addr := two.addr()
				stays, other := one, c.who
				peers, listen := []Peer{{ID: 1}}, addr
				if c.who == 1 {
					stays = two
					peers, listen = []Peer{{ID: 2, Addr: addr}}, b.addr(t)
					one.stop()
				} else {
					two.stop()
				}
				stays.awaitEvent(fmt.Sprintf("down %d", other))
				back, log := newNode(t, c.who), newLogBuffer()
				back.start(b, peers, func(cfg *LinksConfig) {
					cfg.Instance, cfg.Listen, cfg.Logger = c.instance, []string{listen}, log.logger()
					backoff(cfg)
				})
				want := fmt.Sprintf("reset %d %#x %#x", other, 0x10000+uint64(other), c.instance)
				stays.awaitEvent(want)
				log.await(t, int(c.who), "refuse")
				for range 5 {
					receive(t, retries)
				}
				stays.mu.Lock()
				defer stays.mu.Unlock()
				if n := stays.seen(want); n != 1 {
					t.Errorf("reported %d times", n)
				}
				if n := stays.seen(fmt.Sprintf("up %d %#x", other, 0x10000+uint64(other))); n != 1 {
					t.Errorf("up %d times: %v", n, stays.events)
				}
			})
		})
	}
}

// fakePeer speaks the link protocol by hand, as node 1 to a node 2.
type fakePeer struct {
	t    *testing.T
	c    *FrameConn
	f    *framer
	msgs chan wire.Msg
	hdrs chan wire.Header
}

func newFakePeer(t *testing.T, b bench, addr string) *fakePeer {
	p := &fakePeer{t: t, f: newFramer(), msgs: make(chan wire.Msg, 1000), hdrs: make(chan wire.Header, 1000)}
	p.f.onFrame = func(_ *FrameConn, h *wire.Header, payload []byte) error {
		var m wire.Msg
		if err := decodeOne(h, payload, &m); err != nil {
			return err
		}
		m.Text = bytes.Clone(m.Text)
		p.msgs <- m
		p.hdrs <- *h
		return nil
	}
	c, err := DialFrames(testContext(t), b.t, b.network, addr, p.f)
	if err != nil {
		t.Fatal(err)
	}
	p.c = c
	t.Cleanup(c.Close)
	return p
}

func (p *fakePeer) hello() *wire.Msg {
	return &wire.Msg{Type: wire.LinkHello, Instance: 0x10001, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax),
		Features: wire.Features, Text: []byte("test")}
}

func (p *fakePeer) send(h wire.Header, m *wire.Msg) {
	p.t.Helper()
	h.Version, h.Instance = wire.HelloVersion, 0x10001
	if h.Kind == 0 {
		h.Kind = wire.KindLink
	}
	if err := p.c.Send(sealOne(h, m)); err != nil {
		p.t.Fatal(err)
	}
}

func TestVersionWithoutOverlap(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		log := newLogBuffer()
		two := newNode(t, 2)
		two.start(b, []Peer{{ID: 1}}, func(c *LinksConfig) { c.Logger = log.logger() })
		p := newFakePeer(t, b, two.addr())
		hello := p.hello()
		hello.Num = wire.VersionRange(70, 80)
		p.send(wire.Header{}, hello)
		m := receive(t, p.msgs)
		if m.Type != wire.LinkRefuse || m.Status != wire.BadVersion || !strings.Contains(string(m.Text), "offered 70 to 80") {
			t.Errorf("answer: %+v %q", m, m.Text)
		}
		log.await(t, 2, "offered 70 to 80")
	})
}

// TestMisbehavingPeer breaks the protocol in every way that is checked.
func TestMisbehavingPeer(t *testing.T) {
	node, link := wire.KindNode, wire.KindLink
	ack := &wire.Msg{Type: wire.LinkAck}
	done := &wire.Msg{Type: wire.Done, Num: 1}
	for name, c := range map[string]struct {
		h    wire.Header
		m    *wire.Msg
		want error
	}{
		"gap":           {wire.Header{Kind: node, Seq: 2}, done, ErrProtocol},
		"no number":     {wire.Header{Kind: node}, done, ErrProtocol},
		"never sent":    {wire.Header{Kind: link, Ack: 5}, ack, ErrProtocol},
		"client frame":  {wire.Header{Kind: wire.KindClient, Seq: 1}, &wire.Msg{Type: wire.Ping}, ErrProtocol},
		"second hello":  {wire.Header{Kind: link}, &wire.Msg{Type: wire.LinkHello, Instance: 0x10001, Text: []byte("test")}, ErrProtocol},
		"wrong message": {wire.Header{Kind: link}, done, wire.ErrType},
		"goodbye":       {wire.Header{Kind: link}, &wire.Msg{Type: wire.LinkClose, Text: []byte("bye")}, ErrPeerClosed},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, b bench) {
				two := newNode(t, 2)
				two.start(b, []Peer{{ID: 1}}, nil)
				p := newFakePeer(t, b, two.addr())
				p.send(wire.Header{}, p.hello())
				if m := receive(t, p.msgs); m.Type != wire.LinkWelcome || m.Instance != 0x10002 || string(m.Text) != "test" {
					t.Fatalf("answer: %+v", m)
				}
				p.send(wire.Header{}, ack)
				two.awaitEvent("up 1 0x10001")
				p.send(c.h, c.m)
				two.awaitEvent("down 1")
				if got := two.downs[0]; !isError(got, c.want) {
					t.Errorf("ended with %v, want %v", got, c.want)
				}
				two.mu.Lock()
				defer two.mu.Unlock()
				if two.got[1] != 0 {
					t.Error("the frame was delivered")
				}
			})
		})
	}
}

// TestRepeatedFrameIsDropped sends one number twice.
func TestRepeatedFrameIsDropped(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		two := newNode(t, 2)
		two.onFrame = func(uint16, *wire.Header, []byte) {}
		two.start(b, []Peer{{ID: 1}}, nil)
		p := newFakePeer(t, b, two.addr())
		p.send(wire.Header{}, p.hello())
		receive(t, p.msgs)
		p.send(wire.Header{}, &wire.Msg{Type: wire.LinkAck})
		space := &wire.Msg{Type: wire.LinkSpace, Num: 1, Text: []byte("a space to lock in")}
		for _, seq := range []uint64{1, 1, 2, 1, 2, 3} {
			p.send(wire.Header{Seq: seq}, space)
		}
		two.awaitFrames(1, 3)
		if s := two.ls.Stats()[1]; s.Repeated != 3 {
			t.Errorf("%d repeated frames counted, want 3", s.Repeated)
		}
		// An acknowledgement comes by itself.
		for h := range p.hdrs {
			if h.Ack == 3 {
				break
			}
		}
		two.mu.Lock()
		defer two.mu.Unlock()
		if two.got[1] != 3 {
			t.Errorf("%d frames delivered, want 3", two.got[1])
		}
	})
}

// TestStrangersDoNotDisturb throws bytes at the port of a node whose link works.
func TestStrangersDoNotDisturb(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, two := pair(t, b, nil)
		sent := uint64(0)
		for name, bad := range badFrames(wire.KindLink) {
			sendRaw(t, b, two.addr(), bad.bytes)
			one.send(2, sent, sent+10, 50)
			sent += 10
			two.awaitFrames(1, sent)
			if s := one.ls.Stats()[2]; s.Reconnects != 0 {
				t.Errorf("%s: the link was lost", name)
			}
		}
	})
}

// TestStrangerIsNews: that a node does not know the one that dials it, or only another start of it, is
// a warning where nobody comes. Where peers come and go it is not, from the beginning.
func TestStrangerIsNews(t *testing.T) {
	for _, c := range []struct {
		moving bool
		peers  []Peer
		level  slog.Level
		text   string
	}{
		{false, nil, slog.LevelWarn, "is not a peer of"},
		{true, nil, slog.LevelDebug, "is not a peer of"},
		{false, []Peer{{ID: 1, Instance: 0x20001}}, slog.LevelWarn, "is not the member here"},
		{true, []Peer{{ID: 1, Instance: 0x20001}}, slog.LevelDebug, "is not the member here"},
	} {
		log := newLogBuffer()
		with := func(cfg *LinksConfig) {
			cfg.Moving = c.moving
			cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		two := newNode(t, 2)
		two.start(benches()[0], c.peers, with)
		one := newNode(t, 1)
		one.start(benches()[0], []Peer{{ID: 2, Addr: two.addr()}}, with)
		log.await(t, 2, c.text)
		log.await(t, 1, c.text)
		one.stop()
		two.stop()
		for line := range strings.Lines(log.b.String()) {
			if strings.Contains(line, c.text) {
				if !strings.Contains(line, "level="+c.level.String()) {
					t.Errorf("moving %v: %s", c.moving, line)
				}
				break
			}
		}
	}
}
