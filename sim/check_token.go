package sim

import (
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// tokens is invariant 5: tokens grow along the exclusive grants of a name, and
// a shared grant carries one that is not older than the last exclusive one.
type tokens struct {
	watcher
	last map[*name]uint64
}

func (c *tokens) completed(l *lock, done *lockspace.Completion) {
	if done.Status != wire.OK || !c.r.fresh(l, done) {
		return
	}
	c.r.evals[inToken]++
	last := c.last[l.name]
	switch {
	case exclusive(done.Mode) && (l.from == lockspace.NoMode || l.from < done.Mode):
		if done.Token <= last {
			c.r.fail(inToken, l.name, "lock %d: token %#x of %v after %#x", l.num, done.Token, done.Mode, last)
		}
		c.last[l.name] = done.Token
	case !exclusive(done.Mode) && !fits(done.Mode, lockspace.PW) && done.Token < last:
		c.r.fail(inToken, l.name, "lock %d: token %#x of %v below %#x", l.num, done.Token, done.Mode, last)
	}
}
