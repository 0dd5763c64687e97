package sim

import (
	"github.com/lockify-dlm/lockify/lockspace"
)

// agreement is invariant 7: at rest each name in use has one master, its
// directory node says so, and owners and master see the same locks.
type agreement struct {
	watcher
	dir, here, there lockspace.ResourceState
}

func (c *agreement) rested() {
	for _, nm := range c.r.order {
		c.r.evals[inAgreement]++
		c.name(nm)
	}
}

func (c *agreement) name(nm *name) {
	r, masters := c.r, 0
	d := r.directoryOf(nm)
	d.shardOf(nm).State(&c.dir, nm.hash, nm.bytes)
	for _, n := range r.nodes {
		if !n.takesPart() {
			continue
		}
		st := &c.here
		if !n.shardOf(nm).State(st, nm.hash, nm.bytes) {
			continue
		}
		if st.Held != 0 || st.Early != 0 || st.Deferred != 0 {
			r.fail(inWork, nm, "at rest node %d keeps something back: %d held, %d early, %d deferred",
				n.id, st.Held, st.Early, st.Deferred)
		}
		switch st.Role {
		case "lookup", "claimed", "adopting", "rebuilding":
			r.fail(inWork, nm, "at rest node %d is in state %v", n.id, st.Role)
		case "master":
			masters++
			if c.dir.Entry != st.Life {
				r.fail(inAgreement, nm, "at rest node %d is master, and the directory node %d does not say so", n.id, d.id)
			}
		case "remote":
			c.sameLocks(nm, n)
		}
	}
	if masters > 1 || masters == 0 && !c.dir.Entry.IsZero() {
		r.fail(inAgreement, nm, "at rest there are %d masters", masters)
	}
}

// sameLocks compares the locks of a node with their copies at the master.
func (c *agreement) sameLocks(nm *name, n *node) {
	r := c.r
	mine := [3][]lockspace.LockState{c.here.Granted, c.here.Convert, c.here.Waiting}
	if len(mine[0])+len(mine[1])+len(mine[2]) == 0 {
		return // perhaps an old copy
	}
	m := r.nodes[c.here.Life.Node()-1]
	m.shardOf(nm).State(&c.there, nm.hash, nm.bytes)
	if c.there.Role != "master" || c.there.Life != c.here.Life {
		r.fail(inAgreement, nm, "at rest node %d has locks, and node %d is not their master", n.id, m.id)
		return
	}
	copies := 0
	theirs := [3][]lockspace.LockState{c.there.Granted, c.there.Convert, c.there.Waiting}
	for _, q := range theirs {
		for _, l := range q {
			if l.Owner == n.instance {
				copies++
			}
		}
	}
	if own := len(mine[0]) + len(mine[1]) + len(mine[2]); copies != own {
		r.fail(inAgreement, nm, "at rest the master has %d copies of %d locks of node %d", copies, own, n.id)
		return
	}
	for _, q := range mine {
		for i := range q {
			l := &q[i]
			k := findState(theirs, l)
			if k == nil || k.Wanted != l.Wanted || k.Granted != l.Granted && !(k.Demoted && k.Wanted != lockspace.NoMode) {
				r.fail(inAgreement, nm, "at rest lock %#x of node %d differs from its copy", l.ID, n.id)
			}
		}
	}
}

func findState(queues [3][]lockspace.LockState, l *lockspace.LockState) *lockspace.LockState {
	for _, q := range queues {
		for i := range q {
			if q[i].Owner == l.Owner && q[i].ID == l.ID {
				return &q[i]
			}
		}
	}
	return nil
}
