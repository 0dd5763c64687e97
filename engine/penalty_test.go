package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

func TestPenalties(t *testing.T) {
	var p penalties
	now := time.Now()
	at := func(d time.Duration) time.Time { return now.Add(d) }
	want := func(what, host string, at time.Time, left time.Duration) {
		t.Helper()
		if got := p.left(host, at); got != left {
			t.Errorf("%s: %s waits for %v, want %v", what, host, got, left)
		}
	}
	want("nothing was", "a", now, 0)
	p.add("a", now)
	want("one", "a", now, penaltyStep)
	want("another host", "b", now, 0)
	p.add("a", at(penaltyStep/2))
	want("two", "a", at(penaltyStep/2), 3*penaltyStep/2)
	want("later", "a", at(2*penaltyStep), 0)
	p.add("a", at(time.Hour))
	want("one again", "a", at(time.Hour), penaltyStep)
	for range 100 {
		p.add("a", at(time.Hour))
	}
	want("many", "a", at(time.Hour), penaltyMost)

	for i := range 2 * penaltyHosts {
		p.add(fmt.Sprint(i), at(time.Hour))
	}
	if n := len(p.until); n != penaltyHosts {
		t.Errorf("%d hosts are known, want %d", n, penaltyHosts)
	}
	want("no more room", "a", at(time.Hour), penaltyMost)
	p.add("new", at(2*time.Hour))
	want("room", "new", at(2*time.Hour), penaltyStep)
	if n := len(p.until); n != 1 {
		t.Errorf("%d hosts are known, want 1", n)
	}
}

// TestPenaltyOf: whoever breaks the protocol, or asks for what he has no right to, waits before his next
// handshake; who comes and goes does not.
func TestPenaltyOf(t *testing.T) {
	for _, x := range []struct {
		what    string
		waits   bool
		answers func(c *FrameConn) error
	}{
		{"comes and goes", false, func(*FrameConn) error { return nil }},
		{"is not understood", true, func(*FrameConn) error { return wire.ErrType }},
		{"may not", true, func(c *FrameConn) error { c.Unwelcome(); return nil }},
	} {
		t.Run(x.what, func(t *testing.T) {
			tr := testTLS(nil)
			server, client := newFramer(), newFramer()
			served := make(chan struct{}, 1)
			server.onFrame = func(c *FrameConn, _ *wire.Header, _ []byte) error {
				err := x.answers(c)
				served <- struct{}{}
				return err
			}
			ln, err := ListenFrames(tr, "tcp", "127.0.0.1:0", server)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			c, err := DialFrames(testContext(t), tr, "tcp", ln.Addr(), client)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Send(clientFrame(1, 8)); err != nil {
				t.Fatal(err)
			}
			receive(t, served)
			c.Close()
			receive(t, server.closed)
			ln.Close() // which waits until the end was seen to
			p := &tr.(plain).tls.penalties
			if got := len(p.until) > 0; got != x.waits {
				t.Errorf("who comes again waits: %t, want %t", got, x.waits)
			}
		})
	}
}

// TestFault: who says nothing for too long, goes, or is cut off costs nothing and is not to blame.
func TestFault(t *testing.T) {
	for _, x := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{io.EOF, false},
		{ErrClosed, false},
		{ErrTimeout, false},
		{context.DeadlineExceeded, false},
		{syscall.ECONNRESET, false},
		{&net.OpError{Op: "read", Err: net.ErrClosed}, false},
		{fmt.Errorf("%w: 3 bytes of an incomplete frame", io.ErrUnexpectedEOF), true},
		{fmt.Errorf("frame: %w", wire.ErrType), true},
		{tls.RecordHeaderError{Msg: "no TLS"}, true},
		{&tls.CertificateVerificationError{Err: io.ErrNoProgress}, true},
	} {
		if got := fault(x.err); got != x.want {
			t.Errorf("%v: %t, want %t", x.err, got, x.want)
		}
	}
}
