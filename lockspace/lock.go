package lockspace

import "slices"

// Lock is one lock: at its owner's node, and as a copy at the resource's
// master where that is another node.
type Lock struct {
	res      *resource
	prev     *Lock
	next     *Lock
	user     any    // local locks: the caller's handle
	more     *more  // what few locks have; nil: none of it
	hashNext uint32 // in lockTable, as is at
	at       uint32 // plus 1
	lockState
}

// lockState is what a Lock has besides pointers. So it is forgotten without a word to the
// collector, which costs more.
type lockState struct {
	id       uint64 // unique within the owner's node instance, never re-used
	owner    uint64 // node instance of the owner
	tag      uint64 // local locks: the caller's number of the running operation
	token    uint64
	since    int64  // when the running operation began; if none is running: when it was granted
	flags    uint32 // of the running or last operation
	op       uint32 // counts operations; an answer names the one it answers
	granted  Mode
	wanted   Mode // NoMode: no operation is running
	high     Mode // highest mode for which a BAST was sent since the grant; NoMode: none
	in       which
	hops     uint8 // messages the running operation has waited for
	demoted  bool  // CONVDEADLK has taken the granted mode down to NL, or a dead master may have taken it down
	cancel   bool  // a cancel is under way, or waits until the master is known
	asked    bool  // a LOOKUP of an earlier view may have brought it to a master
	dying    bool  // unlock as soon as the running operation ends
	wantBast bool
	altMode  bool // about to be granted in the alternate mode
	timed    bool // has a deadline: Shard.timerOf
	expired  bool // withdrawn because of it
	orphan   bool // its program is gone: Shard.orphans
	renamed  bool // its user knows it by another id: Shard.handles
	pace     pace // local locks: of the running operation
}

// more is what few locks have.
type more struct {
	xid    uint64  // Request.Owner, the kernel's xid: who waits as a whole; 0: none
	value  []byte  // what a conversion that waits would write; nil: nothing
	waiter *waiter // of a local lock with an owner that waits
}

// rare gives l's rare state, to be written.
func (l *Lock) rare() *more {
	if l.more == nil {
		l.more = &more{}
	}
	return l.more
}

// xid gives for whom l is, 0: nobody is known.
func (l *Lock) xid() uint64 {
	if l.more == nil {
		return 0
	}
	return l.more.xid
}

func (l *Lock) setXID(xid uint64) {
	if xid != 0 || l.more != nil {
		l.rare().xid = xid
	}
}

// setValue keeps what a conversion that has to wait would write.
func (l *Lock) setValue(value []byte) {
	if value != nil {
		l.rare().value = slices.Clone(value)
	} else if l.more != nil {
		l.more.value = nil
	}
}

// loseValue: what the waiting conversion would write has not come along with
// it. Should it be granted as something weaker than is held, the value is not
// valid then.
func (l *Lock) loseValue() {
	if l.wanted != NoMode && l.flags&alternates != 0 && l.flags&ValBlk != 0 {
		l.flags |= IvValBlk
	}
}

// pendingValue gives it.
func (l *Lock) pendingValue() []byte {
	if l.more == nil {
		return nil
	}
	return l.more.value
}

// queue is a list of locks in order. The first one's prev is the last one.
type queue struct{ head *Lock }

// which says which queue of its resource a lock is in.
type which uint8

const (
	noQueue which = iota
	inGranted
	inConvert
	inWaiting
)

// queue gives the queue that l is in, nil: none.
func (l *Lock) queue() *queue {
	switch l.in {
	case inGranted:
		return &l.res.granted
	case inConvert:
		return &l.res.convert
	case inWaiting:
		return &l.res.waiting
	}
	return nil
}

func (r *resource) which(q *queue) which {
	switch q {
	case &r.granted:
		return inGranted
	case &r.convert:
		return inConvert
	}
	return inWaiting
}

// len counts.
func (q *queue) len() (n int) {
	for l := q.head; l != nil; l = l.next {
		n++
	}
	return n
}

// join notes that l is in q now.
func (l *Lock) join(q *queue) {
	l.in = l.res.which(q)
	if l.in == inGranted {
		l.hears()
	}
	if l.res.traits.has(counted) {
		l.count(1)
	}
}

// listens says whether l's program wants to hear that others wait.
func (l *Lock) listens(wants bool) {
	l.wantBast = wants
	l.hears()
}

// hears: l's mode, queue or program is another one, so it may be due to be told of EX, or PW.
func (l *Lock) hears() {
	if l.wantBast && l.granted != NL {
		l.res.traits.set(told|toldPW, false)
	}
}

// push puts l, which is of q's resource, at the end.
func (q *queue) push(l *Lock) {
	l.join(q) // and next is nil
	first := q.head
	if first == nil {
		q.head, l.prev = l, l
		return
	}
	l.prev = first.prev
	first.prev.next, first.prev = l, l
}

// pushBehind puts l behind o, nil: at the head.
func (q *queue) pushBehind(o, l *Lock) {
	first := q.head
	if first == nil || o == first.prev {
		q.push(l)
		return
	}
	l.join(q)
	if o == nil {
		l.prev, l.next = first.prev, first
		first.prev, q.head = l, l
		return
	}
	l.prev, l.next = o, o.next
	o.next.prev, o.next = l, l
}

// enqueue lets l wait in q, at the end it has asked for (add_lkb). HEADQUE does
// not take it past one that holds what excludes it: that one would wait for l's
// turn, and l for what that one holds. (The kernel warns of a pending deadlock,
// and leaves them.)
func (l *Lock) enqueue(q *queue) {
	l.unqueue()
	if l.flags&HeadQue == 0 || q.head == nil {
		q.push(l)
		return
	}
	o := q.head.prev
	for o != nil && Compatible(o.granted, l.wanted) {
		if o == q.head {
			o = nil
		} else {
			o = o.prev
		}
	}
	q.pushBehind(o, l)
}

func (l *Lock) unqueue() {
	if l.in != noQueue {
		l.takeOut()
	}
}

func (l *Lock) takeOut() {
	if l.res.traits.has(counted) {
		l.count(-1)
	}
	q := l.queue()
	first := q.head
	switch {
	case l == first:
		if q.head = l.next; l.next != nil {
			l.next.prev = l.prev
		}
	case l.next == nil:
		l.prev.next, first.prev = nil, l.prev
	default:
		l.prev.next, l.next.prev = l.next, l.prev
	}
	l.in, l.prev = noQueue, nil
	if l.next != nil {
		l.next = nil
	}
}

func (l *Lock) moveTo(q *queue) {
	if l.queue() != q {
		l.unqueue()
		q.push(l)
	}
}

// withdrawn says that the running operation is being given up.
func (l *Lock) withdrawn() bool { return l.cancel || l.dying || l.orphan && !l.takenOver() }

// converting says that the running operation is a conversion.
func (l *Lock) converting() bool { return l.granted != NoMode && l.wanted != NoMode }
