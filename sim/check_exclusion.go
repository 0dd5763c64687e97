package sim

import (
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
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
//   - the master dies, when neither the name's directory node has an entry of it that
//     the claim will meet, nor anybody a lock that it has granted until he reports it;
//   - the claim is confirmed so late that the master may have removed the name.
//
// A claim that counted as wrong whenever there might have been such evidence would be
// a conflict of most new names in each view.
type overlap struct {
	locks  [2]*lock
	sides  [2]side
	dead   uint64 // instance of one who has granted one of them; 0: keeper counts for nothing
	keeper uint64 // this directory node has it on record
}

// side is who knows of one of the locks.
type side struct {
	node    uint64         // instance: who has granted it
	claimed int64          // when its open claim was made, by its node's clock; 0: it was not provisional
	orphan  bool           // node is dead, and only who has the lock knows of it
	mode    lockspace.Mode // when they met
}

func (c *exclusion) stepped(nm *name) {
	c.r.evals[inExclusion]++
	nm.prune()
	if len(nm.ghosts) > 0 {
		c.haunted(nm)
	}
	for i, a := range nm.locks {
		for _, b := range nm.locks[:i] {
			if fits(a.effective(), b.effective()) {
				c.lapse(a, b)
				continue
			}
			if fits(a.believed(), b.believed()) {
				continue
			}
			if nm.spoiled && !c.r.p.Reuse {
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

// lapse notes that one of two locks, with a conversion under way, has lost its mode to
// the other meanwhile.
func (c *exclusion) lapse(a, b *lock) {
	if a.wanted == lockspace.NoMode && b.wanted == lockspace.NoMode || c.r.p.Reuse && (a.open || b.open) {
		return
	}
	a.lapsed = a.lapsed || !fits(a.mode, b.believed())
	b.lapsed = b.lapsed || !fits(b.mode, a.believed())
}

// completed: who has lost his mode for a while must be told, unless he is granted
// what he has asked for in its place.
func (c *exclusion) completed(l *lock, done *lockspace.Completion) {
	told := done.Bits&(wire.BitDemoted|wire.BitAltMode) != 0 || done.Mode == lockspace.NoMode
	asked := done.Status == wire.OK && middle(l.from, done.Mode)
	if l.lapsed && !told && !asked && c.r.fresh(l, done) {
		c.r.fail(inExclusion, l.name, "lock %d, %v, was excluded by another meanwhile, and is not told", l.num, l.from)
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
	o := &overlap{locks: [2]*lock{a, b}, sides: [2]side{c.side(a), c.side(b)}}
	for i := range o.sides {
		if dead := o.sides[i].node; !c.r.lives(dead) && !c.bereave(nm, o, i, dead) {
			return
		}
	}
	c.overlaps[nm] = append(c.overlaps[nm], o)
}

func (c *exclusion) side(l *lock) side {
	l.n.shardOf(l.name).State(&c.state, l.name.hash, l.name.bytes)
	switch {
	case c.state.Role == "remote":
		return side{node: c.state.Life.Instance, mode: l.mode}
	case l.open:
		return side{node: l.n.instance, claimed: c.state.ClaimedAt, mode: l.mode}
	}
	return side{node: l.n.instance, mode: l.mode}
}

// look sees whether claims have just ended without a report. It forgives those that
// were confirmed late, and those that have met an orphan which nobody reports, or one
// whose master the directory node has not had on record for long enough to rely on it.
func (c *exclusion) look() {
	if len(c.overlaps) == 0 {
		return
	}
	for _, nm := range c.r.order {
		keep := c.overlaps[nm][:0]
		for _, o := range c.overlaps[nm] {
			if !c.forgotten(nm, o) && !c.confirmedLate(nm, o) {
				keep = append(keep, o)
			}
		}
		c.forget(nm, keep)
	}
}

// forgotten says that an orphan was let go before its node has reported it (once it
// has, the new master knows), or that the directory node knows no more of the dead master.
func (c *exclusion) forgotten(nm *name, o *overlap) bool {
	if o.keeper != 0 {
		d := c.r.nodes[wire.NodeOf(o.keeper)-1]
		d.shardOf(nm).State(&c.state, nm.hash, nm.bytes)
		return d.sees(o.dead) && c.state.Entry.Instance != o.dead
	}
	for i := range o.sides {
		s, l := &o.sides[i], o.locks[i]
		switch {
		case !s.orphan:
		case l.gone || fits(l.effective(), o.sides[1-i].mode):
			return true
		case !l.n.sees(s.node):
			l.n.shardOf(nm).State(&c.state, nm.hash, nm.bytes)
			s.orphan, s.node = false, c.state.Life.Instance
		}
	}
	return false
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
		if (c.state.Role == "master" || c.state.Role == "unused") && n.now()-s.claimed+c.r.driftAllowed > c.r.p.IdleAfter/lockspace.IdleShare {
			return true
		}
		if c.state.Role == "remote" {
			s.node = c.state.Life.Instance // adopted
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
	for i := range o.sides {
		if o.sides[i].node == n.instance && !c.bereave(nm, o, i, n.instance) {
			return false
		}
	}
	return true
}

// bereave finds out who knows of a side whose master is dead. The directory node that
// has it on record does, and rejects a claim made before the view without it: that is
// notified again. Else who has the lock does.
func (c *exclusion) bereave(nm *name, o *overlap, i int, dead uint64) bool {
	s, l, other := &o.sides[i], o.locks[i], o.locks[1-i]
	if o.sides[1-i].claimed == 0 {
		return false // no claim of them is open any more
	}
	d := c.r.directoryOf(nm)
	switch d.shardOf(nm).State(&c.state, nm.hash, nm.bytes); {
	case d.up() && d.instance != dead && c.state.Entry.Instance == dead && other.n.sees(dead):
		o.dead, o.keeper = dead, d.instance
	case !l.gone && l.n.up() && l.n.instance != dead:
		s.orphan = true
	default:
		return false
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
	if !c.r.p.Reuse && !nm.spoiled {
		c.r.fail(inConflict, nm, "node %d reports a conflict, and no name was used wrongly", n.id)
	}
}

// late notes that a claim older than a master's unused names was confirmed: what it may have
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
