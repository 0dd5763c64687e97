package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file cuts the work that a new view brings into pieces, so that what it does
// not concern is served between them:
//
//	Install        the view is in force; no name is carried over yet
//	carrying       each name becomes what the view makes of it (install.go)
//	  SENT         to all, behind what that has said
//	  waits        for the SENT of the view before
//	rebuildingOld  orphans that were entrusted to this node in that view
//	  DONE         to all
//	  waits        for the DONE of all
//	rebuilding     orphans entrusted in this view
//	opening        what was asked about such names, and others, is answered
//	  OPEN         to all
//
// A name that somebody uses before its turn to be carried over has come is carried
// over first: find, lock and touch see to that. So nobody meets a name as it was in the
// view before. That it happens later than Install makes no difference: it
// sends messages about this name only, in the view that is in force, and waits for
// nothing. SENT and DONE come when all names have had it.
//
// A name that is to be rebuilt or opened is one that must wait anyway (mustWait). It
// goes on waiting until it is its turn.

// phase says what is under way.
type phase uint8

const (
	settled phase = iota // nothing, but perhaps others are waited for
	carrying
	rebuildingOld
	rebuildingNew
	opening
)

// work is what is left to do of a phase.
type work struct {
	phase phase
	*change
	at   uint32      // carrying: the number of the next name in the slab
	list []*resource // the other phases: names
}

// change is what a view has changed; names are carried over by it.
type change struct {
	old   *View
	gone  [1 << 16 / 64]uint64  // set of node ids: of the view before, and not, in the same start, of this one
	owns  ownerSet              // the same as resource.owners has it
	moved [dirSlots / 64]uint64 // set of slots whose directory node must be told, or is this node and does not trust them
}

// unitNames is how many names that the view does not concern count as one.
const unitNames = 16

// Working says that Work has something to do.
func (s *Shard) Working() bool { return s.work.phase != settled }

// Work goes on with what the view has brought, for about n names, and says whether
// more is left. The host calls it again and again, and lets others in between, as long as
// there is; in any case before the next Install, and lets what was sent leave.
func (s *Shard) Work(now int64, n int) (more bool) {
	s.now = now
	for n > 0 && s.Working() {
		n -= s.workOn(n)
	}
	s.releaseHeld()
	s.finish()
	return s.Working()
}

// workOn works on the present phase for n names at most, and says for how many.
func (s *Shard) workOn(n int) (done int) {
	w := &s.work
	switch {
	case w.phase == carrying:
		return s.carrySome(n)
	case len(w.list) == 0:
		s.endPhase()
		return 0
	}
	r, st := w.list[0], w.phase
	w.list = w.list[1:]
	switch life := r.rec.life; {
	case st == opening:
		s.openName(r)
	case !life.IsZero() && life.Counter&^rebuildBit <= s.rebuilt:
		s.rebuild(r)
	}
	return 1
}

// begin starts a phase that goes over the names with a recovery.
func (s *Shard) begin(st phase) {
	s.work = work{phase: st, list: s.recs}
	if st == opening {
		s.recs = nil
	}
	if len(s.work.list) == 0 {
		s.endPhase()
	}
}

// endPhase goes on to what follows the present phase.
func (s *Shard) endPhase() {
	st := s.work.phase
	s.work = work{}
	switch st {
	case carrying:
		s.feed()
		if s.progress(); s.told < s.view.Epoch {
			s.tellAll(wire.Sent)
		}
	case rebuildingOld:
		s.done()
	case rebuildingNew:
		s.trustAll()
		s.begin(opening)
	case opening:
		s.recovering = false
		s.freshReps, s.repBytes = nil, nil // no more reports come
		s.stats.Recoveries.Observe(s.now-s.viewAt, 1)
		s.tellAll(wire.Open)
	}
}

