package sim

import ls "github.com/lockify-dlm/lockify/lockspace"

// This file is programs whose locks have owners: clients of a node, each of which
// takes several names in a random order for one owner. While a request of his
// waits he does nothing else, as a rule; now and then he gives something up, or asks
// for more, all the same. After a deadlock he gives everything up, and tries again
// under the same owner, or as another one.

// client is a program that locks for one owner after the other.
type client struct {
	owner  uint64
	yields bool // it gives up all it has
}

// clientTurn lets one of a node's clients do something random, or nothing.
func (r *run) clientTurn(n *node) (happened bool) {
	for len(n.clients) < r.p.Owners {
		n.clients = append(n.clients, &client{owner: n.nextOwner()})
	}
	c := n.clients[r.prog.IntN(len(n.clients))]
	var idle, busy []*lock
	for _, l := range n.live {
		switch {
		case l.owner != c.owner:
		case l.idle():
			idle = append(idle, l)
		default:
			busy = append(busy, l)
		}
	}
	if len(idle)+len(busy) == 0 && (!c.yields || r.prog.IntN(2) == 0) {
		c.owner = n.nextOwner()
	}
	if len(idle) == 0 {
		c.yields = false
	}
	a := action{at: r.now, node: int(n.id) - 1, lock: len(r.locks)}
	switch k := r.prog.IntN(24); {
	case len(busy) > 0 && k > 3:
		return false
	case len(busy) > 0 && k == 1:
		a.lock = busy[0].num
		return r.choose(n, busy[0], onBusy, &a)
	case len(idle) > 0 && (c.yields || len(busy) > 0 && k == 0):
		l := idle[r.prog.IntN(len(idle))]
		a.lock, a.op = l.num, opOf("unlock")
		return chooseUnlock(r, n, l, &a) && r.do(&a)
	case len(idle) >= r.p.Locks || len(idle) > 1 && k < 10:
		l := idle[r.prog.IntN(len(idle))]
		a.lock = l.num
		return r.choose(n, l, onIdle, &a)
	}
	a.owner = c.owner
	return r.choose(n, nil, onNothing, &a)
}

// nextOwner makes an owner. Those of other nodes count for themselves.
func (n *node) nextOwner() uint64 {
	n.lastOwner++
	return n.lastOwner
}

// yield lets the client with an owner give everything up.
func (n *node) yield(owner uint64) {
	for _, c := range n.clients {
		if c.owner == owner {
			c.yields = true
		}
	}
}

// soften leaves out flags that would let owners wait in a circle seldom.
func (r *run) soften(flags uint32) uint32 {
	if r.prog.IntN(6) > 0 {
		flags &^= ls.NoQueue
	}
	if r.prog.IntN(3) > 0 {
		flags &^= ls.NoDlckWt
	}
	return flags
}

// restOwners lets the time pass in which all deadlocks must have been found.
func (r *run) restOwners() {
	for range 20 {
		r.pass(50 * ms)
		r.deliverAll()
	}
}

// touchAll makes the checkers look at all names: what the step was about has no
// name.
func (r *run) touchAll() {
	if r.p.Circles {
		for _, nm := range r.order {
			r.touch(nm)
		}
	}
}
