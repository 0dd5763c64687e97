package trace

import (
	"fmt"
	"slices"
	"strings"
)

// sort puts issues and completions in an order in which they can happen: the
// trace's, but for what runs against it.
func (d *draft) sort() { d.sorted = d.graph.topological() }

// cut ends the plan behind the first phase of a name: where every node that
// is in a phase of that name at the time has ended it, at the first moment
// when no operation is under way.
func (d *draft) cut(until string) error {
	inside, open, ended := 0, 0, false
	phases := []string{}
	for i, g := range d.sorted {
		st := &d.steps[g/2]
		switch {
		case g == doneOf(g/2) && st.op != nil:
			open--
		case g == doneOf(g/2):
		case st.op != nil:
			open++
		case st.Kind == StepPhaseBegin:
			if !slices.Contains(phases, st.Phase) {
				phases = append(phases, st.Phase)
			}
			if st.Phase == until {
				inside++
			}
		case st.Kind == StepPhaseEnd && st.Phase == until:
			inside--
			ended = true
		}
		if ended && inside == 0 && open == 0 && g == doneOf(g/2) {
			d.sorted = d.sorted[:i+1]
			return nil
		}
	}
	if slices.Contains(phases, until) {
		return nil // it lasts to the end of the trace
	}
	return fmt.Errorf("%w: no phase %q; the trace has %s", ErrOptions, until, strings.Join(phases, ", "))
}

// segments cuts the issues into stretches that are repeated as wholes. A
// stretch starts where a phase begins, unless another node is in a phase of
// the same name: those belong together.
func (d *draft) segments() [][]int {
	var out [][]int
	var current []int
	inside := map[string]int{}
	for _, g := range d.sorted {
		if g != issueOf(g/2) {
			continue
		}
		st := &d.steps[g/2]
		switch st.Kind {
		case StepPhaseBegin:
			if inside[st.Phase] == 0 && len(current) > 0 {
				out = append(out, current)
				current = nil
			}
			inside[st.Phase]++
		case StepPhaseEnd:
			inside[st.Phase]--
		}
		current = append(current, g/2)
	}
	return append(out, current)
}
