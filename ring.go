package lockify

import (
	"fmt"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is about sessions whose frames go through memory that the client shares
// with its node: how one begins, and how a program's goroutine reads its own answer
// there. Package engine has the rest.

// TakesRing implements engine.RingTaker.
func (s *sessionSide) TakesRing() bool { return !s.c.opts.noRing && !s.c.addrs[s.addr].noRing }

var _ engine.RingTaker = (*sessionSide)(nil)

// ring takes the node's offer, and then its word that it has turned to the ring.
func (s *Session) ring(m *wire.Msg) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil
	case !s.ringless:
		return fmt.Errorf("%w: RING without an offer", wire.ErrField)
	case s.conn.HasRing():
		s.conn.RingIn()
		s.ringless = false
		s.helloed()
		return nil
	}
	if err := s.conn.OpenRing(int(m.Num)); err != nil { // the socket does as well
		s.ringless = false
		s.append(0, &wire.Msg{Type: wire.Ring})
		s.sendFrame()
		s.helloed()
		return nil
	}
	s.append(0, m)
	s.sendFrame()
	s.conn.RingOut()
	return nil
}

// Ring says that the session goes through memory shared with the node, not through a
// socket.
func (s *Session) Ring() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn.HasRing()
}
