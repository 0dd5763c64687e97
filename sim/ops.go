package sim

import (
	"fmt"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// action is one operation of a program, as it can be done again.
type action struct {
	at    int64
	op    int // index of ops
	node  int // index of the node
	lock  int // number of the lock; of a new one: the number it gets
	under int // create, post: number of the directory's lock
	name  string
	mode  ls.Mode
	flags uint32
	bytes byteArgs
	owner uint64 // of a new lock; 0: none
}

// target is what an operation needs.
type target int

const (
	onNothing target = iota // a new lock
	onIdle                  // a held lock with no operation running
	onBusy                  // a lock with an operation running
	onOrphan                // a lock without a program
)

// op is an operation of programs. choose fills in a random one, false if it
// can't be done now; do executes one, also in a run from which other
// operations were left out, where it does nothing if it makes no sense there.
type op struct {
	name   string
	on     target
	weight int // among those with the same target, where the profile says nothing
	choose func(r *run, n *node, l *lock, a *action) bool
	do     func(r *run, n *node, l *lock, a *action)
	makes  bool // it makes a new lock
}

var ops []op

func init() { // the functions refer to the table
	ops = []op{
		{"lock", onNothing, 8, chooseLock, doLock, true},
		{"delegate", onNothing, 1, chooseRange, doDelegate, false},
		{"return", onNothing, 1, chooseRange, doReturn, false},
		{"read", onIdle, 4, chooseRead, doRead, false},
		{"create", onIdle, 2, chooseCreate, doCreate, true},
		{"convert", onIdle, 4, chooseConvert, doConvert, false},
		{"unlock", onIdle, 6, chooseUnlock, doUnlock, false},
		{"bytes", onIdle, 0, chooseBytes, doBytes, false},
		{"cancel bytes", onIdle, 0, chooseCancelBytes, doCancelBytes, false},
		{"post", onIdle, 0, choosePost, doPost, true},
		{"look", onIdle, 0, chooseLook, doLook, false},
		{"bytes meanwhile", onBusy, 0, chooseBytes, doBytes, false},
		{"cancel", onBusy, 1, always, doCancel, false},
		{"force", onBusy, 1, always, doForce, false},
		{"wait", onBusy, 8, never, nil, false},
		{"abandon", onIdle, 0, chooseAbandon, doAbandon, false},
		{"abandon busy", onBusy, 0, chooseAbandon, doAbandon, false},
		{"adopt", onOrphan, 6, chooseAdopt, doAdopt, true},
		{"purge", onOrphan, 1, always, doPurge, false},
		{"leave it", onOrphan, 4, never, nil, false},
		{"deadline", onBusy, 0, chooseDeadline, doDeadline, false},
		{"retire", onIdle, 0, chooseRetire, doRetire, false},
	}
}

func opOf(name string) int {
	for i := range ops {
		if ops[i].name == name {
			return i
		}
	}
	panic("sim: no operation " + name)
}

func always(*run, *node, *lock, *action) bool { return true }
func never(*run, *node, *lock, *action) bool  { return false }

// lockFlags and convertFlags are those that random programs give.
const (
	lockFlags    = ls.NoQueue | ls.ValBlk | ls.NoDlckWt | ls.NoQueueBast | ls.WantBast
	convertFlags = ls.ValBlk | ls.NoQueueBast | ls.WantBast
	rareFlags    = ls.HeadQue | ls.OutOfOrder | ls.AltPR | ls.AltCW // seldom, so that they meet ordinary requests
)

func chooseLock(r *run, n *node, _ *lock, a *action) bool {
	nm := n.known[r.prog.IntN(len(n.known))]
	switch k := r.prog.IntN(4); {
	case k < 2 && n.curious != nil:
		nm = n.curious
	case k == 2:
		nm = n.known[len(n.known)-1] // new names are those worth fighting for
	}
	n.curious = nil
	a.name, a.mode, a.flags = nm.text, r.mode(), r.flags(lockFlags)
	if r.prog.IntN(4) == 0 {
		a.flags |= r.flags(rareFlags)
	}
	if a.mode == ls.NL && a.flags&ls.NoQueue == 0 {
		a.flags |= r.flags(ls.Expedite)
	}
	if r.p.Release > 0 {
		a.flags |= ls.WantBast
	}
	if r.p.Owners > 0 {
		a.flags = r.soften(a.flags)
	} else if r.p.Circles {
		a.owner = uint64(1 + r.prog.IntN(byteOwners))
	}
	if r.p.Reuse && r.prog.IntN(2) == 0 {
		a.flags |= ls.NewName
	}
	if r.p.Orphans && r.prog.IntN(2) == 0 {
		a.flags |= ls.Persistent
	}
	return true
}

func doLock(r *run, n *node, _ *lock, a *action) {
	nm := r.nameOf(a.name)
	if !n.knows(nm) {
		return
	}
	r.take(n, nm, a)
}

// take asks for a new lock.
func (r *run) take(n *node, nm *name, a *action) {
	l := &lock{n: n, name: nm, num: a.lock, mode: ls.NoMode, from: ls.NoMode, wanted: a.mode, flags: a.flags, owner: a.owner, tag: 1}
	for len(r.locks) <= l.num {
		r.locks = append(r.locks, nil)
	}
	r.locks[l.num] = l
	nm.locks, n.live = append(nm.locks, l), append(n.live, l)
	r.begin(n, nm)
	r.scratch = append(r.scratch[:0], nm.bytes...)
	q := ls.Request{Name: r.scratch, Hash: nm.hash, Mode: a.mode, Flags: a.flags, Owner: a.owner, User: l, Tag: l.tag}
	id, st := n.shardOf(nm).Lock(n.now(), &q)
	r.spoil(r.scratch)
	if st != wire.OK || l.id != 0 && l.id != id {
		r.fail(inOnce, nm, "lock %d: id %#x, then %#x, %v", l.num, l.id, id, st)
		return
	}
	l.id = id
	r.end(func(o *Oracle, self uint64) { o.Lock(self, id, a.mode, a.flags) })
}

// chooseRead uses l as the lock of a directory: what is published below its
// name may be read under a lock that excludes the writer's.
func chooseRead(r *run, n *node, l *lock, a *action) bool {
	return r.mayRead(l) && len(l.name.children) > 0
}

// mayRead and mayWrite say what may be done below the name of l. A provisional
// lock under a wrong claim protects nothing.
func (r *run) mayRead(l *lock) bool {
	m := l.effective()
	return !(l.open && r.p.Reuse) && m != ls.NoMode && m >= ls.PR
}

func (r *run) mayWrite(l *lock) bool { return r.mayRead(l) && exclusive(l.effective()) }

func doRead(r *run, n *node, l *lock, _ *action) {
	if !r.mayRead(l) {
		return
	}
	for _, nm := range l.name.children {
		n.learn(nm)
	}
	n.forget()
}

func chooseCreate(r *run, n *node, l *lock, a *action) bool {
	if !r.mayWrite(l) {
		return false
	}
	r.created++
	a.name = fmt.Sprintf("c%d", r.created)
	if r.p.Ranges {
		a.name = rangeKey(r.prog.IntN(rangeKeys)) + a.name
	}
	a.mode, a.flags = []ls.Mode{ls.EX, ls.EX, ls.PW, ls.PR, ls.CR}[r.prog.IntN(5)], ls.NewName|r.flags(ls.ValBlk|ls.WantBast)
	if free := l.name.free; len(free) > 0 && r.prog.IntN(4) != 0 {
		a.name = free[r.prog.IntN(len(free))].text
	}
	a.under, a.lock = l.num, len(r.locks)
	if r.prog.IntN(2) == 0 {
		n.hurry = l // others wait for the directory
	}
	return true
}

func doCreate(r *run, n *node, _ *lock, a *action) {
	l := r.lockOf(a.under)
	nm := r.nameOf(a.name)
	if l == nil || !l.idle() || !r.mayWrite(l) || nm.knownBy != 0 {
		return
	}
	if !r.again(n, l, nm) {
		return
	}
	n.learn(nm)
	p := l.name
	p.children = append(p.children, nm)
	if len(p.children) > 4 {
		p.children = p.children[1:]
	}
	r.take(n, nm, a)
}

func chooseConvert(r *run, n *node, l *lock, a *action) bool {
	a.mode, a.flags = r.mode(), r.flags(convertFlags)
	if r.prog.IntN(4) == 0 {
		a.flags |= r.flags(rareFlags)
	}
	switch r.prog.IntN(8) {
	case 0:
		a.flags |= ls.NoQueue
	case 1, 2:
		a.flags |= ls.ConvDeadlk
	case 3:
		a.flags |= ls.NoDlckWt
	case 4:
		a.flags |= r.valueFlags(ls.IvValBlk)
	}
	if r.prog.IntN(3) == 0 && mayQueue(l.mode, a.mode) {
		a.flags |= ls.QueCvt
	}
	if r.p.Orphans && r.prog.IntN(2) == 0 {
		a.flags |= ls.Persistent
	}
	return true
}

// mayQueue says whether a conversion may ask for QUECVT (__quecvt_compat_matrix).
func mayQueue(from, to ls.Mode) bool {
	return from != ls.NoMode && [6]string{"011111", "001111", "000111", "001011", "000001", "000000"}[from][to] == '1'
}

func doConvert(r *run, n *node, l *lock, a *action) {
	if a.flags&ls.QueCvt != 0 && !mayQueue(l.mode, a.mode) {
		return
	}
	nm := l.name
	value := r.nextWrite(l, a.flags)
	l.tag++
	l.from, l.wanted, l.flags = l.mode, a.mode, a.flags
	if valued := a.flags&(ls.ValBlk|ls.IvValBlk) != 0; valued && a.flags&(ls.AltPR|ls.AltCW) != 0 && exclusive(l.mode) {
		// An alternate mode may make it write, which others see before the
		// program hears of it. Until then it need not last.
		rec := l.write
		rec.claimed = true
		nm.writes = append(nm.writes, rec)
		l.writeAt = len(nm.writes)
	}
	r.begin(n, nm)
	if st := n.shardOf(nm).Convert(n.now(), l.id, a.mode, a.flags, value, l.tag); st != wire.OK {
		r.fail(inOnce, nm, "lock %d: convert from %v to %v: %v", l.num, l.mode, a.mode, st)
		return
	}
	r.end(func(o *Oracle, self uint64) { o.Change(self, l.real(), a.mode, a.flags, value) })
	r.spoil(value)
}

// nextWrite prepares a write, or an invalidation, of the value.
func (r *run) nextWrite(l *lock, flags uint32) []byte {
	l.write = writeRec{mode: l.mode, invalid: flags&ls.IvValBlk != 0, claimed: r.p.Reuse && l.open}
	if k := len(l.name.children); k > 0 {
		l.write.child = l.name.children[k-1]
	}
	return r.value(len(l.name.writes) + 1)
}

func chooseUnlock(r *run, n *node, l *lock, a *action) bool {
	a.flags = r.flags(ls.ValBlk)
	if r.prog.IntN(8) == 0 {
		a.flags |= r.valueFlags(ls.IvValBlk)
	}
	return true
}

func doUnlock(r *run, n *node, l *lock, a *action) {
	nm := l.name
	value := r.nextWrite(l, a.flags)
	if a.flags != 0 && exclusive(l.mode) {
		nm.writes = append(nm.writes, l.write)
	}
	l.gone, l.mode, l.open = true, ls.NoMode, false
	r.begin(n, nm)
	r.unlocking = l
	st := n.shardOf(nm).Unlock(n.now(), l.id, a.flags, value)
	if r.unlocking = nil; st != wire.OK {
		r.fail(inOnce, nm, "lock %d: unlock: %v", l.num, st)
		return
	}
	r.end(func(o *Oracle, self uint64) { o.Unlock(self, l.real(), a.flags, value) })
	r.spoil(value)
}

func doCancel(r *run, n *node, l *lock, _ *action) {
	if l.dying {
		return
	}
	l.withdrawn = true
	r.begin(n, l.name)
	if st := n.shardOf(l.name).Cancel(n.now(), l.id, 0); st != wire.OK {
		r.fail(inOnce, l.name, "lock %d: cancel: %v", l.num, st)
		return
	}
	r.end(func(o *Oracle, self uint64) { o.Cancel(self, l.real()) })
}

func doForce(r *run, n *node, l *lock, _ *action) {
	if l.dying {
		return
	}
	l.dying, l.withdrawn = true, true
	r.begin(n, l.name)
	if st := n.shardOf(l.name).Unlock(n.now(), l.id, ls.ForceUnlock, nil); st != wire.OK {
		r.fail(inOnce, l.name, "lock %d: forced unlock: %v", l.num, st)
		return
	}
	r.end(func(o *Oracle, self uint64) { o.Cancel(self, l.real()) })
}
