package trace

import "slices"

// PhaseSummary counts what a trace shows of one phase on all nodes that did
// it. Messages count where they were seen: a request at its sender's phase
// and, again, at the phase its receiver was in.
type PhaseSummary struct {
	Phase string // "": between phases
	Nodes []int  // those with rows in it, ascending
	Ops   int    // operations, as the phase's beginning announces them

	NewLocks  int // first locks of a name: Step.NewName
	Creations int // of these, asked with New: Step.Creation
	Requests  int // new locks, all
	Converts  int
	Unlocks   int
	Basts     int
	Sent      map[MsgType]int
	Received  map[MsgType]int
}

// SentAll adds up the messages sent, of all types.
func (s *PhaseSummary) SentAll() int { return sum(s.Sent) }

// ReceivedAll adds up the messages received, of all types.
func (s *PhaseSummary) ReceivedAll() int { return sum(s.Received) }

func sum(m map[MsgType]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// Summarize counts a trace phase by phase, in the order in which the phases
// first began. Phases of one name are joined. Only the rows of the given nodes
// count; none given: of all. Errors are those of NewPlan.
func Summarize(tr *Trace, nodes ...int) ([]PhaseSummary, error) {
	tl, err := newTimeline(tr)
	if err != nil {
		return nil, err
	}
	h, err := newHistory(tl)
	if err != nil {
		return nil, err
	}
	d, err := newDraft(h)
	if err != nil {
		return nil, err
	}
	c := counting{index: map[string]int{}}
	counts := func(node int) bool { return len(nodes) == 0 || slices.Contains(nodes, node) }
	for i := range d.steps {
		if counts(d.steps[i].node) {
			c.step(&d.steps[i])
		}
	}
	phase := map[int]string{}
	for _, i := range tl.order {
		ev := &tr.Events[i]
		switch {
		case ev.Mark == MarkBegin:
			phase[ev.Node] = ev.Label
		case ev.Mark == MarkEnd:
			phase[ev.Node] = ""
		}
		if counts(ev.Node) {
			c.row(phase[ev.Node], ev)
		}
	}
	return c.phases, nil
}

// counting is a summary being made.
type counting struct {
	phases []PhaseSummary
	index  map[string]int // phase -> index
}

func (c *counting) at(phase string, node int) *PhaseSummary {
	i, ok := c.index[phase]
	if !ok {
		i = len(c.phases)
		c.index[phase] = i
		c.phases = append(c.phases, PhaseSummary{Phase: phase, Sent: map[MsgType]int{}, Received: map[MsgType]int{}})
	}
	p := &c.phases[i]
	if !slices.Contains(p.Nodes, node) {
		p.Nodes = append(p.Nodes, node)
		slices.Sort(p.Nodes)
	}
	return p
}

func (c *counting) step(st *draftStep) {
	p := c.at(st.Phase, st.node)
	switch st.Kind {
	case StepPhaseBegin:
		p.Ops += st.Count
	case StepLock:
		p.Requests++
		if st.NewName {
			p.NewLocks++
		}
		if st.Creation {
			p.Creations++
		}
	case StepConvert:
		p.Converts++
	case StepUnlock:
		p.Unlocks++
	}
}

func (c *counting) row(phase string, ev *Event) {
	switch ev.Kind {
	case KindBast:
		c.at(phase, ev.Node).Basts++
	case KindSend:
		c.at(phase, ev.Node).Sent[ev.Msg]++
	case KindRecv:
		c.at(phase, ev.Node).Received[ev.Msg]++
	}
}
