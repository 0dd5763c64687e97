package trace

import (
	"errors"
	"fmt"
)

// Limits of a plan.
const (
	MaxRepeat = 1024    // copies of the files
	MaxSteps  = 8 << 20 // steps of all programs together
)

// ErrOptions says that a plan's options can't be met.
var ErrOptions = errors.New("trace: bad plan options")

// Options shape a plan.
type Options struct {
	// Nodes of the cluster that will replay the plan; those beyond the
	// trace's have empty programs. 0: as many as the trace has.
	Nodes int
	// Repeat multiplies the files the trace creates; 0 and 1: as recorded.
	// At most MaxRepeat. doc.go says what a copy contains.
	Repeat int
	// Until ends the plan with the first phase of this name (with the last of
	// the nodes that do it at the same time); "": the whole trace.
	Until string
}

// StepKind is what a step does.
type StepKind uint8

const (
	StepLock       StepKind = iota + 1 // request a new lock
	StepConvert                        // convert it
	StepUnlock                         // unlock it
	StepPhaseBegin                     // a phase begins: Phase, Count
	StepPhaseEnd                       // a phase has ended: Phase
	StepOp                             // an operation of a phase begins: Phase, Label, Op
)

var stepNames = [...]string{
	StepLock: "lock", StepConvert: "convert", StepUnlock: "unlock",
	StepPhaseBegin: "phase begin", StepPhaseEnd: "phase end", StepOp: "operation",
}

func (k StepKind) String() string {
	if int(k) < len(stepNames) && stepNames[k] != "" {
		return stepNames[k]
	}
	return fmt.Sprintf("step(%d)", uint8(k))
}

// IsMark says that the step asks nothing of the lock manager.
func (k StepKind) IsMark() bool { return k >= StepPhaseBegin }

// Ref names a step of another node's program that must come first.
type Ref struct {
	Node int // node number
	Step int // index in its program
	// Completed: its completion (ast) must have been delivered there; else it
	// is enough that it has been issued. A mark is complete when issued.
	Completed bool
}

// Step is one action of a node's program. Name is shared between steps and
// must not be changed.
type Step struct {
	Kind  StepKind
	Phase string // the phase it lies in; "": between phases
	Label string // the operation's name (OP:label:number); "": outside operations
	Op    int    // the operation's number in its phase, from 0, over all copies; -1: outside operations
	Count int    // StepPhaseBegin: operations to come, over all copies
	Copy  int    // which copy of the files it works on, from 0
	Line  int    // the row of the trace it was made from

	Lock  int    // index in Program.Locks; -1 for marks
	Name  []byte // the resource
	Mode  Mode   // StepLock, StepConvert: what to ask for
	Flags Flags  // as the file system gave them

	// NewName: a StepLock on a name on which, in the trace's order, no node
	// has a lock or a request at that moment: nobody has used it yet, or all
	// who did have unlocked it.
	NewName bool
	// Reused: NewName, and somebody had used the name before.
	Reused bool
	// Creation: a lock of a file or directory that is being made, which
	// self-owner notification asks with New. It implies NewName.
	Creation bool

	// The step is issued after the one before it in the program, and when
	Own   []int // the completions of these earlier steps of this program,
	Basts int   // this many blocking asts of its lock, counted from its first request,
	After []Ref // and these steps of other nodes have come.

	// What the kernel answered.
	Status Status
	Sb     SbFlags
}

// Lock is one lock of a program, from its first request to its unlock.
type Lock struct {
	Name  []byte
	First int    // the step that requests it
	Last  int    // its last step in the program
	Basts []Mode // the blocking asts the kernel delivered for it, in order
}

// Program is what one node does.
type Program struct {
	Node  int
	Steps []Step
	Locks []Lock
}

// Plan is a trace made executable. doc.go has the contract.
type Plan struct {
	Trace    string
	Repeat   int
	Programs []Program // by node number from 1; empty ones for idle members
	// ClockAheadUS is by how many microseconds the second node's clock was
	// found to be ahead of the first's.
	ClockAheadUS int64
	// Loose lists pairs whose order in the trace the plan does not enforce,
	// because enforcing it would make steps wait for each other in a circle.
	Loose []Loose
}

// Loose is a pair of rows of one resource, by line: the master decided Before
// first, though After had been issued first.
type Loose struct{ Before, After int }

// NewPlan turns a trace into programs. Errors wrap ErrOrder, ErrHistory or
// ErrOptions.
func NewPlan(tr *Trace, o Options) (*Plan, error) {
	nodes := tr.Nodes[len(tr.Nodes)-1]
	if o.Nodes == 0 {
		o.Nodes = nodes
	}
	if o.Repeat == 0 {
		o.Repeat = 1
	}
	if o.Nodes < nodes || o.Nodes > MaxNode {
		return nil, fmt.Errorf("%w: %d nodes; the trace needs %d, at most %d are possible", ErrOptions, o.Nodes, nodes, MaxNode)
	}
	if o.Repeat < 0 || o.Repeat > MaxRepeat {
		return nil, fmt.Errorf("%w: repeat %d; 1 to %d are possible", ErrOptions, o.Repeat, MaxRepeat)
	}
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
	d.depend()
	d.sort()
	if o.Until != "" {
		if err := d.cut(o.Until); err != nil {
			return nil, err
		}
	}
	if n := len(d.sorted) * o.Repeat; n > MaxSteps {
		return nil, fmt.Errorf("%w: up to %d steps, at most %d", ErrOptions, n, MaxSteps)
	}
	programs, err := d.programs(o)
	if err != nil {
		return nil, err
	}
	p := &Plan{Trace: tr.Name, Repeat: o.Repeat, Programs: programs, Loose: d.loose}
	if len(tl.shift) > 1 {
		p.ClockAheadUS = -tl.shift[1]
	}
	return p, nil
}
