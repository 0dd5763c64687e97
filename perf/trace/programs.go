package trace

import (
	"fmt"
	"slices"
)

// stepKey names a step's copy.
type stepKey struct{ step, copy int }

// lockKeyCopy names a lock's copy.
type lockKeyCopy struct {
	life *lockLife
	copy int
}

// builder lays out the programs.
type builder struct {
	d        *draft
	copies   int
	programs []Program
	index    map[stepKey]int       // -> index in its node's program
	locks    map[lockKeyCopy]int   // -> index in Program.Locks
	own      map[int][]completions // node -> per copy, the completions not yet waited for
}

// programs lays the segments out, each as many times as asked: the first copy
// whole, the others with only the steps on names that the trace creates,
// under other names. In the order (segment, copy, place) every dependency
// points backwards, so the programs can't wait for each other in a circle.
func (d *draft) programs(o Options) ([]Program, error) {
	d.prune(o.Repeat > 1)
	b := &builder{
		d: d, copies: o.Repeat, programs: make([]Program, o.Nodes),
		index: map[stepKey]int{}, locks: map[lockKeyCopy]int{}, own: map[int][]completions{},
	}
	for i := range b.programs {
		b.programs[i].Node = i + 1
	}
	for _, node := range d.h.tl.tr.Nodes {
		b.own[node] = slices.Repeat([]completions{newCompletions(d, node, d.isFresh)}, o.Repeat)
		b.own[node][0] = newCompletions(d, node, nil)
	}
	for _, segment := range d.segments() {
		for k := range o.Repeat {
			for _, s := range segment {
				if !b.has(&d.steps[s], k) {
					continue
				}
				if err := b.add(s, k); err != nil {
					return nil, err
				}
			}
		}
	}
	b.expectBasts()
	return b.programs, nil
}

// isFresh says that a step works on a name that the trace creates.
func (d *draft) isFresh(st *draftStep) bool { return d.fresh[string(st.Name)] }

// has says whether copy k contains a step. A phase begins with its first copy
// and ends with its last; operations begin in each.
func (b *builder) has(st *draftStep, k int) bool {
	switch st.Kind {
	case StepPhaseBegin:
		return k == 0
	case StepPhaseEnd:
		return k == b.copies-1
	case StepOp:
		return true
	}
	return k == 0 || b.d.isFresh(st)
}

// at gives the place of a step that has been laid out. That it has follows
// from the order; a gap would be a dependency on nothing.
func (b *builder) at(key stepKey) int {
	i, ok := b.index[key]
	if !ok {
		panic(fmt.Sprintf("trace: line %d, copy %d, is waited for before it is laid out", b.d.steps[key.step].Line, key.copy))
	}
	return i
}

// add appends copy k of a step to its node's program.
func (b *builder) add(s, k int) error {
	st := &b.d.steps[s]
	p := &b.programs[st.node-1]
	step := st.Step
	step.Copy = k
	step.Count *= b.copies
	if step.Op >= 0 {
		step.Op += k * st.phaseOps
	}
	b.index[stepKey{s, k}] = len(p.Steps)
	step.Own = b.takeOwn(st, k)
	for _, r := range st.after {
		from := stepKey{r.step, k}
		if b.d.steps[r.step].op == nil {
			from.copy = b.copies - 1 // the end of a phase
		}
		step.After = append(step.After, Ref{
			Node: b.d.steps[r.step].node, Step: b.at(from), Completed: r.completed,
		})
	}
	if st.op != nil {
		if err := b.addLock(p, st, &step, k); err != nil {
			return err
		}
	}
	p.Steps = append(p.Steps, step)
	return nil
}

// takeOwn gives the completions that a step waits for and no step before it
// did. The end of a phase waits for those of all copies.
func (b *builder) takeOwn(st *draftStep, k int) []int {
	var own []int
	first := k
	if st.Kind == StepPhaseEnd {
		first = 0
	}
	for c := first; c <= k; c++ {
		for _, j := range b.own[st.node][c].before(st.at) {
			own = append(own, b.at(stepKey{j, c}))
		}
	}
	return own
}

func (b *builder) addLock(p *Program, st *draftStep, step *Step, k int) error {
	key := lockKeyCopy{st.op.lock, k}
	l, ok := b.locks[key]
	if !ok {
		name, err := copyName(st.Name, k)
		if err != nil {
			return err
		}
		l = len(p.Locks)
		b.locks[key] = l
		p.Locks = append(p.Locks, Lock{Name: name, First: len(p.Steps)})
	}
	p.Locks[l].Last = len(p.Steps)
	step.Lock, step.Name = l, p.Locks[l].Name
	for _, seen := range st.op.lock.basts {
		if seen.at < st.at {
			step.Basts++
		}
	}
	return nil
}

// expectBasts gives each lock the blocking asts whose cause is in the plan.
func (b *builder) expectBasts() {
	for key, l := range b.locks {
		for _, seen := range key.life.basts {
			if _, ok := b.index[stepKey{b.d.ofOp[seen.cause], key.copy}]; ok {
				lock := &b.programs[key.life.node-1].Locks[l]
				lock.Basts = append(lock.Basts, seen.mode)
			}
		}
	}
}
