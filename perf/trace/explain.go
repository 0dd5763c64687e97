package trace

import "fmt"

// explain runs each resource's operations, in the order of decision, through
// the model of the kernel's grant rules, and learns which operation let which
// other one be granted and which one sent each blocking ast. That the model
// gives the recorded statuses and blocking asts is also the check that the
// order of decision was read right; where it does not, the trace is refused
// (ErrHistory).
func (h *history) explain() error {
	for _, name := range h.names {
		if err := h.explainName(h.byName[name]); err != nil {
			return err
		}
	}
	return nil
}

// sentBast is a blocking ast that the model sends.
type sentBast struct {
	mode  Mode
	cause *operation
}

func (h *history) explainName(ops []*operation) error {
	var now *operation // being decided
	locks := map[*lockLife]*kLock{}
	var lives []*lockLife
	sent := map[int][]sentBast{}
	got := map[int]Status{}
	r := &kResource{}
	r.cast = func(l *kLock, s Status) { got[l.op] = s; ops[l.op].granter = now }
	r.bast = func(l *kLock, m Mode) { sent[l.id] = append(sent[l.id], sentBast{m, now}) }
	for i, op := range ops {
		ev := &h.tl.tr.Events[op.event]
		if f := ev.Flags &^ modelFlags; f != 0 {
			return fmt.Errorf("%w: %s:%d: flags %v are not supported", ErrHistory, h.tl.tr.Name, ev.Line, f)
		}
		l := locks[op.lock]
		if l == nil {
			l = &kLock{id: len(lives)}
			locks[op.lock] = l
			lives = append(lives, op.lock)
		}
		now, l.op = op, i
		r.do(l, stepKind(ev.Kind), ev.Mode, ev.Flags)
	}
	for i, op := range ops {
		if s, ok := got[i]; !ok || s != op.status {
			return fmt.Errorf("%w: %s:%d: recorded status %v, the grant rules give %v (completed: %v)",
				ErrHistory, h.tl.tr.Name, h.tl.tr.Events[op.event].Line, op.status, s, ok)
		}
	}
	for id, life := range lives {
		if err := life.match(sent[id]); err != nil {
			return fmt.Errorf("%w: %s:%d: %w", ErrHistory, h.tl.tr.Name, h.tl.tr.Events[life.ops[0].event].Line, err)
		}
	}
	return nil
}

// match pairs recorded blocking asts with those the model sent, in order. The
// kernel may drop one that a completion has made pointless before it is
// delivered, so the recorded ones may be fewer.
func (l *lockLife) match(sent []sentBast) error {
	for i := range l.basts {
		b := &l.basts[i]
		for len(sent) > 0 && sent[0].mode != b.mode {
			sent = sent[1:]
		}
		if len(sent) == 0 {
			return fmt.Errorf("blocking ast number %d of this lock (%v) has no cause", i+1, b.mode)
		}
		b.cause, sent = sent[0].cause, sent[1:]
	}
	return nil
}

func stepKind(k Kind) StepKind {
	switch k {
	case KindLock:
		return StepLock
	case KindConvert:
		return StepConvert
	default:
		return StepUnlock
	}
}
