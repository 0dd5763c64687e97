package main

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/wire"
)

// frame is a good frame of these messages; change spoils its header first.
func frame(kind wire.Kind, change func(*wire.Header), msgs ...*wire.Msg) []byte {
	b := wire.ReserveHeader(nil)
	for _, m := range msgs {
		b = m.Append(b)
	}
	h := wire.Header{Version: wire.HelloVersion, Kind: kind, Count: uint16(len(msgs))}
	if change != nil {
		change(&h)
	}
	wire.SealFrame(b, &h)
	return b
}

// tooLarge is a header that announces more than any frame may have.
func tooLarge(kind wire.Kind) []byte {
	b := make([]byte, wire.HeaderSize)
	wire.PutHeader(b, &wire.Header{Version: wire.HelloVersion, Kind: kind, Count: 1, Length: wire.MaxPayload + 1})
	return b
}

// largeHello is the header of a frame that is larger than any that begins with HELLO.
func largeHello() []byte {
	b := make([]byte, wire.HeaderSize)
	wire.PutHeader(b, &wire.Header{Version: wire.HelloVersion, Kind: wire.KindClient, Count: 1, Length: 64<<10 + 1})
	return b
}

// badLock is a request for a lock after the greeting, a byte of which is spoiled.
func badLock(at int, v byte) []byte {
	b := wire.ReserveHeader(nil)
	b = goodHello().Append(b)
	lock := len(b)
	b = (&wire.Msg{Type: wire.LockReq, Name: []byte("x"), Req: 1}).Append(b)
	b[lock+at] = v
	wire.SealFrame(b, &wire.Header{Version: wire.HelloVersion, Kind: wire.KindClient, Count: 2})
	return b
}

func badCRC(b []byte) []byte {
	b[len(b)-1] ^= 1
	return b
}

func hello(versions uint32) *wire.Msg {
	return &wire.Msg{Type: wire.Hello, Num: versions, Features: wire.Features, Text: []byte("frame test")}
}

func goodHello() *wire.Msg { return hello(wire.VersionRange(wire.VersionMin, wire.VersionMax)) }

func linkHello(versions uint32) *wire.Msg {
	return &wire.Msg{Type: wire.LinkHello, Instance: 7<<16 | 1, Num: versions, Features: wire.Features, Text: []byte("lockify")}
}

// badInput is one connection that does wrong, and what the daemon says of it.
type badInput struct {
	name   string
	send   []byte
	cut    bool      // the sender hangs up behind send
	answer wire.Type // a message of this type must come back before the end; 0: none
	log    []string  // parts of one line
}

func badClients() []badInput {
	garbage := make([]byte, 4096)
	for i := range garbage {
		garbage[i] = byte(i*7 + 3)
	}
	welcomed := frame(wire.KindClient, nil, goodHello())
	const closed, gone = "connection closed", "client gone"
	return []badInput{
		{"garbage", garbage, false, 0, []string{closed, "not a lockify frame"}},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: somebody who has the wrong address\r\n\r\n"), false, 0, []string{closed, "not a lockify frame"}},
		{"truncated header", welcomed[:40], true, 0, []string{closed, "incomplete frame"}},
		{"truncated payload", welcomed[:len(welcomed)-1], true, 0, []string{closed, "incomplete frame"}},
		{"oversized", tooLarge(wire.KindClient), false, 0, []string{closed, "over a limit", "1048577"}},
		{"large before HELLO", largeHello(), false, 0, []string{closed, "over a limit", "at most 65536 now"}},
		{"wrong frame version", frame(wire.KindClient, func(h *wire.Header) { h.Version = 99 }, goodHello()), false, 0, []string{closed, "unsupported version", "99"}},
		{"no common version", frame(wire.KindClient, nil, hello(wire.VersionRange(77, 78))), false, wire.Refused, []string{closed, "refused", "77 to 78"}},
		{"kind of a node", frame(wire.KindNode, nil, &wire.Msg{Type: wire.Confirm, Name: []byte("x")}), false, 0, []string{closed, "kind"}},
		{"unknown kind", frame(wire.KindClient, func(h *wire.Header) { h.Kind = 9 }, goodHello()), false, 0, []string{closed, "unknown frame kind"}},
		{"bad checksum", badCRC(frame(wire.KindClient, nil, goodHello())), false, 0, []string{closed, "checksum mismatch"}},
		{"no HELLO first", frame(wire.KindClient, nil, &wire.Msg{Type: wire.OpenSpace, Text: []byte("x"), Req: 1}), false, 0, []string{closed, "before HELLO"}},
		{"fewer messages than announced", frame(wire.KindClient, func(h *wire.Header) { h.Count = 2 }, goodHello()), false, wire.Welcome, []string{gone, "truncated"}},
		{"garbage behind HELLO", append(frame(wire.KindClient, nil, goodHello()), garbage...), false, wire.Welcome, []string{gone, "not a lockify frame"}},
		{"empty name", badLock(4, 0), false, wire.Welcome, []string{gone, "LOCK_REQ has an empty name"}},
		{"long name", badLock(4, 65), false, wire.Welcome, []string{gone, "LOCK_REQ has a name of 65 bytes, at most 64"}},
		{"unknown mode", badLock(6, 9), false, wire.Welcome, []string{gone, "mode 9 in LOCK_REQ"}},
		{"message of a node to a client", frame(wire.KindClient, nil, goodHello(), &wire.Msg{Type: wire.Welcome}), false, wire.Welcome, []string{gone, "from a client"}},
	}
}

