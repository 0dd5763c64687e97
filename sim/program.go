package sim

import (
	ls "github.com/lockify-dlm/lockify/lockspace"
)

// program lets a program on a node do something random, or nothing.
func (r *run) program(n *node) (happened bool) {
	keep := n.live[:0]
	for _, l := range n.live {
		if !l.gone {
			keep = append(keep, l)
		}
	}
	clear(n.live[len(keep):])
	n.live = keep
	if n.seat != nil && n.seat.leaving {
		return r.giveUp(n)
	}
	if r.p.Owners > 0 {
		return r.clientTurn(n)
	}
	a := action{at: r.now, node: int(n.id) - 1, lock: len(r.locks)}
	if len(n.live) == 0 || n.curious != nil && len(n.live) < r.p.Locks+2 || len(n.live) < r.p.Locks && r.prog.IntN(3) == 0 {
		return r.choose(n, nil, onNothing, &a)
	}
	if h := n.hurry; h != nil {
		n.hurry = nil
		if h.idle() {
			a.lock = h.num
			return r.choose(n, h, onIdle, &a)
		}
	}
	if r.prog.IntN(2) == 0 {
		for _, l := range n.live {
			if !l.idle() {
				continue
			}
			if r.news(n, l) {
				a.lock, a.op = l.num, opOf("read")
				return r.do(&a)
			}
			if r.sees(n, l) {
				a.lock, a.op = l.num, opOf("look")
				return r.do(&a)
			}
		}
	}
	l := n.live[r.prog.IntN(len(n.live))]
	for i := 0; i < 2 && l.wanted != ls.NoMode; i++ {
		l = n.live[r.prog.IntN(len(n.live))]
	}
	a.lock = l.num
	switch {
	case l.orphan && l.wanted == ls.NoMode:
		return r.choose(n, l, onOrphan, &a)
	case l.orphan:
		return false
	case l.wanted != ls.NoMode:
		return r.choose(n, l, onBusy, &a)
	case l.told != 0 && r.p.Release > 0 && r.prog.IntN(100) < r.p.Release:
		a.op = opOf("unlock")
		return chooseUnlock(r, n, l, &a) && r.do(&a)
	}
	return r.choose(n, l, onIdle, &a)
}

// news says whether l shows something that the node's programs do not know.
func (r *run) news(n *node, l *lock) bool {
	k := len(l.name.children)
	return k > 0 && !n.knows(l.name.children[k-1]) && r.mayRead(l)
}

// choose picks one of the operations with a target, by weight, and does it.
func (r *run) choose(n *node, l *lock, on target, a *action) bool {
	total := 0
	for i := range ops {
		if ops[i].on == on {
			total += r.weights[i]
		}
	}
	if total == 0 {
		return false
	}
	k := r.prog.IntN(total)
	for i := range ops {
		if ops[i].on != on {
			continue
		}
		if k -= r.weights[i]; k < 0 {
			a.op = i
			return ops[i].choose(r, n, l, a) && r.do(a)
		}
	}
	return false
}

// do executes an operation, and records it. It says whether it made sense.
func (r *run) do(a *action) bool {
	n, o := r.nodes[a.node], &ops[a.op]
	if !n.takesPart() || !n.mayAct() {
		return false
	}
	var l *lock
	if l = r.lockOf(a.lock); o.makes {
		if l != nil {
			return false
		}
	} else if o.on == onNothing {
		l = nil
	} else if l == nil || l.gone || l.n != n || o.on == onIdle && !l.idle() || o.on == onBusy && (l.wanted == ls.NoMode || l.orphan) || o.on == onOrphan && !l.left() {
		return false
	}
	if l != nil && (!l.idle() || a.op == opOf("cancel bytes")) && r.isDue(l) {
		return false // what it is to end may end, or be granted, in the same step
	}
	if r.recording && !r.ending {
		r.recorded = append(r.recorded, *a)
	}
	r.traceAction(n, l, a)
	r.mixIn(uint64(a.op)<<48 | uint64(a.node)<<40 | uint64(a.lock))
	o.do(r, n, l, a)
	return true
}

// isDue says that the name of l is on its node as it was in the view before.
func (r *run) isDue(l *lock) bool {
	l.n.shardOf(l.name).State(&r.dueState, l.name.hash, l.name.bytes)
	return r.dueState.Due
}

func (r *run) lockOf(num int) *lock {
	if num >= len(r.locks) {
		return nil
	}
	return r.locks[num]
}

// begin and end enclose an operation on a shard, for the oracle.
func (r *run) begin(n *node, nm *name) {
	r.touch(nm)
	r.closedWas = n.closed
	r.queues.begin(n, nm)
}

func (r *run) end(step func(o *Oracle, self uint64)) {
	n := r.queues.node
	r.queues.local(step)
	n.after(r.closedWas)
}

// spoil overwrites what a caller has handed to a shard: it must have been
// copied.
func (r *run) spoil(b []byte) {
	for i := range b {
		b[i] = 0xa5
	}
}

// flags gives a random subset.
func (r *run) flags(of uint32) (f uint32) {
	for bit := uint32(1); bit != 0; bit <<= 1 {
		if of&bit != 0 && r.prog.IntN(3) == 0 {
			f |= bit
		}
	}
	return r.valueFlags(f)
}

// valueFlags leaves out what needs a value block where there is none.
func (r *run) valueFlags(f uint32) uint32 {
	if r.valueLen == 0 {
		f &^= ls.ValBlk | ls.IvValBlk
	}
	return f
}

func (r *run) mode() ls.Mode { return r.p.Modes[r.prog.IntN(len(r.p.Modes))] }
