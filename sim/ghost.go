package sim

import ls "github.com/lockify-dlm/lockify/lockspace"

// ghost is a lock whose node is dead, and in which its client believes until the lease
// that it was told of has ended.
type ghost struct {
	l        *lock
	instance uint64
	mode     ls.Mode
	bytes    [byteOwners + 1]byteMap
	until    int64 // by the clock of its node
}

// haunt makes a ghost of a lock.
func (l *lock) haunt(until int64) {
	if l.dying {
		return
	}
	g := &ghost{l: l, instance: l.n.instance, mode: l.effective(), until: until}
	for o := uint64(1); o <= byteOwners; o++ {
		g.bytes[o] = l.effectiveBytes(o)
	}
	l.name.ghosts = append(l.name.ghosts, g)
}

// leased says that a lock's client believes in it: the lease that it was told of has
// not ended.
func (l *lock) leased() bool { return l.n.seat == nil || l.n.now() < l.n.seat.told }

// believed is the mode that a lock's client surely believes to hold.
func (l *lock) believed() ls.Mode {
	if !l.leased() {
		return ls.NoMode
	}
	return l.effective()
}

// haunted looks whether somebody holds what excludes a lock of a dead node in which a
// client believes.
func (c *exclusion) haunted(nm *name) {
	keep := nm.ghosts[:0]
	for _, g := range nm.ghosts {
		if g.l.n.now() >= g.until {
			continue
		}
		keep = append(keep, g)
		for _, l := range nm.locks {
			if !fits(g.mode, l.believed()) {
				c.r.fail(inExclusion, nm, "node %d holds %v (lock %d), and a client of node %d, which is dead, believes in its %v (lock %d)",
					l.n.id, l.mode, l.num, g.l.n.id, g.mode, g.l.num)
			}
		}
	}
	clear(nm.ghosts[len(keep):])
	nm.ghosts = keep
}
