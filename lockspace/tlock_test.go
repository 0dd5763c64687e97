package lockspace

import (
	"bytes"

	"github.com/lockify-dlm/lockify/wire"
)

// tlock is a lock as a program sees it: what was reported about it, and that
// each operation is reported once.
type tlock struct {
	n         *node
	name      string
	id        uint64
	tag       uint64
	mode      Mode // held
	from      Mode // held before the running operation
	wanted    Mode // of the running operation; NoMode: none runs
	flags     uint32
	owner     uint64     // Request.Owner
	last      Completion // with a copy of the value
	ends      int        // completions so far
	basts     []Mode
	open      bool // granted under a claim that is open
	confirmed int
	lost      bool
	gone      bool // unlocked, refused or lost: the id is not valid any more
	dying     bool
	crashed   bool // its node has died
}

// lock asks for a new lock on node n.
func (n *node) lock(name string, mode Mode, flags uint32) *tlock {
	n.c.t.Helper()
	l := n.newTlock(name, mode, flags)
	if st := l.ask(); st != wire.OK {
		n.c.fatalf("lock %q: %v", name, st)
	}
	return l
}

func (n *node) newTlock(name string, mode Mode, flags uint32) *tlock {
	return &tlock{n: n, name: name, mode: NoMode, from: NoMode, wanted: mode, flags: flags, tag: 1}
}

// ask requests l. A status other than OK means that nothing has begun.
func (l *tlock) ask() Status {
	n := l.n
	n.c.t.Helper()
	n.c.now++
	closed := n.closed
	q := Request{Name: []byte(l.name), Hash: Hash([]byte(l.name)), Mode: l.wanted, Flags: l.flags, Owner: l.owner, User: l, Tag: l.tag}
	id, st := n.shardOf(l.name).Lock(n.now(), &q)
	for i := range q.Name {
		q.Name[i] = 0xa5 // it must have been copied
	}
	if st != wire.OK {
		return st
	}
	if l.id != 0 && l.id != id {
		n.c.fatalf("lock %q: id %#x, then %#x", l.name, l.id, id)
	}
	l.id = id
	n.c.locks = append(n.c.locks, l)
	n.after(closed)
	return st
}

// convert asks for another mode.
func (l *tlock) convert(mode Mode, flags uint32, value []byte) *tlock {
	l.n.c.t.Helper()
	if st := l.tryConvert(mode, flags, value); st != wire.OK {
		l.n.c.fatalf("convert %q from %v to %v: %v", l.name, l.mode, mode, st)
	}
	return l
}

func (l *tlock) tryConvert(mode Mode, flags uint32, value []byte) Status {
	n, before := l.n, *l
	l.tag++
	l.from, l.wanted, l.flags = l.mode, mode, flags
	n.c.now++
	closed := n.closed
	value = bytes.Clone(value)
	st := n.shardOf(l.name).Convert(n.now(), l.id, mode, flags, value, l.tag)
	if st != wire.OK {
		*l = before
	}
	for i := range value {
		value[i] = 0xa5
	}
	n.after(closed)
	return st
}

// unlock gives the lock up.
func (l *tlock) unlock(flags uint32, value []byte) {
	l.n.c.t.Helper()
	if st := l.tryUnlock(flags, value); st != wire.OK {
		l.n.c.fatalf("unlock %q: %v", l.name, st)
	}
}

func (l *tlock) tryUnlock(flags uint32, value []byte) Status {
	n, before := l.n, *l
	if l.wanted != NoMode {
		l.dying = true
	} else {
		l.gone, l.mode, l.open = true, NoMode, false
	}
	n.c.now++
	closed := n.closed
	value = bytes.Clone(value)
	st := n.shardOf(l.name).Unlock(n.now(), l.id, flags, value)
	if st != wire.OK {
		*l = before
	}
	for i := range value {
		value[i] = 0xa5
	}
	n.after(closed)
	return st
}

