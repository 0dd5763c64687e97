package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the requester's role: what programs on this node ask for.

// Request is a new lock.
type Request struct {
	ID    uint64 // unique within the node instance, shard number in the low 8 bits; 0: the shard picks one
	Name  []byte // 1 to 64 bytes; copied where it is kept
	Hash  uint64 // Hash(Name)
	Mode  Mode
	Flags uint32
	Owner uint64 // who waits as a whole, for deadlock detection; unique within the node instance, a larger lower half is younger; 0: nobody
	User  any    // given back with each event of the lock
	Tag   uint64 // given back with the completion of this operation

	Here    *Grant // where a grant that comes before Lock returns, without a value, is left; nil: nowhere
	Granted bool   // set by Lock: it is there, and Host.Complete was not told
	Waits   bool   // set by Lock: it has neither been granted nor refused
}

// Lock asks for a new lock and gives its id. Its completion goes to
// Host.Complete, perhaps before Lock returns; a request that fails leaves no
// lock. now is the node's monotonic clock in ns, as everywhere.
// With Orphan it takes over what a program has left on this node in just this
// mode, and never waits for other holders.
//
// What is wrong comes at once, without a completion, and changes nothing:
// BadName, BadMode, BadFlags (Explain tells more), Limit; with Orphan also
// NoOrphan, OrphanMode and Busy; and ShuttingDown of a shard that is fenced, or
// has no view yet.
func (s *Shard) Lock(now int64, q *Request) (uint64, Status) {
	s.now = now
	if s.fenced || s.view.Epoch == 0 {
		return 0, wire.ShuttingDown
	}
	if len(q.Name) == 0 || len(q.Name) > wire.MaxName {
		return 0, wire.BadName
	}
	if !q.Mode.Valid() || q.Flags&^plainFlags != 0 {
		if st := checkRequest(OpLock, q.Mode, q.Flags); st != wire.OK {
			return 0, st
		}
		if q.Flags&Orphan != 0 {
			return s.takeOver(q)
		}
	}
	if s.locks.n >= s.cfg.MaxLocks {
		return 0, wire.Limit
	}
	r := s.resource(q.Hash, q.Name)
	id := q.ID
	if id == 0 {
		id = s.newLockID()
	}
	l := s.newLock(r, s.cfg.Self, id)
	l.user, l.tag = q.User, q.Tag
	l.setXID(q.Owner)
	l.wanted, l.flags, l.wantBast = q.Mode, q.Flags, q.Flags&WantBast != 0
	if q.Here != nil && q.Flags&ValBlk == 0 {
		s.here, s.hereGrant = l.at, q.Here
		s.start(r, l)
		q.Granted = s.here == 0
		s.here = 0
	} else {
		s.start(r, l)
	}
	s.began(l)
	q.Waits = l.res != nil && l.wanted != NoMode
	if q.Owner != 0 {
		s.startWait(l)
	}
	s.finish()
	return id, wire.OK
}

// start routes a new lock by what this node is to the resource.
func (s *Shard) start(r *resource, l *Lock) {
	if r.state == claimed && (len(r.deferred) != 0 || r.granted.len()+r.convert.len()+r.waiting.len() >= wire.MaxLocks) {
		s.rarely(r).deferred = append(r.deferred, l) // more than an ADOPT could carry
		return
	}
	switch r.state {
	case master, claimed:
		s.cancelRemoval(r)
		s.requestHere(r, l)
	case remote:
		r.waiting.push(l)
		s.sendRequest(r, l)
	case lookup, rebuilding:
		r.waiting.push(l)
	case adopting:
		s.rarely(r).deferred = append(r.deferred, l)
	case unused:
		s.startUnused(r, l)
	}
}

// startUnused is the first lock of a name on this node.
func (s *Shard) startUnused(r *resource, l *Lock) {
	dir := s.dirOf(r)
	switch {
	case dir == s.self && s.mustWaitFree(r):
		s.record(r)
		r.state = rebuilding
		r.waiting.push(l)
	case dir == s.self && (r.dirLife.IsZero() || r.dirLife.Instance == s.cfg.Self): // the latter: of a life that has ended
		r.dirLife = s.newLife()
		s.becomeMaster(r, r.dirLife)
		s.requestHere(r, l)
	case dir == s.self:
		r.state, r.life = remote, r.dirLife
		r.waiting.push(l)
		s.sendRequest(r, l)
	case l.flags&NewName != 0 && s.tryClaim(r, dir):
		s.requestHere(r, l)
	default:
		r.waiting.push(l)
		s.sendLookup(r, l, wire.Life{})
	}
}

