package sim

import (
	"slices"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// byteRanges is what must be true of byte ranges, byte by byte: no two owners
// have what excludes each other; a node's table is what its programs were told;
// at the master nothing waits that could go on, nor for itself; at rest the
// master's table is the sum of the others; and each request has one outcome.
type byteRanges struct {
	watcher
	state ls.ResourceState
	table []byteEntry // of one node: what is granted
	waits []byterange.Held
	seen  []byterange.Owner
}

// byteEntry is an owner with what it has.
type byteEntry struct {
	owner byterange.Owner
	has   byteMap
}

func (c *byteRanges) stepped(nm *name) {
	if !nm.ranged {
		return
	}
	c.exclusion(nm)
	for _, n := range c.r.nodes {
		if !n.takesPart() {
			continue
		}
		c.read(n, nm)
		c.mirror(n, nm)
		if n.shardOf(nm).State(&c.state, nm.hash, nm.bytes); c.state.Role == "master" {
			c.queue(n, nm)
		}
	}
}

// exclusion looks at what all programs believe to have.
func (c *byteRanges) exclusion(nm *name) {
	c.r.evals[inBytes]++
	var writer, reader [byteSpan]*lock
	var wrote, read [byteSpan]uint64
	for _, l := range nm.locks {
		if l.bytes != nil && l.bytes.mustGo && !l.gone {
			c.r.fail(inBytes, nm, "lock %d was said to be lost, and is not", l.num)
		}
		for o := uint64(1); o <= byteOwners; o++ {
			for b, typ := range l.effectiveBytes(o) {
				other, number := writer[b], wrote[b]
				if typ == byterange.Write && other == nil {
					other, number = reader[b], read[b]
				}
				switch {
				case typ == byterange.None:
					continue
				case other != nil:
					c.r.fail(inBytes, nm, "byte %d: owner %d of node %d (lock %d) has it %v locked beside owner %d of node %d (lock %d)",
						b, o, l.n.id, l.num, typ, number, other.n.id, other.num)
				case typ == byterange.Write:
					writer[b], wrote[b] = l, o
				default:
					reader[b], read[b] = l, o
				}
			}
		}
	}
}

// read copies a node's table, byte by byte.
func (c *byteRanges) read(n *node, nm *name) {
	c.table, c.waits = c.table[:0], c.waits[:0]
	n.shardOf(nm).ByteRanges(nm.hash, nm.bytes, func(h byterange.Held, waiting bool) bool {
		if waiting {
			c.waits = append(c.waits, h)
			return true
		}
		m := c.find(h.Owner)
		if m == nil {
			c.table = append(c.table, byteEntry{owner: h.Owner})
			m = &c.table[len(c.table)-1].has
		}
		for b := range m {
			if has(h.Range, b) && m[b] != byterange.None {
				c.r.fail(inBytes, nm, "node %d: %v has byte %d twice", n.id, h.Owner, b)
			}
		}
		m.set(h.Lock)
		return true
	})
}

// find gives what an owner has, nil if that is nothing.
func (c *byteRanges) find(o byterange.Owner) *byteMap {
	for i := range c.table {
		if c.table[i].owner == o {
			return &c.table[i].has
		}
	}
	return nil
}

// mirror compares what a node's table says of its own programs with what they
// were told.
func (c *byteRanges) mirror(n *node, nm *name) {
	told := 0
	for _, l := range nm.locks {
		if l.gone || l.n != n {
			continue
		}
		for o := uint64(1); l.bytes != nil && o <= byteOwners; o++ {
			m := c.find(byterange.Owner{Node: n.instance, Handle: l.id, Number: o})
			if m != nil {
				told++
			} else {
				m = &byteMap{}
			}
			if *m != l.bytes.held[o] && !l.dying {
				c.r.fail(inBytes, nm, "node %d takes owner %d of lock %d to have %v, which was told of %v", n.id, o, l.num, *m, l.bytes.held[o])
			}
		}
	}
	for i := range c.table {
		if c.table[i].owner.Node == n.instance {
			told--
		}
	}
	if told != 0 {
		c.r.fail(inBytes, nm, "node %d has byte ranges of %d owners more than its programs", n.id, -told)
	}
}

// queue looks at those that wait at the master.
func (c *byteRanges) queue(n *node, nm *name) {
	for i := range c.waits {
		c.r.evals[inByteWait]++
		w := &c.waits[i]
		blocked := false
		for k := range c.table {
			blocked = blocked || c.table[k].blocks(w)
		}
		if !blocked {
			c.r.fail(inByteWait, nm, "node %d: %v waits at its master, and nothing is in its way", n.id, *w)
		}
		c.seen = c.seen[:0]
		if c.reaches(w, person(w.Owner)) {
			c.r.fail(inByteWait, nm, "node %d: %v waits for itself", n.id, *w)
		}
	}
}

// blocks says that e is in the way of w.
func (e *byteEntry) blocks(w *byterange.Held) bool {
	for b, typ := range e.has {
		if e.owner != w.Owner && has(w.Range, b) && excludes(typ, w.Type) {
			return true
		}
	}
	return false
}

// person is who waits as a whole: an owner through whatever handle of its node.
func person(o byterange.Owner) byterange.Owner {
	o.Handle = 0
	return o
}

// reaches says that w waits for goal, over any number of others that wait.
func (c *byteRanges) reaches(w *byterange.Held, goal byterange.Owner) bool {
	for k := range c.table {
		e := &c.table[k]
		p := person(e.owner)
		switch {
		case !e.blocks(w):
			continue
		case p == goal:
			return true
		case slices.Contains(c.seen, p):
			continue
		}
		c.seen = append(c.seen, p)
		for i := range c.waits {
			if person(c.waits[i].Owner) == p && c.reaches(&c.waits[i], goal) {
				return true
			}
		}
	}
	return false
}

// rested compares the master's table with what all programs were told, and its
// queue with what they wait for.
func (c *byteRanges) rested() {
	for _, nm := range c.r.order {
		if nm.ranged {
			c.r.evals[inBytes]++
			c.restedName(nm)
		}
	}
}

func (c *byteRanges) restedName(nm *name) {
	master := c.masterOf(nm)
	if master == nil {
		return // then there are no locks: agreement has looked
	}
	c.read(master, nm)
	nm.prune()
	for _, l := range nm.locks {
		if l.bytes == nil || l.dying || l.mode == ls.NoMode {
			continue
		}
		for o := uint64(1); o <= byteOwners; o++ {
			key := byterange.Owner{Node: l.n.instance, Handle: l.id, Number: o}
			m := c.find(key)
			if m == nil {
				m = &byteMap{}
			}
			if *m != l.bytes.held[o] {
				c.r.fail(inBytes, nm, "at rest the master, node %d, gives owner %d of lock %d of node %d %v, which was told of %v",
					master.id, o, l.num, l.n.id, *m, l.bytes.held[o])
			}
			c.table = slices.DeleteFunc(c.table, func(e byteEntry) bool { return e.owner == key })
		}
		for _, call := range l.bytes.calls {
			c.takeWait(nm, master, call)
		}
	}
	for _, e := range c.table {
		c.r.fail(inBytes, nm, "at rest the master, node %d, has %v of %v, which is nobody's", master.id, e.has, e.owner)
	}
	if len(c.waits) > 0 {
		c.r.fail(inByteWait, nm, "at rest %d requests that nobody waits for are at the master, node %d", len(c.waits), master.id)
	}
}

// takeWait finds a running request in the master's queue.
func (c *byteRanges) takeWait(nm *name, master *node, call *byteCall) {
	for i, w := range c.waits {
		if w.Owner == (byterange.Owner{Node: call.l.n.instance, Handle: call.l.id, Number: call.owner}) && w.Lock == call.Lock {
			c.waits = append(c.waits[:i], c.waits[i+1:]...)
			return
		}
	}
	c.r.fail(inByteWait, nm, "at rest owner %d of lock %d waits to have bytes %v %v locked, and the master, node %d, does not know",
		call.owner, call.l.num, call.Range, call.Type, master.id)
}

func (c *byteRanges) masterOf(nm *name) *node {
	for _, n := range c.r.nodes {
		if n.takesPart() && n.shardOf(nm).State(&c.state, nm.hash, nm.bytes) && c.state.Role == "master" {
			return n
		}
	}
	return nil
}

func (c *byteRanges) ended() {
	for _, k := range c.r.byteCalls {
		if k.l.crashed {
			continue
		}
		c.r.evals[inOnce]++
		if k.ends != 1 {
			c.r.fail(inOnce, k.l.name, "lock %d: %d outcomes of a request for %v bytes %v", k.l.num, k.ends, k.Type, k.Range)
		}
	}
}

// judge says whether an outcome is one that the request may have.
func (r *run) judge(c *byteCall, o *ls.ByteOutcome) {
	r.evals[inStatus]++
	test := c.flags&ls.TestRange != 0
	told := o.Blocker.Type != byterange.None
	ok := false
	switch o.Status {
	case wire.OK:
		ok = test || !told
	case wire.WouldBlock:
		ok = c.flags&ls.NoQueue != 0 && !test && told
	case wire.Deadlock:
		r.stats.ByteDeadlocks++
		ok = c.Type != byterange.None && c.flags&(ls.NoQueue|ls.TestRange) == 0
	case wire.Cancelled:
		ok = c.withdrawn || c.l.gone || c.l.dying
	case wire.LostLock:
		ok, c.l.bytes.mustGo = true, true
	}
	if told {
		overlap := o.Blocker.Start <= c.End && c.Start <= o.Blocker.End
		ok = ok && overlap && excludes(o.Blocker.Type, c.Type)
	}
	if !ok {
		r.fail(inStatus, c.l.name, "lock %d: outcome %v of a request for %v bytes %v with flags %#x, in the way %v",
			c.l.num, o.Status, c.Type, c.Range, c.flags, o.Blocker)
	}
}
