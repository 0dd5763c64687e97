package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is recovery from the side of those who had locks on a name whose
// master is gone: they entrust them to the name's directory node.

// orphaned finds a new master for r: its directory node. If this node has
// locks there, or has not let go of them yet, it says so, and may from then on
// act as if that node were master already: what it sends stands behind the
// report. If it has only asked for locks, it asks again.
func (s *Shard) orphaned(r *resource, dir uint16) {
	s.idle.remove(r)
	before := s.heldFor(r)
	for l := r.waiting.head; l != nil; {
		next := l.next
		if l.cancel && before[l.id] == nil { // its CANCEL went to the dead
			s.denied(l, wire.Cancelled)
		}
		l = next
	}
	if dir == s.self {
		s.settleHeld(r)
		before = nil
	}
	s.orphanBytes(r)
	life := rebuildLife(s.view.Instance(dir), s.view.Epoch)
	switch {
	case r.granted.head == nil && r.convert.head == nil && len(before) == 0:
		s.startOver(r)
	case dir == s.self:
		s.record(r).life = life
		r.state, r.life = rebuilding, life
		s.dropWithdrawn(r)
	default:
		s.report(r, life, before)
		s.reportBytes(r, life)
		s.redirect(r, life)
		r.life = life
		s.cancelAgain(r, before)
		s.resumeBytes(r)
		s.maybeIdle(r)
	}
}

// cancelAgain withdraws conversions whose CANCEL went to the dead. The new master
// must say what they have come to: the dead one may have demoted them, or granted
// what others have seen.
func (s *Shard) cancelAgain(r *resource, before map[uint64]*wire.Msg) {
	for l := r.convert.head; l != nil; l = l.next {
		if l.cancel && before[l.id] == nil {
			s.sendCancel(r, l, r.life)
		}
	}
}

// heldFor gives, by lock, the first message for r's master that is held back
// here. It has not seen that one: in the eyes of all others the lock is as it
// was before.
func (s *Shard) heldFor(r *resource) map[uint64]*wire.Msg {
	var first map[uint64]*wire.Msg
	for h := r.held; h != nil; h = h.resNext {
		for i := range h.msgs {
			m := &h.msgs[i]
			if h.to != r.life.Node() || m.Life != r.life || !ownWord[m.Type] {
				continue
			}
			if first == nil {
				first = map[uint64]*wire.Msg{}
			}
			if f := first[m.Lock]; f == nil || f.Type == wire.Cancel { // that changes nothing yet
				first[m.Lock] = m
			}
		}
	}
	return first
}

// ownWord are the messages of a requester to the master.
var ownWord = [256]bool{wire.Request: true, wire.Convert: true, wire.Unlock: true, wire.Cancel: true}

// report sends the state of this node's locks on r, before anything that is
// held back here: an omission is a release (finding 1e). The value goes along
// if no other node can have written it since this one has seen it.
func (s *Shard) report(r *resource, life wire.Life, before map[uint64]*wire.Msg) {
	m := wire.Msg{Type: wire.Reg, Name: r.name(), Life: life, Token: r.lastToken, Seq: r.valueSeq}
	if s.off(ReportReleased) {
		before = nil
	}
	if r.valueOK && !writes(before) {
		m.Bits, m.Value = wire.BitValue, r.value
	}
	list := s.repLocks[:0]
	add := func(rec wire.LockRec) {
		if list = list.Append(rec); list.Len() == wire.MaxLocks {
			m.Locks = list
			s.sendBare(life.Node(), &m)
			list = list[:0]
		}
	}
	for _, q := range []*queue{&r.granted, &r.convert, &r.waiting} {
		for l := q.head; l != nil; l = l.next {
			rec := l.record()
			if h := before[l.id]; h != nil && h.Type != wire.Cancel {
				if h.Type == wire.Request {
					continue
				}
				rec.Op, rec.Granted, rec.Wanted = h.Op-1, h.Since, wire.NoMode
			}
			m.Token = max(m.Token, l.token)
			add(rec)
		}
	}
	for h := r.held; h != nil; h = h.resNext { // those that are gone here: in a fixed order
		for i := range h.msgs {
			u := &h.msgs[i]
			if before[u.Lock] == u && u.Type != wire.Request && u.Type != wire.Cancel && s.lock(s.cfg.Self, u.Lock) == nil {
				m.Token = max(m.Token, u.Token)
				add(wire.LockRec{Lock: u.Lock, Op: u.Op - 1, Granted: u.Since, Wanted: wire.NoMode})
			}
		}
	}
	if len(list) != 0 {
		m.Locks = list
		s.sendBare(life.Node(), &m)
	}
	s.repLocks = list[:0]
}

// writes says whether a message of those held writes the value.
func writes(before map[uint64]*wire.Msg) bool {
	for _, m := range before {
		if m.Bits&(wire.BitValue|wire.BitInvalidate) != 0 {
			return true
		}
	}
	return false
}

// redirect turns what is held for r's dead master to the new one. It still
// waits for the fence.
func (s *Shard) redirect(r *resource, life wire.Life) {
	dead := r.life
	for h := r.held; h != nil; h = h.resNext {
		if h.to != dead.Node() {
			continue
		}
		h.to = life.Node()
		kept := h.msgs[:0]
		for _, m := range h.msgs {
			silent := m.Type == wire.RangeOp && m.Bits&wire.BitNoReply != 0 // what waits for an answer is asked anew
			if m.Life == dead && (ownWord[m.Type] || silent) && !s.off(ReportReleased) {
				m.Life = life
				kept = append(kept, m)
			}
		}
		s.outbox.n -= len(h.msgs) - len(kept)
		h.msgs = kept
	}
}

// settleHeld applies what is held for r's dead master here, at the new one: a
// release needs no fence until this node lets somebody else in.
func (s *Shard) settleHeld(r *resource) {
	for h := r.held; h != nil; h = h.resNext {
		if h.to != r.life.Node() {
			continue
		}
		for i := range h.msgs {
			switch m := &h.msgs[i]; {
			case m.Life != r.life, m.Type == wire.Adopt: // others may have written since
			case m.Type == wire.Convert && m.Bits&wire.BitNoReply == 0:
				s.putOff(r, m)
			case m.Bits&wire.BitInvalidate != 0:
				r.valueOK = false
			case m.Bits&wire.BitValue != 0:
				s.writeValue(r, ValBlk, m.Value)
			}
		}
		s.outbox.n -= len(h.msgs)
		h.msgs = nil
	}
}

// putOff lets a conversion that the dead master has not seen wait until this node is
// master.
func (s *Shard) putOff(r *resource, m *wire.Msg) {
	if l := s.lock(s.cfg.Self, m.Lock); l != nil && l.queue() == &r.convert {
		l.setValue(valueOf(m))
		l.moveTo(&r.granted)
		s.rarely(r).deferred = append(r.deferred, l)
	}
}

// dropWithdrawn ends those of them that were withdrawn.
func (s *Shard) dropWithdrawn(r *resource) {
	for _, l := range slices.Clone(r.deferred) {
		if l.cancel {
			l.cancel = false
			s.withdraw(l)
		}
	}
}
