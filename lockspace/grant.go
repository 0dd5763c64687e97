package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file decides what may be granted, in the kernel's order. The names of
// the kernel's functions (Linux fs/dlm/lock.c) are given where the rule is
// theirs.

// conflicts says whether any lock of r but l holds a mode that excludes the one l wants
// (queue_conflict, of both queues). The locks held on a name exclude none of each other, so
// one that excludes all that l would speaks for its queue: many readers of a name are not
// looked at one by one for each further one. Where it does not, many are counted.
func (s *Shard) conflicts(r *resource, l *Lock) bool {
	looked := 0
	for _, q := range [...]*queue{&r.granted, &r.convert} {
		if q.head == nil {
			continue
		}
		if last := q.head.prev; (last == l || Compatible(last.granted, l.wanted)) && last.granted.covers(l.wanted) {
			continue
		}
		if r.traits.has(counted) {
			return r.modes.exclude(l)
		}
		for o := q.head; o != nil; o = o.next {
			if o != l && !Compatible(o.granted, l.wanted) {
				return true
			}
			if looked++; looked == countFrom {
				s.countModes(r)
				return r.modes.exclude(l)
			}
		}
	}
	return false
}

// grantable implements _can_be_granted. first says that the operation has
// just arrived, not waited.
func (s *Shard) grantable(r *resource, l *Lock, first bool) bool {
	if l.expedited() {
		return true
	}
	return s.inOrder(r, l, first) && !s.conflicts(r, l) && !s.starves(l)
}

// expedited: EXPEDITE, which is for new locks in NL, excludes nothing. (It is
// looked at again here because a peer may have sent it.)
func (l *Lock) expedited() bool {
	return l.flags&Expedite != 0 && l.wanted == NL && l.granted == NoMode
}

// inOrder says that it is l's turn, whatever the modes.
func (s *Shard) inOrder(r *resource, l *Lock, first bool) bool {
	conv := l.granted != NoMode
	switch {
	case first && conv && l.flags&QueCvt == 0 && !s.errs(QueueConverts):
		return true // in place
	case first && conv:
		return r.convert.head == nil
	case l.flags&OutOfOrder != 0:
		return true
	case first:
		return (r.convert.head == nil || s.errs(PassConverts)) && (r.waiting.head == nil || s.errs(PassWaiting))
	case conv:
		return r.convert.head == l
	}
	return r.convert.head == nil && r.waiting.head == l
}

// convertDeadlock implements conversion_deadlock_detect: l, which wants a
// conversion, and one that waits exclude each other. It gives that one.
func (r *resource) convertDeadlock(l *Lock) *Lock {
	ahead := false // l stands ahead of o in the convert queue
	for o := r.convert.head; o != nil; o = o.next {
		switch {
		case o == l:
			ahead = true
		case Compatible(l.granted, o.wanted):
		case !ahead, !Compatible(o.granted, l.wanted):
			return o
		}
	}
	return nil
}

// verdict is the answer of tryGrant.
type verdict uint8

const (
	wait verdict = iota
	grant
	deadlock
)

// tryGrant implements can_be_granted: grantable, else conversion deadlock,
// which CONVDEADLK resolves by demoting l to NL, else the alternate mode.
func (s *Shard) tryGrant(r *resource, l *Lock, first bool) verdict {
	if s.grantable(r, l, first) {
		return grant
	}
	if l.converting() && l.flags&NoQueue == 0 && r.convertDeadlock(l) != nil && !s.errs(NoConvDeadlock) {
		if l.flags&ConvDeadlk == 0 {
			return deadlock
		}
		if l.granted > NL {
			r.busyUntil = s.now
		}
		l.hold(NL)
		l.demoted = true
		return wait
	}
	if alt := l.alternate(); alt != NoMode {
		asked := l.wanted
		l.wanted = alt
		if s.grantable(r, l, first) {
			l.altMode = true
			return grant
		}
		l.wanted = asked
	}
	return wait
}

// alternate gives the mode that ALTPR or ALTCW names, NoMode if none does.
func (l *Lock) alternate() Mode {
	switch {
	case l.flags&AltPR != 0 && l.wanted != PR:
		return PR
	case l.flags&AltCW != 0 && l.wanted != CW:
		return CW
	}
	return NoMode
}

