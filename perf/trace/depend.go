package trace

import (
	"cmp"
	"slices"
)

// depend finds out which steps wait for which: doc.go has the rules. Each
// rule enters its edges in the graph, so that a wish that runs against the
// order of the rows can be checked for circles.
func (d *draft) depend() {
	d.graph = newGraph(len(d.steps))
	d.ownEdges()
	d.phaseRefs()
	var wishes []wish
	for _, name := range d.h.names {
		wishes = append(wishes, d.nameWishes(d.h.byName[name])...)
	}
	// With the later step's order, d.after grows the same way in every run.
	slices.SortStableFunc(wishes, func(a, b wish) int { return cmp.Compare(a.to, b.to) })
	for _, w := range wishes {
		if !w.against(d) {
			d.enter(w)
		}
	}
	for _, w := range wishes {
		if w.against(d) {
			d.tryAgainst(w)
		}
	}
}

// ownEdges enters what each node's own rows say: its steps follow each other;
// a step follows the asts and, of its lock, the blocking asts whose rows
// precede its row; and these follow the operations that caused them.
func (d *draft) ownEdges() {
	last := map[int]int{}
	for i := range d.steps {
		st := &d.steps[i]
		d.graph.place[issueOf(i)], d.graph.place[doneOf(i)] = st.at, st.at
		d.graph.edge(issueOf(i), doneOf(i))
		if p, ok := last[st.node]; ok {
			d.graph.edge(issueOf(p), issueOf(i))
		}
		last[st.node] = i
		if st.op != nil {
			d.graph.place[doneOf(i)] = st.op.done
			if g := st.op.granter; g != st.op {
				d.graph.edge(issueOf(d.ofOp[g]), doneOf(i))
			}
			for _, b := range st.op.lock.basts {
				if b.at < st.at {
					d.graph.edge(issueOf(d.ofOp[b.cause]), issueOf(i))
				}
			}
		}
	}
	for _, node := range d.h.tl.tr.Nodes {
		own := newCompletions(d, node, nil)
		for i := range d.steps {
			if d.steps[i].node == node {
				for _, j := range own.before(d.steps[i].at) {
					d.graph.edge(doneOf(j), issueOf(i))
				}
			}
		}
	}
}

// completions hands out a node's completions in the order of their rows.
type completions struct {
	d    *draft
	left []int // steps
}

// newCompletions takes the node's steps that keep says yes to; nil: all.
func newCompletions(d *draft, node int, keep func(*draftStep) bool) completions {
	c := completions{d: d}
	for i := range d.steps {
		if st := &d.steps[i]; st.node == node && st.op != nil && (keep == nil || keep(st)) {
			c.left = append(c.left, i)
		}
	}
	slices.SortFunc(c.left, func(a, b int) int { return cmp.Compare(d.steps[a].op.done, d.steps[b].op.done) })
	return c
}

// before takes the completions whose rows come before a place.
func (c *completions) before(at int) []int {
	n := 0
	for n < len(c.left) && c.d.steps[c.left[n]].op.done < at {
		n++
	}
	taken := c.left[:n]
	c.left = c.left[n:]
	return taken
}

// phaseRefs makes a phase wait for the phases that had ended on the other
// nodes before it began.
func (d *draft) phaseRefs() {
	ended := map[int]int{} // node -> its last phase end
	for i := range d.steps {
		st := &d.steps[i]
		switch st.Kind {
		case StepPhaseEnd:
			ended[st.node] = i
		case StepPhaseBegin:
			for _, node := range d.h.tl.tr.Nodes {
				if e, ok := ended[node]; ok && node != st.node {
					st.after = append(st.after, draftRef{step: e})
					d.graph.edge(issueOf(e), issueOf(i))
				}
			}
		}
	}
}

// wish says that step from, of another node, should come before step to.
type wish struct {
	from, to  int
	completed bool // from's completion, not only its issue
}

// against says that the wish runs against the order of the rows.
func (w wish) against(d *draft) bool {
	return d.graph.place[w.node()] > d.graph.place[issueOf(w.to)]
}

func (w wish) node() int {
	if w.completed {
		return doneOf(w.from)
	}
	return issueOf(w.from)
}

func (d *draft) enter(w wish) {
	d.graph.edge(w.node(), issueOf(w.to))
	d.steps[w.to].after = append(d.steps[w.to].after, draftRef{w.from, w.completed})
}

// tryAgainst enters a wish that runs against the order of the rows: two
// nodes' operations were under way at once and the master took the later one
// first. Where a circle would come of it, less is asked for, and at last
// nothing: the pair is listed as loose.
func (d *draft) tryAgainst(w wish) {
	for {
		if !d.graph.reaches(issueOf(w.to), w.node()) {
			d.enter(w)
			return
		}
		if !w.completed {
			break
		}
		w.completed = false
	}
	d.loose = append(d.loose, Loose{Before: d.steps[w.from].Line, After: d.steps[w.to].Line})
}

// nameWishes goes through one resource's operations in the order of decision.
// Of each other node's lock the latest operation counts: those before it on
// the same lock had completed.
func (d *draft) nameWishes(ops []*operation) []wish {
	var wishes []wish
	var latest []*operation // of each lock; locks that have ended stay until their node locks again
	for i, op := range ops {
		for _, from := range latest {
			completed := from.granter.decided < op.decided
			if from.node == op.node || shownByGrant(from, op, ops[:i]) || (!completed && shownByBast(from, op)) {
				continue
			}
			wishes = append(wishes, wish{d.ofOp[from], d.ofOp[op], completed})
		}
		latest = slices.DeleteFunc(latest, func(o *operation) bool {
			return o.lock == op.lock || (o.node == op.node && o.last && o.done < op.issued)
		})
		latest = append(latest, op)
	}
	return wishes
}

// shownByGrant says that op's node has, before it issues op, the completion of
// an operation which only from's decision let be granted.
func shownByGrant(from, op *operation, before []*operation) bool {
	return slices.ContainsFunc(before, func(o *operation) bool {
		return o.node == op.node && o.granter == from && o.done < op.issued && from.granter == from
	})
}

// shownByBast says that op waits for a blocking ast that from has caused.
func shownByBast(from, op *operation) bool {
	return slices.ContainsFunc(op.lock.basts, func(b bastSeen) bool { return b.at < op.issued && b.cause == from })
}
