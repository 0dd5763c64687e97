package lockspace

import "github.com/lockify-dlm/lockify/wire"

// Deliver takes a message from another node, whose name has hash hash. from is
// what the header of its frame says. m and what it points to are not kept. What
// comes from a node that is no member of the view is dropped, what was sent in
// a later view waits for that to be installed; see epoch.go.
func (s *Shard) Deliver(now int64, from Origin, hash uint64, m *wire.Msg) {
	s.now = now
	if (from.Instance != s.lastFrom || from.Epoch != s.view.Epoch) && !s.admit(from, hash, m) {
		return
	}
	if from.Clock > s.clock {
		s.Note(from.Clock)
	}
	s.dispatch(from.Instance, hash, m)
	s.late = false
	s.finish()
}

func (s *Shard) dispatch(from uint64, hash uint64, m *wire.Msg) {
	switch m.Type {
	case wire.Lookup:
		s.onLookup(from, hash, m)
	case wire.Notify:
		s.onNotify(from, hash, m)
	case wire.Remove:
		s.onRemove(from, hash, m)
	case wire.Retire:
		if m.Life.Node() == s.self {
			s.retireAdopted(from, hash, m)
		} else {
			s.onRetire(hash, m)
		}
	case wire.Retired:
		s.onRetired(m)
	case wire.Confirm:
		s.onConfirm(hash, m)
	case wire.Reject:
		s.onReject(hash, m)
	case wire.Adopted:
		s.onAdopted(hash, m)
	case wire.Conflict:
		s.onConflict(hash, m)
	case wire.Adopt:
		s.onAdopt(from, hash, m)
	case wire.Request:
		s.onRequest(from, hash, m)
	case wire.Fwd:
		if !s.view.HasInstance(m.Instance) && !s.off(TakeOldForwards) { // a host that flushes too late numbers it so
			s.stats.Ignored++
			break
		}
		s.onRequest(m.Instance, hash, m)
	case wire.Convert, wire.Unlock, wire.Cancel:
		s.onCopy(from, hash, m)
	case wire.RangeOp:
		s.onRangeOp(from, hash, m)
	case wire.RangeCancel:
		s.onRangeCancel(from, hash, m)
	case wire.RangeDone:
		s.onRangeDone(hash, m)
	case wire.RangeReg:
		s.onRangeReg(from, hash, m)
	case wire.You:
		s.onYou(hash, m)
	case wire.Queued, wire.Denied, wire.Grant, wire.Bast, wire.NotMaster:
		s.onAnswer(from, hash, m)
	case wire.Purge:
		s.purge(m.Instance)
	case wire.Reg:
		s.onReg(from, hash, m)
	case wire.Sent, wire.Done:
		s.onReported(from, m)
	case wire.Open:
		s.onOpen(from, m)
	case wire.Probe:
		s.onProbe(from, hash, m)
	case wire.Chase:
		s.onChase(m)
	case wire.Verify:
		s.onVerify(m)
	default:
		s.deliverRange(from, m)
	}
}

// serves says whether this node serves requests that name life. A remote
// request that names the life of an open claim proves that the directory has
// recorded it: it confirms the claim.
func (s *Shard) serves(r *resource, life wire.Life) bool {
	if r == nil || !r.mastered() || !s.sameLife(r.life, life) {
		return false
	}
	if r.state == claimed {
		s.confirm(r)
	}
	s.cancelRemoval(r)
	return true
}

// notYet keeps a message that names a life which this node does not serve yet.
// That is the life proposed in a LOOKUP that is not answered: we may be master
// already without knowing (finding 4). It is the life under which this node
// rebuilds an orphaned name. And it is that of an open claim, if the claim or the
// message is of an earlier view: the directory node of a view before may have
// recorded the claim; the present one may decide otherwise.
func (s *Shard) notYet(r *resource, from uint64, m *wire.Msg) bool {
	if r == nil {
		return false
	}
	proposed := r.life == m.Life && (r.state == lookup || r.state == adopting) && !s.off(NoNotYet)
	claim := r.life == m.Life && r.state == claimed && (s.late || r.claim.epoch != s.view.Epoch && !s.off(TrustOldEntry))
	rebuilt := r.rec != nil && r.rec.life == m.Life
	if !proposed && !claim && !rebuilt {
		return false
	}
	s.rarely(r).early = append(r.early, earlyMsg{from, keep(m, r)})
	return true
}

