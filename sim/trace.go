package sim

import (
	"fmt"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// line is one line of a trace.
type line struct {
	name *name // nil: none in particular
	text string
}

// traceEnd bounds the lines that are kept.
const traceEnd = 200_000

// tracef notes an event, if somebody wants to read it.
func (r *run) tracef(nm *name, format string, args ...any) {
	if !r.cfg.Trace || len(r.lines) >= traceEnd {
		return
	}
	r.lines = append(r.lines, line{nm, fmt.Sprintf("%6d %10.3fms  ", r.steps, float64(r.now)/1e6) + fmt.Sprintf(format, args...)})
}

func (r *run) traceAction(n *node, l *lock, a *action) {
	if !r.cfg.Trace {
		return
	}
	text := fmt.Sprintf("node %d: %s lock %d", n.id, ops[a.op].name, a.lock)
	var nm *name
	if l != nil {
		nm = l.name
		text += fmt.Sprintf(" (%v)", l.mode)
	} else {
		nm = r.nameOf(a.name)
	}
	switch ops[a.op].name {
	case "bytes", "bytes meanwhile":
		text += fmt.Sprintf(" owner %d %v %v", a.bytes.owner, a.bytes.Type, a.bytes.Range)
	case "cancel bytes":
		text += fmt.Sprintf(" request %d", a.bytes.tag)
	case "post":
		text += fmt.Sprintf(" owner %d on byte %d under lock %d %v", a.bytes.owner, a.bytes.Start, a.under, a.mode)
	case "create":
		text += fmt.Sprintf(" under lock %d", a.under)
		fallthrough
	case "lock", "convert":
		text += fmt.Sprintf(" %v", a.mode)
	}
	if a.owner != 0 {
		text += fmt.Sprintf(" for owner %d", a.owner)
	}
	r.tracef(nm, "%s%s  %q", text, flagNames(a.flags), nm.text)
}

func (r *run) traceArrival(l *lane, m *wire.Msg) {
	if !r.cfg.Trace {
		return
	}
	text := fmt.Sprintf("node %d <- node %d: %v", l.pair.to, l.pair.from, m.Type)
	switch m.Type {
	case wire.Lookup, wire.Fwd, wire.Request, wire.Convert:
		text += fmt.Sprintf(" id %x op %d %v%s", m.Lock, m.Op, ls.Mode(m.Mode), flagNames(m.Flags))
	case wire.Grant, wire.Denied, wire.Bast:
		text += fmt.Sprintf(" id %x op %d %v", m.Lock, m.Op, ls.Mode(m.Mode))
	case wire.You, wire.Unlock, wire.Cancel, wire.Queued, wire.NotMaster:
		text += fmt.Sprintf(" id %x op %d", m.Lock, m.Op)
	}
	if m.Ranges.Len() > 0 {
		rec := m.Ranges.At(0)
		text += fmt.Sprintf(" id %x req %d bits %x owner %d: %v %v", m.Lock, m.Req, m.Bits, rec.Owner,
			byterange.Type(rec.Type), byterange.Range{Start: rec.Start, End: rec.End})
	}
	if m.Type == wire.Adopted || m.Type == wire.Conflict {
		text += fmt.Sprintf(" idle %d us, token %#x", m.Idle/1000, m.Token)
	}
	text += fmt.Sprintf(" life %d/%x", m.Life.Node(), m.Life.Counter)
	if !m.Other.IsZero() {
		text += fmt.Sprintf(" other %d/%x", m.Other.Node(), m.Other.Counter)
	}
	about := l.name
	if about == nil {
		about = &name{} // of interest only in a whole trace
	}
	r.tracef(about, "%s  %q", text, about.text)
}

var flagTexts = []struct {
	flag uint32
	text string
}{
	{ls.NoQueue, "NOQUEUE"}, {ls.ValBlk, "VALBLK"}, {ls.QueCvt, "QUECVT"}, {ls.IvValBlk, "IVVALBLK"},
	{ls.ConvDeadlk, "CONVDEADLK"}, {ls.NoDlckWt, "NODLCKWT"}, {ls.NoQueueBast, "NOQUEUEBAST"},
	{ls.Expedite, "EXPEDITE"}, {ls.HeadQue, "HEADQUE"}, {ls.OutOfOrder, "NOORDER"}, {ls.AltPR, "ALTPR"}, {ls.AltCW, "ALTCW"},
	{ls.Persistent, "PERSISTENT"}, {ls.Orphan, "ORPHAN"}, {ls.ForceUnlock, "FORCEUNLOCK"}, {ls.NewName, "New"}, {ls.WantBast, ""},
}

func flagNames(f uint32) (s string) {
	for _, t := range flagTexts {
		if f&t.flag != 0 && t.text != "" {
			s += " " + t.text
		}
		f &^= t.flag
	}
	if f != 0 {
		s += fmt.Sprintf(" %#x", f)
	}
	return s
}
