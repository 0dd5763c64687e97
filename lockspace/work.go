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
	old   *View       // carrying: the view before
	left  int         // names that are to be carried over
	at    int         // carrying: the slots of the table below this one are to be looked at
	slots int         // of how many
	list  []*resource // the other stages: names
}

// slotsEach is how many slots of the table count as a name.
const slotsEach = 16

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
		s.tellAll(wire.Open)
	}
}

// startCarrying is for a view that has just been put in force. Names with an open claim
// are carried over at once, as nobody else may hear of them, and those of which
// something is held back: it may not leave as it is.
func (s *Shard) startCarrying(old *View) {
	s.turn ^= 1
	s.work = work{phase: carrying, old: old, left: s.names.n}
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
	if s.work.left == 0 {
		s.endPhase()
	}
}

// carrySome carries over n names at most, and says for how many it has worked. It goes
// down the table. An entry that moves up to fill a gap goes the same way, but for one
// that stands at the table's end for want of room at its beginning, or the other way
// round; for such ones there is another round, and for a table that has grown.
func (s *Shard) carrySome(n int) (done int) {
	w := &s.work
	if w.at == 0 || w.slots != len(s.names.slots) {
		w.at, w.slots = len(s.names.slots), len(s.names.slots)
	}
	seen := 0
	for ; w.left > 0 && w.at > 0 && done < n && w.slots == len(s.names.slots); seen++ {
		w.at--
		if r := s.names.slots[w.at].r; r != nil && r.turn != s.turn {
			s.carry(r)
			done++
		}
	}
	if w.left == 0 {
		s.endPhase()
	}
	return done + 1 + seen/slotsEach
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
	s.work.left--
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
