package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file installs a view: what each name of this node becomes when members
// have come or gone. What the directory's role must wait for after that is in
// recover.go and barrier.go.

// Epoch gives the number of the view in force, 0: none yet. The host puts it in
// the header of each frame; a frame leaves before the next view is installed.
func (s *Shard) Epoch() uint64 { return s.view.Epoch }

// Recovering says that this shard does not answer for all its names yet.
func (s *Shard) Recovering() bool { return s.recovering }

// Install changes the view. Views come in rising order, none skipped, and a
// node that is not a member of one that it is given fences itself. The first
// one of a shard that was made without a view lets it take part. What is left
// of the members that are gone is purged, their names are rebuilt, and names
// whose directory node has changed are registered there; the rest goes on. Most of that
// is left to Work, which must have ended for the view before. v is kept and must not
// change.
func (s *Shard) Install(now int64, v *View) {
	s.now = now
	switch {
	case s.fenced || v.Epoch <= s.view.Epoch:
		return
	case !v.HasInstance(s.cfg.Self):
		s.Fence(now)
		return
	}
	old := s.view
	s.prev, s.view = old.Epoch, v
	if !s.recovering {
		s.viewAt = now
	}
	s.recovering, s.lastFrom = true, noInstance
	s.admitMembers(v.Epoch, v.Epoch)
	s.keepTrust()
	s.clock = max(s.clock, v.Epoch<<tokenCounterBits) // later than all the dead have issued
	s.common.Advance(s.clock)
	s.endDelegations()
	s.frozen = true
	s.dropRetirements()
	s.frozen = false
	s.askAgainForRanges()
	s.startCarrying(old)
	s.releaseHeld()
	s.deliverFutures()
	s.finish()
}

// carryOver takes one name from the old view into the present one.
func (s *Shard) carryOver(old *View, r *resource) {
	dir := s.dirOf(r)
	s.dropEarly(r)
	untold := s.sweepEntry(r, dir)
	s.sweepHeld(old, r)
	switch {
	case untold && r.state == remote:
		s.startOver(r)
	default:
		s.carryState(old, r, dir)
	}
	s.maybeIdle(r)
	s.release(r)
}

func (s *Shard) carryState(old *View, r *resource, dir uint16) {
	switch r.state {
	case master:
		s.reregister(old, r, dir)
		s.buryDead(r)
	case claimed:
		s.buryDead(r)
		if !s.off(NoResend) {
			s.notify(r.claim)
		}
	case adopting:
		if !s.view.HasInstance(r.other.Instance) { // how long it was idle nobody can tell any more
			s.resumeClaim(r, true)
		}
	case lookup:
		s.askAgain(r, dir)
	case remote:
		if !s.view.HasInstance(r.life.Instance) {
			s.orphaned(r, dir)
		}
	case rebuilding:
		if dir != s.self && r.rec.life.IsZero() { // another node is asked now
			s.startOver(r)
		}
	}
}

// dropEarly forgets kept messages of the dead, and what the requester's LOOKUP
// of the new view will bring again.
func (s *Shard) dropEarly(r *resource) {
	r.early = slices.DeleteFunc(r.early, func(e earlyMsg) bool {
		return e.msg.Type == wire.Fwd || !s.view.HasInstance(e.from)
	})
}

// sweepEntry is the directory's role: entries of names that belong elsewhere
// now, or whose master is gone, are deleted. An entry of which its master has
// not heard yet is, too: it will ask again, and until then nobody may be
// referred to it.
//
// It says whether this node itself waits for locks under such an entry.
func (s *Shard) sweepEntry(r *resource, dir uint16) (untold bool) {
	if rec := r.rec; rec != nil {
		s.kept -= len(rec.asked)
		rec.asked = nil
		s.dropReports(rec)
		s.dropByteReports(rec, func(from uint64) bool { return !s.view.HasInstance(from) })
	}
	life := r.dirLife
	switch {
	case life.IsZero():
	case s.untold(r) != nil:
		r.dirLife = wire.Life{}
		return r.life == life
	case dir != s.self:
		r.dirLife = wire.Life{}
	case !s.view.HasInstance(life.Instance):
		s.record(r).dead = life
		r.dirLife = wire.Life{}
	case !s.trusts(r):
		r.dirLife = wire.Life{}
	}
	return false
}