// sendLookup asks the directory who masters r, and lets the question carry l.
// gone names a life that its master has disowned.
func (s *Shard) sendLookup(r *resource, l *Lock, gone wire.Life) {
	if r.state != lookup {
		r.state, r.life = lookup, s.newLife()
	}
	s.rarely(r).carrier = l
	l.hops++
	s.send(r, s.dirOf(r), &wire.Msg{
		Type: wire.Lookup, Life: r.life, Other: gone,
		Lock: l.id, Op: l.op, Mode: uint8(l.wanted), Flags: l.flags, Hops: l.hops, Owner: l.xid(),
	}, ungated)
}

func (s *Shard) sendRequest(r *resource, l *Lock) {
	l.hops++
	s.send(r, r.life.Node(), &wire.Msg{
		Type: wire.Request, Life: r.life,
		Lock: l.id, Op: l.op, Mode: uint8(l.wanted), Flags: l.flags, Hops: l.hops, Owner: l.xid(),
	}, ungated)
}

// Convert changes the mode of a granted lock, and with ValBlk or IvValBlk
// writes or reads its value. value is copied where it is kept. The completion
// goes to Host.Complete unless a status other than OK is returned: NoLock,
// BadMode, BadFlags, BadValue (Explain tells more), Busy (an operation is
// running).
func (s *Shard) Convert(now int64, id uint64, mode Mode, flags uint32, value []byte, tag uint64) Status {
	s.now = now
	l := s.own(id)
	if l == nil {
		return wire.NoLock
	}
	if st := checkRequest(OpConvert, mode, flags); st != wire.OK {
		return st
	}
	switch {
	case len(value) > s.cfg.ValueLen:
		return wire.BadValue
	case l.wanted != NoMode:
		return wire.Busy
	case flags&QueCvt != 0 && quecvtAllowed[l.granted]>>mode&1 == 0:
		return wire.BadFlags
	}
	l.tag = tag
	l.listens(l.wantBast || flags&WantBast != 0)
	s.beginConvert(l, mode, flags, value)
	s.began(l)
	if l.xid() != 0 {
		s.startWait(l)
	}
	s.finish()
	return wire.OK
}

// beginConvert routes a conversion by what this node is to the resource.
func (s *Shard) beginConvert(l *Lock, mode Mode, flags uint32, value []byte) {
	l.wanted, l.flags, l.hops, l.demoted = mode, flags, 0, false
	l.op++
	r := l.res
	switch r.state {
	case adopting, rebuilding:
		l.setValue(value)
		s.rarely(r).deferred = append(r.deferred, l)
	case remote:
		s.convertRemote(r, l, value)
	default:
		s.convertHere(r, l, value)
	}
}

// convertRemote sends a conversion to the master. One that gives something up
// is complete at once (the kernel does the same, fs/dlm/lock.c send_convert).
func (s *Shard) convertRemote(r *resource, l *Lock, value []byte) {
	writes := valueOpOf(l.granted, l.wanted) == valueWrite && l.flags&(ValBlk|IvValBlk) != 0
	down := l.wanted < l.granted && !middle(l.granted, l.wanted)
	alt := l.flags&alternates != 0 && l.granted > CR // it may be granted as something weaker than is held
	m := wire.Msg{
		Type: wire.Convert, Life: r.life, Lock: l.id, Op: l.op, Mode: uint8(l.wanted), Flags: l.flags,
	}
	if writes || alt && exclusive(l.granted) && l.flags&(ValBlk|IvValBlk) != 0 {
		setValue(&m, l.flags, value)
	}
	m.Since = uint8(l.granted) // does not travel: see report
	gate := ungated
	switch {
	case writes:
		gate = s.unless(NoGateValue)
	case l.flags&ConvDeadlk != 0, alt, middle(l.granted, l.wanted):
		gate = s.unless(NoGateDemote)
	case down:
		gate = s.unless(NoGateDown)
	}
	if down || writes {
		m.Bits |= wire.BitNoReply
		s.send(r, r.life.Node(), &m, gate)
		s.granted(l, l.wanted)
		s.wrote(r, &m)
		s.newCompletion(l.granted, l.token)
		s.complete(l)
		return
	}
	l.moveTo(&r.convert)
	s.doubtValue(r)
	l.hops++
	m.Hops = l.hops
	s.send(r, r.life.Node(), &m, gate)
}

// setValue puts what a value-writing operation carries into m.
func setValue(m *wire.Msg, flags uint32, value []byte) {
	if flags&IvValBlk != 0 {
		m.Bits |= wire.BitInvalidate
	} else if value != nil {
		m.Bits |= wire.BitValue
		m.Value = value
	}
}

