package lockspace

import (
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is what a scenario prints.
//
//	1>3 LOOKUP x a EX {1.1}    node 1 sends it, about name x and lock a; life: the first of node 1
//	a = EX token 1:5 hops 3    granted; token: epoch and counter; messages it waited for
//	a ! would block, holds PR  not granted; a deadlock has its cycle behind it: owner 5 of
//	                           node 1 wants x, held by (<<: ahead in the queue) owner 6 of node 2
//	a < PR                     a blocks a request for PR (BAST)
//	a confirmed, a LOST        its claim
//	node 1: conflict about x with node 2
//	w ok hops 2                a request for bytes has ended; hops as above
//	w ! would block: owner 3 of node 1 has write 0-9     so has this one
//	both hold x: a EX, b EX    mutual exclusion is violated; (claimed): not confirmed yet
//	-> busy                    the call itself was refused
//
// In brief: w:ok w:would block a=EX a=EX(7) a=EX(not valid) a=EX!demoted a:would block/PR a<PR.

const bothHold = "both hold "

// sceneLog hears what nodes do and writes it down.
type sceneLog struct {
	out         []string
	events      []string // brief
	quiet, mute bool
	labels      map[string]string // name -> label
	ids         map[lockID]string
	byLock      map[*tlock]string
	asking      *tlock // its id is not known yet
	askingLabel string
	both        map[string]bool // pairs that have been printed
}

type lockID struct{ owner, id uint64 }

func (s *scene) say(format string, args ...any) {
	if !s.quiet && !s.mute {
		s.out = append(s.out, fmt.Sprintf(format, args...))
	}
}

// event says one of two texts.
func (s *scene) event(brief, full string) {
	if !s.brief {
		s.say("%s", full)
	} else if !s.quiet && !s.mute {
		s.events = append(s.events, brief)
	}
}

// label gives a lock's name in the script.
func (s *scene) label(owner, id uint64) string {
	if l, ok := s.ids[lockID{owner, id}]; ok {
		return l
	}
	if s.asking != nil && s.asking.n.instance == owner && (s.asking.id == 0 || s.asking.id == id) {
		s.ids[lockID{owner, id}] = s.askingLabel
		return s.askingLabel
	}
	return fmt.Sprintf("%#x", id)
}

func (s *scene) of(l *tlock) string {
	if l == s.asking {
		return s.askingLabel
	}
	return s.byLock[l]
}

func token(t uint64) string {
	return fmt.Sprintf("%d:%d", t>>tokenCounterBits, t&(1<<tokenCounterBits-1))
}

func lifeText(l wire.Life) string {
	if l.IsZero() {
		return "{-}"
	}
	if l.Counter>>63 != 0 { // rebuilt in that view
		return fmt.Sprintf("{%s.view %d}", instanceMark(l.Instance), l.Counter&(1<<63-1))
	}
	return fmt.Sprintf("{%s.%d}", instanceMark(l.Instance), l.Counter>>8)
}

func valueText(v []byte) string {
	if len(v) == 8 {
		return strconv.FormatUint(binary.LittleEndian.Uint64(v), 10)
	}
	return fmt.Sprintf("%x", v)
}

func (s *scene) completed(l *tlock, c *Completion) {
	name := s.of(l)
	if c.Status != wire.OK {
		full := fmt.Sprintf("%s ! %v", name, c.Status)
		if c.Mode != NoMode {
			full += ", holds " + c.Mode.String()
		}
		s.event(fmt.Sprintf("%s:%v/%v", name, c.Status, c.Mode)+briefBits(c), full+fullBits(c))
		for _, e := range c.Cycle.Edges() {
			if s.brief {
				break
			}
			arrow := "<"
			if e.Ahead {
				arrow = "<<"
			}
			s.say("  %d/%d wants %s in %v %s %v %d/%d", wire.NodeOf(e.Waiter.Instance), e.Waiter.Owner, s.nameLabel([]byte(e.Name)),
				Mode(e.Waiter.Mode), arrow, Mode(e.Blocker.Mode), wire.NodeOf(e.Blocker.Instance), e.Blocker.Owner)
		}
		return
	}
	s.event(fmt.Sprintf("%s=%v", name, c.Mode)+briefBits(c),
		fmt.Sprintf("%s = %v token %s", name, c.Mode, token(c.Token))+fullBits(c))
}

func briefBits(c *Completion) (t string) {
	if c.Bits&wire.BitDemoted != 0 {
		t += "!demoted"
	}
	if c.Bits&wire.BitAltMode != 0 {
		t += "!alt"
	}
	if c.Bits&wire.BitValue != 0 {
		t += "(" + valueText(c.Value) + ")"
	}
	if c.Bits&wire.BitNotValid != 0 {
		t += "(not valid)"
	}
	return t
}

func fullBits(c *Completion) (t string) {
	if c.Hops != 0 {
		t += fmt.Sprintf(" hops %d", c.Hops)
	}
	if c.Bits&wire.BitDemoted != 0 {
		t += ", demoted"
	}
	if c.Bits&wire.BitAltMode != 0 {
		t += ", alternate mode"
	}
	if c.Bits&wire.BitValue != 0 {
		t += ", value " + valueText(c.Value)
	}
	if c.Bits&wire.BitNotValid != 0 {
		t += ", value not valid"
	}
	if c.Bits&wire.BitOpenClaim != 0 {
		t += ", claimed"
	}
	return t
}

func (s *scene) blocking(l *tlock, mode Mode) {
	s.event(s.of(l)+"<"+mode.String(), s.of(l)+" < "+mode.String())
}

func (s *scene) confirmed(l *tlock) { s.event(s.of(l)+"+", s.of(l)+" confirmed") }
func (s *scene) lost(l *tlock)      { s.event(s.of(l)+"#lost", s.of(l)+" LOST") }

func (s *scene) conflict(n *node, name string, master wire.Life) {
	text := fmt.Sprintf("node %d: conflict about %s with node %d", n.id, s.nameLabel([]byte(name)), master.Node())
	s.event(text, text)
}

func (s *scene) nameLabel(name []byte) string {
	if l, ok := s.labels[string(name)]; ok {
		return l
	}
	return string(name)
}

func (s *scene) sent(n *node, to uint16, m *wire.Msg) {
	if !s.brief {
		s.say("%d>%d %s", n.id, to, s.message(n.id, to, m))
	}
}

// ownerSends are the messages whose lock belongs to the sender.
var ownerSends = map[wire.Type]bool{
	wire.Lookup: true, wire.Request: true, wire.Convert: true, wire.Unlock: true, wire.Cancel: true,
	wire.Probe: true, wire.RangeOp: true, wire.RangeCancel: true, wire.RangeReg: true,
}

// message prints a message's type and what matters in it.
func (s *scene) message(from, to uint16, m *wire.Msg) string {
	t := m.Type.String()
	if m.Type.Named() {
		t += " " + s.nameLabel(m.Name)
	}
	owner := s.c.node(int(to)).instance
	if m.Instance != 0 && m.Type != wire.RangeDone {
		owner = m.Instance
	} else if ownerSends[m.Type] {
		owner = s.c.node(int(from)).instance
	}
	if m.Lock != 0 {
		t += " " + s.label(owner, m.Lock)
	}
	switch m.Type {
	case wire.Lookup, wire.Fwd, wire.Request, wire.Convert, wire.Grant, wire.Bast:
		t += " " + Mode(m.Mode).String()
	case wire.RangeOp, wire.RangeDone, wire.RangeReg:
		t += s.rangesText(m)
	case wire.Denied, wire.NoRange:
		t += " " + m.Status.String()
	case wire.Done, wire.Sent, wire.Open:
		t += fmt.Sprintf(" of view %d", m.Seq)
	case wire.Adopt, wire.Reg:
		owner = s.c.node(int(from)).instance
		for i := range m.Locks.Len() {
			r := m.Locks.At(i)
			t += " " + s.label(owner, r.Lock) + ":" + modesText(Mode(r.Granted), Mode(r.Wanted))
		}
	}
	if !m.Life.IsZero() {
		t += " " + lifeText(m.Life)
	}
	switch {
	case m.Other.IsZero():
	case m.Type == wire.Reject:
		t += " master " + lifeText(m.Other)
	case m.Type == wire.Lookup || m.Type == wire.Notify:
		t += " gone " + lifeText(m.Other)
	default:
		t += " claim " + lifeText(m.Other)
	}
	if m.Type == wire.Adopted {
		t += fmt.Sprintf(" idle %v token %s", time.Duration(m.Idle), token(m.Token))
	}
	return t + s.messageBits(m)
}

func (s *scene) messageBits(m *wire.Msg) (t string) {
	for _, b := range []struct {
		bit  uint8
		text string
	}{
		{wire.BitDemoted, "demoted"}, {wire.BitNotValid, "value not valid"}, {wire.BitInvalidate, "invalidates"},
		{wire.BitNoReply, "no reply"},
	} {
		if m.Bits&b.bit != 0 {
			t += ", " + b.text
		}
	}
	if m.Bits&wire.BitValue != 0 {
		t += ", value " + valueText(m.Value)
	}
	return t
}

// modesText: "PR", "PR>EX" converting, ">EX" waiting.
func modesText(granted, wanted Mode) (t string) {
	if granted != NoMode {
		t = granted.String()
	}
	if wanted != NoMode {
		t += ">" + wanted.String()
	}
	return t
}

func (s *scene) pending([]string) error {
	for _, l := range s.c.busy {
		for _, p := range l.packets {
			var m wire.Msg
			if _, err := m.Decode(p.bytes); err != nil {
				return err
			}
			s.say("%d>%d %s", l.from, l.to, s.message(l.from, l.to, &m))
		}
	}
	return nil
}

func (s *scene) show(a []string) error {
	label := s.def
	if len(a) > 0 {
		if _, ok := s.names[a[0]]; ok {
			label, a = a[0], a[1:]
		}
	}
	for _, n := range s.c.nodes {
		if n.down || len(a) > 0 && a[0] != strconv.Itoa(int(n.id)) {
			continue
		}
		if r := n.resource(s.names[label]); r != nil {
			s.say("%d: %s", n.id, s.resourceText(r))
		}
	}
	return nil
}

func (s *scene) resourceText(r *resource) string {
	t := r.state.String()
	if !r.life.IsZero() {
		t += " " + lifeText(r.life)
	}
	if !r.dirLife.IsZero() {
		t += ", entry " + lifeText(r.dirLife)
	}
	for _, q := range []struct {
		what string
		q    *queue
	}{{"granted", &r.granted}, {"converting", &r.convert}, {"waiting", &r.waiting}} {
		if q.q.head == nil {
			continue
		}
		t += "; " + q.what
		for l := q.q.head; l != nil; l = l.next {
			t += " " + s.label(l.owner, l.id) + ":" + modesText(l.granted, l.wanted)
		}
	}
	t += s.bytesText(r)
	if len(r.deferred) != 0 {
		t += fmt.Sprintf("; %d deferred", len(r.deferred))
	}
	if r.valueOK {
		t += "; value " + valueText(r.value)
	}
	for h := r.held; h != nil; h = h.resNext {
		for i := range h.msgs {
			t += fmt.Sprintf("; holds back %v to %d", h.msgs[i].Type, h.to)
		}
	}
	return t
}

func (s *scene) stats(a []string) error {
	if len(a) < 2 {
		return errArgs
	}
	n, err := s.node(a[0])
	if err != nil {
		return err
	}
	var list []string
	for _, field := range a[1:] {
		sum := uint64(0)
		for _, sh := range n.shards {
			v := reflect.ValueOf(sh.Stats()).FieldByName(field)
			switch {
			case !v.IsValid():
				return fmt.Errorf("no counter %q", field)
			case v.CanInt():
				sum += uint64(v.Int())
			default:
				sum += v.Uint()
			}
		}
		list = append(list, fmt.Sprintf("%s %d", field, sum))
	}
	s.say("%s", strings.Join(list, ", "))
	return nil
}

func (s *scene) empty([]string) error {
	if left := s.c.empty(); left != "" {
		s.say("%s", left)
	} else {
		s.say("nothing is left")
	}
	return nil
}

// checkHolders is mutual exclusion: it prints pairs of granted locks that
// exclude each other, once.
func (s *scene) checkHolders() {
	now := map[string]bool{}
	var pairs []string
	for i, a := range s.c.locks {
		for _, b := range s.c.locks[:i] {
			if a.name != b.name || Compatible(a.effective(), b.effective()) {
				continue
			}
			text := fmt.Sprintf("%s%s: %s, %s", bothHold, s.nameLabel([]byte(a.name)), s.holder(b), s.holder(a))
			now[text] = true
			if !s.both[text] {
				pairs = append(pairs, text)
			}
			if !a.open && !b.open && s.without == 0 {
				s.c.fatalf("%s", text)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.labels)) {
		if text := s.byteOverlap(name); text != "" {
			now[text] = true
			if !s.both[text] {
				pairs = append(pairs, text)
			}
		}
	}
	slices.Sort(pairs)
	for _, p := range pairs {
		s.say("%s", p)
	}
	s.both = now
}

func (s *scene) holder(l *tlock) string {
	t := s.of(l) + " " + l.mode.String()
	if l.open {
		t += " (claimed)"
	}
	return t
}
