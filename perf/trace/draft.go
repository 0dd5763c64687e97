package trace

import "fmt"

// draft is a plan being made. Its steps are in the order of the trace's rows;
// a step is known by its index.
type draft struct {
	h      *history
	steps  []draftStep
	ofOp   map[*operation]int // operation -> step
	fresh  map[string]bool    // names that the trace creates
	graph  *graph
	sorted []int // graph nodes in an order in which they can happen; depend and sort make it
	loose  []Loose
}

type draftStep struct {
	Step
	node     int
	at       int        // place of its row in the timeline
	op       *operation // nil: a mark
	phaseOps int        // operations of its phase
	after    []draftRef // other nodes' steps it waits for
}

type draftRef struct {
	step      int
	completed bool
}

// newDraft makes the steps, without their dependencies.
func newDraft(h *history) (*draft, error) {
	d := &draft{h: h, ofOp: map[*operation]int{}, fresh: map[string]bool{}}
	context := map[int]*Step{} // node -> the phase and operation it is in
	phaseOps := map[int]int{}  // node -> operations of that phase
	used, seen := map[string]int{}, map[string]bool{}
	op := 0
	for at, i := range h.tl.order {
		ev := &h.tl.tr.Events[i]
		c := context[ev.Node]
		if c == nil {
			c = &Step{Op: -1, Lock: -1}
			context[ev.Node] = c
		}
		st := draftStep{node: ev.Node, at: at}
		switch ev.Kind {
		case KindPhase:
			if err := c.mark(ev); err != nil {
				return nil, fmt.Errorf("%w: %s:%d: %w", ErrHistory, h.tl.tr.Name, ev.Line, err)
			}
			st.Step = *c
			if ev.Mark == MarkBegin {
				phaseOps[ev.Node] = ev.Arg
			}
			if ev.Mark == MarkEnd {
				*c = Step{Op: -1, Lock: -1}
			}
		case KindLock, KindConvert, KindUnlock:
			st.op = h.ops[op]
			st.Step = *c
			st.take(ev)
			d.ofOp[st.op] = len(d.steps)
			op++
			d.classify(&st.Step, used, seen)
		case KindAst:
			if o := h.ends[i]; o != nil {
				used[o.name]--
			}
			continue
		default:
			continue
		}
		st.phaseOps = phaseOps[ev.Node]
		d.steps = append(d.steps, st)
	}
	return d, nil
}

// mark moves a node's context on and makes it the step of a phase row.
func (c *Step) mark(ev *Event) error {
	c.Line, c.Count = ev.Line, 0
	switch ev.Mark {
	case MarkBegin:
		if c.Phase != "" {
			return fmt.Errorf("phase %s begins inside %s", ev.Label, c.Phase)
		}
		*c = Step{Kind: StepPhaseBegin, Phase: ev.Label, Op: -1, Lock: -1, Count: ev.Arg, Line: ev.Line}
	case MarkEnd:
		if c.Phase != ev.Label {
			return fmt.Errorf("phase %s ends inside %q", ev.Label, c.Phase)
		}
		c.Kind, c.Label, c.Op = StepPhaseEnd, "", -1
	case MarkOp:
		if c.Phase == "" {
			return fmt.Errorf("operation %s outside phases", ev.Label)
		}
		c.Kind, c.Label, c.Op = StepOp, ev.Label, ev.Arg
	}
	return nil
}

// take fills the step of an operation's row.
func (st *draftStep) take(ev *Event) {
	kinds := map[Kind]StepKind{KindLock: StepLock, KindConvert: StepConvert, KindUnlock: StepUnlock}
	st.Kind, st.Line, st.Count = kinds[ev.Kind], ev.Line, 0
	st.Name, st.Mode, st.Flags = ev.Name, ev.Mode, ev.Flags
	st.Status, st.Sb = st.op.status, st.op.sb
}

// classify decides NewName, Reused and Creation. used counts each name's
// locks at this moment, seen tells the names that have been locked before.
func (d *draft) classify(st *Step, used map[string]int, seen map[string]bool) {
	if st.Kind != StepLock {
		return
	}
	name := string(st.Name)
	st.NewName = used[name] == 0
	st.Reused = st.NewName && seen[name]
	making := st.Label
	if making == "" {
		making = st.Phase
	}
	st.Creation = st.NewName && creating[making] && freshType(st.Name)
	if st.Creation {
		d.fresh[name] = true
	}
	used[name]++
	seen[name] = true
}
