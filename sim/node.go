package sim

import (
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// node is one node with its shards.
type node struct {
	common
	id        uint16
	instance  uint64
	offset    int64 // ns, of its clock
	drift     int64 // parts per million that its clock is fast
	shards    []*lockspace.Shard
	views     []*lockspace.View // by shard: in force, nil: none
	due       []*lockspace.View // decided, not installed
	down      bool
	working   bool    // a timerWork is set
	fenceAt   int64   // it is cut off: when its lease runs out, by its clock; else 0
	live      []*lock // what its programs hold or want
	clients   []*client
	lastOwner uint64
	known     []*name // what its programs have heard of, the latest last
	seat      *seat   // in the council; nil: there is none
	curious   *name   // the latest of them that came from somebody else
	ticked    int64
	lives     uint64 // of the shards that this instance had before
	handles   uint64 // ids that programs have chosen
	hurry     *lock  // of a directory below which a program has just created something
}

// host is a node towards one of its shards; it implements lockspace.Host.
type host struct {
	*node
	shard int
}

func (n *node) now() int64 { return n.offset + n.r.now + n.r.now*n.drift/1_000_000 }

func (n *node) shardOf(nm *name) *lockspace.Shard {
	return n.shards[lockspace.ShardOf(nm.route, len(n.shards))]
}

// start gives the node its shards. view is nil if it is to join.
func (n *node) start(view *lockspace.View) error {
	r := n.r
	n.clocks = make([]uint64, r.shards)
	n.shards, n.views = nil, make([]*lockspace.View, r.shards)
	for k := range r.shards {
		s, err := lockspace.New(lockspace.Config{
			Self: n.instance, Shard: k, Shards: r.shards, ValueLen: r.valueLen, View: view, Range: r.rule,
			Host: host{n, k}, Common: &shardCommon{&n.common, k},
			IdleAfter: r.p.IdleAfter, Cached: r.p.Cached, Drift: r.driftAllowed, Lives: n.lives, Without: r.without, Mistakes: r.mistakes,
		})
		if err != nil {
			return err
		}
		n.shards, n.views[k] = append(n.shards, s), view
	}
	return nil
}

// after lets the other shards of a node see that claims have closed, and has those that
// have something to do for a view come to it.
func (n *node) after(closed uint64) {
	if !n.working && slices.ContainsFunc(n.shards, (*lockspace.Shard).Working) {
		n.working = true
		n.r.timer0(timerWork, int(n.id)-1, n.r.expo(n.r.fate, ms/4))
	}
	for closed != n.closed {
		closed = n.closed
		for _, s := range n.shards {
			s.Release(n.now())
		}
	}
}

func (n *node) tick() {
	if !n.mayAct() {
		return
	}
	n.ticked = n.now()
	closed := n.closed
	for _, s := range n.shards {
		s.Tick(n.now())
	}
	n.after(closed)
}

// knows says whether programs on the node have heard of a name.
func (n *node) knows(nm *name) bool { return nm.knownBy>>n.id&1 == 1 }

// learn tells the node's programs of a name.
func (n *node) learn(nm *name) (isNew bool) {
	if n.knows(nm) {
		return false
	}
	nm.knownBy |= 1 << n.id
	n.known = append(n.known, nm)
	n.curious = nm
	return true
}

// forget lets the node's programs forget old names, so that nodes meet.
func (n *node) forget() {
	roots := n.r.p.Roots
	if old := len(n.known) - roots - 5; old > 0 {
		for _, nm := range n.known[roots : roots+old] {
			nm.knownBy &^= 1 << n.id
		}
		n.known = append(n.known[:roots], n.known[roots+old:]...)
	}
}

// --- lockspace.Host ---

// Send is part of lockspace.Host.
func (h host) Send(to uint16, m *wire.Msg) { h.r.post(h.node, h.shard, to, m) }

// MayClaim is part of lockspace.Host: not towards a node that does not answer.
func (h host) MayClaim(directory uint16) bool {
	return h.r.pair(int(h.id), int(directory)).upAt <= h.r.now &&
		h.r.pair(int(directory), int(h.id)).upAt <= h.r.now
}

// Conflict is part of lockspace.Host.
func (h host) Conflict(name []byte, _ wire.Life) {
	nm := h.r.nameOf(string(name))
	h.r.tracef(nm, "node %d: CONFLICT", h.id)
	for _, c := range h.r.checks {
		c.conflict(h.node, nm)
	}
}

// Complete is part of lockspace.Host.
func (h host) Complete(user any, id, tag uint64, c *lockspace.Completion) {
	if k, ok := user.(*rangeCall); ok {
		k.complete(h.r, c)
		return
	}
	if k, ok := user.(*retireCall); ok {
		k.complete(h.node, id, tag, c)
		return
	}
	l := user.(*lock)
	h.r.touch(l.name)
	l.complete(h.node, id, tag, c)
}

// Blocking is part of lockspace.Host.
func (h host) Blocking(user any, id uint64, mode lockspace.Mode) {
	l := user.(*lock)
	h.r.tracef(l.name, "node %d: BAST %v for lock %d in %v", h.id, mode, l.num, l.mode)
	if l == h.r.unlocking {
		return // what a view has brought is done before the unlock
	}
	if l.id != id || l.gone || l.orphan {
		h.r.fail(inOnce, l.name, "node %d: BAST for lock %d, which is gone", h.id, l.num)
		return
	}
	l.told |= 1 << mode
	h.r.basts(l, mode)
}

// Confirmed is part of lockspace.Host.
func (h host) Confirmed(user any, id uint64) {
	l := user.(*lock)
	h.r.touch(l.name)
	if l.id != id || l.gone || !l.open {
		h.r.fail(inOnce, l.name, "node %d: lock %d confirmed: gone %v, open %v", h.id, l.num, l.gone, l.open)
		return
	}
	l.open = false
}

// Lost is part of lockspace.Host.
func (h host) Lost(user any, id uint64) {
	l := user.(*lock)
	h.r.touch(l.name)
	h.r.tracef(l.name, "node %d: LOST lock %d in %v", h.id, l.num, l.mode)
	if l.id != id || l.lost || l.gone && l.last.Status != wire.LostLock {
		h.r.fail(inOnce, l.name, "node %d: lock %d lost: gone %v, lost before %v", h.id, l.num, l.gone, l.lost)
		return
	}
	l.lost, l.gone, l.mode, l.open = true, true, lockspace.NoMode, false
}

// Bytes is part of lockspace.Host.
func (h host) Bytes(user any, id, tag uint64, o *lockspace.ByteOutcome) {
	l := user.(*lock)
	h.r.touch(l.name)
	l.byteDone(h.node, id, tag, o)
}
