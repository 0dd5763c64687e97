package sim

import (
	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file tells the oracle which operation a master has just executed.

// local takes an operation of a program on the node itself. step lets the
// oracle do it.
func (c *order) local(step func(o *Oracle, self uint64)) {
	n, nm := c.node, c.name
	n.shardOf(nm).State(&c.after, nm.hash, nm.bytes)
	// A node that begins to master a name begins with empty queues and no value.
	begins := c.before.Role == "unused" && masters(&c.after)
	known := masters(&c.before) && c.before.Deferred == 0 || begins
	if known {
		c.load(true)
		c.o.Valid = c.o.Valid && !begins
		step(&c.o, n.instance)
	}
	c.end(known)
}

// message takes a message of another node. ordinary says that it was sent in
// the view that is in force.
func (c *order) message(from uint64, m *wire.Msg, ordinary bool) {
	n, nm := c.node, c.name
	n.shardOf(nm).State(&c.after, nm.hash, nm.bytes)
	known := false
	kept := c.before.Role == "claimed" && c.after.Early > c.before.Early
	if !ordinary || kept || c.before.Early != 0 && m.Type != wire.You { // it may be kept, or not count, or let others in
		c.end(false)
		return
	}
	switch m.Type {
	case wire.Request:
		known = c.request(from, m)
	case wire.Fwd:
		known = c.request(m.Instance, m)
	case wire.Lookup:
		if c.before.Entry == c.before.Life && c.after.Entry == c.before.Entry && c.before.Life.Instance == n.instance {
			life := m.Life
			m.Life = c.before.Life
			known = c.request(from, m)
			m.Life = life
		}
	case wire.Convert, wire.Unlock, wire.Cancel:
		known = c.copyOf(from, m)
	case wire.You:
		known = c.you(m)
	}
	c.end(known)
}

// request is a new lock of another node.
func (c *order) request(owner uint64, m *wire.Msg) bool {
	if !masters(&c.before) || c.before.Life != m.Life || c.before.Deferred != 0 {
		return false
	}
	c.load(true)
	if c.o.Find(owner, m.Lock) != nil {
		return false // asked again in another view: answered again
	}
	c.o.Lock(owner, m.Lock, ls.Mode(m.Mode), m.Flags)
	return true
}

// copyOf is an operation on a lock of another node.
func (c *order) copyOf(owner uint64, m *wire.Msg) bool {
	if !masters(&c.before) || c.before.Deferred != 0 {
		return false
	}
	l := findState([3][]ls.LockState{c.before.Granted, c.before.Convert, c.before.Waiting},
		&ls.LockState{Owner: owner, ID: m.Lock})
	c.load(true)
	if l == nil || c.before.Life != m.Life {
		return true // nothing happens
	}
	value := m.Value
	if m.Bits&wire.BitValue == 0 {
		value = nil
	}
	switch m.Type {
	case wire.Convert:
		if l.Wanted == ls.NoMode {
			c.silent = m.Bits&wire.BitNoReply != 0
			c.o.Change(owner, m.Lock, ls.Mode(m.Mode), m.Flags, value)
		}
	case wire.Unlock:
		if m.Bits&wire.BitInvalidate != 0 && exclusive(l.Granted) { // during an adoption: what it has written may follow
			c.o.Valid = false
		}
		c.o.Unlock(owner, m.Lock, m.Flags, value)
	case wire.Cancel:
		if l.Wanted != ls.NoMode && l.Op == m.Op {
			c.o.Cancel(owner, m.Lock)
		}
	}
	return true
}

// you makes the node master: what has waited for the directory begins, in
// order.
func (c *order) you(m *wire.Msg) bool {
	if c.before.Role != "lookup" || c.after.Role != "master" || c.before.Early != 0 {
		return false
	}
	c.load(false)
	c.o.Valid = false
	for i := range c.before.Waiting {
		w := &c.before.Waiting[i]
		if w.ID == m.Lock && c.withdrawn(w.ID) {
			c.o.Events = append(c.o.Events, OracleEvent{Owner: w.Owner, ID: w.ID, Status: wire.Cancelled, Mode: ls.NoMode})
			continue
		}
		flags := w.Flags
		if c.dying(w.ID) || c.orphaned(w.ID) {
			flags &^= ls.WantBast // nobody listens then
		}
		c.o.Lock(w.Owner, w.ID, w.Wanted, flags)
	}
	return true
}

// dying says that a lock of the node itself is unlocked as soon as its
// operation ends.
func (c *order) dying(id uint64) bool {
	for _, l := range c.node.live {
		if l.real() == id && l.dying {
			return true
		}
	}
	return false
}

// withdrawn says whether a program has cancelled the operation of a lock. Its
// completion may have come meanwhile.
func (c *order) withdrawn(id uint64) bool {
	for i := range c.seen {
		if e := &c.seen[i]; e.ID == id && e.Owner == c.node.instance && !e.Blocking {
			return e.Status == wire.Cancelled
		}
	}
	return false
}

// orphaned says that the program of a lock of the node itself has gone.
func (c *order) orphaned(id uint64) bool {
	for _, l := range c.node.live {
		if l.real() == id && l.orphan {
			return true
		}
	}
	return false
}