// keptBehind keeps an operation on a lock whose request is kept still: to ignore
// a CANCEL would leave the request a ghost.
func (s *Shard) keptBehind(r *resource, owner uint64, m *wire.Msg) bool {
	if r == nil || s.off(NoNotYet) {
		return false
	}
	for i := range r.early {
		if e := &r.early[i]; e.from == owner && e.msg.Lock == m.Lock {
			s.rarely(r).early = append(r.early, earlyMsg{owner, keep(m, r)})
			return true
		}
	}
	return false
}

// deliverEarly lets the kept messages in, once the answer is there.
func (s *Shard) deliverEarly(r *resource) {
	if len(r.early) == 0 {
		return
	}
	list, late := r.early, s.late
	r.early = nil
	if s.errs(DropEarly) {
		return
	}
	s.late = true // an open claim is not confirmed by them
	for i := range list {
		switch e := &list[i]; e.msg.Type {
		case wire.Adopt:
			s.onAdopt(e.from, r.hash, &e.msg)
		case wire.Convert, wire.Unlock, wire.Cancel:
			s.onCopy(e.from, r.hash, &e.msg)
		case wire.RangeOp:
			s.onRangeOp(e.from, r.hash, &e.msg)
		case wire.RangeCancel:
			s.onRangeCancel(e.from, r.hash, &e.msg)
		default:
			s.onRequest(e.from, r.hash, &e.msg)
		}
	}
	s.late = late
}

// notMaster answers a request or an adoption that named a life which is not
// mastered here. It may leave at once: the REMOVE of that life has left.
func (s *Shard) notMaster(r *resource, to uint16, m *wire.Msg) {
	answer := wire.Msg{Type: wire.NotMaster, Name: m.Name, Life: m.Life, Lock: m.Lock, Op: m.Op, Hops: m.Hops + 1}
	if m.Type == wire.Adopt {
		answer.Lock = 0
	}
	if r == nil && s.off(FreshNotMaster) {
		r = s.resource(Hash(m.Name), m.Name)
		defer s.release(r)
	}
	if r == nil || m.Type == wire.Adopt && !s.off(FreshNotMaster) && !s.off(WaitNotMaster) {
		s.sendBare(to, &answer) // see answerClaim
		return
	}
	s.send(r, to, &answer, gating(s.off(FreshNotMaster)))
}

// onRequest is a new lock of another node, sent by it or forwarded by the
// directory.
func (s *Shard) onRequest(owner uint64, hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	if s.notYet(r, owner, m) {
		return
	}
	if !s.serves(r, m.Life) {
		s.notMaster(r, wire.NodeOf(owner), m)
		return
	}
	if l := s.lock(owner, m.Lock); l != nil {
		s.askedAgain(r, l, m)
		return
	}
	if s.locks.n >= s.cfg.MaxLocks {
		s.send(r, wire.NodeOf(owner), &wire.Msg{
			Type: wire.Denied, Status: wire.Limit, Mode: uint8(NoMode),
			Life: r.life, Lock: m.Lock, Op: m.Op, Hops: m.Hops + 1,
		}, ungated)
		s.maybeIdle(r)
		return
	}
	l := s.newLock(r, owner, m.Lock)
	l.op, l.hops, l.wanted = m.Op, m.Hops, Mode(m.Mode)
	l.setXID(m.Owner)
	l.flags, l.wantBast = m.Flags&lockFlags&^Orphan, m.Flags&WantBast != 0
	s.requestHere(r, l)
}

// askedAgain is a request that is here already. If it comes as a later
// operation its owner has asked again, in a new view, and does not listen to
// the answer of the first time.
func (s *Shard) askedAgain(r *resource, l *Lock, m *wire.Msg) {
	if l.res != r || m.Op <= l.op || l.converting() {
		s.stats.Ignored++ // sent twice
		return
	}
	l.op, l.hops = m.Op, m.Hops
	if l.granted == NoMode {
		s.answer(r, l, &wire.Msg{Type: wire.Queued}, ungated)
		return
	}
	again := s.newMsg(wire.Grant)
	again.Mode, again.Token = uint8(l.granted), l.token
	if l.flags&ValBlk != 0 {
		again.Bits, again.Seq, again.Value = s.readValue(r)
	}
	if l.granted != Mode(m.Mode) {
		again.Bits |= wire.BitAltMode
	}
	s.answer(r, l, again, s.unless(NoGateGrant))
	l.high = NoMode // nor to the BASTs since
	r.traits.set(told|toldPW, false)
	s.grantPending(r)
}