// startOver lets the requests on r begin anew. One that is cancelled and may
// have come to a master all the same is not forgotten before that is found.
func (s *Shard) startOver(r *resource) {
	s.idle.remove(r)
	r.state, r.life, r.carrier = unused, wire.Life{}, nil
	r.valueOK = false // of an earlier life
	for _, l := range r.takeWaiting() {
		if l.cancel && (!l.asked || r.mastered() || s.unmastered(r)) {
			s.denied(l, wire.Cancelled)
			continue
		}
		l.op++ // an answer to it may be on its way
		if !s.errs(NewAgain) {
			l.flags &^= NewName // others know the name by now, or may have used it
		}
		s.start(r, l)
		if l.cancel && r.state == remote {
			s.sendCancel(r, l, r.life)
		}
	}
}

// unmastered says that this node knows that r has no master.
func (s *Shard) unmastered(r *resource) bool {
	return s.dirOf(r) == s.self && r.dirLife.IsZero() && !s.mustWait(r)
}

// sweepHeld takes back from the outbox what would mean something else in this
// view: all of the directory's path. A REMOVE that has not left is one: this
// node is master as before. What is for a node that is gone goes, too, unless
// it was r's master: see report.
func (s *Shard) sweepHeld(old *View, r *resource) {
	s.cancelRemoval(r)
	for h := r.held; h != nil; h = h.resNext {
		n := len(h.msgs)
		dead := !s.view.HasInstance(old.Instance(h.to))
		if dead && r.state == remote && h.to == r.life.Node() {
			continue
		}
		h.msgs = slices.DeleteFunc(h.msgs, func(m wire.Msg) bool { return dead || directoryPath[m.Type] })
		s.outbox.n -= n - len(h.msgs)
	}
}

// reregister tells the directory node of a mastered name of it, if that is not
// the one that knows it.
func (s *Shard) reregister(old *View, r *resource, dir uint16) {
	if dir == s.self {
		r.dirLife, r.ack = r.life, dir
		r.traits.set(ackDue, false)
		return
	}
	knows := !s.inRange(r.name()) && r.ack == dir && s.view.HasInstance(old.Instance(dir)) && (!r.traits.has(ackDue) || s.openTo(dir) >= old.Epoch)
	if knows {
		r.traits.set(ackDue, false)
	} else if !s.off(NoRegister) {
		s.register(r, dir)
	}
}

func (s *Shard) register(r *resource, dir uint16) {
	r.ack = dir
	r.traits.set(ackDue, true)
	s.sendBare(dir, &wire.Msg{Type: wire.Reg, Name: r.name(), Life: r.life, Token: r.lastToken})
}

// buryDead removes the locks of the dead from the queues of a name, and grants
// what that frees. A value that a dead holder may have written is not valid
// any more (recover_lvb_invalidate, dlm_purge_locks).
func (s *Shard) buryDead(r *resource) {
	if s.off(KeepDead) {
		return
	}
	purged, freed := false, s.buryBytes(r)
	for _, q := range []*queue{&r.granted, &r.convert, &r.waiting} {
		for l := q.head; l != nil; {
			next := l.next
			if !s.local(l) && !s.view.HasInstance(l.owner) {
				if exclusive(l.granted) && !s.off(KeepDeadValue) {
					s.writeValue(r, IvValBlk, nil)
				}
				if l.granted != NoMode && l.granted > NL {
					r.busyUntil = s.now
				}
				s.freeLockOf(l)
				purged = true
			}
			l = next
		}
	}
	if purged {
		s.grantPending(r)
	}
	if freed && r.bytes != nil {
		s.grantBytes(r, byterange.Range{End: byterange.Last})
	}
}

// askAgain sends an unanswered LOOKUP to the directory node of this view; what
// the old one has answered does not count any more. It counts as another
// operation: a master that has it already, or has refused it, answers anew. And
// it proposes another life: who has heard of the old one, from an answer that
// never counted, is told that it has no master.
func (s *Shard) askAgain(r *resource, dir uint16) {
	if s.off(NoResend) {
		return
	}
	l := r.carrier
	l.op++
	l.asked = true
	proposed, early := r.life, r.early
	r.early = nil
	if dir != s.self {
		r.life = s.newLife()
		s.sendLookup(r, l, wire.Life{})
	} else {
		s.record(r)
		r.state, r.life, r.carrier = rebuilding, wire.Life{}, nil
	}
	for i := range early {
		switch e := &early[i]; {
		case e.msg.Life != proposed:
			s.rarely(r).early = append(r.early, *e)
		case e.msg.Type == wire.Request || e.msg.Type == wire.Adopt:
			s.notMaster(r, wire.NodeOf(e.from), &e.msg)
		}
	}
}
