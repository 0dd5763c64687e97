package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// sendFrames sends frames 0 to count-1, numbered as newNode's check wants.
func (n *node) sendFrames(peer uint16, count uint64) {
	for i := range count {
		n.ls.Send(peer, frameFor(i, 8+int(i%100)), wire.Header{Kind: wire.KindNode, Count: 1})
	}
}

func (n *node) setPeers(peers ...Peer) {
	n.t.Helper()
	if err := n.ls.SetPeers(peers); err != nil {
		n.t.Fatal(err)
	}
}

// forget expects a peer's frames from number 0 again.
func (n *node) forget(peer uint16) {
	n.mu.Lock()
	n.got[peer] = 0
	n.mu.Unlock()
}

const restarted = 0x20002 // a later start of node 2

func asRestarted(c *LinksConfig) { c.Instance = restarted }

// TestPeerComesBack removes a peer and takes its next start in, with all of the
// traffic of the new link and none of the old one.
func TestPeerComesBack(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, two := pair(t, b, nil)
		one.sendFrames(2, 100)
		two.awaitFrames(1, 100)
		one.setPeers()
		one.awaitEvent("down 2")
		one.mu.Lock()
		if err := one.downs[len(one.downs)-1]; !errors.Is(err, ErrRemoved) {
			t.Errorf("down because of %v", err)
		}
		one.mu.Unlock()
		one.sendFrames(2, 3) // to nobody
		if q := one.ls.queued(2); q != 0 {
			t.Errorf("%d bytes queued for a peer that was removed", q)
		}
		two.stop()
		two = newNode(t, 2)
		two.start(b, []Peer{{ID: 1, Instance: 0x10001}}, asRestarted)
		one.forget(2)
		one.setPeers(Peer{ID: 2, Addr: two.addr(), Instance: restarted})
		one.sendFrames(2, 200)
		two.sendFrames(1, 200)
		one.awaitEvent("up 2 0x20002")
		one.awaitFrames(2, 200)
		two.awaitFrames(1, 200)
	})
}

// TestPeerReplacedAtOnce exchanges a peer by its next start in one step, before the
// old one has gone.
func TestPeerReplacedAtOnce(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, old := pair(t, b, nil)
		two := newNode(t, 2)
		two.start(b, []Peer{{ID: 1}}, asRestarted)
		one.sendFrames(2, 50)
		one.setPeers(Peer{ID: 2, Addr: two.addr(), Instance: restarted})
		one.sendFrames(2, 50)
		two.awaitFrames(1, 50)
		old.awaitEvent("down 1")
	})
}

// TestPeerStays: who stays a peer notices nothing, also when it is said which of its
// starts is meant.
func TestPeerStays(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		one, two := pair(t, b, nil)
		three := newNode(t, 3)
		three.start(b, []Peer{{ID: 1}, {ID: 2}}, nil)
		go two.sendFrames(1, 2000)
		one.setPeers(Peer{ID: 2, Addr: two.addr()}, Peer{ID: 3, Addr: three.addr()})
		one.setPeers(Peer{ID: 2, Addr: two.addr(), Instance: 0x10002}, Peer{ID: 3, Addr: three.addr()})
		three.sendFrames(1, 100)
		one.awaitFrames(2, 2000)
		one.awaitFrames(3, 100)
		one.setPeers(Peer{ID: 2, Addr: two.addr(), Instance: 0x10002})
		one.mu.Lock()
		defer one.mu.Unlock()
		if one.seen("down 2") > 0 || one.seen("up 2 0x10002") != 1 {
			t.Errorf("events %v", one.events)
		}
	})
}

// TestOtherInstanceIsRefused: only the start that is meant gets in, whoever dials.
func TestOtherInstanceIsRefused(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		tries := make(chan int, 1000)
		count := func(c *LinksConfig) {
			old := c.Backoff
			c.Backoff = func(failures int) time.Duration {
				select {
				case tries <- failures:
				default:
				}
				return old(failures)
			}
		}
		two := newNode(t, 2)
		two.start(b, []Peer{{ID: 1, Instance: 0x50001}}, asRestarted)
		one := newNode(t, 1)
		one.start(b, []Peer{{ID: 2, Addr: two.addr(), Instance: 0x10002}}, count)
		for receive(t, tries) < 3 {
		}
		one.setPeers(Peer{ID: 2, Addr: two.addr(), Instance: restarted}) // one takes two, two does not take one
		for receive(t, tries) != 0 {                                     // of the link before
		}
		for receive(t, tries) < 3 {
		}
		one.mu.Lock()
		if len(one.events) > 0 {
			t.Errorf("events %v", one.events)
		}
		one.mu.Unlock()
		two.setPeers(Peer{ID: 1, Instance: 0x10001})
		one.awaitEvent("up 2 0x20002")
		two.awaitEvent("up 1 0x10001")
	})
}

func TestSetPeersRefuses(t *testing.T) {
	one, _ := pair(t, benches()[0], nil)
	for name, p := range map[string][]Peer{
		"ourselves":        {{ID: 1, Addr: "x"}},
		"zero":             {{Addr: "x"}},
		"twice":            {{ID: 2, Addr: "x"}, {ID: 2, Addr: "y"}},
		"no address":       {{ID: 2}},
		"another instance": {{ID: 2, Addr: "x", Instance: 0x10003}},
	} {
		if err := one.ls.SetPeers(p); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, there := one.ls.Stats()[2]; !there {
		t.Error("a refused SetPeers has removed a peer")
	}
}