// onCopy is an operation on the copy of another node's lock.
func (s *Shard) onCopy(owner uint64, hash uint64, m *wire.Msg) {
	if s.recovering && s.notYet(s.find(hash, m.Name), owner, m) {
		return
	}
	l := s.lock(owner, m.Lock)
	if s.off(NoLockIDs) && m.Type == wire.Unlock {
		l = s.anyOf(owner, hash, m)
	}
	if l == nil && s.keptBehind(s.find(hash, m.Name), owner, m) {
		return
	}
	if l == nil || l.res.hash != hash || !s.sameLife(l.res.life, m.Life) || !l.res.mastered() {
		s.stats.Ignored++
		s.refuseRetire(owner, m)
		return
	}
	r := l.res
	switch m.Type {
	case wire.Convert:
		if l.wanted != NoMode {
			s.stats.Ignored++
			return
		}
		l.wanted, l.op, l.hops, l.demoted = Mode(m.Mode), m.Op, m.Hops, false
		l.flags = m.Flags & (convertFlags | Orphan)
		if l.flags&Orphan != 0 {
			l.setXID(0) // another program takes it over
		}
		l.listens(l.wantBast || m.Flags&WantBast != 0)
		if m.Bits&wire.BitNoReply != 0 {
			l.flags |= bitSilent
		}
		s.convertHere(r, l, valueOf(m))
	case wire.Unlock: // also of a lock that converts: its owner has lost it
		if s.errs(KeepUnlocked) {
			return
		}
		if m.Bits&wire.BitInvalidate != 0 && exclusive(l.granted) {
			r.valueOK = false
		}
		s.unlockHere(r, l, m.Flags&unlockFlags, valueOf(m))
		s.retireCopy(r, owner, m)
	case wire.Cancel:
		if l.wanted == NoMode || l.op != m.Op {
			s.stats.Ignored++ // the answer has crossed it
			return
		}
		s.cancelHere(r, l)
	}
}

// anyOf finds some lock of owner on the name: what UNLOCK without lock ids
// would hit.
func (s *Shard) anyOf(owner uint64, hash uint64, m *wire.Msg) *Lock {
	r := s.find(hash, m.Name)
	if r == nil {
		return nil
	}
	for l := r.granted.head; l != nil; l = l.next {
		if l.owner == owner {
			return l
		}
	}
	return nil
}

func valueOf(m *wire.Msg) []byte {
	if m.Bits&wire.BitValue == 0 {
		return nil
	}
	if m.Value == nil {
		return []byte{}
	}
	return m.Value
}

// onYou: the directory has made us master.
func (s *Shard) onYou(hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	if r == nil || r.state != lookup || r.carrier.id != m.Lock || r.carrier.op != m.Op {
		s.stats.Ignored++
		return
	}
	carrier := r.carrier
	r.carrier = nil
	s.becomeMaster(r, m.Life)
	if carrier.cancel {
		carrier.hops = m.Hops
		s.denied(carrier, wire.Cancelled)
	}
	for _, l := range r.takeWaiting() {
		l.hops = m.Hops
		if l.cancel { // nobody has had it
			s.denied(l, wire.Cancelled)
			continue
		}
		s.requestHere(r, l)
	}
	s.deliverEarly(r)
	s.reused(r)
	s.shed(r)
}

// takeWaiting empties the wait queue, for its requests to begin anew in order.
func (r *resource) takeWaiting() []*Lock {
	all := make([]*Lock, 0, r.waiting.len())
	for l := r.waiting.head; l != nil; l = r.waiting.head {
		l.unqueue()
		all = append(all, l)
	}
	return all
}

// learn notes from a master's answer who masters r.
func (s *Shard) learn(r *resource, life wire.Life) {
	carrier := r.carrier
	r.state, r.life, r.carrier = remote, life, nil
	for l := r.waiting.head; l != nil; l = l.next {
		if l == carrier {
			continue
		}
		s.sendRequest(r, l)
		if l.cancel {
			s.sendCancel(r, l, life)
		}
	}
	if carrier.cancel {
		s.sendCancel(r, carrier, life)
	}
	s.deliverEarly(r)
	s.shed(r)
}

