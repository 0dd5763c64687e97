package sim

import (
	"bytes"
	"slices"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// order is invariant 3 with the statuses and values that go with it: what a
// master does to its queues is what the oracle does. It looks at the queues
// before and after each operation, lets the oracle take the same step from the
// same start, and compares queues, completions, callbacks and value.
type order struct {
	r             *run
	o             Oracle
	node          *node // where an operation is running; nil: nowhere
	name          *name
	last          string // role after the last operation
	before, after ls.ResourceState
	seen          []OracleEvent // what the shard has said
	room          []OracleLock  // memory for the oracle's locks
	value         []byte        // and for the value before the operation
	silent        bool          // the owner has completed the operation already
}

// begin looks at a name on a node before an operation.
func (c *order) begin(n *node, nm *name) {
	c.node, c.name, c.silent = n, nm, false
	c.seen = c.seen[:0]
	n.shardOf(nm).State(&c.before, nm.hash, nm.bytes)
	c.value = append(c.value[:0], c.before.Value...) // the operation may write it
	c.before.Value = c.value
}

func masters(st *ls.ResourceState) bool { return st.Role == "master" || st.Role == "claimed" }

// load gives the oracle the queues as they were before.
func (c *order) load(withWaiting bool) {
	st := &c.before
	n := len(st.Granted) + len(st.Convert) + len(st.Waiting)
	if cap(c.room) < n {
		c.room = make([]OracleLock, 0, 2*n)
	}
	c.room = c.room[:0]
	c.o = Oracle{
		Granted: c.o.Granted[:0], Convert: c.o.Convert[:0], Waiting: c.o.Waiting[:0], Events: c.o.Events[:0],
		Value: st.Value, Valid: st.ValueOK, ValueLen: c.r.valueLen,
	}
	c.o.Granted = c.queue(c.o.Granted, st.Granted)
	c.o.Convert = c.queue(c.o.Convert, st.Convert)
	if withWaiting {
		c.o.Waiting = c.queue(c.o.Waiting, st.Waiting)
	}
}

func (c *order) queue(out []*OracleLock, in []ls.LockState) []*OracleLock {
	for i := range in {
		l := &in[i]
		c.room = append(c.room, OracleLock{
			Owner: l.Owner, ID: l.ID, Granted: l.Granted, Wanted: l.Wanted, High: l.High,
			Flags: l.Flags, Bast: l.WantBast, Demoted: l.Demoted, value: l.Value,
			Dying: l.Wanted != ls.NoMode && l.Owner == c.node.instance && c.dying(l.ID),
		})
		out = append(out, &c.room[len(c.room)-1])
	}
	return out
}

// end compares after the oracle has taken its step, if it knows the step.
func (c *order) end(known bool) {
	n, nm := c.node, c.name
	defer func() { c.node = nil }()
	c.last = ""
	if c.r.failed != nil {
		return
	}
	n.shardOf(nm).State(&c.after, nm.hash, nm.bytes)
	if c.last = c.after.Role; !masters(&c.after) {
		return
	}
	if known && !c.before.Due { // else the step has done what the view does, too
		c.ofDying(n)
		c.r.evals[inOrder]++
		c.compare(n, nm)
		if c.before.Held == 0 && c.after.Held == 0 {
			c.r.evals[inStatus]++
			c.compareEvents(n, nm)
		}
		return
	}
	// Whatever it was: nothing grantable may be left waiting.
	c.before, c.after = c.after, c.before
	c.load(true)
	c.r.evals[inWork]++
	c.o.Pending()
	for _, e := range c.o.Events {
		if !e.Blocking {
			c.r.fail(inWork, nm, "node %d: lock %#x waits at its master and could be granted %v", n.id, e.ID, e.Mode)
		}
	}
}

// ofDying unlocks what was only waiting for the end of its operation.
func (c *order) ofDying(n *node) {
	var ids []uint64
	for _, e := range c.o.Events {
		if e.Owner != n.instance || e.Blocking || e.Mode == ls.NoMode {
			continue
		}
		for _, l := range n.live {
			if l.real() == e.ID && l.dying {
				ids = append(ids, e.ID)
			}
		}
	}
	for len(ids) > 0 {
		c.o.Unlock(n.instance, ids[len(ids)-1], 0, nil)
		ids = ids[:len(ids)-1]
	}
}

func (c *order) compare(n *node, nm *name) {
	same := c.sameQueue(c.o.Granted, c.after.Granted) && c.sameQueue(c.o.Convert, c.after.Convert) &&
		c.sameQueue(c.o.Waiting, c.after.Waiting)
	if !same {
		c.r.fail(inOrder, nm, "node %d: queues %s, the oracle has %s", n.id, queuesOf(&c.after), c.o.String())
	}
	if c.o.Valid != c.after.ValueOK || c.o.Valid && !bytes.Equal(c.o.Value, c.after.Value) {
		c.r.fail(inValue, nm, "node %d: value %.8x valid %v, the oracle has %.8x valid %v", n.id,
			c.after.Value, c.after.ValueOK, c.o.Value, c.o.Valid)
	}
}

func (c *order) sameQueue(want []*OracleLock, have []ls.LockState) bool {
	if len(want) != len(have) {
		return false
	}
	for i, w := range want {
		h := &have[i]
		if h.Owner != w.Owner || h.ID != w.ID || h.Granted != w.Granted || h.Wanted != w.Wanted ||
			h.Demoted != w.Demoted || w.Bast && h.High != w.High {
			return false
		}
	}
	return true
}

// compareEvents compares what was said, completions and callbacks each in
// their order.
func (c *order) compareEvents(n *node, nm *name) {
	for _, blocking := range []bool{false, true} {
		i := 0
		for _, w := range c.o.Events {
			if w.Blocking != blocking {
				continue
			}
			if !blocking && c.silent && w.Status == wire.OK && i == 0 {
				c.silent = false
				continue
			}
			for i < len(c.seen) && c.seen[i].Blocking != blocking {
				i++
			}
			if i == len(c.seen) || !w.same(&c.seen[i]) {
				c.r.fail(inStatus, nm, "node %d says %+v, the oracle says %+v", n.id, c.seen, c.o.Events)
				return
			}
			i++
		}
		for ; i < len(c.seen); i++ {
			if c.seen[i].Blocking == blocking {
				c.r.fail(inStatus, nm, "node %d says %+v, the oracle says %+v", n.id, c.seen, c.o.Events)
				return
			}
		}
	}
}

func (w *OracleEvent) same(h *OracleEvent) bool {
	return h.Owner == w.Owner && h.ID == w.ID && h.Mode == w.Mode && (w.Blocking ||
		h.Status == w.Status && h.Demoted == w.Demoted && h.Alternate == w.Alternate && h.Reads == w.Reads && bytes.Equal(h.Value, w.Value))
}

// completion notes what a local lock is told during an operation.
func (c *order) completion(l *lock, done *ls.Completion) {
	st := done.Status
	if st == wire.TimedOut {
		st = wire.Cancelled
	}
	if c.node == l.n && c.name == l.name {
		c.seen = append(c.seen, OracleEvent{
			Owner: l.n.instance, ID: l.real(), Status: st, Mode: done.Mode, Demoted: done.Bits&wire.BitDemoted != 0,
			Alternate: done.Bits&wire.BitAltMode != 0,
			Reads:     done.Bits&(wire.BitValue|wire.BitNotValid) != 0, Value: slices.Clone(done.Value),
		})
	}
}

func (c *order) bast(l *lock, mode ls.Mode) {
	if c.node == l.n && c.name == l.name {
		c.seen = append(c.seen, OracleEvent{Owner: l.n.instance, ID: l.real(), Blocking: true, Mode: mode})
	}
}

// sent notes what the master says to another node instance during an
// operation.
func (c *order) sent(n *node, to uint64, nm *name, m *wire.Msg) {
	if c.node != n || c.name != nm {
		return
	}
	e := OracleEvent{Owner: to, ID: m.Lock, Mode: ls.Mode(m.Mode)}
	switch m.Type {
	case wire.Bast:
		e.Blocking = true
	case wire.Grant, wire.Denied:
		e.Status, e.Demoted, e.Alternate = m.Status, m.Bits&wire.BitDemoted != 0, m.Bits&wire.BitAltMode != 0
		e.Reads, e.Value = m.Bits&(wire.BitValue|wire.BitNotValid) != 0, slices.Clone(m.Value)
	default:
		return
	}
	c.seen = append(c.seen, e)
}
