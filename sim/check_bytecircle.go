package sim

import (
	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is byte ranges in the graph of invariant 8. An edge is of a request for
// bytes, and of an owner with a handle: whatever of his is in its way.

// byteEdges notes all edges of a master's byte ranges.
func (c *deadlocks) byteEdges(n *node, nm *name, step int) {
	c.mine.read(nm, n)
	held, waits := c.mine.held, c.mine.waits
	for i := range waits {
		w := &waits[i]
		last := byterange.Owner{}
		for k := range held {
			if h := &held[k]; h.Owner != last && inWay(h, w) && !c.gaveBytesUp(nm, n, h.Owner, w) {
				last = h.Owner // what one owner has stands together
				c.stood(nm, step, &edge{edgeKey: byteKey(c.state.Life, w, h.Owner), excludes: true})
			}
		}
	}
}

// byteTable is what a node's table of a name has, and what waits in it.
type byteTable struct{ held, waits []byterange.Held }

func (t *byteTable) read(nm *name, n *node) {
	t.held, t.waits = t.held[:0], t.waits[:0]
	n.shardOf(nm).ByteRanges(nm.hash, nm.bytes, func(h byterange.Held, waiting bool) bool {
		if waiting {
			t.waits = append(t.waits, h)
		} else {
			t.held = append(t.held, h)
		}
		return true
	})
}

// inWay says that h excludes w.
func inWay(h, w *byterange.Held) bool {
	return h.Owner != w.Owner && h.Start <= w.End && w.Start <= h.End && excludes(h.Type, w.Type)
}

// gaveBytesUp says that an owner's node, another one than the master, has given up
// what is in the way of w. (A grant may not have come to it yet.)
func (c *deadlocks) gaveBytesUp(nm *name, master *node, o byterange.Owner, w *byterange.Held) bool {
	n := c.r.nodes[wire.NodeOf(o.Node)-1]
	if n == master || n.instance != o.Node || n.down {
		return false
	}
	c.theirs.read(nm, n)
	for _, list := range [][]byterange.Held{c.theirs.held, c.theirs.waits} {
		for i := range list {
			if list[i].Owner == o && inWay(&list[i], w) {
				return false
			}
		}
	}
	return true
}

func byteKey(life wire.Life, w *byterange.Held, o byterange.Owner) edgeKey {
	mode := ls.EX
	if w.Type == byterange.Read {
		mode = ls.PR
	}
	return edgeKey{
		life: life, ofBytes: true,
		waiter:  party{node: w.Owner.Node, lock: w.Owner.Handle, owner: w.Owner.Number, mode: mode, bytes: w.Range},
		blocker: party{node: o.Node, lock: o.Handle, owner: o.Number},
	}
}

func byteKeyOf(e *wire.Edge) edgeKey {
	of := func(p *wire.Party) byterange.Owner {
		return byterange.Owner{Node: p.Instance, Handle: p.Lock, Number: p.Owner}
	}
	w := byterange.Held{Owner: of(&e.Waiter)}
	w.Type, w.Range = byterange.Write, byterange.Range{Start: e.Waiter.Start, End: e.Waiter.End}
	if ls.Mode(e.Waiter.Mode) == ls.PR {
		w.Type = byterange.Read
	}
	return byteKey(e.Life, &w, of(&e.Blocker))
}

// withinBytes says that all edges are of byte ranges of one name.
func withinBytes(path wire.Path) bool {
	first := ""
	for i, e := range path.Edges() {
		if i == 0 {
			first = string(e.Name)
		}
		if !e.Bytes || string(e.Name) != first {
			return false
		}
	}
	return true
}
