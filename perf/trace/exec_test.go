package trace

import (
	"fmt"
	"math/rand/v2"
)

// world executes a plan against the reference model, choosing at random among
// everything that may happen next: a node issues its next step, a message
// arrives, a completion or blocking ast is delivered. The first node that
// locks a name masters it. With direct set, requests reach the master in no
// time; else they and the answers travel, in order between two nodes, for as
// long as chance has it. As in the kernel a conversion downwards completes at
// the requester at once.
type world struct {
	plan      *Plan
	direct    bool
	rng       *rand.Rand
	nodes     []*worldNode
	resources map[string]*worldResource
	links     map[[2]int][]func() // messages under way from node to node
}

type worldNode struct {
	prog    *Program
	pc      int
	done    []bool
	status  []Status
	basts   [][]Mode // per lock, delivered
	held    []Mode   // per lock, as the node knows it
	pending []func() // completions and blocking asts to deliver, in order
}

type worldResource struct {
	kResource
	master int
	locks  map[[2]int]*kLock // (node, lock)
	owner  map[*kLock][2]int
}

func newWorld(p *Plan, seed uint64, direct bool) *world {
	w := &world{
		plan: p, direct: direct, rng: rand.New(rand.NewPCG(seed, 1)),
		resources: map[string]*worldResource{}, links: map[[2]int][]func(){},
	}
	for i := range p.Programs {
		prog := &p.Programs[i]
		w.nodes = append(w.nodes, &worldNode{
			prog: prog, done: make([]bool, len(prog.Steps)), status: make([]Status, len(prog.Steps)),
			basts: make([][]Mode, len(prog.Locks)), held: make([]Mode, len(prog.Locks)),
		})
	}
	return w
}

// run executes the plan to the end, or to the point where nothing can happen
// any more.
func (w *world) run() error {
	for {
		var can []func()
		for _, n := range w.nodes {
			if n.pc < len(n.prog.Steps) && w.ready(n) {
				can = append(can, func() { w.issue(n) })
			}
			if len(n.pending) > 0 {
				can = append(can, func() { f := n.pending[0]; n.pending = n.pending[1:]; f() })
			}
		}
		for a := 1; a <= len(w.nodes); a++ {
			for b := 1; b <= len(w.nodes); b++ {
				if q := w.links[[2]int{a, b}]; len(q) > 0 {
					can = append(can, func() { w.links[[2]int{a, b}] = q[1:]; q[0]() })
				}
			}
		}
		if len(can) == 0 {
			break
		}
		can[w.rng.IntN(len(can))]()
	}
	for _, n := range w.nodes {
		if n.pc < len(n.prog.Steps) {
			return fmt.Errorf("node %d is stuck before step %d: %+v", n.prog.Node, n.pc, n.prog.Steps[n.pc])
		}
	}
	return nil
}

// ready says that all a node's next step waits for has come.
func (w *world) ready(n *worldNode) bool {
	st := &n.prog.Steps[n.pc]
	for _, j := range st.Own {
		if !n.done[j] {
			return false
		}
	}
	if st.Lock >= 0 && len(n.basts[st.Lock]) < st.Basts {
		return false
	}
	for _, r := range st.After {
		o := w.nodes[r.Node-1]
		if o.pc <= r.Step || (r.Completed && !o.done[r.Step]) {
			return false
		}
	}
	return true
}

func (w *world) issue(n *worldNode) {
	i := n.pc
	st := &n.prog.Steps[i]
	n.pc++
	if st.Kind.IsMark() {
		n.done[i] = true
		return
	}
	r := w.resource(n, st)
	l := r.lock(n.prog.Node, st.Lock)
	if r.master != n.prog.Node && st.Kind == StepConvert && st.Mode < n.held[st.Lock] {
		n.pending = append(n.pending, func() { n.complete(i, OK) })
	}
	w.send(n.prog.Node, r.master, func() {
		l.op = i
		r.do(l, st.Kind, st.Mode, st.Flags)
	})
}

func (n *worldNode) complete(step int, s Status) {
	if n.done[step] {
		return // a conversion downwards: the master's own record of it
	}
	n.done[step], n.status[step] = true, s
	if st := &n.prog.Steps[step]; s == OK {
		n.held[st.Lock] = st.Mode
	}
}

// send runs f at the other node, at once or when the message arrives.
func (w *world) send(from, to int, f func()) {
	if from == to || w.direct {
		f()
		return
	}
	k := [2]int{from, to}
	w.links[k] = append(w.links[k], f)
}

func (w *world) resource(n *worldNode, st *Step) *worldResource {
	r := w.resources[string(st.Name)]
	if r != nil {
		return r
	}
	r = &worldResource{master: n.prog.Node, locks: map[[2]int]*kLock{}, owner: map[*kLock][2]int{}}
	w.resources[string(st.Name)] = r
	r.cast = func(l *kLock, s Status) {
		o := w.nodes[r.owner[l][0]-1]
		step := l.op
		w.send(r.master, o.prog.Node, func() {
			o.pending = append(o.pending, func() { o.complete(step, s) })
		})
	}
	r.bast = func(l *kLock, m Mode) {
		key := r.owner[l]
		o := w.nodes[key[0]-1]
		w.send(r.master, o.prog.Node, func() {
			o.pending = append(o.pending, func() { o.basts[key[1]] = append(o.basts[key[1]], m) })
		})
	}
	return r
}

func (r *worldResource) lock(node, lock int) *kLock {
	key := [2]int{node, lock}
	l := r.locks[key]
	if l == nil {
		l = &kLock{gr: iv, rq: iv}
		r.locks[key] = l
		r.owner[l] = key
	}
	return l
}

// tally is what a run reproduced.
type tally struct {
	Statuses, StatusesSame int
	Basts, BastsSame       int // blocking asts of locks whose whole list is as recorded
	Extra                  int // blocking asts beyond the recorded number
	Differ                 []string
}

// compare sets what the nodes saw against what the trace recorded.
func (w *world) compare() tally {
	var t tally
	for _, n := range w.nodes {
		for i := range n.prog.Steps {
			st := &n.prog.Steps[i]
			if st.Kind.IsMark() {
				continue
			}
			t.Statuses++
			if n.done[i] && n.status[i] == st.Status {
				t.StatusesSame++
				continue
			}
			t.Differ = append(t.Differ, fmt.Sprintf("line %d node %d %v %q copy %d: status %v, recorded %v (completed %v)",
				st.Line, n.prog.Node, st.Kind, st.Name, st.Copy, n.status[i], st.Status, n.done[i]))
		}
		for i := range n.prog.Locks {
			l := &n.prog.Locks[i]
			t.Basts += len(l.Basts)
			t.Extra += max(0, len(n.basts[i])-len(l.Basts))
			if fmt.Sprint(n.basts[i]) == fmt.Sprint(l.Basts) {
				t.BastsSame += len(l.Basts)
				continue
			}
			t.Differ = append(t.Differ, fmt.Sprintf("line %d node %d lock %q: blocking asts %v, recorded %v",
				n.prog.Steps[l.First].Line, n.prog.Node, l.Name, n.basts[i], l.Basts))
		}
	}
	return t
}
