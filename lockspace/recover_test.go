package lockspace

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is recovery, view by view. In the scripts the nodes are those of
// gate_test.go: 1 the creator or first user of x, 2 and 4 others, 3 the
// directory node of x before the change.

func TestRecoverDirectoryDies(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	a := c.hold(1, x, EX, 0)
	w := c.node(2).lock(x, EX, 0)
	c.settle()
	c.node(3).crash(false)
	c.change()
	c.settle()
	f := c.node(4).lock(x, EX, NoQueue)
	c.settle()
	if f.last.Status != wire.WouldBlock {
		t.Errorf("finder: %+v", f.last)
	}
	a.unlock(0, nil)
	c.settle()
	if !w.holds(EX) {
		t.Error("the waiter hangs")
	}
	c.windDown()
}

func TestRecoverMasterDies(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x := c.name("x", 3, 0)
	a := c.hold(1, x, PR, 0)
	b := c.hold(2, x, PR, 0)
	d := c.hold(4, x, PR, 0)
	w := c.node(2).lock(x, EX, 0)
	c.settle()
	c.node(1).crash(false)
	c.change()
	b.unlock(0, nil)
	c.settle()
	if w.holds(EX) || !a.gone {
		t.Fatal("granted beside PR")
	}
	d.unlock(0, nil)
	c.settle()
	if !w.holds(EX) {
		t.Error("the waiter hangs")
	}
	c.windDown()
}

func TestRecoverJoin(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	c.node(4).crash(false)
	c.change()
	c.settle()
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	for i, n := range names {
		c.hold(i%3+1, n, EX, 0)
	}
	c.node(4).restart()
	c.change()
	c.settle()
	for i, n := range names {
		f := c.node(i%3+2).lock(n, EX, NoQueue)
		c.settle()
		if f.last.Status != wire.WouldBlock {
			t.Errorf("%q is granted twice", n)
		}
	}
	c.windDown()
}
