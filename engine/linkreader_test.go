package engine

import (
	"net"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// watched gives the reader's role of one's connection to the other one.
func watched(t *testing.T, n *node, peer uint16) *LinkReader {
	t.Helper()
	var r *LinkReader
	n.await("the reader's role is free", func() bool {
		r = n.ls.Watch(peer)
		return r != nil
	})
	return r
}

// TestLinkReader: who waits for an answer reads it on his own goroutine, and nobody else does
// meanwhile; when somebody else's comes instead, others read for a while.
func TestLinkReader(t *testing.T) {
	if raceEnabled {
		t.Skip("without connections that others can read")
	}
	one, two := pair(t, benches()[0], nil)
	inPlace, came := false, false
	one.onFrame = func(uint16, *wire.Header, []byte) { came = inPlace }

	r := watched(t, one, 2)
	if one.ls.Watch(2) != nil {
		t.Fatal("two have the role")
	}
	inPlace = true
	two.send(1, 0, 1, 64)
	for range 1000 { // the other end's writer may not have run yet
		if r.Until(func() bool { return came }); came {
			break
		}
		r = watched(t, one, 2)
	}
	inPlace = false
	if !came {
		t.Fatal("the answer has not come to who was reading")
	}

	r = watched(t, one, 2)
	two.send(1, 1, 2, 64)
	two.await("the frame is on its way", func() bool { return two.ls.queued(1) == 0 || two.ls.Stats()[1].FramesOut >= 2 })
	for r.l.crowd.Load() == 0 {
		r.Until(func() bool { return false })
		if r.l.crowd.Load() == 0 {
			r = watched(t, one, 2)
		}
	}
	for i := range crowdRest {
		if one.ls.Watch(2) != nil {
			t.Fatalf("somebody reads alone after %d others", i)
		}
	}
	watched(t, one, 2).Until(func() bool { return true })
	if one.ls.Watch(3) != nil {
		t.Error("a reader for an unknown peer")
	}
}

// TestLinkReaderOnly: other transports have no such role.
func TestLinkReaderOnly(t *testing.T) {
	for _, b := range benches() {
		if b.t.Name() == "plain" || raceEnabled && b.t.Name() == "netpoll" {
			continue
		}
		one, _ := pair(t, b, nil)
		if one.ls.Watch(2) != nil {
			t.Errorf("%s: a reader", b.name)
		}
	}
}

// TestDirectLinger: the goroutine of a connection between nodes looks for what comes next
// when it has answered, and only then.
func TestDirectLinger(t *testing.T) {
	if raceEnabled {
		t.Skip("without directConn")
	}
	for name, tc := range map[string]struct{ serves, wrote, woke, reads bool }{
		"answered":      {serves: true, wrote: true, reads: true},
		"not answered":  {serves: true},
		"a client":      {wrote: true},
		"somebody woke": {serves: true, wrote: true, woke: true},
	} {
		t.Run(name, func(t *testing.T) {
			c, far := directPair(t)
			c.serves = tc.serves
			c.serving.most = 1 // whatever the machine has
			c.wrote.Store(tc.wrote)
			if _, err := far.Write([]byte("next")); err != nil {
				t.Fatal(err)
			}
			before := woken.Load()
			if tc.woke {
				Woke()
			}
			c.reading.Lock()
			c.linger(before)
			c.reading.Unlock()
			if got := c.r.Len() > 0; got != tc.reads {
				t.Errorf("has read what came: %v, want %v", got, tc.reads)
			}
			if nodeSpinners.Load() != 0 {
				t.Error("somebody counts as looking still")
			}
		})
	}
}

// directPair gives a connection whose goroutine does not run, and its other end.
func directPair(t *testing.T) (*directConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.DialTimeout("tcp", l.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, err := newDirectConn(near, keepsAll{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		c.run()
	})
	return c, far
}

// keepsAll leaves what comes in the reader.
type keepsAll struct{}

func (keepsAll) OnOpen(Conn)               {}
func (keepsAll) OnData(Conn, Reader) error { return nil }
func (keepsAll) OnClose(Conn, error)       {}