func badNodes() []badInput {
	garbage := make([]byte, 4096)
	for i := range garbage {
		garbage[i] = byte(i*5 + 1)
	}
	versions := wire.VersionRange(wire.VersionMin, wire.VersionMax)
	good := frame(wire.KindLink, nil, linkHello(versions))
	const ended = "before agreement"
	return []badInput{
		{"garbage", garbage, false, 0, []string{ended, "not a lockify frame"}},
		{"truncated header", good[:63], true, 0, []string{ended, "incomplete frame"}},
		{"truncated payload", good[:len(good)-5], true, 0, []string{ended, "incomplete frame"}},
		{"oversized", tooLarge(wire.KindLink), false, 0, []string{ended, "over a limit"}},
		{"wrong frame version", frame(wire.KindLink, func(h *wire.Header) { h.Version = 2 }, linkHello(versions)), false, 0, []string{ended, "unsupported version"}},
		{"no common version", frame(wire.KindLink, nil, linkHello(wire.VersionRange(50, 60))), false, wire.LinkRefuse, []string{"connection refused", "unsupported version", "50 to 60"}},
		{"another cluster", frame(wire.KindLink, nil, &wire.Msg{Type: wire.LinkHello, Instance: 7<<16 | 1, Num: versions, Text: []byte("other")}), false, wire.LinkRefuse, []string{"connection refused", "other"}},
		{"kind of a client", frame(wire.KindClient, nil, goodHello()), false, 0, []string{ended, "kind 3"}},
		{"unknown kind", frame(wire.KindLink, func(h *wire.Header) { h.Kind = 0 }, linkHello(versions)), false, 0, []string{ended, "unknown frame kind"}},
		{"bad checksum", badCRC(frame(wire.KindLink, nil, linkHello(versions))), false, 0, []string{ended, "checksum mismatch"}},
		{"lock traffic first", frame(wire.KindNode, func(h *wire.Header) { h.Seq = 1 }, &wire.Msg{Type: wire.Confirm, Name: []byte("x")}), false, 0, []string{ended, "before agreement"}},
	}
}

// Whatever comes to a daemon's sockets, it closes that connection, says why in
// its log, and serves the others meanwhile and afterwards.
func TestBadFrames(t *testing.T) {
	nodes := daemontest.Cluster(t, 2)
	victim := nodes[1] // the one that node 1 dials: its node port serves a link
	good, other := open(t, victim), open(t, nodes[0])
	held := lock(t, good, "held throughout", lockify.EX)
	for _, port := range []struct {
		name, network, addr string
		inputs              []badInput
	}{
		{"client socket", "unix", victim.Socket, badClients()},
		{"node port", "tcp", victim.Listen, badNodes()},
	} {
		for _, in := range port.inputs {
			t.Run(port.name+"/"+in.name, func(t *testing.T) {
				from := victim.Err.Lines()
				nc := misbehave(t, port.network, port.addr, &in)
				unlock(t, lock(t, good, "during", lockify.EX))
				unlock(t, lock(t, other, "during", lockify.EX))
				checkEnd(t, nc, &in)
				victim.Err.Await(t, from, in.log...)
				unlock(t, lock(t, good, "after", lockify.EX))
			})
		}
	}
	select {
	case <-held.Lost():
		t.Error("the good client has lost its lock")
	default:
		unlock(t, held)
	}
	unlock(t, lock(t, other, "held throughout", lockify.EX))
	open(t, victim)
	if s := victim.Until(t, "its links", func(s *admin.Status) bool { return len(s.Links) == 1 && s.Links[0].State == "up" }); s.Links[0].Reconnects != 0 {
		t.Errorf("the link to node 1 was interrupted %d times", s.Links[0].Reconnects)
	}
}

func misbehave(t *testing.T, network, addr string, in *badInput) net.Conn {
	t.Helper()
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(daemontest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(in.send); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if in.cut {
		if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	return nc
}

// checkEnd reads until the daemon hangs up and looks for the answer.
func checkEnd(t *testing.T, nc net.Conn, in *badInput) {
	t.Helper()
	var from io.Reader = nc
	if in.answer == wire.LinkRefuse { // it is for us to hang up then
		from = io.LimitReader(nc, wire.HeaderSize+1)
	}
	got, err := io.ReadAll(from)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the daemon keeps the connection open")
	}
	if in.answer == 0 {
		if len(got) != 0 {
			t.Errorf("got %d bytes, want none", len(got))
		}
		return
	}
	var h wire.Header
	if err := wire.ParseHeader(got, &h); err != nil {
		// A reset may have overtaken the answer; only what does come must be right.
		if len(got) == 0 && in.answer == wire.Welcome {
			return
		}
		t.Fatalf("answer of %d bytes: %v", len(got), err)
	}
	if typ := wire.Type(got[wire.HeaderSize]); typ != in.answer {
		t.Errorf("answer %v, want %v", typ, in.answer)
	}
}

// TestGoneBeforeTheAnswer: a client that does not wait for an answer is none that breaks the protocol.
func TestGoneBeforeTheAnswer(t *testing.T) {
	d := daemontest.Cluster(t, 1, "--transport", "plain")[0] // which does not look for an end before it answers
	d.Signal(t, syscall.SIGSTOP)
	nc, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(frame(wire.KindClient, nil, goodHello())); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	d.Signal(t, syscall.SIGCONT)
	d.Err.Await(t, 0, "level=INFO", "client gone", "broken pipe")
}
