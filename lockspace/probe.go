package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file is the way of a probe; deadlock.go says why it goes so.

// blocker is a lock that another one waits for: because of the mode it holds,
// or because it stands ahead in the queue.
type blocker struct {
	lock  *Lock
	ahead bool
	via   *Lock // not nil: the path leads through this request, which stands ahead
}

// chase takes a probe on to the master of what w waits for.
func (s *Shard) chase(w *waiter, round uint32, path wire.Path) {
	l, r := w.lock, w.lock.res
	switch {
	case r.turn != s.turn: // not carried over; later
		s.stats.ProbesDropped++
	case r.mastered() && w.bytes != nil:
		s.extendBytes(r, w.bytes, round, path)
	case r.mastered():
		s.extend(r, l, round, path)
	case r.state == remote && r.held == nil:
		m := wire.Msg{
			Type: wire.Probe, Name: r.name(), Life: r.life, Lock: l.id, Op: l.op, Num: round, Path: path,
		}
		if w.bytes != nil {
			m.Req = w.bytes.ID
		}
		s.probe(r.life.Node(), &m)
	}
}

// probe sends m, unless the shard has done enough for now, or its path names a
// node that has gone.
func (s *Shard) probe(to uint16, m *wire.Msg) {
	d := &s.deadlocks
	if d.work <= 0 || !s.view.Has(to) {
		s.stats.ProbesDropped++
		return
	}
	d.work -= probeCost
	s.sendBare(to, m)
}

// onProbe is the master's side.
func (s *Shard) onProbe(from, hash uint64, m *wire.Msg) {
	s.replenish()
	r := s.find(hash, m.Name)
	l := s.lock(from, m.Lock)
	if r == nil || l == nil || l.res != r || !r.mastered() || r.life != m.Life || m.Req == 0 && l.op != m.Op {
		s.stats.Ignored++
		return
	}
	if m.Req == 0 {
		s.extend(r, l, m.Num, m.Path)
	} else if w := r.byteRequest(from, m.Lock, uint32(m.Req)); w != nil {
		s.extendBytes(r, w, m.Num, m.Path)
	}
}

// extend makes the path longer by each blocker of l, and takes it there.
func (s *Shard) extend(r *resource, l *Lock, round uint32, path wire.Path) {
	n := path.Len()
	origin := partyOf(l, l.wanted)
	if n != 0 {
		origin = path.At(0).Waiter
	}
	found := s.blockersOf(r, l, round)
	for i, b := range found {
		if ownerIn(found[:i], b.lock) {
			continue
		}
		if b.via != nil && n+2 > wire.MaxEdges || n+1 > wire.MaxEdges {
			s.stats.ProbesDropped++
			continue
		}
		long, last := path, l
		if b.via != nil {
			long, last = s.edge(r, long, l, b.via, true), b.via
		}
		if s.follow(&origin, round, s.edge(r, long, last, b.lock, b.ahead)) {
			return
		}
	}
}

// follow takes a path to the node of its last blocker, or back over its edges, if
// that is with whom it began.
func (s *Shard) follow(origin *wire.Party, round uint32, path wire.Path) (closed bool) {
	n := path.Len()
	if last := path.At(n - 1).Blocker; last.Owner != origin.Owner || last.Instance != origin.Instance {
		s.probe(wire.NodeOf(last.Instance), &wire.Msg{Type: wire.Chase, Num: round, Path: path})
		return false
	}
	s.verify(path, 2*n-1)
	return true
}

// ownerIn says whether the path goes to l's owner already.
func ownerIn(done []blocker, l *Lock) bool {
	for _, b := range done {
		if b.lock.xid() == l.xid() && b.lock.owner == l.owner {
			return true
		}
	}
	return false
}

func partyOf(l *Lock, mode Mode) wire.Party {
	return wire.Party{Instance: l.owner, Lock: l.id, Op: l.op, Owner: l.xid(), Mode: uint8(mode)}
}

// edge gives a copy of path with one more edge.
func (s *Shard) edge(r *resource, path wire.Path, l, o *Lock, ahead bool) wire.Path {
	e := wire.Edge{Name: r.name(), Life: r.life, Waiter: partyOf(l, l.wanted), Blocker: partyOf(o, o.granted), Ahead: ahead}
	if ahead {
		e.Blocker.Mode = uint8(o.wanted)
	}
	return path[:len(path):len(path)].Append(&e)
}

