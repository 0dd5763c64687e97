package sim

import (
	"github.com/lockify-dlm/lockify/lockspace"
)

// exclusion is invariant 1: what is granted is compatible, provisional grants
// included where every claim was right. Where New was wrong, a provisional
// holder may overlap with another, and then a conflict must be reported.
type exclusion struct {
	watcher
	overlaps map[*name]int64 // time of the last overlap with a provisional holder, not reported yet
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
	if _, known := c.overlaps[nm]; !known {
		c.r.stats.Overlaps++
		c.r.tracef(nm, "overlap: node %d %v (lock %d, provisional %v), node %d %v (lock %d, provisional %v)",
			a.n.id, a.mode, a.num, a.open, b.n.id, b.mode, b.num, b.open)
	}
	c.overlaps[nm] = c.r.now
	nm.tainted = "two held it"
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
