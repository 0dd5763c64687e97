package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file is the directory's role. An entry is absent (dirLife zero) or
// names the master and the life of the name.

// dropGone deletes the entry if the sender knows that its life has ended.
func (s *Shard) dropGone(r *resource, gone wire.Life) {
	if !gone.IsZero() && s.sameLife(r.dirLife, gone) {
		r.dirLife = wire.Life{}
	}
}

func (s *Shard) onLookup(from uint64, hash uint64, m *wire.Msg) {
	r := s.resource(hash, m.Name)
	s.dropGone(r, m.Other)
	if r.dirLife.IsZero() {
		r.dirLife = m.Life
	}
	node := wire.NodeOf(from)
	switch r.dirLife.Node() {
	case node: // nobody else's, or the sender's own already: it may have forgotten
		s.send(r, node, &wire.Msg{
			Type: wire.You, Life: r.dirLife, Lock: m.Lock, Op: m.Op, Hops: m.Hops + 1,
		}, s.unless(NoGateYou))
	case s.self:
		m.Life = r.dirLife
		s.onRequest(from, hash, m)
	default:
		s.send(r, r.dirLife.Node(), &wire.Msg{
			Type: wire.Fwd, Life: r.dirLife, Instance: from,
			Lock: m.Lock, Op: m.Op, Mode: m.Mode, Flags: m.Flags, Hops: m.Hops + 1,
		}, ungated)
	}
}

func (s *Shard) onNotify(from uint64, hash uint64, m *wire.Msg) {
	r := s.resource(hash, m.Name)
	s.dropGone(r, m.Other)
	if r.dirLife.IsZero() {
		r.dirLife = m.Life
	}
	answer := wire.Msg{Type: wire.Confirm, Life: m.Life, Claim: m.Claim}
	if !s.sameLife(r.dirLife, m.Life) {
		answer.Type, answer.Other = wire.Reject, r.dirLife
	}
	s.send(r, wire.NodeOf(from), &answer, s.never())
}

// onRemove deletes the entry only if it is the one that ended: a late REMOVE
// must not delete a newer life's (finding 9).
func (s *Shard) onRemove(hash uint64, m *wire.Msg) {
	r := s.names.find(hash, m.Name)
	if r == nil || !s.sameLife(r.dirLife, m.Life) {
		s.stats.Ignored++
		return
	}
	r.dirLife = wire.Life{}
	s.release(r)
}
