package engine

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// eachTended gives a connection of each kind to an end that sends back what it gets.
func eachTended(t *testing.T, client FrameHandler, f func(t *testing.T, c *FrameConn)) {
	each(t, func(t *testing.T, b bench) { f(t, frameLink(t, b, echo(), client)) })
	eachRing(t, func(t *testing.T, b bench) {
		_, c := ringLink(t, b, echo(), client)
		f(t, c)
	})
}

// TestTend handles answers in lots, and now and then rests, while somebody else waits for one
// himself: none may be left unread, whoever looks for it.
func TestTend(t *testing.T) {
	client := newFramer()
	answers := make(chan uint64, 8)
	client.onFrame = func(_ *FrameConn, _ *wire.Header, payload []byte) error {
		answers <- binary.LittleEndian.Uint64(payload)
		return nil
	}
	eachTended(t, client, func(t *testing.T, c *FrameConn) {
		send := func(i uint64) {
			if err := c.Send(clientFrame(i, 8)); err != nil {
				t.Fatal(err)
			}
		}
		tended := 0
		for i := uint64(0); i < 3000; {
			lot := 1 + i%5
			for j := range lot {
				send(i + j)
			}
			awake := c.Tend(func() bool { return len(answers) > 0 })
			if awake {
				tended++
			}
			if i%3 == 0 && c.Watch() {
				c.Until(func() bool { return len(answers) == int(lot) })
			}
			if awake && i%2 == 0 {
				c.Rest()
				awake = false
			}
			for j := range lot {
				if awake && len(answers) == 0 && !c.Tend(func() bool { return len(answers) > 0 }) {
					awake = false
				}
				if got := receive(t, answers); got != i+j {
					t.Fatalf("answer %d to %d", got, i+j)
				}
			}
			i += lot
		}
		t.Log(tended, "lots handled by who had asked")
		c.Rest()
	})
}

// TestTendFails: an error of the handler ends the connection also while it is tended.
func TestTendFails(t *testing.T) {
	bad := errors.New("bad frame")
	client := newFramer()
	client.onFrame = func(*FrameConn, *wire.Header, []byte) error { return bad }
	eachTended(t, client, func(t *testing.T, c *FrameConn) {
		if err := c.Send(clientFrame(1, 64)); err != nil {
			t.Fatal(err)
		}
		if c.Tend(func() bool { return true }) {
			t.Error("nobody reads a connection that has ended, and who tended it does not know")
		}
		if err := receive(t, client.closed); !errors.Is(err, bad) {
			t.Errorf("closed with %v, want %v", err, bad)
		}
	})
}