// onAnswer is a master's word about a lock of ours.
func (s *Shard) onAnswer(from uint64, hash uint64, m *wire.Msg) {
	if m.Type == wire.NotMaster {
		s.onNotMaster(hash, m)
		return
	}
	l := s.lock(s.cfg.Self, m.Lock)
	if l == nil || l.res.hash != hash || l.res.mastered() {
		s.stats.Ignored++
		return
	}
	r := l.res
	if r.state == lookup && r.carrier == l && m.Op == l.op {
		s.learn(r, m.Life)
	}
	if r.state != remote || r.life != m.Life {
		s.stats.Ignored++
		return
	}
	if m.Type == wire.Bast {
		if Compatible(l.granted, Mode(m.Mode)) {
			s.stats.Ignored++ // a conversion down has crossed it
			return
		}
		s.blocking(l, Mode(m.Mode))
		return
	}
	if l.wanted == NoMode || l.op != m.Op {
		s.stats.Ignored++
		return
	}
	l.hops = m.Hops
	switch m.Type {
	case wire.Queued:
		l.pace |= queued
	case wire.Denied:
		if m.Bits&wire.BitDemoted != 0 {
			l.demoted = true
			l.hold(Mode(m.Mode))
			s.doubtValue(r)
		}
		s.deniedFor(l, m.Status, m.Path)
	case wire.Grant:
		s.granted(l, Mode(m.Mode))
		s.sawValue(r, m)
		l.token = m.Token
		c := s.newCompletion(l.granted, m.Token)
		c.Bits, c.Seq = m.Bits, m.Seq
		if l.demoted {
			c.Bits |= wire.BitDemoted // here, before an adoption
		}
		if m.Bits&wire.BitValue != 0 {
			c.Value = m.Value
		}
		s.complete(l)
	}
}

// onNotMaster: who we took for the master is not. Ask the directory, and tell
// it which life is gone.
func (s *Shard) onNotMaster(hash uint64, m *wire.Msg) {
	r := s.find(hash, m.Name)
	switch {
	case r == nil:
		s.stats.Ignored++
	case m.Lock == 0 && r.state == adopting && r.other == m.Life:
		s.onAdoptNotMaster(r)
	case r.state == lookup && r.carrier.id == m.Lock && r.carrier.op == m.Op:
		if l := r.carrier; l.cancel {
			s.dropCarrier(r, l)
			return
		}
		r.carrier.hops = m.Hops
		s.sendLookup(r, r.carrier, m.Life)
	case r.state == remote && r.life == m.Life:
		s.lookupAgain(r, m)
	default:
		s.stats.Ignored++
	}
}

// dropCarrier ends a LOOKUP whose request was cancelled and came back
// unserved. The directory keeps no entry for it.
func (s *Shard) dropCarrier(r *resource, l *Lock) {
	r.carrier = nil
	s.denied(l, wire.Cancelled)
	if next := r.waiting.head; next != nil {
		next.op++ // an old master's answer to its REQUEST may be on its way
		s.sendLookup(r, next, wire.Life{})
		return
	}
	r.state, r.life = unused, wire.Life{}
	s.deliverEarly(r)
	s.release(r)
}

// lookupAgain turns a stale cached copy back into a LOOKUP. Nothing can be
// granted under it: a master does not go while it has locks.
func (s *Shard) lookupAgain(r *resource, m *wire.Msg) {
	l := s.lock(s.cfg.Self, m.Lock)
	if l == nil || l.res != r || l.wanted == NoMode || l.op != m.Op {
		s.stats.Ignored++
		return
	}
	l.hops = m.Hops
	s.dropGone(r, m.Life)
	l = s.dropCancelled(r, l)
	switch {
	case l == nil:
		s.idle.remove(r)
		s.removed(r)
	case s.dirOf(r) != s.self:
		s.sendLookup(r, l, m.Life)
	default: // we are the directory: its entry, and so our copy, was out of date
		r.state, r.life = unused, wire.Life{}
		for _, l := range r.takeWaiting() {
			l.hops = m.Hops
			s.start(r, l)
		}
	}
}

// dropCancelled ends the requests whose CANCEL went to a node that never had
// them. It gives l, or another one that waits if l is among them.
func (s *Shard) dropCancelled(r *resource, l *Lock) *Lock {
	for w := r.waiting.head; w != nil; {
		next := w.next
		if w.cancel {
			if w == l {
				l = nil
			}
			s.denied(w, wire.Cancelled)
		}
		w = next
	}
	if l == nil && r.waiting.head != nil {
		l = r.waiting.head
		l.op++ // the answer to its own REQUEST is still to come
	}
	return l
}
