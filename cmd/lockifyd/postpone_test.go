package main

import (
	"runtime/debug"
	"testing"
)

// A recovery puts the garbage collector off, and nothing stays of that.
func TestPostpone(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(-1)
		debug.SetGCPercent(p)
		return p
	}
	for _, x := range []struct{ set, during int }{{100, 200}, {40, 140}, {-1, -1}} {
		was := debug.SetGCPercent(x.set)
		c := newPostponer()
		before := percent()
		c.recovers(true)
		during := percent()
		c.recovers(false)
		if after := percent(); before != x.set || during != x.during || after != x.set {
			t.Errorf("%d: %d, %d, %d", x.set, before, during, after)
		}
		debug.SetGCPercent(was)
	}
}