// granted records that l now has mode, with no operation running.
func (s *Shard) granted(l *Lock, mode Mode) {
	if l.granted != NoMode && l.granted > NL && mode != l.granted {
		l.res.busyUntil = s.now
	}
	l.hold(mode)
	l.wanted, l.high = NoMode, NoMode
	if l.pace != 0 {
		s.over(l, true)
	}
	l.since = s.now
	if l.more != nil {
		s.endWait(l)
	}
	l.moveTo(&l.res.granted)
}

// Unlock gives a granted lock up; with ValBlk value is written first if the
// lock is held in PW or EX. It is complete at once, nothing is reported. With
// ForceUnlock a lock with a running operation goes too: the operation
// completes as Cancelled, or as it would have, and the lock is gone after it;
// its value is written then, if the mode held then may. From here on the lock's
// id means nothing any more. Returns OK, NoLock, BadFlags, BadValue or Busy.
func (s *Shard) Unlock(now int64, id uint64, flags uint32, value []byte) Status {
	s.now = now
	l := s.own(id)
	switch {
	case l == nil:
		return wire.NoLock
	case flags&^unlockFlags != 0:
		return wire.BadFlags
	case len(value) > s.cfg.ValueLen:
		return wire.BadValue
	case l.wanted != NoMode && flags&ForceUnlock == 0:
		return wire.Busy
	}
	if l.wanted == NoMode {
		s.unlock(l, flags, value)
		s.trimIdle()
	} else {
		s.reclaim(l) // should it be taken over just now
		s.forceUnlock(l, flags, value)
	}
	s.finish()
	return wire.OK
}

// will is what an unlock by force does with the value, once it can be done.
type will struct {
	flags uint32
	value []byte
}

// forceUnlock ends l, now or when its running operation has been withdrawn.
func (s *Shard) forceUnlock(l *Lock, flags uint32, value []byte) {
	if l.wanted == NoMode {
		s.unlock(l, flags, value)
		return
	}
	if flags&(ValBlk|IvValBlk) != 0 && !s.off(ForgetWill) {
		if s.wills == nil {
			s.wills = map[uint64]will{}
		}
		s.wills[l.id] = will{flags &^ ForceUnlock, slices.Clone(value)}
	}
	l.dying = true
	s.withdraw(l)
}

func (s *Shard) unlock(l *Lock, flags uint32, value []byte) {
	r := l.res
	if r.mastered() {
		s.unlockHere(r, l, flags, value)
		return
	}
	if r.state == rebuilding { // nobody else knows of it
		if exclusive(l.granted) {
			s.writeValue(r, flags, value)
		}
		s.freeLockOf(l)
		return
	}
	m := wire.Msg{
		Type: wire.Unlock, Life: r.life, Lock: l.id, Op: l.op + 1, Flags: flags,
		Since: uint8(l.granted), Token: l.token, // these do not travel: see report
	}
	if flags&(ValBlk|IvValBlk) != 0 && exclusive(l.granted) {
		setValue(&m, flags, value)
	}
	skip := false
	m.Ranges = r.handleRanges(l) // do not travel: see undoHeld
	if r.state == adopting {
		m.Life = r.other
		skip = s.off(ForgetUnlock)
		if exclusive(l.granted) {
			s.writeValue(r, flags, value)
		}
		if m.Bits != 0 { // as with what was written before: see vouch
			m.Flags, m.Bits, m.Value = flags&^(ValBlk|IvValBlk), wire.BitInvalidate, nil
		}
	}
	s.freeLockOf(l)
	if r.state == remote {
		s.doubtValue(r)
	}
	if !skip {
		s.send(r, m.Life.Node(), &m, s.unless(NoGateUnlock))
	}
	s.maybeIdle(r)
}

// Cancel withdraws the running operation of a lock if it was begun with this
// tag; 0: whatever its tag. The operation then completes as Cancelled, or as
// granted if that came first; a second Cancel changes nothing. Returns OK,
// NoLock, or Invalid when no such operation is running.
func (s *Shard) Cancel(now int64, id, tag uint64) Status {
	s.now = now
	l := s.own(id)
	if l == nil {
		return wire.NoLock
	}
	if l.wanted == NoMode || tag != 0 && tag != l.tag {
		return wire.Invalid
	}
	s.withdraw(l)
	s.finish()
	return wire.OK
}

