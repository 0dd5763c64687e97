package lockify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// clientSide is the client as its connection sees it (engine.FrameHandler).
type clientSide Client

// OnOpen does nothing: the client speaks first, in Dial.
func (s *clientSide) OnOpen(*engine.FrameConn) {}

// OnIdle does nothing: answers make no requests.
func (s *clientSide) OnIdle(*engine.FrameConn) {}

// OnFrame takes the node's answers and events.
func (s *clientSide) OnFrame(_ *engine.FrameConn, h *wire.Header, payload []byte) error {
	c := (*Client)(s)
	if h.Kind != wire.KindClient {
		return fmt.Errorf("%w: kind %d on a client connection", wire.ErrKind, h.Kind)
	}
	var it wire.Messages
	var m wire.Msg
	it.Reset(h, payload)
	for {
		ok, err := it.Next(&m)
		if err != nil || !ok {
			return err
		}
		if err := c.message(h.Lockspace, &m); err != nil {
			return err
		}
	}
}

func (c *Client) message(space uint32, m *wire.Msg) error {
	switch m.Type {
	case wire.Welcome:
		if m.Num < uint32(wire.VersionMin) || m.Num > uint32(wire.VersionMax) {
			return fmt.Errorf("%w: the node chose version %d", ErrVersion, m.Num)
		}
		c.mu.Lock()
		c.version = uint8(m.Num)
		c.mu.Unlock()
		select {
		case c.hello <- nil:
		default: // it has said so before
		}
	case wire.Refused:
		return statusError(m.Status, string(m.Text))
	case wire.SpaceOpened, wire.SpaceClosed, wire.Ast, wire.DeadlockAst, wire.RangeAst:
		c.answer(space, m)
	case wire.BlockingAst, wire.Confirmed, wire.Lost:
		c.event(space, m)
	case wire.ConflictAst:
		c.conflict(space, m)
	case wire.SessionLost:
		return statusError(m.Status, string(m.Text))
	case wire.Ping:
		c.post(0, &wire.Msg{Type: wire.Pong, Num: m.Num}, false)
	case wire.Pong:
	default:
		return fmt.Errorf("%w: type %d from a node", wire.ErrType, m.Type)
	}
	return nil
}

// answer ends the request that m answers.
func (c *Client) answer(space uint32, m *wire.Msg) {
	c.mu.Lock()
	r, ok := c.running[m.Req]
	delete(c.running, m.Req)
	key := lockKey{space, m.Lock}
	if ok && r.lock != nil {
		switch {
		case m.Status == wire.OK && !r.lock.space.closed.Load():
			c.locks[key] = r.lock
		case m.Status == wire.Unlocked, m.Status == wire.LostLock, retired(m.Status) && m.Mode == wire.NoMode:
			delete(c.locks, key)
		}
	}
	c.mu.Unlock()
	switch {
	case !ok:
	case r.done != nil:
		kept := *m
		kept.Text = slices.Clone(m.Text)
		r.done(&kept, nil)
	default:
		r.lock.complete(m.Lock, outcomeError(m.Status, string(m.Text), m.Path), m.Status, &lockspace.Completion{
			Status: m.Status, Mode: Mode(m.Mode), Bits: m.Bits, Hops: m.Hops, Token: m.Token, Seq: m.Seq, Value: m.Value,
			Text: string(m.Text),
		})
	}
}

// event tells a lock what has happened to it.
func (c *Client) event(space uint32, m *wire.Msg) {
	key := lockKey{space, m.Lock}
	c.mu.Lock()
	l := c.locks[key]
	if m.Type == wire.Lost {
		delete(c.locks, key)
	}
	c.mu.Unlock()
	if l == nil {
		return
	}
	switch m.Type {
	case wire.BlockingAst:
		l.blocked(Mode(m.Mode))
	case wire.Confirmed:
		l.claimClosed()
	case wire.Lost:
		l.takenAway()
	}
}

// OnClose ends the session: all locks are lost, all requests fail.
func (s *clientSide) OnClose(_ *engine.FrameConn, err error) {
	c := (*Client)(s)
	c.mu.Lock()
	c.err = fmt.Errorf("%w: %w", ErrClosed, err)
	requests, locks := c.running, c.locks
	c.running, c.locks = nil, nil
	if c.out != nil {
		engine.PutBuf(c.out)
		c.out = nil
	}
	c.mu.Unlock()
	close(c.gone)
	for _, l := range locks {
		l.takenAway()
	}
	for _, r := range requests {
		r.fail(c.err)
	}
}

func programName() string { return filepath.Base(os.Args[0]) }
