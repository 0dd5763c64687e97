package engine

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// counted is over when so many frames have come.
type counted struct{ got, want atomic.Uint64 }

func (c *counted) over() bool { return c.got.Load() >= c.want.Load() }

// TestWatch has a caller and the goroutine of the connection take turns in reading:
// each answer must reach one of them, whoever has looked last.
func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		server, client := newFramer(), newFramer()
		server.onFrame = func(c *FrameConn, h *wire.Header, _ []byte) error {
			if err := c.Send(clientFrame(h.Seq, 64)); err != nil {
				return err
			}
			if h.Seq%3 == 0 { // and something out of turn, which may come when nobody waits
				go c.Send(clientFrame(h.Seq, 64))
			}
			return nil
		}
		var w counted
		all := make(chan struct{}, 1)
		client.onFrame = func(*FrameConn, *wire.Header, []byte) error {
			if w.got.Add(1) == w.want.Load() {
				all <- struct{}{}
			}
			return nil
		}
		c := frameLink(t, b, server, client)
		for i := range uint64(1500) {
			// The number of the frame travels in Seq.
			f := frameFor(i, 64)
			wire.SealFrame(f, &wire.Header{Version: 1, Kind: wire.KindClient, Seq: i})
			w.want.Add(1)
			if i%3 == 0 {
				w.want.Add(1)
			}
			watched := i%5 != 0 && c.Watch()
			if err := c.Send(f); err != nil {
				t.Fatal(err)
			}
			if watched {
				c.Until(w.over)
			}
			receive(t, all)
		}
	})
}

// TestWatchFails: an error of the handler ends the connection also if it comes up
// on the stack of who waits.
func TestWatchFails(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		bad := errors.New("bad frame")
		server, client := newFramer(), newFramer()
		server.onFrame = func(c *FrameConn, _ *wire.Header, _ []byte) error { return c.Send(clientFrame(1, 64)) }
		client.onFrame = func(*FrameConn, *wire.Header, []byte) error { return bad }
		c := frameLink(t, b, server, client)
		watched := c.Watch()
		if err := c.Send(clientFrame(1, 64)); err != nil {
			t.Fatal(err)
		}
		if watched {
			c.Until(func() bool { return false })
		}
		if err := receive(t, client.closed); !errors.Is(err, bad) {
			t.Errorf("closed with %v, want %v", err, bad)
		}
	})
}