func (l *tlock) cancel() {
	l.n.c.t.Helper()
	if st := l.tryCancel(0); st != wire.OK {
		l.n.c.fatalf("cancel %q: %v", l.name, st)
	}
}

func (l *tlock) tryCancel(tag uint64) Status {
	closed := l.n.closed
	st := l.n.shardOf(l.name).Cancel(l.n.now(), l.id, tag)
	l.n.after(closed)
	return st
}

// holds says that the lock holds mode, with no operation running.
func (l *tlock) holds(mode Mode) bool { return l.mode == mode && l.wanted == NoMode && !l.gone }

// Complete is part of Host.
func (n *node) Complete(user any, id, tag uint64, c *Completion) {
	if r, ok := user.(*rangeCall); ok {
		r.complete(n, id, tag, c)
		return
	}
	l := user.(*tlock)
	if l.id == 0 {
		l.id = id // Lock has not returned yet
	}
	if l.n != n || l.id != id || l.tag != tag || l.wanted == NoMode || l.gone {
		n.c.fatalf("node %d: completion of %#x tag %d for %q id %#x tag %d wanted %v gone %v",
			n.id, id, tag, l.name, l.id, l.tag, l.wanted, l.gone)
	}
	if c.Status == wire.OK && c.Mode != l.wanted && c.Bits&wire.BitAltMode == 0 {
		n.c.fatalf("%q: granted %v instead of %v", l.name, c.Mode, l.wanted)
	}
	l.last = *c
	l.last.Value, l.last.Cycle = bytes.Clone(c.Value), bytes.Clone(c.Cycle)
	l.mode = c.Mode
	l.open = c.Bits&wire.BitOpenClaim != 0 && c.Mode != NoMode
	l.ends++
	if n.c.ears != nil {
		n.c.ears.completed(l, &l.last)
	}
	l.wanted = NoMode
	if l.mode == NoMode || l.dying {
		l.gone, l.mode, l.open = true, NoMode, false
	}
}

// Blocking is part of Host.
func (n *node) Blocking(user any, id uint64, mode Mode) {
	l := user.(*tlock)
	if l.id != id || l.gone {
		n.c.fatalf("node %d: BAST for %#x, %q id %#x gone %v", n.id, id, l.name, l.id, l.gone)
	}
	l.basts = append(l.basts, mode)
	if n.c.ears != nil {
		n.c.ears.blocking(l, mode)
	}
}

// Confirmed is part of Host.
func (n *node) Confirmed(user any, id uint64) {
	l := user.(*tlock)
	if l.id != id || l.gone || !l.open {
		n.c.fatalf("node %d: %#x confirmed, %q id %#x gone %v open %v", n.id, id, l.name, l.id, l.gone, l.open)
	}
	l.open = false
	l.confirmed++
	if n.c.ears != nil {
		n.c.ears.confirmed(l)
	}
}

// Lost is part of Host.
func (n *node) Lost(user any, id uint64) {
	l := user.(*tlock)
	if l.id != id || l.lost {
		n.c.fatalf("node %d: %#x lost, %q id %#x lost before %v", n.id, id, l.name, l.id, l.lost)
	}
	if l.gone && l.last.Status != wire.LostLock {
		n.c.fatalf("node %d: %q lost after it was unlocked", n.id, l.name)
	}
	l.lost, l.gone, l.mode, l.open = true, true, NoMode, false
	if n.c.ears != nil {
		n.c.ears.lost(l)
	}
}

// effective is the mode that l surely holds.
func (l *tlock) effective() Mode {
	if l.gone || l.mode == NoMode {
		return NoMode
	}
	switch {
	case l.wanted == NoMode:
	case l.flags&ConvDeadlk != 0:
		return NL // the master may have demoted it
	case middle(l.mode, l.wanted), l.flags&alternates != 0 && l.mode > CR:
		return CR // the master may have granted it: it excludes less than CW and PR both
	}
	return l.mode
}
