package main

import (
	"runtime"
	"runtime/debug"
	"sync"
)

// postponer puts the garbage collector off while a node recovers. To look through the
// memory of a million locks takes it tenths of a second of both processors, at the very
// moment at which all nodes want them.
type postponer struct {
	percent int // as GOGC says; below 0: it is off

	mu    sync.Mutex
	times int // that a recovery has begun or ended
}

func newPostponer() *postponer {
	c := &postponer{percent: debug.SetGCPercent(-1)}
	debug.SetGCPercent(c.percent)
	return c
}

// recovers lets the memory grow, during a recovery, by as much again as what is in use: it
// needs a part of that at most. A limit (GOMEMLIMIT) is kept all the same.
//
// That stays so until the next collection. There may be more by now than else would be let
// grow, and then whoever asks for memory would have to do a part of the collector's work first.
func (c *postponer) recovers(begins bool) {
	if c.percent < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times++
	if begins {
		debug.SetGCPercent(c.percent + 100)
		return
	}
	runtime.AddCleanup(new([64]byte), c.collected, c.times)
}

// collected is called behind the first collection after a recovery.
func (c *postponer) collected(times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if times == c.times { // else there is another one
		debug.SetGCPercent(c.percent)
	}
}
