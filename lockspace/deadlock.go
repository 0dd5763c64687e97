package lockspace

import (
	"cmp"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// Deadlocks across names and nodes are found by chasing edges of the wait-for
// graph, as Chandy, Misra and Haas do for transactions that need all they ask
// for (Distributed Deadlock Detection, 1983, the AND model).
//
// The graph. Its nodes are owners (Request.Owner with the node instance) and
// waiting requests. An owner waits for each of its waiting requests. A
// waiting request waits
//
//   - for the owner of a lock that holds a mode which excludes the one wanted
//     (granted or converting: conflicts in grant.go);
//   - for each request ahead of it in the queue, as that must be granted or
//     gone first; a new lock stands behind all conversions. If the mode that
//     one wants excludes the own, it must be given up again, too: that is an
//     edge to its owner. If not, or if it has no owner, it is an edge to the
//     request alone, and through it to what that waits for. An edge to the
//     owner would be a false one: it may wait elsewhere for us, and yet we are
//     granted as soon as its request here is.
//
// A request for a byte range is a waiting request, too; byteprobe.go says for whom
// it waits.
//
// A cycle is a deadlock. A holder without an owner ends every path: nobody
// knows for what it waits.
//
// The chase. The node of a request that has waited for probeEvery asks the
// request's master (PROBE), and again every probeEvery while it waits. The
// master extends the path by each blocker and sends it to the blocker's node
// (CHASE), where it goes on to the masters of all that the blocker's owner
// waits for. A blocker of the owner with whom the path began closes the cycle.
// A path goes on only through requests whose owner is older than that one. So
// of a cycle's owners only the youngest finds it, and its request on the cycle
// is the victim: one for each cycle, however messages are delivered. The age
// is the owner's number, the lower half first, then its node's instance: it never
// changes and is in every copy of a lock. Programs count their owners up in the
// lower half, each for itself, so one that tries again under the same owner grows
// older and gets its turn at last. (The upper half is the session. Looked at
// first, it would make all owners of an old session older than any of a new one,
// who might try for ever.) Requests with NoDlckWt are never
// victims, and let every path pass.
//
// No phantom. A path is put together from edges that were seen at different
// times, so the first of them may be gone when the last is found. Hence the
// path goes back over its edges, the last one first, to the node of each edge's
// blocker and to its master (VERIFY), and only if all stand still is the victim's
// request ended, by its own master, in the step that finds its edge to stand. Let t
// be the moment at which the last edge was found. Each edge was seen before t, or at
// t, and again after t. It is of one waiting operation and one lock with the mode
// that it holds or waits for (lock ids are never used again, each operation of a
// lock has its own number, and a granted mode does not come back within one
// operation), so it stood all the time between, and at t. The blocker's node is
// asked because an unlock or a down-conversion is done there before the master hears
// of it: what that sees may have been given up long ago. So at t the cycle was
// there, whole; and a cycle does not end by itself. It may have been broken since by
// a cancel, a timeout or another victim; then that lets the request be granted, or
// takes it away, and whatever reaches its master first decides.
//
// Nothing depends on messages arriving: a probe that meets a name whose master
// is being looked for, or another life, or a limit, is dropped.

const (
	probeEvery  = int64(250e6) // ns
	probeFanout = 64           // blockers of a request that one round follows; the next round goes on with others
	probeRest   = int64(10e6)  // ns
	probeWork   = 1 << 14      // what a shard spends on probes in probeRest: locks looked at, and probeCost for each message
	probeCost   = 16
	probeSeen   = 1 << 12 // requests that a shard remembers having passed a probe on
)

// waiter is a request with an owner that waits, at its owner's node.
type waiter struct {
	owner      uint64
	lock       *Lock
	bytes      *byterange.Request // not nil: a byte range is wanted, through the handle lock
	due        int64              // when the next probe starts
	round      uint32             // probes started so far
	prev, next *waiter
	mate       *waiter // of the same owner
}

// deadlocks is what a shard keeps to find deadlocks. It is empty while no
// request with an owner waits here.
type deadlocks struct {
	owners     map[uint64]*waiter // by Request.Owner
	bytes      map[*byterange.Request]*waiter
	head, tail *waiter // next due first
	n          int
	work       int // what may be spent before restedAt + probeRest
	restedAt   int64
	seen       map[passed]struct{} // since seenSince
	seenSince  int64
}

// passed says that a probe has come by a waiting request.
type passed struct {
	instance, lock uint64 // of the request that started it
	op, round      uint32
	at, req        uint64 // the one passed: lock id, and number of a request for a byte range
}

func (d *deadlocks) push(w *waiter) {
	w.prev, w.next = d.tail, nil
	if d.tail != nil {
		d.tail.next = w
	} else {
		d.head = w
	}
	d.tail = w
	d.n++
}

func (d *deadlocks) unlink(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		d.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		d.tail = w.prev
	}
	d.n--
}

