package sim

import (
	"fmt"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is byte ranges: what programs do with them through the locks that
// they hold, and what they believe to have. check_bytes.go judges it.

// byteSpan is how many bytes of a name programs lock. The last one stands for
// all behind it, so that a range that has it reaches to the end.
const byteSpan = 12

// byteOwners is how many owners of byte ranges a node's programs have, from 1.
const byteOwners = 3

// byteMap is what somebody has of each byte.
type byteMap [byteSpan]byterange.Type

// set gives each byte of l its type.
func (m *byteMap) set(l byterange.Lock) {
	for b := range m {
		if has(l.Range, b) {
			m[b] = l.Type
		}
	}
}

// has says that byte b is in r.
func has(r byterange.Range, b int) bool { return r.Start <= int64(b) && int64(b) <= r.End }

// excludes says that two owners cannot have a and b of one byte.
func excludes(a, b byterange.Type) bool {
	return a != byterange.None && b != byterange.None && (a == byterange.Write || b == byterange.Write)
}

// byteCall is a request for a byte range.
type byteCall struct {
	l     *lock
	owner uint64
	byterange.Lock
	flags     uint32
	tag       uint64
	ends      int           // outcomes so far
	withdrawn bool          // a cancel was asked for
	posts     [byteSpan]int // test: how many names were posted on each byte when it began
}

// lockBytes is a lock's byte ranges, as its program sees them.
type lockBytes struct {
	held    [byteOwners + 1]byteMap // by owner
	calls   []*byteCall             // without an outcome yet
	lastTag uint64
	mustGo  bool // an outcome said that the lock is lost
}

// byteArgs is the part of an action that is about byte ranges.
type byteArgs struct {
	byterange.Lock
	owner uint64
	tag   uint64 // cancel: of which request
}

// effective is what an owner surely has of each byte: of a running request it
// may have been granted anything already, and others may know that sooner.
func (l *lock) effectiveBytes(owner uint64) (m byteMap) {
	if l.gone || l.dying || l.bytes == nil {
		return m
	}
	m = l.bytes.held[owner]
	for _, c := range l.bytes.calls {
		if c.owner != owner || c.flags&ls.TestRange != 0 {
			continue
		}
		for b := range m {
			if has(c.Range, b) {
				m[b] = min(m[b], c.Type)
			}
		}
	}
	return m
}

func chooseBytes(r *run, n *node, l *lock, a *action) bool {
	if l.mode == ls.NoMode || l.dying {
		return false
	}
	first := r.prog.IntN(byteSpan)
	last := min(first+r.prog.IntN(5), byteSpan-1)
	if r.prog.IntN(8) == 0 {
		last = byteSpan - 1
	}
	a.bytes = byteArgs{owner: uint64(1 + r.prog.IntN(byteOwners))}
	switch r.prog.IntN(7) {
	case 0, 1:
		a.bytes.Type = byterange.None
	case 2, 3:
		a.bytes.Type = byterange.Read
	default:
		a.bytes.Type = byterange.Write
	}
	if o, b, ok := l.posted(); ok && r.prog.IntN(3) != 0 { // others wait for what was posted
		first, last, a.bytes.owner = b, b, o
		a.bytes.Type = byterange.Type(r.prog.IntN(2))
	}
	a.bytes.Range = byterange.Range{Start: int64(first), End: int64(last)}
	if last == byteSpan-1 {
		a.bytes.End = byterange.Last
	}
	if a.bytes.Type != byterange.None {
		a.flags = []uint32{0, 0, 0, 0, ls.NoQueue, ls.TestRange, ls.TestRange | ls.NoQueue, 0}[r.prog.IntN(8)]
	}
	return true
}

// posted gives an owner and a byte that it has write locked and where somebody
// has posted a name.
func (l *lock) posted() (owner uint64, b int, ok bool) {
	if l.bytes == nil || l.name.posts == nil {
		return 0, 0, false
	}
	for o := range l.bytes.held {
		for b, typ := range l.effectiveBytes(uint64(o)) {
			if typ == byterange.Write && len(l.name.posts[b]) > 0 {
				return uint64(o), b, true
			}
		}
	}
	return 0, 0, false
}

func doBytes(r *run, n *node, l *lock, a *action) {
	if l.mode == ls.NoMode || l.dying {
		return
	}
	nm := l.name
	nm.ranged = true
	if l.bytes == nil {
		l.bytes = &lockBytes{}
	}
	l.bytes.lastTag++
	c := &byteCall{l: l, owner: a.bytes.owner, Lock: a.bytes.Lock, flags: a.flags, tag: l.bytes.lastTag}
	if nm.posts != nil {
		for b := range c.posts {
			c.posts[b] = len(nm.posts[b])
		}
	}
	l.bytes.calls = append(l.bytes.calls, c)
	r.byteCalls = append(r.byteCalls, c)
	r.begin(n, nm)
	q := ls.ByteRequest{Lock: l.id, Owner: c.owner, Type: c.Type, Range: c.Range, Flags: c.flags, Tag: c.tag}
	if st := n.shardOf(nm).Bytes(n.now(), &q); st != wire.OK {
		r.fail(inOnce, nm, "lock %d: %v bytes %v: %v", l.num, c.Type, c.Range, st)
		return
	}
	r.end(func(*Oracle, uint64) {}) // the queues do not change
}

func chooseCancelBytes(r *run, _ *node, l *lock, a *action) bool {
	if l.bytes == nil || l.dying || len(l.bytes.calls) == 0 {
		return false
	}
	a.bytes.tag = l.bytes.calls[r.prog.IntN(len(l.bytes.calls))].tag
	return true
}

func doCancelBytes(r *run, n *node, l *lock, a *action) {
	c := l.byteCall(a.bytes.tag)
	if c == nil || l.dying {
		return
	}
	c.withdrawn = true
	r.begin(n, l.name)
	if st := n.shardOf(l.name).CancelBytes(n.now(), l.id, c.tag); st != wire.OK {
		r.fail(inOnce, l.name, "lock %d: cancel of %v bytes %v: %v", l.num, c.Type, c.Range, st)
		return
	}
	r.end(func(*Oracle, uint64) {})
}

// byteCall finds a running request.
func (l *lock) byteCall(tag uint64) *byteCall {
	if l.bytes == nil {
		return nil
	}
	for _, c := range l.bytes.calls {
		if c.tag == tag {
			return c
		}
	}
	return nil
}

// choosePost uses a write locked byte as an entry of a directory: a program
// creates a name and posts it there.
func choosePost(r *run, n *node, l *lock, a *action) bool {
	o, b := r.mayPost(l)
	if o == 0 {
		return false
	}
	r.created++
	a.name = fmt.Sprintf("b%d", r.created)
	a.mode, a.flags = []ls.Mode{ls.EX, ls.PW, ls.PR}[r.prog.IntN(3)], ls.NewName
	a.under, a.lock = l.num, len(r.locks)
	a.bytes = byteArgs{owner: o, Lock: byterange.Lock{Range: byterange.Range{Start: int64(b), End: int64(b)}}}
	n.hurry = l // to let others see it
	return true
}

// mayPost gives an owner that may post, and where; 0: nobody may.
func (r *run) mayPost(l *lock) (owner uint64, b int) {
	for o := uint64(1); o <= byteOwners; o++ {
		m := l.effectiveBytes(o)
		from := r.prog.IntN(byteSpan)
		for i := range m {
			if b := (from + i) % byteSpan; m[b] == byterange.Write {
				return o, b
			}
		}
	}
	return 0, 0
}

func doPost(r *run, n *node, _ *lock, a *action) {
	l, b := r.lockOf(a.under), int(a.bytes.Start)
	nm := r.nameOf(a.name)
	if l == nil || l.n != n || l.effectiveBytes(a.bytes.owner)[b] != byterange.Write || nm.knownBy != 0 {
		return
	}
	n.learn(nm)
	if l.name.posts == nil {
		l.name.posts = &[byteSpan][]*name{}
	}
	l.name.posts[b] = append(l.name.posts[b], nm)
	r.stats.Posted++
	r.take(n, nm, a)
}

// chooseLook reads what was posted on bytes that an owner has locked.
func chooseLook(r *run, n *node, l *lock, a *action) bool { return r.sees(n, l) }

// sees says whether l shows something posted that the node does not know.
func (r *run) sees(n *node, l *lock) bool {
	found := false
	r.look(l, func(nm *name) { found = found || !n.knows(nm) })
	return found
}

// look calls f for what l shows.
func (r *run) look(l *lock, f func(*name)) {
	if l.bytes == nil || l.name.posts == nil {
		return
	}
	for o := uint64(1); o <= byteOwners; o++ {
		for b, typ := range l.effectiveBytes(o) {
			if posts := l.name.posts[b]; typ != byterange.None && len(posts) > 0 {
				f(posts[len(posts)-1])
			}
		}
	}
}

func doLook(r *run, n *node, l *lock, _ *action) {
	r.look(l, func(nm *name) { n.learn(nm) })
	n.forget()
}

// byteDone takes the outcome of a request.
func (l *lock) byteDone(n *node, id, tag uint64, o *ls.ByteOutcome) {
	r, c := n.r, l.byteCall(tag)
	r.mixIn(uint64(o.Status)<<56 | tag)
	if l.n != n || l.id != id || c == nil || l.crashed {
		r.fail(inOnce, l.name, "node %d: outcome %v of request %d for bytes of lock %d, id %#x, which is not running", n.id, o.Status, tag, l.num, id)
		return
	}
	r.tracef(l.name, "node %d: lock %d, owner %d, %v bytes %v: %v, in the way %v", n.id, l.num, c.owner, c.Type, c.Range, o.Status, o.Blocker)
	c.ends++
	calls := l.bytes.calls
	for i := range calls {
		if calls[i] == c {
			l.bytes.calls = append(calls[:i:i], calls[i+1:]...)
			break
		}
	}
	r.judge(c, o)
	if p := o.Cycle; len(p) > 0 && p.At(0).Life.Instance == n.instance { // else its master has been asked
		r.circles.reported(p, false)
	}
	if o.Status != wire.OK {
		return
	}
	r.stats.ByteGrants++
	switch {
	case c.flags&ls.TestRange == 0:
		l.bytes.held[c.owner].set(c.Lock)
	case o.Blocker.Type == byterange.None && l.name.posts != nil:
		r.testShows(n, c)
	}
}

// testShows lets a program read what had been posted on bytes that are free
// now, when it asked: the poster has given them up since. (Of what two tests
// can tell, that is all.)
func (r *run) testShows(n *node, c *byteCall) {
	for b, k := range c.posts {
		if has(c.Range, b) && k > 0 {
			n.learn(c.l.name.posts[b][k-1])
		}
	}
}
