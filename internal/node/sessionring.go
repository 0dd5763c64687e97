package node

import (
	"fmt"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/wire"
)

// offerRing makes a ring for a client that has these features, if it can take one and
// the node has one left.
func (s *session) offerRing(features uint64) bool {
	if features&wire.FeatureRing == 0 {
		return false
	}
	n := s.node
	if n.rings.Add(1) > int64(n.cfg.Rings) || !s.conn.OfferRing() {
		n.rings.Add(-1)
		return false
	}
	s.offered, s.ringed = true, true
	return true
}

// ring takes the client's answer to the offer. All answers to it leave through the
// ring from here on: mu keeps them behind the last one on the socket.
func (s *session) ring(m *wire.Msg) error {
	switch {
	case !s.offered || m.Num != 0 && m.Num != engine.RingSize:
		return fmt.Errorf("%w: RING of %d bytes from a client, offered: %t", wire.ErrField, m.Num, s.offered)
	case m.Num == 0:
		s.offered = false
		return nil
	}
	s.offered = false
	s.conn.RingIn()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.append(0, m)
		s.sendFrame()
		s.conn.RingOut()
	}
	return nil
}
