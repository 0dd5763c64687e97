package sim

import (
	"github.com/lockify-dlm/lockify/lockspace"
)

// exclusion is invariant 1: what is granted is compatible, provisional grants
// included where every claim was right. Where New was wrong, a provisional
// holder may overlap with another, and then a conflict must be reported.
type exclusion struct {
	watcher
	overlaps map[*name][]*overlap // not reported yet
	state    lockspace.ResourceState
}

// overlap is two locks of which one at least was provisional. That they have met
// comes to light when the claim is rejected and the master on record asked. So it
// must be reported unless the evidence is gone before:
//
//   - the node that has claimed dies, and its claim with it;
//   - the master dies, when neither the name's directory node has an entry of it, nor
//     anybody a lock that it has granted;
//   - the claim is confirmed so late that the master may have removed the name.
//
// A claim that counted as wrong whenever there might have been such evidence would be
// a conflict of most new names in each view.
type overlap struct {
	locks  [2]*lock
	sides  [2]side
	keeper uint64 // one of them is dead, and this directory node had it on record
}

// side is who knows of one of the locks.
type side struct {
	node    uint64 // instance: who has granted it
	claimed int64  // when its open claim was made, by its node's clock; 0: it was not provisional
}

func (c *exclusion) stepped(nm *name) {
	c.r.evals[inExclusion]++
	nm.prune()
	for i, a := range nm.locks {
		for _, b := range nm.locks[:i] {
			if fits(a.effective(), b.effective()) {
				continue
			}
			if c.r.p.Reuse && (a.open || b.open) {
				c.overlap(nm, a, b)
				continue
			}
			c.r.fail(inExclusion, nm, "node %d holds %v (lock %d) and node %d holds %v (lock %d)",
				a.n.id, a.mode, a.num, b.n.id, b.mode, b.num)
		}
	}
}

func (c *exclusion) overlap(nm *name, a, b *lock) {
	nm.tainted = "two held it"
	for _, m := range c.overlaps[nm] {
		if m.locks == [2]*lock{a, b} {
			return
		}
	}
	c.r.stats.Overlaps++
	c.r.tracef(nm, "overlap: node %d %v (lock %d, provisional %v), node %d %v (lock %d, provisional %v)",
		a.n.id, a.mode, a.num, a.open, b.n.id, b.mode, b.num, b.open)
	c.overlaps[nm] = append(c.overlaps[nm], &overlap{locks: [2]*lock{a, b}, sides: [2]side{c.side(a), c.side(b)}})
}

func (c *exclusion) side(l *lock) side {
	l.n.shardOf(l.name).State(&c.state, l.name.hash, l.name.bytes)
	switch {
	case c.state.Role == "remote":
		return side{node: c.state.Life.Instance}
	case l.open:
		return side{l.n.instance, c.state.ClaimedAt}
	}
	return side{node: l.n.instance}
}

// look sees whether claims have just ended without a report. It forgives those that
// were confirmed late.
func (c *exclusion) look() {
	if len(c.overlaps) == 0 {
		return
	}
	for _, nm := range c.r.order {
		keep := c.overlaps[nm][:0]
		for _, o := range c.overlaps[nm] {
			if !c.confirmedLate(nm, o) {
				keep = append(keep, o)
			}
		}
		c.forget(nm, keep)
	}
}

func (c *exclusion) confirmedLate(nm *name, o *overlap) bool {
	for i := range o.sides {
		s, n := &o.sides[i], o.locks[i].n
		if s.claimed == 0 || n.instance != s.node || n.down {
			continue
		}
		n.shardOf(nm).State(&c.state, nm.hash, nm.bytes)
		if c.state.ClaimedAt == s.claimed {
			continue
		}
		if c.state.Role == "master" && n.now()-s.claimed+c.r.driftAllowed > c.r.p.IdleAfter {
			return true
		}
		if s.claimed = 0; o.sides[1-i].claimed == 0 {
			c.r.fail(inConflict, nm, "locks %d and %d met, the claim has ended, and nobody was told", o.locks[0].num, o.locks[1].num)
		}
	}
	return false
}

// died is called when a node has died, before a view without it is decided. What
// only that node knew of an overlap nobody can report any more.
func (c *exclusion) died(n *node) {
	for _, nm := range c.r.order {
		keep := c.overlaps[nm][:0]
		for _, o := range c.overlaps[nm] {
			if c.survives(nm, o, n) {
				keep = append(keep, o)
			}
		}
		c.forget(nm, keep)
	}
}

// forget keeps only some of the overlaps of a name.
func (c *exclusion) forget(nm *name, keep []*overlap) {
	if len(keep) != 0 {
		c.overlaps[nm] = keep
	} else {
		delete(c.overlaps, nm)
	}
}

func (c *exclusion) survives(nm *name, o *overlap, n *node) bool {
	if o.keeper == n.instance {
		return false
	}
	for i, l := range o.locks {
		if o.sides[i].node != n.instance {
			continue
		}
		if o.sides[1-i].claimed == 0 {
			return false // no claim of them is open any more
		}
		d := c.r.directoryOf(nm)
		switch d.shardOf(nm).State(&c.state, nm.hash, nm.bytes); {
		case d != n && !d.down && c.state.Entry.Instance == n.instance:
			o.keeper = d.instance
		case !l.gone && l.n != n:
			o.sides[i].node = l.n.instance // it will report its lock
		default:
			return false
		}
	}
	return true
}

// decided is called with each view: a directory node that is none of the name any
// more has forgotten the entries of the dead.
func (c *exclusion) decided() {
	for _, nm := range c.r.order {
		keep := c.overlaps[nm][:0]
		for _, o := range c.overlaps[nm] {
			if o.keeper == 0 || c.r.directoryOf(nm).instance == o.keeper {
				keep = append(keep, o)
			}
		}
		c.forget(nm, keep)
	}
}

func (c *exclusion) conflict(n *node, nm *name) {
	c.r.evals[inConflict]++
	c.r.stats.Conflicts++
	delete(c.overlaps, nm)
	nm.tainted = "a conflict was reported"
	if !c.r.p.Reuse {
		c.r.fail(inConflict, nm, "node %d reports a conflict, and no name was used wrongly", n.id)
	}
}

// late notes that a claim older than IdleAfter was confirmed: what it may have
// met has been removed meanwhile, and not even the directory could know.
func (c *exclusion) late(nm *name) {
	delete(c.overlaps, nm)
	nm.tainted = "a claim was confirmed late"
}

func (c *exclusion) ended() {
	for _, nm := range c.r.order {
		c.r.evals[inConflict]++
		if _, open := c.overlaps[nm]; open {
			c.r.fail(inConflict, nm, "two held it, and nobody was told")
		}
	}
}

// fresh says whether what a lock is told about a name's value and token has to
// be right.
func (r *run) fresh(l *lock, c *lockspace.Completion) bool {
	return l.name.tainted == "" && !(r.p.Reuse && c.Bits&bitOpenClaim != 0)
}
