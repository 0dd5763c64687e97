package engine

import (
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// TestMailTrouble: what becomes of mail to an address that nobody takes it at can be asked for.
func TestMailTrouble(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string, answer func(c net.Conn)) {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				answer(c)
				c.Close()
			}
		}()
	}
	listen("hangs up", func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, wire.HeaderSize+len("mail")))
	})
	listen("speaks", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n")) })
	m := NewMailer(NewPlain(), slog.New(slog.DiscardHandler))
	defer m.Close()
	if what := m.Trouble("unix", "never heard of"); what != "" {
		t.Errorf("an address that nothing was sent to: %s", what)
	}
	ctx := testContext(t)
	for name, want := range map[string]string{
		"nobody": "no such file or directory", "hangs up": "closed by the other end", "speaks": `it says "HTTP/1.1 400 Bad"`,
	} {
		addr := filepath.Join(dir, name)
		for !strings.HasPrefix(m.Trouble("unix", addr), want) {
			m.Send("unix", addr, []byte("mail"))
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("%s: %q", name, m.Trouble("unix", addr))
			}
		}
	}
}

// TestMailTroubleIsOver: a connection that has stayed for long is a better sign than what was
// before it; one that has just been made is none.
func TestMailTroubleIsOver(t *testing.T) {
	b := mailbox{since: time.Now(), trouble: "closed"}
	if b.sent(nil); b.trouble == "" {
		t.Error("forgotten at once")
	}
	b.since = b.since.Add(-2 * mailStays)
	if b.sent(nil); b.trouble != "" {
		t.Errorf("kept: %s", b.trouble)
	}
}

// TestMailToMany: strangers say where answers go, so that these addresses are bounded, too.
func TestMailToMany(t *testing.T) {
	m := NewMailer(NewPlain(), slog.New(slog.DiscardHandler))
	defer m.Close()
	dir := t.TempDir()
	for i := range maxMailed + 100 {
		m.Send("unix", filepath.Join(dir, strconv.Itoa(i)), []byte("x"))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.boxes) != maxMailed {
		t.Errorf("mail goes to %d addresses, at most %d should get some", len(m.boxes), maxMailed)
	}
}