// blockersOf gives the locks whose owners l waits for: all, or, if they are
// more than probeFanout, those whose turn it is in this round.
func (s *Shard) blockersOf(r *resource, l *Lock, round uint32) (found []blocker) {
	n := 0
	s.owners(r, l, func(blocker) { n++ })
	from := 0
	if n > probeFanout {
		from = int(uint64(round) * probeFanout % uint64(n))
	}
	i := -from
	s.owners(r, l, func(b blocker) {
		if (i+n)%max(n, 1) < probeFanout {
			found = append(found, b)
		}
		i++
	})
	return found
}

// owners calls f for each lock whose owner l waits for, directly or through a
// request ahead of it.
func (s *Shard) owners(r *resource, l *Lock, f func(blocker)) {
	var last [6]*Lock // by mode, the last request of the wait queue through which l waits
	r.blockers(l, func(o *Lock, ahead bool) {
		s.deadlocks.work--
		switch {
		case ahead && (o.xid() == 0 || !o.excludes(l)):
			if o.queue() == &r.waiting && o.flags&(alternates|OutOfOrder) == 0 {
				last[o.wanted] = o // what an earlier one in this mode waits for, this does, too
			} else if s.deadlocks.work > 0 {
				s.ownersThrough(r, o, f)
			}
		case o.xid() != 0:
			f(blocker{lock: o, ahead: ahead})
		}
	})
	for _, via := range last {
		if via != nil {
			s.ownersThrough(r, via, f)
		}
	}
}

// ownersThrough calls f for each lock whose owner the request via waits for.
// What is only ahead of via is ahead of those behind via as well.
func (s *Shard) ownersThrough(r *resource, via *Lock, f func(blocker)) {
	r.blockers(via, func(o *Lock, ahead bool) {
		s.deadlocks.work--
		if o.xid() != 0 && (!ahead || o.excludes(via)) {
			f(blocker{lock: o, ahead: ahead, via: via})
		}
	})
}

// blockers calls f for each lock that must go, or lower its mode, before the
// waiting operation of l can be granted, and for each request that must be
// decided first (ahead): the other side of grantable.
func (r *resource) blockers(l *Lock, f func(o *Lock, ahead bool)) {
	if l.wanted == NoMode || l.queue() != &r.convert && l.queue() != &r.waiting {
		return
	}
	for _, q := range []*queue{&r.granted, &r.convert} {
		for o := q.head; o != nil; o = o.next {
			if o != l && l.blockedBy(o.granted) {
				f(o, false)
			}
		}
	}
	if l.flags&OutOfOrder != 0 {
		return
	}
	for _, q := range []*queue{&r.convert, &r.waiting} {
		for o := q.head; o != nil; o = o.next {
			if o == l {
				return
			}
			f(o, true)
		}
	}
}

// blockedBy says that held excludes all that the waiting l can be granted as.
// One that takes an alternate mode may wait for some locks or for others: then
// it waits for none of them for certain.
func (l *Lock) blockedBy(held Mode) bool {
	alt := l.alternate()
	return !Compatible(held, l.wanted) && (alt == NoMode || !Compatible(held, alt))
}

// excludes says that l, which waits behind o, is blocked by whatever o is
// granted as.
func (o *Lock) excludes(l *Lock) bool {
	alt := o.alternate()
	return l.blockedBy(o.wanted) && (alt == NoMode || l.blockedBy(alt))
}

// onChase: the owner of the last edge's blocker is one of this node. Take the
// probe on to the masters of all that it waits for here.
func (s *Shard) onChase(m *wire.Msg) {
	s.replenish()
	n := m.Path.Len()
	if n == 0 {
		s.stats.Ignored++
		return
	}
	origin, last := m.Path.At(0).Waiter, m.Path.At(n-1).Blocker
	if last.Instance != s.cfg.Self {
		s.stats.Ignored++
		return
	}
	var next *waiter
	for w := s.deadlocks.owners[last.Owner]; w != nil; w = next {
		if next = w.mate; s.errs(ForgetWait) { // w may end with this step
			next = nil
		}
		stops := !w.stubborn() && younger(&last, &origin) && !s.off(NoPrune)
		if !stops && w.waits() && s.firstPass(&origin, m.Num, w) {
			s.chase(w, m.Num, m.Path)
		}
	}
}

