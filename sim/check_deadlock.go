package sim

import (
	"slices"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// deadlocks is invariant 8: a request ends in a deadlock only if there was one,
// whole, at some moment while it waited, and the youngest on it gives up; and a
// second after everything has come to rest there is none.
//
// After each step it makes the edges of the wait-for graph anew from the masters'
// queues, of those names that the step had to do with, and remembers of each when
// it stood. An edge ends when its blocker's own node has given up what the master
// still sees.
type deadlocks struct {
	watcher
	state  ls.ResourceState
	far    ls.ResourceState
	own    []ls.LockState // of a name: all locks, as their own nodes have them
	mine   byteTable      // of a master
	theirs byteTable      // of another node
	of     map[*name][]*edge
	all    map[edgeKey]*edge
}

// edgeKey is what makes an edge: the two locks, their operations, what the one
// waits for, and the life of the name.
type edgeKey struct {
	life            wire.Life
	waiter, blocker party
	ahead           bool // blocker stands ahead in the queue
	ofBytes         bool // see byteEdges
}

type party struct {
	node, lock uint64
	op         uint32
	owner      uint64
	mode       ls.Mode         // wanted; of a holder: held
	bytes      byterange.Range // wanted, of byte ranges
}

// edge is one that has been seen.
type edge struct {
	edgeKey
	times    []span // when it stood; it may come back
	stands   bool   // in the last of them, which has no end yet
	seen     bool   // in the present look
	excludes bool   // ahead: what blocker wants excludes waiter
	hard     bool   // waiter does not give up
}

// span is the ends of all steps from the first up to the last one.
type span struct{ first, last int }

// stoodAt says whether the edge stood at the end of a step.
func (e *edge) stoodAt(step int) bool {
	for i, s := range e.times {
		if s.first <= step && (step <= s.last || e.stands && i == len(e.times)-1) {
			return true
		}
	}
	return false
}

func (c *deadlocks) stepped(nm *name) {
	if c.r.p.Circles {
		c.look(nm, c.r.steps)
	}
}

// look brings the edges of a name up to date, at the end of a step, or in it.
func (c *deadlocks) look(nm *name, step int) {
	for _, e := range c.of[nm] {
		e.seen = false
	}
	for _, n := range c.r.nodes {
		if !n.down && n.shardOf(nm).State(&c.state, nm.hash, nm.bytes) && masters(&c.state) {
			c.owned(nm)
			c.edges(nm, step)
			if nm.ranged && c.state.Role == "master" {
				c.byteEdges(n, nm, step)
			}
		}
	}
	kept := c.of[nm][:0]
	for _, e := range c.of[nm] {
		if e.seen {
			kept = append(kept, e)
		} else {
			e.stands, e.times[len(e.times)-1].last = false, step
		}
	}
	clear(c.of[nm][len(kept):])
	c.of[nm] = kept
}

// owned gathers what the nodes have of a name.
func (c *deadlocks) owned(nm *name) {
	c.own = c.own[:0]
	for _, n := range c.r.nodes {
		if n.down || !n.shardOf(nm).State(&c.far, nm.hash, nm.bytes) {
			continue
		}
		for _, q := range [][]ls.LockState{c.far.Granted, c.far.Convert, c.far.Waiting} {
			for i := range q {
				if q[i].Owner == n.instance {
					c.own = append(c.own, q[i])
				}
			}
		}
	}
}

// gaveUp says that the node of a lock that a master sees has given up what blocks
// others: what it holds, or, if that is ahead of them, its request. (A grant may
// not have come to it yet. What a dead node had stays until it is buried.)
func (c *deadlocks) gaveUp(o *ls.LockState, ahead bool) bool {
	for i := range c.own {
		switch l := &c.own[i]; {
		case l.ID != o.ID || l.Owner != o.Owner:
		case ahead:
			return l.Wanted == ls.NoMode
		default:
			return l.Granted != o.Granted && l.Op != o.Op
		}
	}
	n := c.r.nodes[wire.NodeOf(o.Owner)-1]
	return n.instance == o.Owner && !n.down
}

// edges notes all edges of a master's queues.
func (c *deadlocks) edges(nm *name, step int) {
	st := &c.state
	ahead := make([]*ls.LockState, 0, len(st.Convert)+len(st.Waiting))
	for _, q := range [][]ls.LockState{st.Convert, st.Waiting} {
		for i := range q {
			w := &q[i]
			for _, held := range [][]ls.LockState{st.Granted, st.Convert} {
				for k := range held {
					if h := &held[k]; h != w && stops(h.Granted, w) {
						c.note(nm, step, w, h, false)
					}
				}
			}
			if w.Flags&ls.OutOfOrder == 0 {
				for _, o := range ahead {
					c.note(nm, step, w, o, true)
				}
			}
			ahead = append(ahead, w)
		}
	}
}

// modesOf gives what a request may be granted as.
func modesOf(w *ls.LockState) []ls.Mode {
	switch {
	case w.Flags&ls.AltPR != 0 && w.Wanted != ls.PR:
		return []ls.Mode{w.Wanted, ls.PR}
	case w.Flags&ls.AltCW != 0 && w.Wanted != ls.CW:
		return []ls.Mode{w.Wanted, ls.CW}
	}
	return []ls.Mode{w.Wanted}
}

// stops says that mode excludes all that w may be granted as.
func stops(mode ls.Mode, w *ls.LockState) bool {
	for _, m := range modesOf(w) {
		if fits(mode, m) {
			return false
		}
	}
	return true
}

func (c *deadlocks) note(nm *name, step int, w, o *ls.LockState, ahead bool) {
	if c.gaveUp(o, ahead) {
		return
	}
	key := edgeKey{
		life: c.state.Life, ahead: ahead,
		waiter:  party{node: w.Owner, lock: w.ID, op: w.Op, owner: w.For, mode: w.Wanted},
		blocker: party{node: o.Owner, lock: o.ID, op: o.Op, owner: o.For, mode: o.Granted},
	}
	excludes := true
	if ahead {
		key.blocker.mode = o.Wanted
		for _, m := range modesOf(o) {
			excludes = excludes && stops(m, w)
		}
	}
	c.stood(nm, step, &edge{edgeKey: key, excludes: excludes, hard: w.Flags&ls.NoDlckWt != 0})
}

// stood notes that an edge stands.
func (c *deadlocks) stood(nm *name, step int, now *edge) {
	e := c.all[now.edgeKey]
	switch {
	case e == nil:
		e = now
		c.all[e.edgeKey] = e
		fallthrough
	case !e.stands:
		e.excludes, e.hard, e.stands = now.excludes, now.hard, true
		e.times = append(e.times, span{first: step})
		c.of[nm] = append(c.of[nm], e)
	}
	e.seen = true
}

// byOwner says that the waiter waits for the blocker's owner, not only for the
// blocker itself.
func (e *edge) byOwner() bool { return e.excludes && e.blocker.owner != 0 }

func (p *party) sameOwner(o *party) bool { return p.owner == o.owner && p.node == o.node }

// younger compares ages: what programs count up comes first.
func (p *party) younger(o *party) bool {
	if a, b := uint32(p.owner), uint32(o.owner); a != b {
		return a > b
	}
	return p.owner > o.owner || p.owner == o.owner && p.node > o.node
}

// reported judges a deadlock when its master reports it: l is converting, or asks
// for a new lock.
func (c *deadlocks) reported(path wire.Path, converts bool) {
	if !c.r.p.Circles || converts && path.Len() == 2 && string(path.At(0).Name) == string(path.At(1).Name) || withinBytes(path) {
		return // of conversions, at once: the oracle judges that; nor of bytes of one name: byteRanges does
	}
	c.r.stats.Circles++
	c.r.evals[inDeadlock]++
	step := c.r.steps + 1
	var list []*edge
	for _, we := range path.Edges() {
		c.look(c.r.nameOf(string(we.Name)), step)
		e := c.all[keyOf(&we)]
		if e == nil {
			c.r.fail(inDeadlock, nil, "%v waits for %v: that never was", we.Waiter, we.Blocker)
			return
		}
		list = append(list, e)
	}
	if !wasWhole(list) {
		c.r.fail(inDeadlock, nil, "lock %d is refused for a circle of %d that never was whole: its edges stood in steps %v", path.At(0).Waiter.Lock, len(list), timesOf(list))
	}
	c.closed(list)
}

// wasWhole says whether all edges stood at some moment: if so, when one of them came.
func wasWhole(list []*edge) bool {
	for _, came := range list {
		for _, s := range came.times {
			if !slices.ContainsFunc(list, func(e *edge) bool { return !e.stoodAt(s.first) }) {
				return true
			}
		}
	}
	return false
}

// timesOf gives when edges stood.
func timesOf(list []*edge) (all [][]span) {
	for _, e := range list {
		all = append(all, e.times)
	}
	return all
}

func keyOf(e *wire.Edge) edgeKey {
	if e.Bytes {
		return byteKeyOf(e)
	}
	of := func(p *wire.Party) party {
		return party{node: p.Instance, lock: p.Lock, op: p.Op, owner: p.Owner, mode: ls.Mode(p.Mode)}
	}
	return edgeKey{life: e.Life, waiter: of(&e.Waiter), blocker: of(&e.Blocker), ahead: e.Ahead}
}

// closed looks whether the edges lead back to where they begin, and whether the
// first owner is the youngest of those who give up.
func (c *deadlocks) closed(list []*edge) {
	victim := &list[0].waiter
	for i, e := range list {
		next := list[(i+1)%len(list)]
		through := e.ahead && e.blocker.lock == next.waiter.lock && e.blocker.node == next.waiter.node
		switch {
		case !through && !(e.byOwner() && e.blocker.sameOwner(&next.waiter)):
			c.r.fail(inDeadlock, nil, "edge %d leads to %+v, the next one begins at %+v", i, e.blocker, next.waiter)
		case !through && !next.hard && next.waiter.younger(victim):
			c.r.fail(inDeadlock, nil, "the victim is %+v, though %+v is younger", *victim, next.waiter)
		}
	}
}

// rested: nobody waits in a circle.
func (c *deadlocks) rested() {
	if !c.r.p.Circles {
		return
	}
	from := map[party][]*edge{} // by node and lock
	of := map[party][]party{}   // by node and owner: his requests
	for _, nm := range c.r.order {
		c.look(nm, c.r.steps)
		for _, e := range c.of[nm] {
			r, o := e.request(), e.waiter.person()
			if from[r] == nil {
				of[o] = append(of[o], r)
			}
			from[r] = append(from[r], e)
		}
	}
	for _, nm := range c.r.order {
		for _, e := range c.of[nm] {
			if e.waiter.owner == 0 || e.hard {
				continue
			}
			c.r.evals[inCircle]++
			if reaches(e.request(), e.waiter.person(), from, of, map[party]bool{}) {
				c.r.fail(inCircle, nil, "%q: %+v waits in a circle, and nobody has noticed", nm.text, e.waiter)
			}
		}
	}
}

// request is what waits with e.
func (e *edge) request() party {
	if e.ofBytes {
		return e.waiter
	}
	return e.waiter.request()
}

func (p *party) request() party { return party{node: p.node, lock: p.lock} }
func (p *party) person() party  { return party{node: p.node, owner: p.owner} }

// reaches says whether a request waits for an owner, directly or through others.
func reaches(request, goal party, from map[party][]*edge, of map[party][]party, done map[party]bool) bool {
	if done[request] {
		return false
	}
	done[request] = true
	for _, e := range from[request] {
		next := []party{e.blocker.request()}
		if e.byOwner() {
			who := e.blocker.person()
			if who == goal {
				return true
			}
			next = of[who]
		} else if !e.ahead {
			continue
		}
		for _, r := range next {
			if reaches(r, goal, from, of, done) {
				return true
			}
		}
	}
	return false
}
