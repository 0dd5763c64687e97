package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file is what follows when a claim is rejected: the master on record is
// asked to take the claimant's locks over. First the claimant's side, then the
// master's.

// onReject: somebody else is on record. The usual reason is a re-used name
// whose old master holds nothing any more, so that is asked first.
func (s *Shard) onReject(hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	if r == nil || r.state != claimed || (r.life != m.Life || r.claim.num != m.Claim) && !s.errs(AnyAnswer) {
		s.stats.Ignored++
		return
	}
	if m.Other == r.claim.gone && s.view.HasInstance(m.Other.Instance) {
		s.stats.Ignored++ // of a NOTIFY sent before that was known; the one that says so will be answered
		return
	}
	s.rejected(r, m.Other)
}

// rejected begins the adoption by the master on record.
func (s *Shard) rejected(r *resource, other wire.Life) {
	c := r.claim
	r.state, s.rarely(r).other = adopting, other
	c.sentAt = s.now
	if !s.view.HasInstance(other.Instance) { // how long it was idle nobody can tell any more
		s.resumeClaim(r, true)
		return
	}
	a := wire.Msg{
		Type: wire.Adopt, Claim: c.num, Life: r.other, Other: r.life,
		Token: r.lastToken, Since: c.since, Locks: r.lockList(),
	}
	if c.written {
		a.Bits = wire.BitWritten // what, the master hears if the adoption is clean
		if r.valueOK && s.off(TrustClaims) {
			a.Bits, a.Value = a.Bits|wire.BitValue, r.value
		}
	}
	s.send(r, r.other.Node(), &a, s.never())
	if s.off(CloseAtReject) {
		s.common.CloseClaim(c.num)
		s.releaseHeld()
	}
}

// lockList encodes the locks of a claimed resource, holders first.
func (r *resource) lockList() wire.LockList {
	var list wire.LockList
	for _, q := range []*queue{&r.granted, &r.convert, &r.waiting} {
		for l := q.head; l != nil; l = l.next {
			list = list.Append(l.record())
		}
	}
	return list
}

// adoptionAnswer finds the resource whose adoption m answers.
func (s *Shard) adoptionAnswer(hash uint64, m *wire.Msg) *resource {
	r := s.find(hash, m.Name)
	if r == nil || r.state != adopting || (r.other != m.Life || r.claim.num != m.Claim) && !s.errs(AnyAnswer) {
		s.stats.Ignored++
		return nil
	}
	return r
}

// onAdopted: the master has our locks. It ends well only if the master has
// been idle ever since the claim (finding 2) and our token is the newer one.
// Its idle time began no later than our now minus Idle, so no clock offset is
// needed; Drift allows for clocks that run at different speeds.
func (s *Shard) onAdopted(hash uint64, m *wire.Msg) {
	r := s.adoptionAnswer(hash, m)
	if r == nil {
		return
	}
	c := r.claim
	clean := int64(min(m.Idle, 1<<62)) >= s.now-c.start+s.cfg.Drift && c.token > m.Token
	if s.off(NoIdleTest) {
		clean = true
	}
	vouches := c.written && r.valueOK
	s.endAdoption(r)
	if clean {
		s.stats.ClaimsAdopted++
		if vouches {
			s.before = s.endingBefore(r)
			s.vouch(r, m)
			s.before = 0
		}
		s.confirmHolders(r)
	} else {
		s.stats.ClaimsLost++
		s.conflict(r)
		s.loseHolders(r, true)
	}
	s.runDeferred(r)
	s.deliverEarly(r)
	s.maybeIdle(r)
	if !clean {
		s.failRetirements(r)
	}
}

// conflict reports that the claim of r was wrong.
func (s *Shard) conflict(r *resource) {
	if !s.errs(HideConflict) {
		s.host.Conflict(r.name(), r.life)
	}
}

// vouch gives the value that was written under the claim to the master which m is
// from. Until then the master's is not valid: whether the claim was right, only
// this node can tell, and an unclean one must not take the place of what a holder
// at the master has written meanwhile. It is an ADOPT of nothing else; each claim
// has granted something, so that there is no other such.
func (s *Shard) vouch(r *resource, m *wire.Msg) {
	s.send(r, r.life.Node(), &wire.Msg{
		Type: wire.Adopt, Claim: m.Claim, Life: r.life, Other: m.Other,
		Bits: wire.BitWritten | wire.BitValue, Value: r.value,
	}, s.unless(NoGateValue))
}

