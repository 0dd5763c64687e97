package security

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/wire"
)

// patience is how long an answer, or the end of a connection, may take.
const patience = 10 * time.Second

// raw is a connection that sends what nobody should.
type raw struct {
	c       net.Conn
	r       *bufio.Reader
	session uint64 // as the node has said
	frames  int    // sent
	rest    []wire.Msg
}

// dial connects by TLS, with the certificate of cfg.
func dial(addr string, cfg *tls.Config) (*raw, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	return &raw{c: c, r: bufio.NewReader(c)}, nil
}

// hello begins a session.
func (w *raw) hello() error {
	hello := wire.Msg{
		Type: wire.Hello, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax),
		Features: wire.FeatureAccess | wire.FeatureCompress, Text: []byte("lockbench security"),
	}
	if err := w.send(wire.Header{}, hello); err != nil {
		return err
	}
	m, err := w.await(wire.Welcome)
	w.session = m.Instance
	return err
}

// open opens a lockspace and gives its number.
func (w *raw) open(name string) (uint32, wire.Status, error) {
	if err := w.send(wire.Header{}, wire.Msg{Type: wire.OpenSpace, Req: 1, Num: lockify.DefaultValueSize, Text: []byte(name)}); err != nil {
		return 0, 0, err
	}
	m, err := w.await(wire.SpaceOpened)
	return m.Num, m.Status, err
}

// seal makes a frame of messages. What h says of them is put right.
func seal(h wire.Header, all ...wire.Msg) []byte {
	frame := wire.ReserveHeader(nil)
	for i := range all {
		frame = all[i].Append(frame)
	}
	h.Version, h.Count = wire.VersionMax, uint16(len(all))
	if h.Kind == 0 {
		h.Kind = wire.KindClient
	}
	wire.SealFrame(frame, &h)
	return frame
}

func (w *raw) send(h wire.Header, all ...wire.Msg) error { return w.write(seal(h, all...)) }

func (w *raw) write(b []byte) error {
	w.frames++
	_ = w.c.SetWriteDeadline(time.Now().Add(patience))
	_, err := w.c.Write(b)
	return err
}

// await gives the next message of a type; others are thrown away.
func (w *raw) await(t wire.Type) (wire.Msg, error) {
	for {
		for len(w.rest) > 0 {
			m := w.rest[0]
			w.rest = w.rest[1:]
			switch m.Type {
			case t:
				return m, nil
			case wire.Refused, wire.SessionLost:
				return m, fmt.Errorf("%v: %s", m.Type, m.Text)
			}
		}
		if err := w.read(); err != nil {
			return wire.Msg{}, fmt.Errorf("waiting for %v: %w", t, err)
		}
	}
}

// read takes a frame.
func (w *raw) read() error {
	_ = w.c.SetReadDeadline(time.Now().Add(patience))
	head := make([]byte, wire.HeaderSize)
	if _, err := io.ReadFull(w.r, head); err != nil {
		return err
	}
	var h wire.Header
	if err := wire.ParseHeader(head, &h); err != nil {
		return err
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(w.r, payload); err != nil {
		return err
	}
	if err := wire.CheckCRC(head, payload); err != nil {
		return err
	}
	var it wire.Messages
	it.Reset(&h, payload)
	for {
		var m wire.Msg
		ok, err := it.Next(&m)
		if err != nil || !ok {
			return err
		}
		w.rest = append(w.rest, m)
	}
}

// errOpen: the node goes on with a connection that it should have closed.
var errOpen = errors.New("the connection stays open")

// ended waits until the other end has closed the connection.
func (w *raw) ended() error {
	_ = w.c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, w.r); errors.Is(err, os.ErrDeadlineExceeded) {
		return errOpen
	}
	return nil
}
