package trace

// knowledge is what a node has learned of another one: that its program has
// reached the step at this place of the timeline, and so all before it, and
// that every completion which that step waits for has come.
type knowledge map[[2]int]int

func (k knowledge) learn(node, other, place int) {
	if node != other {
		pair := [2]int{node, other}
		k[pair] = max(k[pair], place)
	}
}

// prune drops the references that follow from others, from blocking asts and
// from grants that only the other node's operation can have caused.
//
// With several copies of the files only the beginnings of phases and steps on
// names that the trace creates teach something, because a copy has no others.
func (d *draft) prune(copies bool) {
	known := knowledge{}
	own := map[int]*completions{}
	for _, node := range d.h.tl.tr.Nodes {
		keep := d.isFresh
		if !copies {
			keep = nil
		}
		c := newCompletions(d, node, keep)
		own[node] = &c
	}
	for i := range d.steps {
		st := &d.steps[i]
		teaches := !copies || st.Kind == StepPhaseBegin || d.isFresh(st)
		if st.op != nil && teaches {
			d.learnFromAsts(st, own[st.node], known)
		}
		kept := st.after[:0]
		for _, r := range st.after {
			from := &d.steps[r.step]
			place := known[[2]int{st.node, from.node}]
			if from.at <= place && (!r.completed || (from.op != nil && from.op.done < place)) {
				continue
			}
			kept = append(kept, r)
			if teaches {
				known.learn(st.node, from.node, from.at)
			}
		}
		st.after = kept
	}
}

// learnFromAsts notes that the operations behind the completions and blocking
// asts that a step waits for have been issued.
func (d *draft) learnFromAsts(st *draftStep, own *completions, known knowledge) {
	for _, j := range own.before(st.at) {
		g := d.steps[j].op.granter
		known.learn(st.node, g.node, g.issued)
	}
	for _, b := range st.op.lock.basts {
		if b.at < st.at {
			known.learn(st.node, b.cause.node, b.cause.issued)
		}
	}
}
