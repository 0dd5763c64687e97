package trace

import (
	"errors"
	"fmt"
	"slices"
)

// ErrHistory says that a trace's rows don't fit together: an ast without an
// operation, a conversion of a lock that does not exist.
var ErrHistory = errors.New("trace: inconsistent")

// operation is a lock, convert or unlock with what the trace shows of it. All
// places are places in the timeline's order.
type operation struct {
	event   int // index of its row
	node    int // node number
	lock    *lockLife
	issued  int // place of its row
	decided int // place where the master took it up: its own row, or the arrival of a message
	done    int // place of its ast; -1 while the trace is being read
	status  Status
	sb      SbFlags
	last    bool       // it ended the lock
	granter *operation // the one whose decision let it complete; itself: decided at once
}

// lockLife is one lock from its first request to the end of its unlock (or
// of the first request, if that failed). The kernel uses lock numbers again;
// a lockLife never comes back.
type lockLife struct {
	node  int
	name  string
	ops   []*operation
	basts []bastSeen
}

type bastSeen struct {
	at    int // place of its row
	mode  Mode
	cause *operation // the one whose decision sent it
}

// history is a trace's operations.
type history struct {
	tl     *timeline
	ops    []*operation            // in the order of issue
	locks  []*lockLife             // in the order of their first request
	names  []string                // in the order of their first request
	byName map[string][]*operation // in the order of decision
	ends   map[int]*lockLife       // ast row -> the lock whose life it ends
}

type lockKey struct {
	node int
	id   uint32
}

// newHistory pairs operations with their asts, basts and messages. Errors
// wrap ErrHistory and give the line.
func newHistory(tl *timeline) (*history, error) {
	h := &history{tl: tl, byName: map[string][]*operation{}, ends: map[int]*lockLife{}}
	live := map[lockKey]*lockLife{}
	for at, i := range tl.order {
		if err := h.take(live, at, i); err != nil {
			ev := &tl.tr.Events[i]
			return nil, fmt.Errorf("%w: %s:%d: %v of lock %x: %w", ErrHistory, tl.tr.Name, ev.Line, ev.Kind, ev.LockID, err)
		}
	}
	for _, op := range h.ops {
		if op.done < 0 {
			ev := &tl.tr.Events[op.event]
			return nil, fmt.Errorf("%w: %s:%d: %v of lock %x never completes", ErrHistory, tl.tr.Name, ev.Line, ev.Kind, ev.LockID)
		}
	}
	for name, ops := range h.byName {
		slices.SortStableFunc(ops, func(a, b *operation) int { return a.decided - b.decided })
		h.byName[name] = ops
	}
	return h, h.explain()
}

func (h *history) take(live map[lockKey]*lockLife, at, i int) error {
	ev := &h.tl.tr.Events[i]
	key := lockKey{ev.Node, ev.LockID}
	l := live[key]
	switch ev.Kind {
	case KindPhase:
		return nil
	case KindSend, KindRecv:
		return h.takeMessage(live, at, i)
	case KindLock:
		if l != nil {
			return errors.New("the lock exists already")
		}
		l = &lockLife{node: ev.Node, name: string(ev.Name)}
		live[key] = l
		h.locks = append(h.locks, l)
	}
	if l == nil {
		return errors.New("no such lock")
	}
	if l.name != string(ev.Name) {
		return fmt.Errorf("the lock's name is %x", l.name)
	}
	open := l.open()
	switch ev.Kind {
	case KindLock, KindConvert, KindUnlock:
		if open != nil {
			return fmt.Errorf("its operation of line %d has not completed", h.tl.tr.Events[open.event].Line)
		}
		op := &operation{event: i, node: ev.Node, lock: l, issued: at, decided: at, done: -1}
		l.ops = append(l.ops, op)
		h.ops = append(h.ops, op)
		if h.byName[l.name] == nil {
			h.names = append(h.names, l.name)
		}
		h.byName[l.name] = append(h.byName[l.name], op)
	case KindAst:
		if open == nil {
			return errors.New("no operation to complete")
		}
		open.done, open.status, open.sb = at, ev.Status, ev.Sb
		if h.kind(open) == KindUnlock || (h.kind(open) == KindLock && ev.Status != OK) {
			delete(live, key)
			open.last = true
			h.ends[i] = l
		}
	case KindBast:
		l.basts = append(l.basts, bastSeen{at: at, mode: ev.Mode})
	}
	return nil
}

// takeMessage finds out where an operation was decided. A request that
// travels is decided where and when it arrives. A LOOKUP is decided there too
// when the directory node is also the master; else LOOKUP_REPLY brings the
// mastery to the requester, which then decides.
func (h *history) takeMessage(live map[lockKey]*lockLife, at, i int) error {
	ev := &h.tl.tr.Events[i]
	if ev.Kind == KindSend {
		return nil
	}
	node, issuedBefore := ev.From, h.tl.at[h.tl.sent[i]]
	switch ev.Msg {
	case MsgLookup, MsgRequest, MsgConvert, MsgUnlock:
	case MsgLookupReply:
		node, issuedBefore = ev.Node, at
	default:
		return nil
	}
	l := live[lockKey{node, ev.LockID}]
	if l == nil {
		return fmt.Errorf("%v for a lock that does not exist on node %d", ev.Msg, node)
	}
	// The message belongs to the operation that was the latest when it was
	// sent. That one may have completed: a conversion downwards does so at
	// once, while its message travels.
	for _, op := range slices.Backward(l.ops) {
		if op.issued < issuedBefore {
			op.decided = at
			return nil
		}
	}
	return fmt.Errorf("%v before the lock's first request", ev.Msg)
}

func (h *history) kind(op *operation) Kind { return h.tl.tr.Events[op.event].Kind }

// open gives the operation that has not completed, or nil.
func (l *lockLife) open() *operation {
	if len(l.ops) == 0 {
		return nil
	}
	if op := l.ops[len(l.ops)-1]; op.done < 0 {
		return op
	}
	return nil
}
