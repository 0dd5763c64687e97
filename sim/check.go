package sim

import (
	"fmt"

	"github.com/lockify-dlm/lockify/lockspace"
)

// invariant is something that must be true.
type invariant int

// The invariants; the numbers are those of the project's design.
const (
	inExclusion invariant = iota
	inConflict
	inOnce
	inWork
	inOrder
	inStatus
	inBast
	inValue
	inToken
	inLeaks
	inAgreement
	inAnswers
	inBytes
	inByteWait
	inDeadlock
	inCircle
	inMembers
	inLease
	inPanic
	invariants
)

var invariantNames = [invariants]string{
	inExclusion: "1 mutual exclusion",
	inConflict:  "1 conflicts are reported",
	inOnce:      "2 one completion for each operation",
	inWork:      "2 no lost work",
	inOrder:     "3 grant order",
	inStatus:    "3 statuses and blocking callbacks",
	inBast:      "3 holders in the way are told",
	inValue:     "4 value is the last written, or not valid",
	inToken:     "5 tokens grow",
	inLeaks:     "6 no leaks",
	inAgreement: "7 one master, and its directory knows",
	inAnswers:   "finding 6: answers never wait",
	inBytes:     "byte ranges: exclusion, and tables that agree",
	inByteWait:  "byte ranges: no lost work, no deadlock",
	inDeadlock:  "8 no false deadlock, the youngest gives up",
	inCircle:    "8 no deadlock stays",
	inMembers:   "9 agreed views, and who is out holds nothing",
	inLease:     "9 nothing is granted or sent without a lease",
	inPanic:     "no panic",
}

// String gives the invariant's name.
func (in invariant) String() string { return invariantNames[in] }

// checker watches a run. Each has an invariant or two, and counts how often it
// looks.
type checker interface {
	completed(l *lock, c *lockspace.Completion) // before the lock takes it over; l.from is what it held
	conflict(n *node, nm *name)                 // a node has reported a conflict
	stepped(nm *name)                           // a step that has to do with nm is over
	rested()                                    // nothing is under way
	ended()                                     // all is unlocked, and unused names are removed
}

// watcher does nothing; checkers embed it.
type watcher struct{ r *run }

func (watcher) completed(*lock, *lockspace.Completion) {}
func (watcher) conflict(*node, *name)                  {}
func (watcher) stepped(*name)                          {}
func (watcher) rested()                                {}
func (watcher) ended()                                 {}

// newCheckers gives a run its checkers.
func newCheckers(r *run) []checker {
	w := watcher{r}
	r.circles = &deadlocks{watcher: w, of: map[*name][]*edge{}, all: map[edgeKey]*edge{}}
	return []checker{
		&exclusion{watcher: w, overlaps: map[*name][]*overlap{}},
		&values{w}, &tokens{watcher: w, last: map[*name]uint64{}},
		&answers{w}, &agreement{watcher: w}, &work{w}, &leaks{w}, &byteRanges{watcher: w}, r.circles,
	}
}

// Failure is an invariant that did not hold.
type Failure struct {
	Invariant string
	Text      string
	Name      string // the resource; "": none in particular
	Step      int
}

// Error gives invariant, step and text.
func (f *Failure) Error() string {
	return fmt.Sprintf("step %d: %s: %s", f.Step, f.Invariant, f.Text)
}

// fail notes the first thing that is wrong; the run ends after this step.
func (r *run) fail(in invariant, nm *name, format string, args ...any) {
	if r.failed != nil {
		return
	}
	f := &Failure{Invariant: in.String(), Text: fmt.Sprintf(format, args...), Step: r.steps}
	if nm != nil {
		f.Name = nm.text
		f.Text = fmt.Sprintf("%q: %s", nm.text, f.Text)
	}
	r.failed = f
	r.tracef(nm, "FAILED: %s: %s", f.Invariant, f.Text)
}
