package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is recovery from the side of the directory node: what it must
// wait for before it answers, and the names whose master is gone, of which it
// becomes master itself.

// recovery is what a directory node keeps of a name until it may answer.
type recovery struct {
	dead    wire.Life  // the entry was of this master, who is gone
	asked   []earlyMsg // LOOKUP and NOTIFY, in order of arrival
	life    wire.Life  // orphans have been entrusted to this node under this life
	reports *report    // locks of other nodes on the dead master, by the nodes' instances
	bytes   []earlyMsg // RANGE_REG of their byte ranges
	open    bool       // what was asked is being answered
}

// report is a REG that brings locks. There is one for most names of a dead master, so it is
// smaller than a message, and shares its memory with others.
type report struct {
	from       uint64 // instance of the node that has the locks
	token, seq uint64
	locks      wire.LockList
	value      []byte // nil: the node knows of none
	next       *report
}

// reportRoom is the size in bytes of the memory that reports share.
const reportRoom = 8 << 10

// copied gives a copy of b, in memory that reports share.
func (s *Shard) copied(b []byte) []byte {
	if len(b) > cap(s.repBytes)-len(s.repBytes) {
		s.repBytes = make([]byte, 0, max(reportRoom, len(b)))
	}
	n := len(s.repBytes)
	s.repBytes = append(s.repBytes, b...)
	return s.repBytes[n:len(s.repBytes):len(s.repBytes)]
}

// keepReport keeps m, behind what the same node and those of lower instances have reported.
func (s *Shard) keepReport(rec *recovery, from uint64, m *wire.Msg) {
	if s.reported >= s.cfg.MaxLocks {
		s.overrun()
		return
	}
	s.reported++
	e := takeFresh(&s.freshReps)
	e.from, e.token, e.seq, e.locks = from, m.Token, m.Seq, s.copied(m.Locks)
	if m.Bits&wire.BitValue != 0 {
		e.value = append([]byte{}, m.Value...)
	}
	p := &rec.reports
	for *p != nil && (*p).from <= from {
		p = &(*p).next
	}
	e.next, *p = *p, e
}

// dropReports forgets what the dead have reported of a name's locks.
func (s *Shard) dropReports(rec *recovery) {
	for p := &rec.reports; *p != nil; {
		if s.view.HasInstance((*p).from) {
			p = &(*p).next
			continue
		}
		*p = (*p).next
		s.reported--
	}
}

// overrun ends this shard's part, which cannot keep what others hold: a name would be rebuilt
// without its holders, and given to somebody else.
func (s *Shard) overrun() {
	s.stats.Overrun++
	s.Fence(s.now)
}

// keptMax bounds the requests that a shard keeps until a recovery ends. Nodes
// that keep to the protocol have one LOOKUP or NOTIFY for each name.
const keptMax = 1 << 20

// rebuildBit marks the lives of names that a directory node rebuilds. The rest
// of the counter is the epoch: a name is rebuilt once in a view, so that all who
// report locks know the new life without being told.
const rebuildBit = 1 << 63

func rebuildLife(instance, epoch uint64) wire.Life {
	return wire.Life{Instance: instance, Counter: rebuildBit | epoch}
}

// record gives r's recovery, to be written.
func (s *Shard) record(r *resource) *recovery {
	if r.rec == nil {
		s.rarely(r).rec = takeFresh(&s.freshRecs)
		s.recs = append(s.recs, r)
	}
	return r.rec
}

// mustWait says that this node, the directory of r, cannot answer yet: it has
// not been that long enough to know all masters, or r's master is gone.
func (s *Shard) mustWait(r *resource) bool {
	switch {
	case !s.recovering:
		return false
	case s.work.phase == opening:
		return r.rec != nil && !r.rec.open
	}
	return r.rec != nil || !s.trusts(r)
}

// mustWaitFree is mustWait for a request, which may have this node say that the name is
// free. Not before all have told of their claims, even if this node knows all masters:
// one who has claimed it may have let go of its parent by the mere omission to register
// that. (Claims are notified again before DONE.)
func (s *Shard) mustWaitFree(r *resource) bool {
	return s.mustWait(r) || s.recovering && s.work.phase != opening && r.dirLife.IsZero() && !s.off(TrustFree)
}

// keepAsked keeps a LOOKUP or NOTIFY until this node may answer it.
func (s *Shard) keepAsked(r *resource, from uint64, m *wire.Msg, rule Rules) bool {
	wait := s.mustWait
	if m.Type == wire.Lookup {
		wait = s.mustWaitFree
	}
	if !wait(r) || s.off(rule) {
		return false
	}
	s.keepMsg(&s.record(r).asked, r, from, m)
	return true
}