// firstPass says whether a probe comes by w for the first time in its round,
// and notes it.
func (s *Shard) firstPass(origin *wire.Party, round uint32, w *waiter) bool {
	d := &s.deadlocks
	p := passed{origin.Instance, origin.Lock, origin.Op, round, w.lock.id, 0}
	if w.bytes != nil {
		p.req = w.bytes.ID
	}
	if _, again := d.seen[p]; again {
		return false
	}
	if len(d.seen) >= probeSeen {
		s.stats.ProbesDropped++
		return false
	}
	if d.seen == nil {
		d.seen = map[passed]struct{}{}
	}
	d.seen[p] = struct{}{}
	return true
}

// onVerify goes on with verify if step Num is of a name that is kept here.
func (s *Shard) onVerify(m *wire.Msg) {
	s.replenish()
	if int(m.Num) >= 2*m.Path.Len() {
		return
	}
	e := m.Path.At(int(m.Num / 2))
	if m.Num%2 == 0 && s.ofEdge(e) != nil || m.Num%2 == 1 && e.Blocker.Instance == s.cfg.Self && s.ofName(&e) != nil {
		s.verify(m.Path, int(m.Num))
	}
}

func (s *Shard) ofName(e *wire.Edge) *resource { return s.find(Hash(e.Name), e.Name) }

// ofEdge gives the resource that e is of, if it is mastered by this shard and
// in the same life.
func (s *Shard) ofEdge(e wire.Edge) *resource {
	r := s.ofName(&e)
	if r == nil || !r.mastered() || r.life != e.Life {
		return nil
	}
	return r
}

// verify looks at a closed path again, step by step down from step k: 2i+1 is
// whether the blocker of edge i has at its own node what it has at the master, and
// 2i whether the edge stands there. It takes the steps that it can take here, and
// sends the path on to the node of the next one. Behind step 0 the cycle is proven.
func (s *Shard) verify(path wire.Path, k int) {
	for ; k >= 0; k-- {
		e := path.At(k / 2)
		to, here, own := e.Life.Node(), s.ofEdge(e), k%2 == 1
		switch {
		case own && (wire.NodeOf(e.Blocker.Instance) == to || s.off(NoAskHolder)):
			continue
		case own:
			to, here = wire.NodeOf(e.Blocker.Instance), nil
			if e.Blocker.Instance == s.cfg.Self {
				here = s.ofName(&e)
			}
		}
		if here == nil {
			s.probe(to, &wire.Msg{Type: wire.Verify, Num: uint32(k), Path: path})
			return
		}
		if !s.off(NoVerify) && (own && !s.has(here, &e) || !own && !s.stands(here, &e)) {
			s.stats.Phantoms++
			return
		}
	}
	s.endDeadlocked(path)
}

// has says whether the blocker of an edge, a lock of this node, has what it blocks
// with. It may have given that up, and the master not know it yet.
func (s *Shard) has(r *resource, e *wire.Edge) bool {
	b := &e.Blocker
	if e.Bytes {
		return r.bytes != nil && r.bytes.Covers(byteHolder(b))
	}
	l := s.lock(b.Instance, b.Lock)
	if l == nil || l.res != r || l.dying {
		return false
	}
	if e.Ahead {
		return uint8(l.wanted) == b.Mode
	}
	return uint8(l.granted) == b.Mode
}

// stands says whether an edge that was seen before is still there.
func (s *Shard) stands(r *resource, e *wire.Edge) bool {
	if e.Bytes {
		return s.bytesStand(r, e)
	}
	l := s.lock(e.Waiter.Instance, e.Waiter.Lock)
	o := s.lock(e.Blocker.Instance, e.Blocker.Lock)
	if l == nil || o == nil || l.res != r || o.res != r || l.op != e.Waiter.Op || o.op != e.Blocker.Op {
		return false
	}
	found := false
	r.blockers(l, func(b *Lock, ahead bool) {
		mode := b.granted
		if ahead {
			mode = b.wanted
		}
		found = found || b == o && ahead == e.Ahead && uint8(mode) == e.Blocker.Mode
	})
	return found
}