// startWait notes that the operation that has just begun on l, a lock of this
// node with an owner, has not completed at once.
func (s *Shard) startWait(l *Lock) {
	if l.res == nil || l.wanted == NoMode || l.more != nil && l.more.waiter != nil {
		return
	}
	w := &waiter{owner: l.xid(), lock: l}
	s.addWaiter(w)
	l.rare().waiter = w
}

// startByteWait notes that a request for a byte range waits.
func (s *Shard) startByteWait(l *Lock, q *byterange.Request) {
	d := &s.deadlocks
	if d.bytes == nil {
		d.bytes = map[*byterange.Request]*waiter{}
	}
	w := &waiter{owner: q.Owner.Number, lock: l, bytes: q}
	d.bytes[q] = w
	s.addWaiter(w)
}

// endByteWait forgets it, if it was noted.
func (s *Shard) endByteWait(q *byterange.Request) {
	if w := s.deadlocks.bytes[q]; w != nil {
		delete(s.deadlocks.bytes, q)
		s.dropWaiter(w)
	}
}

func (s *Shard) addWaiter(w *waiter) {
	d := &s.deadlocks
	if d.owners == nil {
		d.owners = map[uint64]*waiter{}
	}
	w.due, w.mate = s.now+probeEvery, d.owners[w.owner]
	d.owners[w.owner] = w
	d.push(w)
}

// endWait forgets l's waiter; its operation has ended.
func (s *Shard) endWait(l *Lock) {
	w := l.more.waiter
	if w == nil {
		return
	}
	l.more.waiter = nil
	s.dropWaiter(w)
}

func (s *Shard) dropWaiter(w *waiter) {
	d := &s.deadlocks
	d.unlink(w)
	if d.n == 0 {
		d.seen = nil
	}
	first := d.owners[w.owner]
	if first == w {
		if w.mate == nil {
			delete(d.owners, w.owner)
		} else {
			d.owners[w.owner] = w.mate
		}
		return
	}
	for first.mate != w {
		first = first.mate
	}
	first.mate = w.mate
}

// startProbes starts the probes that are due, as many as the shard's share
// of work allows: the others are the first ones later.
func (s *Shard) startProbes() {
	d := &s.deadlocks
	s.replenish()
	for left := d.n; left > 0 && d.head != nil && d.head.due <= s.now && d.work > 0; left-- {
		w := d.head
		d.unlink(w)
		w.due = s.now + probeEvery
		d.push(w)
		if s.errs(ProbeOnce) && w.round > 0 {
			continue
		}
		if !w.stubborn() && w.waits() {
			w.round++
			s.stats.ProbesStarted++
			s.chase(w, w.round, nil)
		}
	}
}

// stubborn says that w does not give up in a deadlock.
func (w *waiter) stubborn() bool { return w.bytes == nil && w.lock.flags&NoDlckWt != 0 }

// waits says that w is not being withdrawn.
func (w *waiter) waits() bool {
	if w.bytes != nil {
		return w.bytes.Flags&byteWithdrawn == 0
	}
	return !w.lock.cancel && !w.lock.dying
}

// replenish lets a shard spend work on probes again.
func (s *Shard) replenish() {
	d := &s.deadlocks
	if s.now-d.restedAt >= probeRest {
		d.work, d.restedAt = probeWork, s.now
	}
	if s.now-d.seenSince >= probeEvery {
		d.seen, d.seenSince = nil, s.now
	}
}

// younger says whether a's owner is younger than b's: the victim of a cycle is
// the youngest.
func younger(a, b *wire.Party) bool {
	return cmp.Or(
		cmp.Compare(uint32(a.Owner), uint32(b.Owner)), cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Instance, b.Instance),
	) > 0
}

// conversionCycle names what convertDeadlock has found.
func (s *Shard) conversionCycle(r *resource, l *Lock) wire.Path {
	o := r.convertDeadlock(l)
	return s.edge(r, s.edge(r, nil, l, o, Compatible(o.granted, l.wanted)), o, l, false)
}

// endDeadlocked ends the waiting operation of the first edge, which has been
// verified, with the cycle for an explanation.
func (s *Shard) endDeadlocked(path wire.Path) {
	e := path.At(0)
	if e.Bytes {
		s.endDeadlockedBytes(path)
		return
	}
	l := s.lock(e.Waiter.Instance, e.Waiter.Lock)
	if l == nil || l.op != e.Waiter.Op || l.wanted == NoMode || !l.res.mastered() {
		s.stats.Ignored++
		return
	}
	s.stats.Deadlocks++
	r := l.res
	l.unqueue()
	s.refuseFor(r, l, wire.Deadlock, path)
	s.grantPending(r)
	s.maybeIdle(r)
}
