package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file is the master's role: the operations on a resource's queues, for
// local locks and for the copies of other nodes' locks alike.

// becomeMaster makes this node the master of r with the given life.
func (s *Shard) becomeMaster(r *resource, life wire.Life) {
	r.state, r.life = master, life
	r.ack = s.dirOf(r)
	r.traits.set(ackDue, false)
	r.busyUntil = s.now
	r.valueOK, r.valueSeq, r.other = false, 0, wire.Life{}
	r.lastToken = max(r.lastToken, s.clock, s.view.Epoch<<tokenCounterBits) // never 0: shared grants carry it
}

// requestHere runs a new lock on the master's queues (do_request).
func (s *Shard) requestHere(r *resource, l *Lock) {
	alone := r.unqueued()
	if alone && !s.starves(l) || s.tryGrant(r, l, true) == grant {
		s.grantNow(r, l, nil)
		s.passed(r)
		return
	}
	if l.flags&NoQueue != 0 {
		if l.flags&NoQueueBast != 0 {
			s.bastFor(r, &r.granted, l)
			s.bastFor(r, &r.convert, l)
		}
		s.refuse(r, l, wire.WouldBlock)
		return
	}
	s.enqueue(l, &r.waiting)
	r.traits.set(unordered, r.traits.has(unordered) || l.flags&OutOfOrder != 0)
	if s.secondLook(r, l) {
		s.passed(r)
		return
	}
	if !s.local(l) {
		s.answer(r, l, &wire.Msg{Type: wire.Queued}, ungated)
	}
	s.bastFor(r, &r.granted, l)
}

// passed is called when a new lock has been granted. If others wait, it came past
// them (NOORDER, HEADQUE), and hears at once whom it blocks, like one that was
// converted in place. The kernel does not tell it: they may wait for ever.
func (s *Shard) passed(r *resource) {
	if (r.convert.head != nil || r.waiting.head != nil) && !s.off(PassSilently) {
		s.grantPending(r)
	}
}

// convertHere runs a conversion on the master's queues (do_convert).
func (s *Shard) convertHere(r *resource, l *Lock, value []byte) {
	v := s.tryGrant(r, l, true)
	if l.demoted && v == wait {
		s.grantConverts(r) // the demotion may have freed others
		if l.queue() == &r.granted && s.grantable(r, l, true) {
			v = grant
		}
	}
	switch {
	case v == grant:
		s.grantNow(r, l, value)
		if !s.errs(NoWakeConvert) {
			s.grantPending(r)
		}
	case v == deadlock && l.flags&NoDlckWt == 0:
		s.refuseFor(r, l, wire.Deadlock, s.conversionCycle(r, l))
	case l.flags&NoQueue != 0:
		if l.flags&NoQueueBast != 0 {
			s.bastFor(r, &r.granted, l)
			s.bastFor(r, &r.convert, l)
		}
		s.refuse(r, l, wire.WouldBlock)
	default:
		if l.flags&alternates == 0 {
			value = nil // else it may yet come to writing: PW to EX, granted as PR
		}
		l.setValue(value)
		s.enqueue(l, &r.convert)
		if s.secondLook(r, l) {
			s.grantPending(r)
			return
		}
		s.bastFor(r, &r.granted, l)
		if v == deadlock {
			s.endDeadlocks(r, l)
		}
		if l.demoted {
			s.grantPending(r) // NOORDER may wait for just that; the kernel does not look
		}
	}
}

// secondLook grants what HEADQUE has put at the head of its queue, or NOORDER
// beside QUECVT in it, if only those that it passes stood in its way. The kernel
// leaves it there until something else happens, which may be never.
func (s *Shard) secondLook(r *resource, l *Lock) bool {
	const mixed = QueCvt | OutOfOrder
	if l.flags&HeadQue == 0 && l.flags&mixed != mixed || s.off(NoSecondLook) || s.tryGrant(r, l, false) != grant {
		return false
	}
	s.grantNow(r, l, l.pendingValue())
	return true
}