// onConflict: the master could not take our locks.
func (s *Shard) onConflict(hash uint64, m *wire.Msg) {
	if r := s.find(hash, m.Name); r != nil && r.state == remote && r.life == m.Life && m.Claim == 0 {
		s.loseHolders(r, false) // another node than that of our orphans is master
		r.valueOK = false
		s.startOver(r)
		s.release(r)
		return
	}
	r := s.adoptionAnswer(hash, m)
	if r == nil {
		return
	}
	s.endAdoption(r)
	s.stats.ClaimsLost++
	s.conflict(r)
	s.loseHolders(r, false)
	for l := r.waiting.head; l != nil; {
		next := l.next
		if l.cancel {
			s.denied(l, wire.Cancelled)
		} else {
			l.op++
			s.sendRequest(r, l)
		}
		l = next
	}
	s.runDeferred(r)
	s.deliverEarly(r)
	s.maybeIdle(r)
	s.failRetirements(r)
}

// onAdoptNotMaster: the life on record has ended. The claim stands; NOTIFY
// tells the directory which life is gone.
func (s *Shard) onAdoptNotMaster(r *resource) {
	// That master went after some time without locks. A claim that is older may
	// have met one, and nobody can tell any more.
	unused := s.cfg.IdleAfter / IdleShare
	if s.off(TrustMemory) {
		unused = s.cfg.IdleAfter
	}
	s.resumeClaim(r, s.now-r.claim.start+s.cfg.Drift > unused && !s.off(NoIdleTest))
}

// resumeClaim goes back from an adoption to the claim, because the master on
// record is gone. met: the claim may have met a holder.
func (s *Shard) resumeClaim(r *resource, met bool) {
	r.state = claimed
	c := r.claim
	c.gone, c.recorded = r.other, false
	r.other = wire.Life{}
	// What is held for that life waits for this claim too. NOTIFY must not
	// stand behind it where master and directory were one node.
	s.forwardHeld(r, c.gone)
	s.dropHeldAbout(r, c.gone)
	if met {
		c.lost, c.written, r.valueOK = true, false, false
		s.conflict(r)
		s.loseHolders(r, false)
	}
	for _, q := range []*queue{&r.convert, &r.waiting} {
		for l := q.head; l != nil; {
			next := l.next
			if l.cancel {
				l.unqueue()
				s.denied(l, wire.Cancelled)
			}
			l = next
		}
	}
	s.notify(c)
	if !r.mastered() { // this node is the directory, and has another master on record
		return
	}
	s.grantPending(r)
	s.runDeferred(r)
	s.deliverEarly(r)
}

// endAdoption ends the claim, and the life under which it was made. Where the
// directory node has recorded that life meanwhile, it must hear of the end.
func (s *Shard) endAdoption(r *resource) {
	if r.claim.recorded && !s.off(ForgetRecorded) {
		s.sendBare(s.dirOf(r), &wire.Msg{Type: wire.Remove, Name: r.name(), Life: r.life})
	}
	r.state, r.life, r.other = remote, r.other, wire.Life{}
	r.valueOK = false
	if s.off(CloseAtReject) {
		c := r.claim
		r.claim = nil
		s.claims.remove(c)
		return
	}
	s.closeClaim(r)
}

// loseHolders takes granted locks back from local holders. adopted says that
// the master has copies of them, which go too and leave no valid value.
func (s *Shard) loseHolders(r *resource, adopted bool) {
	for _, q := range []*queue{&r.granted, &r.convert} {
		for l := q.head; l != nil; l = q.head {
			if adopted {
				s.send(r, r.life.Node(), &wire.Msg{
					Type: wire.Unlock, Life: r.life, Lock: l.id, Op: l.op + 1,
					Flags: IvValBlk, Bits: wire.BitInvalidate,
				}, gated)
			}
			s.loseLock(l)
		}
	}
	keep := r.deferred[:0]
	for _, l := range r.deferred {
		if l.id != 0 {
			keep = append(keep, l)
		}
	}
	r.deferred = keep
}

// loseLock ends a granted lock, and the operation that was running on it.
func (s *Shard) loseLock(l *Lock) {
	user, id, tag, busy, orphan := l.user, s.handle(l), l.tag, l.wanted != NoMode, l.orphan
	s.dropBytes(l, wire.LostLock)
	s.freeLockOf(l)
	l.id = 0 // a deferred conversion of it is dropped by loseHolders
	s.stats.LocksLost++
	if busy {
		s.ast = Completion{Status: wire.LostLock, Mode: NoMode}
		s.host.Complete(user, id, tag, &s.ast)
	}
	if !orphan {
		s.host.Lost(user, id)
	}
}

