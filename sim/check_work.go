package sim

import "github.com/lockify-dlm/lockify/lockspace"

// work is invariant 2: at rest nothing grantable waits, and a holder that
// wants to know whom it blocks has been told. At the end each operation has
// had one completion (that it has no second is checked as they come).
type work struct{ watcher }

func (c *work) rested() {
	for _, nm := range c.r.order {
		nm.prune()
		for _, w := range nm.locks {
			if w.wanted != lockspace.NoMode {
				c.waits(nm, w)
			}
			if w.wanted != lockspace.NoMode && w.deadline != 0 && w.n.ticked > w.deadline {
				c.r.fail(inWork, nm, "at rest lock %d waits, and its deadline was %d us ago", w.num, (w.n.now()-w.deadline)/1000)
			}
			if w.open && !w.orphan {
				c.r.fail(inWork, nm, "at rest lock %d is not confirmed", w.num)
			}
		}
	}
}

// waits looks at what is in the way of w. Whether it waits its turn in the
// right order is the oracle's to judge, at the master. Of conversions that wait
// the kernel does not tell holders in all cases (deadlocks), so here new
// requests count.
func (c *work) waits(nm *name, w *lock) {
	c.r.evals[inWork]++
	if len(nm.locks) == 1 {
		c.r.fail(inWork, nm, "lock %d waits for %v, and there is no other lock", w.num, w.wanted)
	}
	if w.mode != lockspace.NoMode || nm.tainted != "" {
		return
	}
	for _, h := range nm.locks {
		if h == w || !h.bast || !h.idle() || fits(h.mode, w.wanted) {
			continue
		}
		c.r.evals[inBast]++
		if !h.wasTold() {
			c.r.fail(inBast, nm, "lock %d in %v blocks lock %d, which wants %v, and was not told", h.num, h.mode, w.num, w.wanted)
		}
	}
}

// wasTold says that l has had a blocking callback for a mode it excludes.
func (l *lock) wasTold() bool {
	for mode := lockspace.NL; mode <= lockspace.EX; mode++ {
		if l.told>>mode&1 == 1 && !fits(l.mode, mode) {
			return true
		}
	}
	return false
}

func (c *work) ended() {
	c.rangesEnded()
	for _, k := range c.r.retires {
		if k.n.instance == k.instance && !k.n.down && k.ends != 1 {
			c.r.fail(inOnce, k.nm, "%d outcomes of a retirement", k.ends)
		}
	}
	for _, l := range c.r.locks {
		if l == nil || l.crashed {
			continue
		}
		c.r.evals[inOnce]++
		if !l.gone || l.ends != int(l.tag) {
			c.r.fail(inOnce, l.name, "lock %d: %d completions of %d operations, gone %v", l.num, l.ends, l.tag, l.gone)
		}
	}
}
