package main

import (
	"runtime"
	"runtime/debug"
	gcmetrics "runtime/metrics"
	"testing"
	"time"
)

// A recovery puts the garbage collector off, until it has collected the next time, and nothing
// stays of that.
func TestPostpone(t *testing.T) {
	percent := func() int { // to set it and set it back would undo what is set in between
		s := []gcmetrics.Sample{{Name: "/gc/gogc:percent"}}
		gcmetrics.Read(s)
		return int(s[0].Value.Uint64()) // off: as many as there are, which is -1
	}
	for _, x := range []struct{ set, during int }{{100, 200}, {40, 140}, {-1, -1}} {
		was := debug.SetGCPercent(x.set)
		c := newPostponer()
		before := percent()
		c.recovers(true)
		during := percent()
		c.recovers(false)
		c.recovers(true) // what is left of the first one ends nothing
		runtime.GC()
		again := percent()
		c.recovers(false)
		runtime.GC()
		for late := time.Now().Add(30 * time.Second); percent() != x.set && time.Now().Before(late); runtime.Gosched() {
		}
		if after := percent(); before != x.set || during != x.during || again != x.during || after != x.set {
			t.Errorf("%d: %d, %d, %d, %d", x.set, before, during, again, after)
		}
		debug.SetGCPercent(was)
	}
}