// withdraw gives the running operation of l up, wherever it is. Cancel, an
// unlock by force, a deadline and the end of a program all come here, one after
// the other perhaps: only the first has anything to do (validate_unlock_args).
func (s *Shard) withdraw(l *Lock) {
	if l.cancel {
		return
	}
	r := l.res
	if i := slices.Index(r.deferred, l); i >= 0 {
		r.deferred = slices.Delete(r.deferred, i, i+1)
		s.denied(l, wire.Cancelled)
		return
	}
	switch r.state {
	case lookup:
		if (l == r.carrier || l.asked) && !s.errs(CancelUnknown) { // its master is unknown: the cancel waits for the answer
			l.cancel = true
			return
		}
		s.denied(l, wire.Cancelled)
		return
	case rebuilding:
		if l.asked || l.granted != NoMode { // only the rebuild tells what that has come to
			l.cancel = true
			return
		}
		s.denied(l, wire.Cancelled)
		return
	case adopting:
		l.cancel = true // should the adoption come to nothing
		s.sendCancel(r, l, r.other)
	case remote:
		l.cancel = true // should that node be master no more
		s.sendCancel(r, l, r.life)
	default:
		s.cancelHere(r, l)
	}
}

func (s *Shard) sendCancel(r *resource, l *Lock, life wire.Life) {
	s.send(r, life.Node(), &wire.Msg{Type: wire.Cancel, Life: life, Lock: l.id, Op: l.op}, ungated)
}

// denied ends the running operation of a local lock without a grant.
func (s *Shard) denied(l *Lock, st Status) { s.deniedFor(l, st, nil) }

// deniedFor is denied with the cycle of a deadlock.
func (s *Shard) deniedFor(l *Lock, st Status, cycle wire.Path) {
	r := l.res
	l.cancel = false
	if st == wire.Cancelled && l.expired {
		st = wire.TimedOut
	}
	s.stats.Refused[min(st, wire.Statuses-1)]++
	if l.granted != NoMode {
		l.wanted = NoMode
		if l.pace != 0 {
			s.over(l, false)
		}
		l.since = s.now
		if l.more != nil {
			s.endWait(l)
		}
		l.moveTo(&r.granted)
		c := s.newCompletion(l.granted, l.token)
		c.Status, c.Cycle = st, cycle
		if l.demoted {
			c.Bits = wire.BitDemoted
		}
		s.complete(l)
		return
	}
	user, id, tag, hops := l.user, s.handle(l), l.tag, l.hops
	s.freeLockOf(l)
	s.ast = Completion{Status: st, Mode: NoMode, Hops: hops, Cycle: cycle}
	s.host.Complete(user, id, tag, &s.ast)
	s.maybeIdle(r)
}

// newCompletion gives the memory for the next completion, empty but for mode
// and token. It is filled in place: a copy costs as much as the rest.
func (s *Shard) newCompletion(mode Mode, token uint64) *Completion {
	s.ast = Completion{}
	s.ast.Mode, s.ast.Token = mode, token
	return &s.ast
}

// grantedHere tells who runs the shard that his lock has been granted.
func (s *Shard) grantedHere(l *Lock, bits uint8) {
	if l.res.state == claimed {
		bits |= wire.BitOpenClaim
	}
	*s.hereGrant = Grant{Token: l.token, Mode: l.granted, Bits: bits, Hops: l.hops}
	s.here = 0
}

// complete reports an operation of a local lock that stays; the outcome is what
// newCompletion has given, filled in.
func (s *Shard) complete(l *Lock) {
	s.ast.Hops = l.hops
	if l.res.state == claimed || l.res.state == adopting {
		s.ast.Bits |= wire.BitOpenClaim
	}
	l.cancel, l.expired = false, false
	s.stopTimer(l)
	if l.orphan {
		s.completeOrphan(l)
	} else {
		s.host.Complete(l.user, s.handle(l), l.tag, &s.ast)
	}
	if l.dying {
		l.wantBast = false // nobody listens any more
		s.doomed = append(s.doomed, l.id)
	}
}

// finish ends each entry point: locks whose owner is gone are unlocked only
// now, because nobody walks a queue any more.
func (s *Shard) finish() {
	if len(s.doomed)+len(s.home)+len(s.leaving)+len(s.unsettled) != 0 {
		s.finishRest()
	}
}

func (s *Shard) finishRest() {
	s.settleRetirements()
	for len(s.doomed) > 0 || s.takeHome() {
		s.unlockDoomed()
		s.settleRetirements()
	}
	s.handOver()
}

func (s *Shard) unlockDoomed() {
	for len(s.doomed) > 0 {
		id := s.doomed[len(s.doomed)-1]
		s.doomed = s.doomed[:len(s.doomed)-1]
		if l := s.lock(s.cfg.Self, id); l != nil {
			w := s.wills[id]
			s.unlock(l, w.flags, w.value)
		}
	}
}