// grantPending grants what has become grantable, then tells the holders that
// block the rest (grant_pending_locks). Behind EX no holder hears of anything more, and behind PW of
// nothing but EX and CW, so not all of many readers are looked at again for each that goes.
func (s *Shard) grantPending(r *resource) {
	if r.convert.head == nil && r.waiting.head == nil {
		return
	}
	high, cw := s.grantConverts(r)
	high, cw = s.grantWaiting(r, high, cw)
	if high == NoMode || r.traits.has(told) || r.traits.has(toldPW) && high <= PW && !cw {
		return
	}
	r.traits.set(told, high == EX)
	r.traits.set(toldPW, high >= PW && !cw)
	for l := r.granted.head; l != nil; l = l.next {
		if !l.wantBast || !l.blocks(high, cw) {
			continue
		}
		if cw && high == PR && l.granted == PR {
			s.bast(r, l, CW)
		} else {
			s.bast(r, l, high)
		}
		l.high = high
	}
}

// grantWaiting implements grant_pending_wait. Behind the first that must go on
// waiting nothing is granted, but for what may pass others.
func (s *Shard) grantWaiting(r *resource, high Mode, cw bool) (Mode, bool) {
	mixed := r.traits.has(unordered)
	r.traits.set(unordered, false)
	for l := r.waiting.head; l != nil; {
		next := l.next
		if (mixed || l == r.waiting.head) && s.tryGrant(r, l, false) == grant {
			s.grantNow(r, l, nil)
			l = next
			continue
		}
		high, cw = above(high, l.wanted), cw || l.wanted == CW
		r.traits.set(unordered, r.traits.has(unordered) || l.flags&OutOfOrder != 0)
		if high == EX && !mixed {
			break // beside EX, CW says nothing more
		}
		l = next
	}
	return high, cw
}

// grantConverts implements grant_pending_convert. It gives the highest mode
// still waited for, and whether CW is among them.
func (s *Shard) grantConverts(r *resource) (high Mode, cw bool) {
	demotedAgain := false
restart:
	high, cw = NoMode, false
	restart, demotion := false, false
	for l := r.convert.head; l != nil; {
		next := l.next
		was := l.demoted
		switch s.tryGrant(r, l, false) {
		case grant:
			s.grantNow(r, l, l.pendingValue())
			restart = true
		case deadlock:
			switch {
			case l.flags&NoDlckWt == 0:
				s.refuseFor(r, l, wire.Deadlock, s.conversionCycle(r, l))
				restart = true
			case l.wantBast && below(l.high, l.wanted):
				s.bast(r, l, l.wanted)
				l.high = l.wanted
			}
		case wait:
			if l.demoted && !was {
				demotion = true
				break
			}
			high, cw = above(high, l.wanted), cw || l.wanted == CW
		}
		l = next
	}
	if restart {
		goto restart
	}
	if demotion && !demotedAgain {
		demotedAgain = true
		goto restart
	}
	return high, cw
}

// endDeadlocks refuses conversions that are in a deadlock with l, which has just
// begun to wait and does not give up (NODLCKWT). In the kernel they would hang,
// as would those that have come together by an adoption, or from a dead master,
// which grantConverts finds.
func (s *Shard) endDeadlocks(r *resource, l *Lock) {
	ended := false
	for o := r.convert.head; o != nil; {
		next := o.next
		if o != l && (o.flags&NoDlckWt == 0 || o.flags&ConvDeadlk != 0) && r.convertDeadlock(o) != nil {
			ended = true
			if o.flags&ConvDeadlk == 0 { // else grantPending demotes it
				s.refuseFor(r, o, wire.Deadlock, s.conversionCycle(r, o))
			}
		}
		o = next
	}
	if ended {
		s.grantPending(r)
	}
}

// below compares modes with NoMode as the lowest.
func below(a, b Mode) bool { return b != NoMode && (a == NoMode || a < b) }

func above(a, b Mode) Mode {
	if below(a, b) {
		return b
	}
	return a
}

// blocks implements lock_requires_bast: PR and CW exclude each other though
// neither is higher, so there any BAST below EX is due again.
func (l *Lock) blocks(high Mode, cw bool) bool {
	if l.granted == PR && cw {
		return below(l.high, EX)
	}
	return below(l.high, high) && !Compatible(l.granted, high)
}

// bastFor tells the holders in q that block l (send_bast_queue).
func (s *Shard) bastFor(r *resource, q *queue, l *Lock) {
	if q == &r.granted && r.traits.has(told) {
		return
	}
	for o := q.head; o != nil; o = o.next {
		if o == l || !o.wantBast {
			continue
		}
		due := below(o.high, l.wanted) && !Compatible(o.granted, l.wanted)
		if middle(o.granted, l.wanted) {
			due = below(o.high, EX)
		}
		if due {
			s.bast(r, o, l.wanted)
			o.high = l.wanted // which may be less than before
			r.traits.set(toldPW, false)
		}
	}
}
