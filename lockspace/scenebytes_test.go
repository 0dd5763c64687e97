package lockspace

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is byte ranges in scenarios: the commands, and what is printed.

func init() {
	for name, v := range map[string]verb{
		"bytes":       {"bytes REQUEST LOCK OWNER read|write|none FIRST-LAST [try|test]: an owner, a number, asks for bytes through a lock; LAST may be end", (*scene).askBytes},
		"cancelbytes": {"cancelbytes REQUEST", (*scene).cancelBytes},
	} {
		sceneVerbs[name] = v
	}
}

func (s *scene) askBytes(a []string) error {
	if len(a) < 5 || s.requests[a[0]] != nil {
		return errArgs
	}
	l, err := s.lockOf(a[1:])
	if err != nil {
		return err
	}
	b := &tbyte{h: l, q: ByteRequest{Lock: l.id}}
	if b.q.Owner, err = strconv.ParseUint(a[2], 10, 64); err != nil {
		return errArgs
	}
	switch a[3] {
	case "none":
	case "read":
		b.q.Type = byterange.Read
	case "write":
		b.q.Type = byterange.Write
	default:
		return errArgs
	}
	if rest, ok := strings.CutSuffix(a[4], "-end"); ok {
		b.q.Range.End = byterange.Last
		_, err = fmt.Sscanf(rest, "%d", &b.q.Range.Start)
	} else {
		_, err = fmt.Sscanf(a[4], "%d-%d", &b.q.Range.Start, &b.q.Range.End)
	}
	if err != nil {
		return errArgs
	}
	for _, flag := range a[5:] {
		bit, ok := map[string]uint32{"try": NoQueue, "test": TestRange}[flag]
		if !ok {
			return errArgs
		}
		b.q.Flags |= bit
	}
	if s.requests == nil {
		s.requests, s.byRequest = map[string]*tbyte{}, map[*tbyte]string{}
	}
	s.requests[a[0]], s.byRequest[b] = b, a[0]
	s.refused(b.ask())
	return nil
}

func (s *scene) cancelBytes(a []string) error {
	if len(a) != 1 || s.requests[a[0]] == nil {
		return errArgs
	}
	b := s.requests[a[0]]
	if b.h.crashed {
		return errors.New("its node is down")
	}
	s.refused(b.tryCancel())
	return nil
}

// bytes says how a request has ended.
func (s *scene) bytes(b *tbyte) {
	label, o := s.byRequest[b], &b.out
	full := label + " ok"
	if o.Status != wire.OK {
		full = fmt.Sprintf("%s ! %v", label, o.Status)
	}
	if o.Blocker.Type != byterange.None {
		full += fmt.Sprintf(": owner %d of node %d has %v %v", o.Blocker.Owner.Number, wire.NodeOf(o.Blocker.Owner.Node), o.Blocker.Type, o.Blocker.Range)
	}
	if o.Hops != 0 {
		full += fmt.Sprintf(" hops %d", o.Hops)
	}
	brief := label + ":" + o.Status.String()
	if o.Blocker.Type != byterange.None {
		brief += fmt.Sprintf("/%d %v %v", o.Blocker.Owner.Number, o.Blocker.Type, o.Blocker.Range)
	}
	s.event(brief, full)
}

// rangesText prints the byte ranges in a message.
func (s *scene) rangesText(m *wire.Msg) (t string) {
	if m.Type == wire.RangeDone {
		t = " " + m.Status.String()
	}
	for i := range m.Ranges.Len() {
		rec := m.Ranges.At(i)
		t += fmt.Sprintf(" %v of %d", rangeOf(rec), rec.Owner)
	}
	if m.Flags&TestRange != 0 {
		t += " test"
	}
	if m.Flags&NoQueue != 0 {
		t += " try"
	}
	return t
}

// bytesText prints the byte ranges of a name.
func (s *scene) bytesText(r *resource) (t string) {
	if r.bytes == nil {
		return ""
	}
	text := func(h byterange.Held) string {
		return fmt.Sprintf(" %s.%d:%v", s.label(h.Owner.Node, h.Owner.Handle), h.Owner.Number, h.Lock)
	}
	r.bytes.Each(func(h byterange.Held) bool {
		t += text(h)
		return true
	})
	if t != "" {
		t = "; bytes" + t
	}
	for i, w := range r.bytes.Waiting() {
		if i == 0 {
			t += "; bytes wanted"
		}
		t += text(byterange.Held{Owner: w.Owner, Lock: w.Lock})
	}
	return t
}

// byteOverlap is mutual exclusion of byte ranges, as their owners' nodes see
// them: it says what two owners both have.
func (s *scene) byteOverlap(name string) string {
	all := s.c.beliefs(name)
	for i, a := range all {
		for _, b := range all[:i] {
			if a.Owner != b.Owner && (a.Type == byterange.Write || b.Type == byterange.Write) && a.Start <= b.End && b.Start <= a.End {
				return fmt.Sprintf("%s%s: %s.%d %v, %s.%d %v", bothHold, s.nameLabel([]byte(name)),
					s.label(b.Owner.Node, b.Owner.Handle), b.Owner.Number, b.Lock, s.label(a.Owner.Node, a.Owner.Handle), a.Owner.Number, a.Lock)
			}
		}
	}
	return ""
}
