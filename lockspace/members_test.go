package lockspace

import (
	"slices"
	"testing"
)

// This file lets nodes of a test's cluster crash, come back and join, and
// views be installed node by node, with messages under way.

// ready says whether the first message of a lane may be delivered: one that is
// about no name comes behind all that its sender has sent there before.
func (c *cluster) ready(l *link) bool {
	if l.name != "" {
		return true
	}
	for _, o := range c.busy {
		if o.from == l.from && o.to == l.to && o.packets[0].seq < l.packets[0].seq {
			return false
		}
	}
	return true
}

// crash ends a node. What is on its way to it is lost; what it has sent is
// not, unless lose says so.
func (n *node) crash(lose bool) {
	c := n.c
	n.down = true
	for _, l := range c.locks {
		if l.n == n && !l.crashed {
			l.crashed, l.gone, l.mode, l.wanted, l.open = true, true, NoMode, NoMode, false
		}
	}
	for _, l := range slices.Clone(c.busy) {
		if l.to == n.id || lose && l.from == n.id {
			l.packets = nil
			c.busy = slices.DeleteFunc(c.busy, func(o *link) bool { return o == l })
		}
	}
}

// restart starts a node anew, as another instance; a view must let it in.
func (n *node) restart() {
	n.c.t.Helper()
	n.boot(n.instance+1<<16, len(n.shards), nil)
}

// next makes the next view: of all nodes that are up, and of ids besides.
func (c *cluster) next(but ...int) *View {
	c.t.Helper()
	var members []Member
	for _, n := range c.nodes {
		if !n.down && !slices.Contains(but, int(n.id)) {
			members = append(members, Member{ID: n.id, Instance: n.instance})
		}
	}
	v, err := NewView(c.view.Epoch+1, members)
	if err != nil {
		c.t.Fatal(err)
	}
	c.view = v
	return v
}

// install installs a view on one node.
func (n *node) install(v *View) {
	closed := n.closed
	for _, s := range n.shards {
		s.Install(n.now(), v)
	}
	n.after(closed)
}

// change installs the next view everywhere.
func (c *cluster) change() {
	c.t.Helper()
	v := c.next()
	for _, n := range c.nodes {
		if !n.down {
			n.install(v)
		}
	}
}

// moved gives a name whose directory is node from now, and node to in view v.
func (c *cluster) moved(prefix string, from, to int, v *View) string {
	c.t.Helper()
	for i := range 1 << 16 {
		name := prefix + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		h := Hash([]byte(name))
		if int(c.view.Directory(h)) == from && int(v.Directory(h)) == to {
			return name
		}
	}
	c.t.Fatal("no such name")
	return ""
}

func viewOf(t testing.TB, epoch uint64, nodes ...*node) *View {
	t.Helper()
	var members []Member
	for _, n := range nodes {
		members = append(members, Member{ID: n.id, Instance: n.instance})
	}
	v, err := NewView(epoch, members)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