// keepMsg keeps a request, if there is room for it.
func (s *Shard) keepMsg(list *[]earlyMsg, r *resource, from uint64, m *wire.Msg) {
	if s.kept >= keptMax {
		s.stats.Overrun++
		return
	}
	s.kept++
	*list = append(*list, earlyMsg{from, keep(m, r)})
}

// onReg registers a master, or brings the locks of an orphaned name.
func (s *Shard) onReg(from uint64, hash uint64, m *wire.Msg) {
	if m.Life.Node() == s.self {
		s.onReport(from, hash, m)
		return
	}
	if s.late || m.Life.Instance != from || s.view.Directory(s.cfg.Range.Route(m.Name, hash)) != s.self {
		s.stats.Ignored++
		return
	}
	r := s.resource(hash, m.Name)
	if rec := r.rec; rec != nil { // what it asked before it was master
		n := len(rec.asked)
		rec.asked = slices.DeleteFunc(rec.asked, func(e earlyMsg) bool { return e.from == from })
		s.kept -= n - len(rec.asked)
	}
	if r.dirLife.IsZero() || r.dirLife.Instance == from {
		r.dirLife = m.Life
	} else {
		s.twoMasters(r, m.Life)
	}
}

// onReport takes the locks of another node on a name whose master is gone. It
// may come in a later view than that in which the master was lost.
func (s *Shard) onReport(from uint64, hash uint64, m *wire.Msg) {
	epoch := m.Life.Counter &^ rebuildBit
	if m.Life != rebuildLife(s.cfg.Self, epoch) || !s.recovering || epoch <= s.rebuilt || epoch > s.view.Epoch {
		s.stats.Ignored++
		return
	}
	r := s.resource(hash, m.Name)
	rec := s.record(r)
	if rec.life.IsZero() {
		rec.life = m.Life
	}
	s.keepReport(rec, from, m)
}

// rebuild makes the queues of an orphaned name anew from what its holders
// report: first what is granted, then conversions, then requests, each in the
// order of the nodes' instances, this node's own first.
func (s *Shard) rebuild(r *resource) {
	rec := r.rec
	life, reports, bytes := rec.life, rec.reports, rec.bytes
	rec.life, rec.reports = wire.Life{}, nil
	if bytes != nil {
		defer s.dropByteReports(rec, func(uint64) bool { return true })
	}
	for e := reports; e != nil; e = e.next {
		s.reported--
	}
	own := r.state == rebuilding && r.life == life // perhaps let go of meanwhile; a claim may have met it
	switch {
	case reports == nil && !own: // they have died, too
		if r.state == rebuilding && s.dirOf(r) != s.self {
			s.startOver(r)
		}
		return
	case !r.dirLife.IsZero(), r.state == master, r.state == adopting, r.state == remote && (r.granted.head != nil || r.convert.head != nil):
		s.refuseOrphans(r, life, reports)
		return
	case r.state == claimed:
		s.loseClaim(r)
	}
	if r.state == remote { // it has asked one who is not master any more, and has not heard of that
		for l := r.waiting.head; l != nil; l = l.next {
			l.op++
		}
	}
	ok, value, seq := r.valueOK, r.value, r.valueSeq
	s.becomeMaster(r, life)
	r.carrier = nil
	r.lastToken = max(r.lastToken, s.clock)
	r.valueOK, r.value, r.valueSeq = ok, value, seq
	var pending []*Lock
	for l := r.convert.head; l != nil; l = r.convert.head {
		l.moveTo(&r.granted)
		pending = append(pending, l)
	}
	requests := r.takeWaiting()
	for e := reports; e != nil; e = e.next {
		s.place(r, e, &pending, &requests)
	}
	s.rebuildBytes(r, bytes)
	if dir := s.dirOf(r); dir == s.self {
		r.dirLife = r.life
	} else {
		s.register(r, dir)
	}
	for _, l := range pending {
		s.settleMode(r, l)
	}
	for _, l := range pending {
		l.loseValue()
		s.convertHere(r, l, nil)
	}
	for _, l := range pending { // those of this node; the dead master has not answered
		if l.cancel && l.wanted != NoMode {
			s.cancelHere(r, l)
		}
	}
	for _, l := range requests {
		if l.cancel {
			s.denied(l, wire.Cancelled)
		} else {
			s.requestHere(r, l)
		}
	}
	s.grantPending(r)
	s.runDeferred(r)
	s.deliverEarly(r)
	s.reused(r)
}

