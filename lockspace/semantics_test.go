package lockspace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is a stage for the kernel DLM's behaviour: what runs on it runs
// against a local master and against a remote one, and must come out the same.
// The behaviour itself is in the scenarios (testdata/scenarios).

// stage is a cluster whose node 1 masters name; node user makes the requests.
type stage struct {
	c    *cluster
	name string
	user int
	lock map[string]*tlock
	ends map[string]int
	bast map[string]int
}

// onBoth runs f with a local and with a remote master.
func onBoth(t *testing.T, f func(t *testing.T, s *stage)) {
	t.Helper()
	for user, where := range map[int]string{1: "local", 2: "remote"} {
		t.Run(where, func(t *testing.T) {
			c := newCluster(t, 2, 1, 0)
			name := c.mastered("r", 1, 0)
			s := &stage{c: c, name: name, user: user, lock: map[string]*tlock{}, ends: map[string]int{}, bast: map[string]int{}}
			f(t, s)
			c.windDown()
		})
	}
}

var flagNames = map[string]uint32{
	"noqueue": NoQueue, "valblk": ValBlk, "quecvt": QueCvt, "ivvalblk": IvValBlk, "convdeadlk": ConvDeadlk,
	"nodlckwt": NoDlckWt, "noqueuebast": NoQueueBast, "force": ForceUnlock, "bast": WantBast,
	"expedite": Expedite, "headque": HeadQue, "noorder": OutOfOrder, "altpr": AltPR, "altcw": AltCW,
	"persistent": Persistent, "orphan": Orphan,
}

// do runs "A lock EX flags...", "A convert ...", "A unlock ..." or "A cancel",
// with value=n among the flags, and gives what was reported, sorted: "A=EX"
// granted, "A:status/mode" refused, "A<EX" blocks a request for EX.
func (s *stage) do(op string) string {
	s.c.t.Helper()
	f := strings.Fields(op)
	var flags uint32
	var v []byte
	mode := NoMode
	for _, w := range f[2:] {
		var n uint64
		if m, ok := ParseMode(w); ok {
			mode = m
		} else if _, err := fmt.Sscanf(w, "value=%d", &n); err == nil {
			v = value(n)
		} else if bit, ok := flagNames[w]; ok {
			flags |= bit
		} else {
			s.c.t.Fatalf("%q: what is %q?", op, w)
		}
	}
	switch l := s.lock[f[0]]; f[1] {
	case "lock":
		s.lock[f[0]] = s.c.node(s.user).lock(s.name, mode, flags)
		s.ends[f[0]], s.bast[f[0]] = 0, 0
	case "convert":
		l.convert(mode, flags, v)
	case "unlock":
		l.unlock(flags, v)
	case "cancel":
		l.cancel()
	}
	s.c.settle()
	return s.events()
}

func (s *stage) events() string {
	var ev []string
	for key, l := range s.lock {
		for ; s.bast[key] < len(l.basts); s.bast[key]++ {
			ev = append(ev, key+"<"+l.basts[s.bast[key]].String())
		}
		if s.ends[key] == l.ends {
			continue
		}
		s.ends[key] = l.ends
		e := key + "=" + l.last.Mode.String()
		if l.last.Status != wire.OK {
			e = fmt.Sprintf("%s:%v/%v", key, l.last.Status, l.last.Mode)
		}
		if l.last.Bits&wire.BitDemoted != 0 {
			e += "!demoted"
		}
		if l.last.Bits&wire.BitAltMode != 0 {
			e += "!alt"
		}
		if l.last.Bits&wire.BitValue != 0 {
			e += fmt.Sprintf("(%d)", binary.LittleEndian.Uint64(l.last.Value))
		}
		if l.last.Bits&wire.BitNotValid != 0 {
			e += "(not valid)"
		}
		ev = append(ev, e)
	}
	slices.Sort(ev)
	return strings.Join(ev, " ")
}
