package sim

import (
	ls "github.com/lockify-dlm/lockify/lockspace"
)

// rest delivers everything and looks at the cluster.
func (r *run) rest() {
	r.settle()
	r.heal()
	r.deliverAll()
	if r.p.Circles {
		r.restOwners()
	}
	if r.failed != nil {
		return
	}
	r.tracef(nil, "at rest")
	for _, c := range r.checks {
		c.rested()
	}
	if r.council != nil && !r.ending {
		r.council.calm = false
	}
}

// deliverAll delivers all messages, and what they cause, until no node has anything to do.
func (r *run) deliverAll() {
	if r.council != nil {
		r.council.deliverAll()
		return
	}
	for i := 0; r.failed == nil; i++ {
		switch {
		case i == maxDeliveries:
			r.fail(inWork, nil, "messages without end")
		case r.busy():
			r.arrival()
		case !r.workAll():
			return
		}
	}
}

// windDown gives everything up and checks that nothing is left.
func (r *run) windDown() {
	r.ending = true
	r.tracef(nil, "everything is wound down")
	for range 60 {
		r.rest()
		pending, released := r.releaseAll()
		if r.failed != nil {
			return
		}
		if pending+released == 0 {
			break
		}
		if released == 0 {
			r.unblock()
		}
	}
	if r.p.Ranges {
		r.endRanges()
	}
	for range 4 { // a master may go only after those who asked it
		r.pass(r.p.IdleAfter + 1)
		r.rest()
	}
	if r.failed != nil {
		return
	}
	for _, c := range r.checks {
		c.ended()
	}
}

// pass lets time pass on all nodes.
func (r *run) pass(ns int64) {
	if r.council != nil {
		r.council.pass(ns + ns/10)
		return
	}
	r.now += ns + ns/1000 // the slowest clock, too
	for _, n := range r.nodes {
		if !n.takesPart() {
			continue
		}
		n.tick()
		r.stepped()
	}
}

// releaseAll gives up all locks that no operation runs on.
func (r *run) releaseAll() (pending, released int) {
	for i, l := range r.locks {
		switch {
		case l == nil || l.gone:
		case l.orphan:
			if l.left() {
				a := action{at: r.now, op: opOf("purge"), node: int(l.n.id) - 1, lock: i}
				r.do(&a)
				r.stepped()
				released++
			} else {
				pending++
			}
		case l.idle():
			a := action{at: r.now, op: opOf("unlock"), node: int(l.n.id) - 1, lock: i}
			r.do(&a)
			r.stepped()
			released++
		default:
			pending++
		}
	}
	return pending, released
}

// unblock ends a conversion deadlock that is nobody's fault: with NODLCKWT,
// or noticed only by those that wait. Plain requests alone cannot block.
func (r *run) unblock() {
	for i, l := range r.locks {
		if l != nil && !l.gone && l.wanted != ls.NoMode && l.mode != ls.NoMode && !l.withdrawn {
			a := action{at: r.now, op: opOf("cancel"), node: int(l.n.id) - 1, lock: i}
			r.do(&a)
			r.stepped()
			return
		}
	}
	r.fail(inWork, nil, "only plain requests wait, and nothing is granted")
}
