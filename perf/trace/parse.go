package trace

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a trace. A row or file over one is refused.
const (
	MaxLine  = 512     // bytes of a row
	MaxRows  = 4 << 20 // rows of a file
	MaxNode  = 65535   // number of a node
	MaxName  = 64      // bytes of a resource name
	MaxLabel = 64      // bytes of a phase's name
	maxArg   = 1 << 24 // operations of a phase
)

// ErrRow is wrapped by each error about a row's content.
var ErrRow = errors.New("bad trace row")

const columns = "time_us,node,event,lockspace,lkid,mode,detail,name_hex"

// parseRow reads one row, without its newline. The event shares no memory
// with the row. Errors wrap ErrRow and say which column is wrong.
func parseRow(row string) (Event, error) {
	ev, err := parseColumns(row)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrRow, err)
	}
	return ev, nil
}

func parseColumns(row string) (Event, error) {
	c := strings.Split(row, ",")
	if want := strings.Count(columns, ",") + 1; len(c) != want {
		return Event{}, fmt.Errorf("%d columns, want %d", len(c), want)
	}
	ev := Event{Mode: NoMode}
	t, err := strconv.ParseUint(c[0], 10, 62)
	if err != nil {
		return Event{}, fmt.Errorf("time_us %q", c[0])
	}
	ev.TimeUS = int64(t)
	node, err := strconv.ParseUint(c[1], 10, 16)
	if err != nil || node == 0 {
		return Event{}, fmt.Errorf("node %q", c[1])
	}
	ev.Node = int(node)
	if ev.Kind, err = parseKind(c[2]); err != nil {
		return Event{}, err
	}
	if ev.Kind == KindPhase {
		if c[3] != "" || c[4] != "" || c[5] != "" || c[7] != "" {
			return Event{}, errors.New("phase row has a lock's columns")
		}
		return ev, ev.parseMark(c[6])
	}
	return ev, ev.parseLock(c[3], c[4], c[5], c[6], c[7])
}

func (ev *Event) parseMark(detail string) error {
	kind, rest, _ := strings.Cut(detail, ":")
	for m, n := range markNames {
		if n == kind && n != "" {
			ev.Mark = Mark(m)
		}
	}
	if ev.Mark == 0 {
		return fmt.Errorf("mark %q", detail)
	}
	label, arg, hasArg := strings.Cut(rest, ":")
	if label == "" || len(label) > MaxLabel {
		return fmt.Errorf("phase name in %q", detail)
	}
	ev.Label = strings.Clone(label)
	if ev.Mark == MarkEnd {
		if hasArg {
			return fmt.Errorf("number in %q", detail)
		}
		return nil
	}
	n, err := strconv.ParseUint(arg, 10, 31)
	if err != nil || n > maxArg {
		return fmt.Errorf("number in %q", detail)
	}
	ev.Arg = int(n)
	return nil
}

func (ev *Event) parseLock(space, id, mode, detail, name string) error {
	n, err := strconv.ParseUint(space, 10, 32)
	if err != nil {
		return fmt.Errorf("lockspace %q", space)
	}
	ev.Lockspace = uint32(n)
	message := ev.Kind == KindSend || ev.Kind == KindRecv
	base := 16
	if message {
		base = 10 // the kernel prints the two kinds of tracepoint differently
	}
	if n, err = strconv.ParseUint(id, base, 32); err != nil {
		return fmt.Errorf("lkid %q", id)
	}
	ev.LockID = uint32(n)
	switch ev.Kind {
	case KindUnlock, KindAst:
		if mode != "" {
			return fmt.Errorf("mode %q in a row that has none", mode)
		}
	default:
		if ev.Mode, err = parseMode(mode, message); err != nil {
			return err
		}
	}
	if ev.Name, err = hex.DecodeString(name); err != nil || len(ev.Name) > MaxName {
		return fmt.Errorf("name_hex %q", name)
	}
	if len(ev.Name) == 0 {
		ev.Name = nil
	}
	if (ev.Name == nil) != (ev.Kind == KindRecv) {
		return fmt.Errorf("name_hex %q in a %v row", name, ev.Kind)
	}
	return ev.parseDetail(detail)
}

func (ev *Event) parseDetail(detail string) error {
	var err error
	switch ev.Kind {
	case KindLock, KindConvert, KindUnlock:
		ev.Flags, err = parseFlags(detail)
	case KindAst:
		sb, status, ok := strings.Cut(detail, ":")
		if !ok {
			return fmt.Errorf("detail %q, want sbflags:status", detail)
		}
		if ev.Sb, err = parseSbFlags(sb); err != nil {
			return err
		}
		ev.Status, err = parseStatus(status)
	case KindBast:
		if detail != "" {
			return fmt.Errorf("detail %q in a bast row", detail)
		}
	case KindSend, KindRecv:
		kind, from, ok := strings.Cut(detail, ":to")
		n, nerr := strconv.ParseUint(from, 10, 16)
		if !ok || nerr != nil || n == 0 {
			return fmt.Errorf("detail %q, want TYPE:toN", detail)
		}
		ev.From = int(n)
		ev.Msg, err = parseMsgType(kind)
		if err == nil && (ev.Kind == KindSend) != (ev.From == ev.Node) {
			return fmt.Errorf("%v row of node %d has sender %d", ev.Kind, ev.Node, ev.From)
		}
	}
	return err
}
