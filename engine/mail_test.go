package engine

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// TestMail: mail reaches a node that has no link with the sender, whatever else goes
// on there, and a node that has started anew.
func TestMail(t *testing.T) {
	for _, b := range benches() {
		if b.t.Name() == "mem" {
			continue // a Mailer dials real sockets
		}
		t.Run(b.name, func(t *testing.T) {
			addr := b.addr(t)
			m := NewMailer(b.t, slog.New(slog.DiscardHandler))
			defer m.Close()
			for start := range 2 {
				got := make(chan string, 100)
				two := newNode(t, 2)
				on := b
				on.addr = func(testing.TB) string { return addr }
				two.start(on, nil, func(c *LinksConfig) { c.Mail = func(_ uint16, p []byte) { got <- string(p) } })
				addr = two.addr()
				// What is sent in the end of the last start may be lost.
				for _, mail := range []string{fmt.Sprint("start ", start), strings.Repeat("x", wire.MaxPayload)} {
					for heard := ""; heard != mail; {
						m.Send(b.network, addr, []byte(mail))
						select {
						case heard = <-got:
						case <-time.After(20 * time.Millisecond):
						}
					}
				}
				two.stop()
			}
		})
	}
}

// TestMailRefused: whoever takes no mail closes the connection, and so does one who
// gets something else among it.
func TestMailRefused(t *testing.T) {
	for what, c := range map[string]struct {
		mail   func(uint16, []byte)
		second wire.Header
	}{
		"no mail": {nil, wire.Header{Version: 1, Kind: wire.KindMail}},
		"a link":  {func(uint16, []byte) {}, wire.Header{Version: 1, Kind: wire.KindLink}},
	} {
		two := newNode(t, 2)
		two.start(benches()[0], nil, func(cfg *LinksConfig) { cfg.Mail = c.mail })
		conn, err := net.Dial("tcp", two.addr())
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []wire.Header{{Version: 1, Kind: wire.KindMail}, c.second} {
			frame := append(GetBuf(), "mail"...)
			wire.SealFrame(frame, &h)
			if _, err := conn.Write(frame); err != nil {
				break
			}
		}
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: %d bytes come back", what, n)
		}
		conn.Close()
	}
}

// TestMailAfterTheEnd: that a connection has ended, as all do whose other end was cut
// off, is found by a frame that could not be written. It goes over the next one.
func TestMailAfterTheEnd(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "mail")
	l, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	m := NewMailer(NewPlain(), slog.New(slog.DiscardHandler))
	defer m.Close()
	for _, mail := range []string{"first", "second", "third"} {
		m.Send("unix", addr, []byte(mail))
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, wire.HeaderSize+len(mail))
		if _, err := io.ReadFull(c, frame); err != nil {
			t.Fatal(err)
		}
		if got := string(frame[wire.HeaderSize:]); got != mail {
			t.Errorf("%q came, want %q", got, mail)
		}
		c.Close()
	}
}