// startCarrying is for a view that has just been put in force. Names with an open claim
// are carried over at once, as nobody else may hear of them, and those of which
// something is held back: it may not leave as it is.
func (s *Shard) startCarrying(old *View) {
	s.turn ^= 1
	s.work = work{phase: carrying, change: &change{old: old}}
	s.seeWho(old)
	claimed := make([]*resource, 0, s.claims.n)
	for c := s.claims.head; c != nil; c = c.next {
		claimed = append(claimed, c.res)
	}
	for _, r := range claimed {
		s.touch(r)
	}
	for h := s.outbox.head; h != nil; h = h.next {
		s.touch(h.res)
	}
	if s.names.n == 0 {
		s.endPhase()
	}
}

// seeWho notes whom and what the view has changed.
func (s *Shard) seeWho(old *View) {
	w := &s.work
	for _, m := range old.Members {
		if !s.view.HasInstance(m.Instance) {
			w.gone[m.ID/64] |= 1 << (m.ID % 64)
			w.owns |= ownerBit(m.Instance)
		}
	}
	for slot, id := range s.view.slots {
		if id != old.slots[slot] || s.isGone(id) || id == s.self && s.trusted[slot/64]>>(slot%64)&1 == 0 {
			w.moved[slot/64] |= 1 << (slot % 64)
		}
	}
}

func (s *Shard) isGone(id uint16) bool { return s.work.gone[id/64]>>(id%64)&1 == 1 }

// ownerSet is a set of node ids, modulo 8.
type ownerSet uint8

func ownerBit(instance uint64) ownerSet { return 1 << (wire.NodeOf(instance) % 8) }

// concerned says that the view may have something to do to r. It looks at r alone, and
// at one or two cache lines of it: most names are not concerned.
func (s *Shard) concerned(r *resource) bool {
	w := &s.work
	slot := slotOf(r.hash)
	switch {
	case s.cfg.Range != 0, r.rare != &s.noRare, w.moved[slot/64]>>(slot%64)&1 == 1, s.isGone(r.dirLife.Node()):
		return true
	case r.state == unused:
		return r.dirLife.IsZero()
	case r.state == remote:
		return s.isGone(r.life.Node())
	case r.state != master, r.traits.has(ackDue), r.owners&w.owns != 0:
		return true
	}
	dir := s.view.slots[slot]
	return r.ack != dir || dir == s.self && r.dirLife != r.life
}

// carrySome carries over n names at most, and says for how many it has worked.
func (s *Shard) carrySome(n int) (done int) {
	w := &s.work
	seen := 0
	for ; w.at < s.names.slab.n && done < n; w.at++ {
		r := s.names.slab.at(w.at)
		switch {
		case r.turn == s.turn || r.state == freed:
		case s.concerned(r):
			s.carry(r)
			done++
			continue
		default:
			r.turn = s.turn
		}
		if seen++; seen == unitNames {
			seen = 0
			done++
		}
	}
	if w.at == s.names.slab.n {
		s.endPhase()
	}
	return done + 1
}

// touch brings r into the present view, and says whether it is still there.
func (s *Shard) touch(r *resource) bool {
	if r.turn != s.turn {
		s.carry(r)
	}
	return r.state != freed
}

// carry brings r from the view before into the present one. That has nothing to do with
// the message that is being delivered; and nothing leaves the outbox meanwhile.
func (s *Shard) carry(r *resource) {
	late := s.late
	s.late, s.frozen = false, true
	r.turn = s.turn
	s.carryOver(s.work.old, r)
	s.late, s.frozen = late, false
}

// find gives what this node has of a name, nil: nothing.
func (s *Shard) find(hash uint64, name []byte) *resource {
	r := s.names.find(hash, name)
	if r != nil && r.turn != s.turn && !s.touch(r) {
		return nil
	}
	return r
}

// lock gives a lock, or the copy of one, nil: there is none.
func (s *Shard) lock(owner, id uint64) *Lock {
	l := s.locks.find(owner, id)
	if l != nil && l.res.turn != s.turn {
		s.touch(l.res)
		l = s.locks.find(owner, id) // it may have ended
	}
	return l
}