// grantNow grants the running operation of l and tells its owner. value is
// what a value-writing conversion writes.
func (s *Shard) grantNow(r *resource, l *Lock, value []byte) {
	from, to := l.granted, l.wanted
	op := valueOpOf(from, to)
	if op == valueWrite && !s.errs(DropValue) {
		s.writeValue(r, l.flags, value)
	}
	if l.needsToken() && (from == NoMode || l.flags&Orphan != 0 || !s.errs(KeepToken)) {
		l.token = s.nextToken(r)
	} else if !exclusive(to) && !s.errs(NoSharedToken) {
		l.token = r.lastToken
	}
	if r.claim != nil && !s.errs(ForgetModes) {
		r.claim.since |= 1 << to
	}
	s.granted(l, to)
	if l.owner != s.cfg.Self && l.flags&bitSilent != 0 {
		return
	}
	var bits uint8
	var seq uint64
	if op == valueRead && l.flags&ValBlk != 0 {
		bits, seq, value = s.readValue(r)
	} else {
		value = nil
	}
	if l.demoted && !s.errs(HideDemotion) {
		bits |= wire.BitDemoted
	}
	if l.altMode {
		bits |= wire.BitAltMode
		l.altMode = false
	}
	if s.local(l) {
		if l.at == s.here {
			s.grantedHere(l, bits)
			return
		}
		c := s.newCompletion(to, l.token)
		c.Bits, c.Seq, c.Value = bits, seq, value
		s.complete(l)
		return
	}
	m := s.newMsg(wire.Grant)
	m.Mode, m.Token, m.Bits, m.Seq, m.Value = uint8(to), l.token, bits, seq, value
	s.answer(r, l, m, s.unless(NoGateGrant))
}

// bitSilent marks, in a copy's flags, a conversion whose owner has completed
// it already. It never travels.
const bitSilent uint32 = 1 << 31

func (s *Shard) readValue(r *resource) (bits uint8, seq uint64, value []byte) {
	if !r.valueOK && !s.errs(ReadInvalid) {
		return wire.BitNotValid, 0, nil
	}
	return wire.BitValue, r.valueSeq, r.value
}

// writeValue applies a write to the lock value block (set_lvb_lock,
// set_lvb_unlock).
func (s *Shard) writeValue(r *resource, flags uint32, value []byte) {
	switch {
	case flags&IvValBlk != 0, len(value) > s.cfg.ValueLen: // no peer may make it longer
		r.valueOK = r.valueOK && s.errs(KeepInvalid)
	case flags&ValBlk != 0 && value != nil:
		s.valued(r)
		r.value = append(r.value[:0], value...)
		for len(r.value) < s.cfg.ValueLen {
			r.value = append(r.value, 0)
		}
		r.valueSeq++
		r.valueOK = true
	default:
		return
	}
	if r.claim != nil {
		r.claim.written = true // an adoption says so, also if it is not valid
	}
	if r.state == master {
		r.other = wire.Life{} // this is the newer one
	}
}

// refuse ends the running operation of l without a grant. A new lock is gone
// after it, a converting one keeps its granted mode.
func (s *Shard) refuse(r *resource, l *Lock, st Status) { s.refuseFor(r, l, st, nil) }

// refuseFor is refuse with the cycle of a deadlock.
func (s *Shard) refuseFor(r *resource, l *Lock, st Status, cycle wire.Path) {
	if s.local(l) {
		s.deniedFor(l, st, cycle)
		return
	}
	m := wire.Msg{Type: wire.Denied, Status: st, Mode: uint8(l.granted), Path: cycle}
	if l.demoted {
		m.Bits |= wire.BitDemoted
	}
	s.answer(r, l, &m, ungated)
	if l.granted == NoMode {
		s.freeLockOf(l)
		s.maybeIdle(r)
		return
	}
	l.wanted = NoMode
	l.moveTo(&r.granted)
}

// answer sends m to the owner of l about its running operation.
func (s *Shard) answer(r *resource, l *Lock, m *wire.Msg, gate gating) {
	m.Life, m.Lock, m.Op, m.Hops = r.life, l.id, l.op, l.hops+1
	s.send(r, wire.NodeOf(l.owner), m, gate)
}

// bast tells the owner of l that it blocks a request for mode.
func (s *Shard) bast(r *resource, l *Lock, mode Mode) {
	if s.errs(NoBast) {
		return
	}
	if s.local(l) {
		s.blocking(l, mode)
		return
	}
	s.send(r, wire.NodeOf(l.owner), &wire.Msg{
		Type: wire.Bast, Life: r.life, Lock: l.id, Mode: uint8(mode),
	}, ungated)
}

// blocking tells the user of a local lock that it blocks a request for mode.
func (s *Shard) blocking(l *Lock, mode Mode) {
	if !l.orphan {
		s.host.Blocking(l.user, s.handle(l), mode)
	}
}

// unlockHere takes a granted lock off the queues (do_unlock).
func (s *Shard) unlockHere(r *resource, l *Lock, flags uint32, value []byte) {
	if exclusive(l.granted) {
		s.writeValue(r, flags, value)
	}
	if l.granted > NL && l.granted != NoMode {
		r.busyUntil = s.now
	}
	s.freeLockOf(l)
	if !s.errs(NoWakeUnlock) {
		s.grantPending(r)
	}
	s.maybeIdle(r)
}

// cancelHere withdraws a waiting operation (do_cancel).
func (s *Shard) cancelHere(r *resource, l *Lock) {
	l.unqueue()
	s.refuse(r, l, wire.Cancelled)
	if !s.errs(NoWakeCancel) {
		s.grantPending(r)
	}
	s.maybeIdle(r)
}
