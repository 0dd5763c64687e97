package sim

import (
	"slices"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is what follows the end of programs and of names: orphans, deadlines,
// names that are retired and used again.

// owners are the sessions that may leave a lock, from 1.
const owners = 2

func chooseAbandon(r *run, _ *node, _ *lock, a *action) bool {
	a.owner = uint64(1 + r.prog.IntN(owners))
	return true
}

// doAbandon ends the program of l.
func doAbandon(r *run, n *node, l *lock, a *action) {
	if l.dying || l.adopts {
		return
	}
	r.begin(n, l.name)
	keeps := l.flags&ls.Persistent != 0
	id := l.id
	if l.wanted != ls.NoMode {
		l.withdrawn = true
		l.dying, l.orphan = !keeps, keeps
	} else if keeps {
		l.orphan = true
	} else {
		l.gone, l.mode, l.open = true, ls.NoMode, false
	}
	l.session = a.owner
	l.told, l.bast = 0, false
	r.unlocking = l
	st := n.shardOf(l.name).Abandon(n.now(), id, a.owner)
	if r.unlocking = nil; st != wire.OK {
		r.fail(inOnce, l.name, "lock %d: abandon: %v", l.num, st)
		return
	}
	r.queues.end(false)
	n.after(r.closedWas)
}

// chooseAdopt has another program of the node take l over.
func chooseAdopt(r *run, n *node, l *lock, a *action) bool {
	a.under, a.lock = l.num, len(r.locks)
	a.mode, a.flags = l.mode, ls.Orphan|r.flags(ls.WantBast|ls.Persistent|ls.NoQueue|ls.HeadQue|ls.OutOfOrder)
	a.owner = uint64(r.prog.IntN(2)) // a handle of its own
	return true
}

func doAdopt(r *run, n *node, _ *lock, a *action) {
	o := r.lockOf(a.under)
	if o == nil || o.n != n || !o.left() || o.mode != a.mode {
		return
	}
	nm := o.name
	l := &lock{n: n, name: nm, num: a.lock, mode: ls.NoMode, from: ls.NoMode, wanted: a.mode, flags: a.flags &^ (ls.ValBlk | ls.NoQueue), tag: 1, adopts: true}
	for len(r.locks) <= l.num {
		r.locks = append(r.locks, nil)
	}
	r.locks[l.num] = l
	nm.locks, n.live = append(nm.locks, l), append(n.live, l)
	same := 0
	for _, k := range n.live {
		if k.name == nm && k.left() && k.mode == a.mode {
			same++
		}
	}
	q := ls.Request{Name: slices.Clone(nm.bytes), Hash: nm.hash, Mode: a.mode, Flags: a.flags, User: l, Tag: 1}
	if a.owner != 0 && same == 1 {
		n.handles++
		q.ID = (1<<40+n.handles)<<8 | uint64(ls.ShardOf(nm.route, len(n.shards)))
		l.takes, l.realID, l.id, o.taker = o, o.real(), q.ID, l
	}
	r.begin(n, nm)
	id, st := n.shardOf(nm).Lock(n.now(), &q)
	if st != wire.OK {
		r.fail(inOnce, nm, "lock %d: takes over lock %d: %v", l.num, o.num, st)
		return
	}
	if l.id != 0 && l.id != id {
		r.fail(inOnce, nm, "lock %d: takes over lock %d: id %#x, %#x", l.num, o.num, id, l.id)
		return
	}
	l.id = id
	if l.takes == nil && l.wanted != ls.NoMode {
		l.findOrphan()
	}
	r.queues.end(false)
	n.after(r.closedWas)
}

// findOrphan finds out what l takes over, by the id that both have.
func (l *lock) findOrphan() {
	for _, k := range l.n.live {
		if k != l && k.name == l.name && k.orphan && !k.gone && k.real() == l.id {
			l.takes, l.realID, k.taker = k, k.real(), l
			return
		}
	}
	l.n.r.fail(inOnce, l.name, "lock %d takes over id %#x, which is no orphan", l.num, l.id)
}

// adopted is the end of a takeover.
func (l *lock) adopted(c *ls.Completion) {
	if l.takes == nil {
		if l.findOrphan(); l.takes == nil {
			return
		}
	}
	o := l.takes
	o.taker = nil
	if c.Status == wire.OK {
		l.n.r.stats.TakenOver++
	}
	if c.Status == wire.OK && c.Mode != o.mode {
		l.n.r.fail(inOnce, l.name, "lock %d: takes over %v as %v", l.num, o.mode, c.Mode)
	}
	if c.Status == wire.OK || c.Status == wire.LostLock || l.dying {
		o.gone, o.mode, o.open = true, ls.NoMode, false
	}
}

// doPurge ends what a session has left on the node.
func doPurge(r *run, n *node, l *lock, _ *action) {
	r.begin(n, l.name)
	for _, o := range n.live {
		if !o.orphan || o.gone || o.session != l.session || o.taker != nil {
			continue
		}
		r.touch(o.name)
		if o.wanted == ls.NoMode {
			o.gone, o.mode, o.open = true, ls.NoMode, false
		} else {
			o.dying = true
		}
	}
	for _, s := range n.shards {
		s.Purge(n.now(), l.session)
	}
	r.queues.end(false)
	n.after(r.closedWas)
}

// chooseDeadline gives the operation that runs on a lock a time by which it must end.
func chooseDeadline(r *run, _ *node, _ *lock, a *action) bool {
	a.owner = uint64(r.prog.Int64N(4 * ms))
	return true
}

func doDeadline(r *run, n *node, l *lock, a *action) {
	if l.dying || l.deadline != 0 {
		return
	}
	if st := n.shardOf(l.name).Deadline(n.now(), l.id, l.tag, int64(a.owner)); st != wire.OK {
		r.fail(inOnce, l.name, "lock %d: deadline: %v", l.num, st)
		return
	}
	l.deadline = n.now() + int64(a.owner)
	r.touch(l.name)
}

// retireCall is a Retire.
type retireCall struct {
	n        *node
	instance uint64
	nm       *name
	id       uint64
	writes   int // of the value, until then
	ends     int
}

// retireTag is the tag of all retirements.
const retireTag = 77

// chooseRetire deletes a name, as far as that can be told under the lock of a parent, below which
// it is free then.
func chooseRetire(r *run, n *node, l *lock, a *action) bool {
	if l.name.root && !r.p.Reuse || l.mode != ls.EX {
		return false
	}
	a.flags = r.flags(ls.ValBlk)
	a.under = -1
	for _, p := range n.live {
		if p != l && p.idle() && r.mayWrite(p) && p.name != l.name {
			a.under = p.num
		}
	}
	return true
}

func doRetire(r *run, n *node, l *lock, a *action) {
	nm := l.name
	if l.mode != ls.EX || nm.root && !r.p.Reuse || nm.retiring != nil {
		return
	}
	nm.prune()
	alone := len(nm.locks) == 1 && nm.knownBy&^(1<<n.id) == 0
	value := r.nextWrite(l, a.flags)
	if a.flags != 0 {
		nm.writes = append(nm.writes, l.write)
	}
	l.gone, l.mode, l.open = true, ls.NoMode, false
	c := &retireCall{n: n, instance: n.instance, nm: nm, id: l.id, writes: len(nm.writes)}
	r.retires = append(r.retires, c)
	nm.retiring = c
	if p := r.lockOf(max(a.under, 0)); a.under >= 0 && !nm.root && p != nil && p.n == n && p.idle() && r.mayWrite(p) && alone && !nm.spoiled {
		if nm.knownBy != 0 {
			nm.knownBy = 0
			n.known = slices.DeleteFunc(n.known, func(k *name) bool { return k == nm })
		}
		if n.curious == nm {
			n.curious = nil
		}
		for _, o := range r.order {
			o.children = slices.DeleteFunc(o.children, func(k *name) bool { return k == nm })
			for i := range o.writes {
				if o.writes[i].child == nm {
					o.writes[i].child = nil
				}
			}
		}
		p.name.free = append(p.name.free, nm)
	}
	r.begin(n, nm)
	if st := n.shardOf(nm).Retire(n.now(), l.id, a.flags, value, c, retireTag); st != wire.OK {
		r.fail(inOnce, nm, "lock %d: retire: %v", l.num, st)
		return
	}
	r.queues.end(false)
	n.after(r.closedWas)
	r.spoil(value)
}

// complete is the end of it.
func (k *retireCall) complete(n *node, id, tag uint64, c *ls.Completion) {
	r, nm := n.r, k.nm
	k.ends++
	if k.n != n || id != k.id || tag != retireTag || k.ends > 1 {
		r.fail(inOnce, nm, "node %d: end of a retirement: id %#x of %#x, %d ends", n.id, id, k.id, k.ends)
	}
	r.tracef(nm, "node %d: retired: %v", n.id, c.Status)
	if nm.retiring == k {
		nm.retiring = nil
	}
	r.touch(nm)
	switch c.Status {
	case wire.Unlocked:
		r.stats.Retired++
		for i := range nm.writes[:k.writes] {
			nm.writes[i].invalid = true
		}
	default:
		r.stats.Kept++
		r.unfree(nm)
	}
}

// unfree: nobody knows what the name may meet.
func (r *run) unfree(nm *name) {
	for _, p := range r.order {
		p.free = slices.DeleteFunc(p.free, func(k *name) bool { return k == nm })
	}
	nm.spoiled = true
}

// again says whether nm may be created under the name of l, and takes it off the list of those
// that may be created again.
func (r *run) again(n *node, l *lock, nm *name) bool {
	i := slices.Index(l.name.free, nm)
	if i < 0 {
		return len(nm.writes) == 0 && !nm.spoiled && len(nm.locks) == 0
	}
	if k := nm.retiring; k != nil && k.n != n && l.name.tainted == "" {
		r.fail(inWork, nm, "node %d has the allocator of a name that node %d has not retired yet", n.id, k.n.id)
		return false
	}
	l.name.free = slices.Delete(l.name.free, i, i+1)
	r.stats.Again++
	return true
}