// runDeferred carries on, in order, with what was begun during the adoption,
// or while the claimed resource was full.
func (s *Shard) runDeferred(r *resource) {
	list := r.deferred
	r.deferred = nil
	for _, l := range list {
		if l.granted == NoMode {
			s.start(r, l)
			continue
		}
		value := l.pendingValue()
		if r.state == remote {
			s.convertRemote(r, l, value)
		} else {
			s.convertHere(r, l, value)
		}
	}
	s.resumeBytes(r)
}

// onAdopt is the master's side: take over all of a claimant's locks on the
// name, or none.
func (s *Shard) onAdopt(from uint64, hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	if s.notYet(r, from, m) {
		return
	}
	node := wire.NodeOf(from)
	if !s.serves(r, m.Life) {
		s.notMaster(r, node, m)
		return
	}
	if m.Since == 0 {
		s.vouched(r, m)
		s.maybeIdle(r)
		return
	}
	answer := wire.Msg{
		Type: wire.Adopted, Claim: m.Claim, Life: r.life, Other: m.Other,
		Token: r.lastToken, Idle: uint64(max(0, s.now-r.busyUntil)),
	}
	if !r.canAdopt(m) {
		answer.Type = wire.Conflict
		s.answerClaim(r, node, &answer)
		s.maybeIdle(r)
		return
	}
	s.idle.remove(r)
	if m.Since&^(1<<NL) != 0 {
		r.busyUntil = s.now // for the next claimant, this one has used the name until now
	}
	r.lastToken = max(r.lastToken, s.heard(m.Token))
	s.doubtClaimant(r, m)
	s.answerClaim(r, node, &answer)
	for i := range m.Locks.Len() {
		s.adoptLock(r, from, m.Locks.At(i))
	}
	s.grantPending(r)
	s.maybeIdle(r)
}

// doubtClaimant: what the claimant m is from has written counts only when it
// vouches for that.
func (s *Shard) doubtClaimant(r *resource, m *wire.Msg) {
	s.rarely(r).other = m.Other
	if m.Bits&wire.BitWritten != 0 {
		r.valueOK = false
	}
	if s.off(TrustClaims) {
		s.writeValue(r, ValBlk, valueOf(m))
	}
}

// vouched: a claimant's adoption was clean, and this is the value that it had
// written, unless somebody has written a newer one here.
func (s *Shard) vouched(r *resource, m *wire.Msg) {
	if r.other != m.Other {
		s.stats.Ignored++
		return
	}
	s.writeValue(r, ValBlk, valueOf(m))
}

// canAdopt says whether what the claimant has granted since its claim
// excludes nothing that is held here.
func (r *resource) canAdopt(m *wire.Msg) bool {
	modes := m.Since
	for i := range m.Locks.Len() {
		if g := m.Locks.At(i).Granted; Mode(g).Valid() {
			modes |= 1 << g
		}
	}
	for _, q := range []*queue{&r.granted, &r.convert} {
		for l := q.head; l != nil; l = l.next {
			if modes&^compatible[l.granted] != 0 {
				return false
			}
		}
	}
	return true
}

func (s *Shard) adoptLock(r *resource, owner uint64, rec wire.LockRec) {
	if rec.Granted == wire.NoMode && rec.Wanted == wire.NoMode || s.lock(owner, rec.Lock) != nil {
		s.stats.Ignored++
		return
	}
	l := s.copyOf(r, owner, rec)
	l.token = r.lastToken
	switch {
	case l.granted == NoMode:
		r.waiting.push(l)
		r.traits.set(unordered, r.traits.has(unordered) || l.flags&OutOfOrder != 0)
	case l.wanted == NoMode:
		r.granted.push(l)
	default:
		r.convert.push(l)
	}
}

// record describes l to another node.
func (l *Lock) record() wire.LockRec {
	flags := l.flags
	if l.wantBast {
		flags |= WantBast // an earlier operation has said so
	}
	return wire.LockRec{
		Lock: l.id, Op: l.op, Flags: flags, Owner: l.xid(), Granted: uint8(l.granted), Wanted: uint8(l.wanted),
	}
}

// copyOf makes the copy of another node's lock, in no queue yet.
func (s *Shard) copyOf(r *resource, owner uint64, rec wire.LockRec) *Lock {
	l := s.newLock(r, owner, rec.Lock)
	l.op, l.flags, l.wantBast = rec.Op, rec.Flags&copyFlags, rec.Flags&WantBast != 0
	l.granted, l.wanted = Mode(rec.Granted), Mode(rec.Wanted)
	if !s.errs(ForgetOwner) {
		l.setXID(rec.Owner)
	}
	l.loseValue()
	return l
}
