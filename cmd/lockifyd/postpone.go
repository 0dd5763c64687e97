package main

import "runtime/debug"

// postponer puts the garbage collector off while a node recovers. To look through the
// memory of a million locks takes it tenths of a second of both processors, at the very
// moment at which all nodes want them.
type postponer struct {
	percent int // as GOGC says; below 0: it is off
}

func newPostponer() *postponer {
	c := &postponer{percent: debug.SetGCPercent(-1)}
	debug.SetGCPercent(c.percent)
	return c
}

// recovers lets the memory grow, during a recovery, by as much again as what is in use: it
// needs a part of that at most. A limit (GOMEMLIMIT) is kept all the same.
func (c *postponer) recovers(begins bool) {
	switch {
	case c.percent < 0:
	case begins:
		debug.SetGCPercent(c.percent + 100)
	default:
		debug.SetGCPercent(c.percent)
	}
}
