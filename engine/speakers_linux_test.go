package engine

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// speaking is a speakers whose Accept is called in turn with the test, so that it may look at it.
type speaking struct {
	*speakers
	t    *testing.T
	gone []error // why they went
}

func newSpeaking(t *testing.T) *speaking {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &speaking{t: t}
	s, err := newSpeakers(ln, func(remote string, err error) {
		if _, _, bad := net.SplitHostPort(remote); bad != nil {
			t.Errorf("%q is no address", remote)
		}
		p.gone = append(p.gone, err)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.speakers = s.(*speakers)
	t.Cleanup(p.end)
	return p
}

func (p *speaking) dial() net.Conn {
	p.t.Helper()
	c, err := net.DialTimeout("tcp", p.Addr().String(), testTimeout)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	return c
}

// takes has so many be silent there.
func (p *speaking) takes(n int) {
	p.t.Helper()
	for ctx := testContext(p.t); p.silent.Len() != n; {
		if p.look(); ctx.Err() != nil {
			p.t.Fatalf("%d are silent, want %d", p.silent.Len(), n)
		}
	}
}

// accepts has Accept give the connection whose other end is far.
func (p *speaking) accepts(far net.Conn) net.Conn {
	p.t.Helper()
	c, err := p.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	if c.RemoteAddr() == nil || c.RemoteAddr().String() != far.LocalAddr().String() {
		p.t.Errorf("accepted %v, want %v", c.RemoteAddr(), far.LocalAddr())
	}
	return c
}

// ended says how a connection has ended at the other end.
func (p *speaking) ended(c net.Conn) error {
	p.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(testTimeout))
	_, err := c.Read(make([]byte, 1))
	return err
}

// TestSpeakers: who says something comes out of Accept, with what he said; the others do not.
func TestSpeakers(t *testing.T) {
	p := newSpeaking(t)
	silent, speaks := p.dial(), p.dial()
	p.takes(2)
	if _, err := speaks.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	c := p.accepts(speaks)
	said := make([]byte, 5)
	if _, err := io.ReadFull(c, said); err != nil || string(said) != "hello" {
		t.Errorf("it said %q, %v", said, err)
	}
	if _, err := c.Write(said); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(speaks, said); err != nil {
		t.Error(err)
	}

	silent.Close() // without a word
	p.takes(0)
	if len(p.gone) != 1 || !errors.Is(p.gone[0], io.EOF) {
		t.Errorf("gone: %v, want EOF", p.gone)
	}
}

// TestSpeakersCrowd: the oldest go when there are too many, and all when their time is over.
func TestSpeakersCrowd(t *testing.T) {
	p := newSpeaking(t)
	oldest, second := p.dial(), p.dial()
	p.takes(2)
	for range maxLobby - 2 {
		p.dial()
	}
	p.takes(maxLobby)
	p.dial()
	for ctx := testContext(t); len(p.gone) == 0 && ctx.Err() == nil; {
		p.look()
	}
	if err := p.ended(oldest); err != io.EOF {
		t.Errorf("the oldest: %v, want EOF", err)
	}
	if len(p.gone) != 1 || !errors.Is(p.gone[0], ErrLobby) {
		t.Errorf("gone: %v, want one because of the crowd", p.gone)
	}
	if _, err := second.Write([]byte("x")); err != nil { // is the oldest now
		t.Fatal(err)
	}
	p.accepts(second)

	last := p.dial()
	p.takes(maxLobby)
	p.expire(time.Now())
	if p.silent.Len() != maxLobby {
		t.Error("somebody went before his time was over")
	}
	p.expire(time.Now().Add(tlsTimeout))
	if p.silent.Len() != 0 || len(p.places) != 0 {
		t.Errorf("%d are left behind their time", p.silent.Len())
	}
	if err := p.ended(last); err != io.EOF {
		t.Errorf("the last: %v, want EOF", err)
	}
}

// TestSpeakersClose: Accept ends when the listener is closed, and with it all that wait.
func TestSpeakersClose(t *testing.T) {
	p := newSpeaking(t)
	silent := p.dial()
	p.takes(1)
	accepted := make(chan error, 1)
	go func() {
		_, err := p.Accept()
		p.end()
		accepted <- err
	}()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, accepted); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept gives %v", err)
	}
	if err := p.ended(silent); err == nil {
		t.Error("a connection outlives its listener")
	}
	if c, err := net.DialTimeout("tcp", p.Addr().String(), testTimeout); err == nil {
		c.Close()
		t.Error("the port is open still")
	}
}

// TestSpeakersReset: who has said something and is gone by the time he is accepted is nobody, and
// the next one is served.
func TestSpeakersReset(t *testing.T) {
	p := newSpeaking(t)
	gone, stays := p.dial(), p.dial()
	p.takes(2)
	if _, err := gone.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for ctx := testContext(t); len(p.ready) == 0 && ctx.Err() == nil; {
		p.look()
	}
	if err := errors.Join(gone.(*net.TCPConn).SetLinger(0), gone.Close()); err != nil { // by RST
		t.Fatal(err)
	}
	for ctx := testContext(t); !reset(int(p.ready[0])) && ctx.Err() == nil; {
	}
	if _, err := stays.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	p.accepts(stays)
}

// reset says that a socket has no other end any more.
func reset(fd int) bool {
	_, err := unix.Getpeername(fd)
	return errors.Is(err, unix.ENOTCONN)
}

// TestSpeakersRecycled: what is seen of one who has gone is not taken for the next one with the same
// descriptor.
func TestSpeakersRecycled(t *testing.T) {
	p := newSpeaking(t)
	first := p.dial()
	p.takes(1)
	fd := p.silent.Front().Value.(stranger).fd
	kept, err := unix.Dup(int(fd)) // as a child has it between fork and exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(kept)
	second := p.dial() // whose own descriptor is another one
	p.drop(p.silent.Front(), ErrLobby)
	p.takes(1)
	if got := p.silent.Front().Value.(stranger).fd; got != fd {
		t.Fatalf("descriptor %d, not %d again", got, fd)
	}
	if _, err := first.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		p.look()
	}
	if len(p.ready) != 0 || p.silent.Len() != 1 {
		t.Errorf("%d are ready, %d are silent: want none, and one", len(p.ready), p.silent.Len())
	}
	second.Close()
	p.takes(0)
}

// TestSpeakersFull: without descriptors the silent make room for who comes, and for who speaks.
func TestSpeakersFull(t *testing.T) {
	p := newSpeaking(t)
	for _, err := range []error{unix.EMFILE, unix.ENFILE} {
		p.dial()
		p.takes(1)
		if !p.room(err) || p.silent.Len() != 0 {
			t.Errorf("%v: %d are silent", err, p.silent.Len())
		}
		if p.room(err) {
			t.Errorf("%v: room, where nobody has gone", err)
		}
	}
	p.dial()
	p.takes(1)
	if p.room(nil) || p.room(unix.ECONNABORTED) || p.silent.Len() != 1 {
		t.Error("somebody has gone without need")
	}
}
