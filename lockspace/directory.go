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

// enter records what a LOOKUP or NOTIFY proposes, if there is no entry, or one
// of an older life of the same master: it would not ask if it were still that.
// (A NOTIFY that was sent twice and comes late leaves such an entry.)
func (s *Shard) enter(r *resource, m *wire.Msg) {
	s.dropGone(r, m.Other)
	if r.dirLife.IsZero() || r.dirLife.Instance == m.Life.Instance && !s.older(m.Life, r.dirLife) {
		r.dirLife = m.Life
	}
}

// older says that a is an earlier life of the same master than b.
func (s *Shard) older(a, b wire.Life) bool {
	return a.Instance == b.Instance && a.Counter < b.Counter && !s.off(OldLife)
}

func (s *Shard) onLookup(from uint64, hash uint64, m *wire.Msg) {
	if s.passOn(from, hash, m) || s.keepLookup(from, hash, m) {
		return
	}
	r := s.resource(hash, m.Name)
	if s.keepAsked(r, from, m, NoHoldLookup) {
		return
	}
	s.enter(r, m)
	node := wire.NodeOf(from)
	switch r.dirLife.Node() {
	case node:
		s.send(r, node, &wire.Msg{
			Type: wire.You, Life: r.dirLife, Lock: m.Lock, Op: m.Op, Hops: m.Hops + 1,
			Mode: m.Mode, Flags: m.Flags, Owner: m.Owner, // these do not travel: see reassign
		}, s.unless(NoGateYou))
	case s.self:
		m.Life = r.dirLife
		s.onRequest(from, hash, m)
	default:
		s.send(r, r.dirLife.Node(), &wire.Msg{
			Type: wire.Fwd, Life: r.dirLife, Instance: from,
			Lock: m.Lock, Op: m.Op, Mode: m.Mode, Flags: m.Flags, Hops: m.Hops + 1, Owner: m.Owner,
		}, ungated)
	}
}

func (s *Shard) onNotify(from uint64, hash uint64, m *wire.Msg) {
	if s.passOn(from, hash, m) {
		return
	}
	r := s.resource(hash, m.Name)
	if s.keepAsked(r, from, m, NoHoldNotify) {
		return
	}
	if s.older(m.Life, r.dirLife) {
		s.stats.Ignored++ // sent twice, and overtaken on its way to an owner and back
		return
	}
	untold := s.untold(r)
	if untold != nil {
		r.dirLife = m.Life
	}
	s.enter(r, m)
	answer := s.newMsg(wire.Confirm)
	answer.Life, answer.Claim = m.Life, m.Claim
	if !s.sameLife(r.dirLife, m.Life) {
		answer.Type, answer.Other = wire.Reject, r.dirLife
	}
	node := wire.NodeOf(from)
	s.answerClaim(r, node, answer)
	for i := range untold {
		s.reassign(r, node, &untold[i])
	}
}

// answerClaim sends the answer to NOTIFY or ADOPT. It does not stand behind what
// this node has to say to the claimant in other roles either. The owner of a range,
// or a directory node that has got it back, may itself have claimed the name, and
// hold the unlock of its adoption by the claimant's last life. And so may a node
// that is asked to adopt to a life that it has ended: its own adoption may be
// waiting for the claimant.
func (s *Shard) answerClaim(r *resource, to uint16, m *wire.Msg) {
	if s.off(GateAnswers) {
		s.send(r, to, m, gated)
		return
	}
	m.Name = r.name()
	s.sendBare(to, m)
}

// untold takes back the YOU for the present entry if the fence holds it here
// still, and what stands behind it about that life. Nobody knows of the entry
// then, and a claim can take its place. It must: with REJECT, the claimant's
// ADOPT would wait for that YOU, the YOU for this node's claims, and those
// perhaps, in the same way, for the claimant.
func (s *Shard) untold(r *resource) []wire.Msg {
	if r.held == nil || r.dirLife.IsZero() || s.off(RejectUntold) {
		return nil
	}
	s.releaseHeld()
	var msgs []wire.Msg
	for h := r.held; h != nil; h = h.resNext {
		for i := range h.msgs {
			if m := &h.msgs[i]; m.Life == r.dirLife && (m.Type == wire.You || len(msgs) != 0) {
				msgs = append(msgs, *m)
			}
		}
	}
	if len(msgs) != 0 {
		s.dropHeldAbout(r, r.dirLife)
	}
	return msgs
}

// reassign sends to the claimant's node what was meant for the master that
// was never told: its own request, those of others, and this node's.
func (s *Shard) reassign(r *resource, to uint16, m *wire.Msg) {
	if m.Type == wire.You {
		m.Type, m.Instance = wire.Fwd, m.Life.Instance
	}
	if r.state == remote && r.life == m.Life {
		r.life = r.dirLife
	}
	m.Life = r.dirLife
	s.send(r, to, m, ungated)
}

// onRemove deletes the entry only if it is the one that ended: a late REMOVE
// must not delete a newer life's (finding 9).
func (s *Shard) onRemove(from uint64, hash uint64, m *wire.Msg) {
	if s.passOn(from, hash, m) {
		return
	}
	r := s.find(hash, m.Name)
	if r == nil || !s.sameLife(r.dirLife, m.Life) || s.errs(KeepEntry) {
		s.stats.Ignored++
		return
	}
	r.dirLife = wire.Life{}
	s.release(r)
}
