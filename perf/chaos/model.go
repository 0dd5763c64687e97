package chaos

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/lockify-dlm/lockify"
)

// This file says what one name may do, one thing after the other. It shares nothing
// with the code that it judges, its table of modes included.

// together[a] is the set of modes (1<<mode) that may be held beside a.
var together = [...]uint8{
	lockify.NL: 0b111111,
	lockify.CR: 0b011111,
	lockify.CW: 0b000111,
	lockify.PR: 0b001011,
	lockify.PW: 0b000011,
	lockify.EX: 0b000001,
}

// state is a name between two operations. It can be compared with ==.
type state struct {
	held   string // the locks on it, holderLen bytes each, by number
	token  uint64 // the highest of an exclusive grant
	values string // what the value may be, with "|" between: "" if it is not valid
	wrote  int64  // when it was written
	free   bool   // nobody has had a lock on it since, so that it may be forgotten
}

const holderLen = 5 // number, mode

func (s *state) mode(lock uint32) (m lockify.Mode, at int, ok bool) {
	for at = 0; at < len(s.held); at += holderLen {
		switch n := binary.BigEndian.Uint32([]byte(s.held[at:])); {
		case n == lock:
			return lockify.Mode(s.held[at+holderLen-1]), at, true
		case n > lock:
			return 0, at, false
		}
	}
	return 0, at, false
}

// set gives the lock that mode, if all others go together with it.
func (s *state) set(lock uint32, mode lockify.Mode) bool {
	_, at, has := s.mode(lock)
	for i := 0; i < len(s.held); i += holderLen {
		if !(has && i == at) && together[mode]>>s.held[i+holderLen-1]&1 == 0 {
			return false
		}
	}
	rest := s.held[at:]
	if has {
		rest = rest[holderLen:]
	}
	entry := append(binary.BigEndian.AppendUint32(nil, lock), byte(mode))
	s.held = s.held[:at] + string(entry) + rest
	return true
}

// drop takes the lock away.
func (s *state) drop(lock uint32) {
	_, at, _ := s.mode(lock)
	s.held = s.held[:at] + s.held[at+holderLen:]
	s.free = s.free || s.held == ""
}

// exclusive says that a mode gets a token of its own.
func exclusive(m lockify.Mode) bool { return m >= lockify.PW }

// strict says that a lock in this mode excludes all who write values, so that what
// it reads is the last one. In NL and CR it may be the one before: the newer one is
// on its way to the master.
func strict(m lockify.Mode) bool { return m >= lockify.CW }

// model is one name. lost are the times at which a value can have become not valid,
// since the only node that was sure of it was cut off or died.
func model(lost []span) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{free: true} },
		Step: func(st, in, _ any) (bool, any) {
			s, o := st.(state), in.(*op)
			ok := s.step(o, lost)
			return ok, s
		},
		DescribeOperation: func(in, _ any) string { return in.(*op).String() },
		DescribeState:     func(st any) string { s := st.(state); return s.describe() },
	}
}

func (s *state) step(o *op, lost []span) bool {
	from, _, has := s.mode(o.Lock)
	if has == (o.Kind == acquire) || has && from != o.From {
		return false
	}
	switch o.Kind {
	case acquire, convert:
		return s.set(o.Lock, o.Mode) && s.takeToken(o) && s.takeValue(o, lost)
	case release:
		s.write(o)
	case lose:
		switch {
		case o.Write:
			s.values = join(s.values, o.Value)
		case o.Killed && exclusive(from):
			s.values = ""
		}
	}
	s.drop(o.Lock)
	return true
}

// takeToken checks the token of a grant. A lock that excludes nobody exclusive may be
// granted beside one, and tell the token before it.
func (s *state) takeToken(o *op) bool {
	risen := exclusive(o.Mode) && !(o.Kind == convert && exclusive(o.From))
	switch {
	case risen && o.Token <= s.token, strict(o.Mode) && o.Token < s.token:
		return false
	case exclusive(o.Mode):
		s.token = o.Token
	}
	return true
}

// takeValue checks the value that has come with a grant, or writes one.
func (s *state) takeValue(o *op, lost []span) bool {
	switch {
	case o.Write:
		s.write(o)
	case !o.Read || !strict(o.Mode):
	case o.Valid:
		if !slices.Contains(strings.Split(s.values, "|"), o.Value) {
			return false
		}
		s.values = o.Value
	default:
		excused := func(w span) bool { return w.from <= o.Return && w.to >= s.wrote }
		if s.values != "" && !s.free && !slices.ContainsFunc(lost, excused) {
			return false
		}
		s.values = ""
	}
	return true
}

func (s *state) write(o *op) {
	if o.Write {
		s.values, s.wrote, s.free = o.Value, o.Call, false
	}
}

func join(values, more string) string {
	if values == "" {
		return more
	}
	return values + "|" + more
}

func (s *state) describe() string {
	var b strings.Builder
	for i := 0; i < len(s.held); i += holderLen {
		fmt.Fprintf(&b, "#%d %s, ", binary.BigEndian.Uint32([]byte(s.held[i:])), lockify.Mode(s.held[i+holderLen-1]))
	}
	fmt.Fprintf(&b, "token %d:%d, value %q", s.token>>tokenCounterBits, s.token&(1<<tokenCounterBits-1), s.values)
	return b.String()
}
