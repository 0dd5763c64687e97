package lockspace

import (
	"github.com/lockify-dlm/lockify/wire"
)

// This file is how messages for the directory find the owner of a range.
// Their senders know nothing of delegations and send to the directory node of
// the key. A node that gets one and is not the directory of the name passes it
// on as RELAY: the directory node to the owner, any other node to the
// directory node. The answer goes to the first sender.

// relayOf wraps a LOOKUP, NOTIFY or REMOVE of instance from.
func relayOf(from uint64, m *wire.Msg) wire.Msg {
	c := *m
	c.Type, c.Num, c.Instance, c.Hops = wire.Relay, uint32(m.Type), from, m.Hops+1
	return c
}

// passOn sends m on if this node is not the directory of its name. It does not
// wait for its turn in the outbox: that keeps the order with what this node
// has to say as a master, and a claim must not wait for it.
func (s *Shard) passOn(from uint64, hash uint64, m *wire.Msg) bool {
	if s.cfg.Range == 0 {
		return false
	}
	dir := s.dirOfName(hash, m.Name)
	if dir == s.self {
		return false
	}
	c := relayOf(from, m)
	s.stats.Relayed++
	s.sendBare(dir, &c)
	return true
}

func (s *Shard) onRelay(m *wire.Msg) {
	from := m.Instance
	inner := *m
	inner.Type = wire.Type(min(m.Num, 255))
	switch {
	case !s.view.HasInstance(from) || s.cfg.Range == 0:
		s.stats.Ignored++
	case inner.Type == wire.Lookup:
		s.onLookup(from, Hash(m.Name), &inner)
	case inner.Type == wire.Notify:
		s.onNotify(from, Hash(m.Name), &inner)
	case inner.Type == wire.Retire:
		inner.Instance = m.Other.Instance
		s.onRetire(Hash(m.Name), &inner)
	case inner.Type == wire.Remove:
		s.onRemove(from, Hash(m.Name), &inner)
	default:
		s.stats.Ignored++
	}
}

// keepHome keeps a message that this node has for itself: what the owner of a
// range has sent to its directory node before it became owner comes back, and
// is answered here. It is taken when the entry point ends.
func (s *Shard) keepHome(m *wire.Msg) {
	s.home = append(s.home, cloneMsg(m))
}

// takeHome takes the first of them. false: there is none.
func (s *Shard) takeHome() bool {
	if len(s.home) == 0 {
		return false
	}
	m := s.home[0]
	if s.home = s.home[1:]; len(s.home) == 0 {
		s.home = nil
	}
	s.dispatch(s.cfg.Self, Hash(m.Name), &m)
	return true
}
