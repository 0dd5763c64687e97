package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"syscall"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/yield"
	"github.com/lockify-dlm/lockify/wire"
)

// This file accepts clients; session.go serves them.

func (n *Node) listenClients(addr string) (engine.Listener, error) {
	network, rest := address.Split(addr)
	l, err := engine.ListenFrames(n.cfg.Transport, network, rest, &clientSide{n, addr, n.cfg.Transport.Name() != "mem" && !address.Local(addr)})
	if err != nil {
		return nil, fmt.Errorf("node: listen for clients on %s: %w", addr, err)
	}
	return l, nil
}

// maxHello bounds a frame of who has not said who he is, in bytes: the lobby has many of them.
const maxHello = 64 << 10

// clientSide is the node as its clients' connections on one address see it.
type clientSide struct {
	*Node
	addr    string
	network bool // other machines reach the address
}

// OnMissed implements engine.MissHandler.
func (c *clientSide) OnMissed(times int, err error) {
	c.cfg.Logger.Error("connections of clients could not be taken in", "addr", c.addr, "times", times, "err", err)
}

// SocketMode implements engine.SocketModer.
func (c *clientSide) SocketMode() fs.FileMode { return c.cfg.SocketMode }

var _ engine.SocketModer = (*clientSide)(nil)

// OnOpen makes a session that waits for its HELLO.
func (c *clientSide) OnOpen(fc *engine.FrameConn) {
	n := c.Node
	s := &session{node: n, conn: fc, client: clientOf(fc, c.network), spaces: map[uint32]*sessionSpace{}}
	fc.SetUser(s)
	fc.SetMaxQueuedBytes(n.cfg.Limits.Queued)
	fc.SetMaxFrame(maxHello)
	s.ticket = n.lobby.Enter(func() { fc.CloseReason(engine.ErrLobby) })
}

// OnFrame takes a client's frame. Messages before the first bad one count.
func (c *clientSide) OnFrame(fc *engine.FrameConn, h *wire.Header, payload []byte) error {
	s := fc.User().(*session)
	if h.Kind != wire.KindClient {
		return fmt.Errorf("%w: kind %d on a client connection", wire.ErrKind, h.Kind)
	}
	var it wire.Messages
	var m wire.Msg
	it.Reset(h, payload)
	for i := 0; ; i++ {
		ok, err := it.Next(&m)
		if err != nil || !ok {
			return err
		}
		if i%longFrame == 0 && i > 0 {
			s.pause()
		}
		if err := s.message(h, &m); err != nil {
			return err
		}
	}
}

// pause lets others have their turn in the middle of a frame.
func (s *session) pause() {
	if s.pace != nil && s.pace.refused > s.node.cfg.Limits.Rate/100 { // that is 10 ms
		s.batch.flush()
		s.flush()
		s.rest()
	}
	yield.Now()
}

// longFrame is after how many messages of a frame those who ask for less have their turn:
// thousands may be in one, which take milliseconds.
const longFrame = 64

// OnIdle: no complete frame is left to read from this client.
func (c *clientSide) OnIdle(fc *engine.FrameConn) {
	s := fc.User().(*session)
	s.batch.flush()
	s.flush()
	s.rest()
}

// OnClose ends the session.
func (c *clientSide) OnClose(fc *engine.FrameConn, err error) {
	s := fc.User().(*session)
	n := c.Node
	n.lobby.Leave(s.ticket)
	n.mu.Lock()
	closing := n.closed
	n.mu.Unlock()
	reason := err
	if s.greeted {
		level := slog.LevelInfo
		went := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) // before an answer
		if !went && !errors.Is(err, engine.ErrClosed) {
			level = slog.LevelWarn // not how clients go: it broke the protocol, or this end had enough of it
		}
		n.cfg.Logger.Log(context.Background(), level, "client gone", "event", eventSessionEnd, "session", s.id, "client", s.name, "as", s.client.String(), "reason", err)
	} else {
		if s.refused != nil {
			err = s.refused
		}
		level := slog.LevelDebug
		if n.strangers.Allow() {
			level = slog.LevelWarn
		}
		n.cfg.Logger.Log(context.Background(), level, "connection closed", "remote", fc.RemoteAddr(), "reason", err, "dropped", n.lobby.Dropped())
	}
	s.release(closing, reason)
}