// place puts the locks of one report where they belong.
func (s *Shard) place(r *resource, e *report, pending, requests *[]*Lock) {
	r.lastToken = max(r.lastToken, s.heard(e.token))
	if e.seq > r.valueSeq {
		s.valued(r).valueSeq = e.seq
	}
	if e.value != nil {
		s.valued(r)
		r.value, r.valueOK = append(r.value[:0], e.value...), true
	}
	for i := range e.locks.Len() {
		rec := e.locks.At(i)
		// The first one on a name is not looked for in all the table: who reports a lock on two
		// names harms himself alone.
		twice := (!r.unqueued() || len(*requests) > 0) && s.lock(e.from, rec.Lock) != nil
		if twice || rec.Granted == wire.NoMode && rec.Wanted == wire.NoMode {
			s.stats.Ignored++
			continue
		}
		l := s.copyOf(r, e.from, rec)
		l.token = e.token
		switch {
		case l.granted == NoMode:
			*requests = append(*requests, l)
		default:
			r.granted.push(l)
			if l.wanted != NoMode {
				*pending = append(*pending, l)
			}
		}
	}
}

// settleMode finds out what the dead master had made of a conversion of which
// its owner has not heard. One that may have lost its mode counts as demoted, whether
// others hold anything now or not: they may have come and gone. If others hold what
// excludes the mode held before, a middle conversion was granted
// (recover_conversion), or one of an alternate mode in that.
func (s *Shard) settleMode(r *resource, l *Lock) {
	taken := conflictsWith(&r.granted, l, l.granted)
	l.demoted = l.mayLapse() && (taken || !s.off(TrustMode))
	switch {
	case l.demoted && l.flags&ConvDeadlk != 0:
		l.hold(NL)
	case !taken:
	case l.flags&AltPR != 0:
		l.hold(PR)
	case l.flags&AltCW != 0:
		l.hold(CW)
	case middle(l.granted, l.wanted): // as its owner wants
		l.hold(l.wanted)
		l.demoted = false
	}
}

// conflictsWith says whether any lock but l in q excludes mode.
func conflictsWith(q *queue, l *Lock, mode Mode) bool {
	for o := q.head; o != nil; o = o.next {
		if o != l && !Compatible(o.granted, mode) {
			return true
		}
	}
	return false
}

// loseClaim ends a claim of this node on a name that others hold: they had it
// from its master, and that cannot be asked any more.
func (s *Shard) loseClaim(r *resource) {
	s.stats.ClaimsLost++
	s.host.Conflict(r.name(), r.life)
	r.valueOK = false
	s.loseHolders(r, false)
	s.closeClaim(r)
}

// twoMasters reports what must not happen: two nodes that each were confirmed
// as master of a name.
func (s *Shard) twoMasters(r *resource, second wire.Life) {
	s.stats.TwoMasters++
	s.host.Conflict(r.name(), second)
}

// refuseOrphans refuses orphans of a name that has a master: their holders lose them.
func (s *Shard) refuseOrphans(r *resource, life wire.Life, reports *report) {
	s.twoMasters(r, life)
	last := uint64(0)
	for e := reports; e != nil; e = e.next {
		if e.from != last {
			last = e.from
			s.sendBare(wire.NodeOf(e.from), &wire.Msg{Type: wire.Conflict, Name: r.name(), Life: life})
		}
	}
	r.early = nil
}

// openName answers what was asked about a name meanwhile: masters have
// registered; then claims, this node's own first; then requests.
func (s *Shard) openName(r *resource) {
	rec := r.rec // stays until the end, so that r does
	rec.open = true
	s.kept -= len(rec.asked)
	if r.state == claimed && s.dirOf(r) == s.self {
		s.claimHere(r)
	}
	for i := range rec.asked {
		e := &rec.asked[i]
		if e.msg.Type != wire.Notify {
			continue
		}
		if r.dirLife.IsZero() && !rec.dead.IsZero() { // whether that was idle nobody can tell
			s.sendBare(wire.NodeOf(e.from), &wire.Msg{
				Type: wire.Reject, Name: r.name(), Life: e.msg.Life, Claim: e.msg.Claim, Other: rec.dead,
			})
			rec.dead = wire.Life{}
			continue
		}
		s.onNotify(e.from, r.hash, &e.msg)
	}
	if r.state == rebuilding {
		s.startOver(r)
	}
	for i := range rec.asked {
		if e := &rec.asked[i]; e.msg.Type == wire.Lookup {
			s.onLookup(e.from, r.hash, &e.msg)
		}
	}
	r.rec = nil
	s.shed(r)
	s.maybeIdle(r)
	s.release(r)
}
