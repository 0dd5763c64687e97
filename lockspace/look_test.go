package lockspace

import "testing"

// TestAsked: the node that a request waits for is known when it has gone to the master, and only
// then; the directory node may not be the one that answers.
func TestAsked(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	x := c.oldMaster("x", 2, 3)
	n := c.node(1)
	check := func(what string, l *tlock, want uint16) {
		t.Helper()
		if got := n.shardOf(x).Asked(l.id); got != want {
			t.Errorf("%s: asked %d, want %d", what, got, want)
		}
	}
	first := n.lock(x, PR, 0)
	check("master unknown", first, 0)
	c.settle()
	check("granted", first, 0)
	second := n.lock(x, PR, 0)
	check("master known", second, 2)
	c.settle()
	check("granted again", second, 0)
	second.unlock(0, nil)
	c.settle()
	first.convert(EX, 0, nil)
	check("converts", first, 2)
	c.settle()
	check("unlocked", second, 0)
	here := c.node(2).lock(x, EX, 0)
	if got := c.node(2).shardOf(x).Asked(here.id); got != 0 {
		t.Errorf("the master itself asked %d", got)
	}
	c.settle()
}
