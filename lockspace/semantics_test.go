package lockspace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the kernel DLM's behaviour. Each case runs against a local
// master and against a remote one, and must come out the same.

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

// script is pairs of an operation and what it must report.
type script [][2]string

var scripts = map[string]script{
	"requests wait in order": {
		{"A lock EX bast", "A=EX"}, {"B lock PR", "A<PR"}, {"C lock EX", "A<EX"}, {"D lock PR", ""},
		{"A unlock", "B=PR"}, {"B unlock", "C=EX"}, {"C unlock", "D=PR"},
	},
	"a compatible request waits behind an incompatible one": {
		{"A lock PR", "A=PR"}, {"B lock EX", ""}, {"C lock PR", ""}, {"D lock PR noqueue", "D:would block/--"},
		{"B cancel", "B:cancelled/-- C=PR"},
	},
	"conversion before waiting": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"C lock EX", ""}, {"A convert EX", ""},
		{"B unlock", "A=EX"}, {"A unlock", "C=EX"},
	},
	"conversion in place": {
		{"A lock PR", "A=PR"}, {"B lock EX", ""}, {"A convert EX", "A=EX"}, {"A convert NL", "A=NL B=EX"},
	},
	"in place, past others that convert": {
		{"A lock CR", "A=CR"}, {"B lock PR", "B=PR"}, {"C lock NL", "C=NL"}, {"A convert PW", ""},
		{"C convert CR", "C=CR"}, {"B unlock", "A=PW"},
	},
	"QUECVT waits behind them": {
		{"A lock CR", "A=CR"}, {"B lock PR", "B=PR"}, {"C lock NL", "C=NL"}, {"A convert PW", ""},
		{"C convert CR quecvt", ""}, {"B unlock", "A=PW C=CR"},
	},
	"conversions wait in order": {
		{"A lock NL", "A=NL"}, {"B lock NL", "B=NL"}, {"C lock EX", "C=EX"}, {"A convert EX", ""},
		{"B convert PR", ""}, {"C unlock", "A=EX"}, {"A unlock", "B=PR"},
	},
	"a new request waits while one converts": {
		{"A lock PR", "A=PR"}, {"B lock NL", "B=NL"}, {"B convert EX", ""}, {"C lock NL", ""}, {"A unlock", "B=EX C=NL"},
	},
	"NOQUEUE conversion": {
		{"A lock PR bast", "A=PR"}, {"B lock PR", "B=PR"}, {"B convert EX noqueue", "B:would block/PR"},
		{"B convert EX noqueue noqueuebast", "A<EX B:would block/PR"}, {"A unlock", ""}, {"B convert EX noqueue", "B=EX"},
	},
	"NOQUEUEBAST": {
		{"A lock PR bast", "A=PR"}, {"B lock EX noqueue noqueuebast", "A<EX B:would block/--"},
		{"C lock EX noqueue noqueuebast", "C:would block/--"},
	},
	"NOQUEUEBAST reaches those that convert": {
		{"A lock PR bast", "A=PR"}, {"B lock PR bast", "B=PR"}, {"A convert EX", "B<EX"},
		{"C lock EX noqueue noqueuebast", "A<EX C:would block/--"}, {"A cancel", "A:cancelled/PR"},
	},
	"BAST only for higher modes": {
		{"A lock EX bast", "A=EX"}, {"B lock CR", "A<CR"}, {"C lock CR", ""}, {"D lock PR", "A<PR"},
		{"E lock CW", ""}, {"F lock EX", "A<EX"}, {"G lock EX", ""},
		{"A convert NL", "A=NL B=CR C=CR D=PR"}, {"A convert CR", "A<EX A=CR"},
	},
	"BAST again after a conversion": {
		{"A lock EX bast", "A=EX"}, {"B lock EX", "A<EX"}, {"A convert PR", "A<EX A=PR"},
	},
	"PR against CW": {
		{"A lock PR bast", "A=PR"}, {"B lock CW", "A<CW"}, {"C lock CW", "A<CW"}, {"D lock EX", "A<EX"}, {"E lock CW", ""},
	},
	"CW against PR": {
		{"A lock CW bast", "A=CW"}, {"B lock PR", "A<PR"}, {"C lock PW", "A<PW"}, {"D lock PR", "A<PR"},
	},
	"PR and CW wait for PR": {
		{"A lock PR bast", "A=PR"}, {"B lock PR bast", "B=PR"}, {"C lock CW", "A<CW B<CW"}, {"D lock PR", ""},
		{"B unlock", "A<CW"},
	},
	"conversion deadlock": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"A convert EX", ""}, {"B convert EX", "B:deadlock/PR"}, {"B unlock", "A=EX"},
	},
	"CONVDEADLK": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"A convert EX", ""}, {"B convert EX convdeadlk", "A=EX"},
		{"A unlock", "B=EX!demoted"},
	},
	"CONVDEADLK, then cancelled": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"A convert EX", ""}, {"B convert EX convdeadlk", "A=EX"},
		{"B cancel", "B:cancelled/NL!demoted"}, {"B convert CR", ""}, {"A unlock", "B=CR"},
	},
	"CONVDEADLK without a deadlock": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"B convert EX convdeadlk", ""}, {"A unlock", "B=EX"},
	},
	"CONVDEADLK of the one that waits": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"C lock NL", "C=NL"}, {"A convert EX convdeadlk", ""},
		{"B convert EX nodlckwt", ""}, {"C unlock", ""}, {"B cancel", "B:cancelled/PR"}, {"B unlock", "A=EX!demoted"},
	},
	"NODLCKWT": {
		{"A lock PR bast", "A=PR"}, {"B lock PR bast", "B=PR"}, {"C lock NL", "C=NL"}, {"B convert EX nodlckwt", "A<EX"},
		{"A convert EX nodlckwt", ""}, {"C unlock", "B<EX"}, {"B cancel", "B:cancelled/PR"}, {"B unlock", "A=EX"},
	},
	"NODLCKWT without BAST": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"C lock NL", "C=NL"}, {"B convert EX nodlckwt", ""},
		{"A convert EX nodlckwt", ""}, {"C unlock", ""}, {"B cancel", "B:cancelled/PR"}, {"B unlock", "A=EX"},
	},
	"one behind that waits for us is no deadlock": {
		{"A lock PR", "A=PR"}, {"B lock NL", "B=NL"}, {"C lock PR", "C=PR"}, {"D lock NL", "D=NL"},
		{"A convert EX convdeadlk", ""}, {"B convert CW", ""}, {"D unlock", ""}, {"C unlock", "A=EX"}, {"A unlock", "B=CW"},
	},
	"value": {
		{"A lock EX valblk", "A=EX(not valid)"}, {"A convert EX valblk value=1", "A=EX"}, {"B lock NL valblk", "B=NL(1)"},
		{"A convert PW valblk value=2", "A=PW"}, {"B convert CR valblk", "B=CR(2)"}, {"A convert EX valblk", ""},
		{"B unlock", "A=EX(2)"}, {"A convert NL valblk", "A=NL"}, {"A convert EX valblk", "A=EX(2)"},
		{"A convert PR ivvalblk", "A=PR"}, {"B lock PR valblk", "B=PR(not valid)"}, {"B lock PR", "B=PR"},
	},
	"value at unlock": {
		{"A lock PW", "A=PW"}, {"A unlock valblk value=1", ""}, {"A lock PR", "A=PR"}, {"A unlock valblk value=2", ""},
		{"A lock EX valblk", "A=EX(1)"}, {"A unlock ivvalblk", ""}, {"A lock CW valblk", "A=CW(not valid)"},
		{"A unlock ivvalblk valblk value=4", ""}, {"A lock EX", "A=EX"}, {"A unlock value=5", ""}, {"A lock PR valblk", "A=PR(not valid)"},
	},
	"force unlock": {
		{"A lock EX", "A=EX"}, {"B lock PR", ""}, {"B unlock force", "B:cancelled/--"}, {"C lock NL", "C=NL"},
		{"C convert PR", ""}, {"C unlock force", "C:cancelled/NL"}, {"D lock PR", ""}, {"A unlock force", "D=PR"},
	},
	"cancel a conversion": {
		{"A lock PR", "A=PR"}, {"B lock PR", "B=PR"}, {"B convert EX", ""}, {"C lock PR", ""}, {"B cancel", "B:cancelled/PR C=PR"},
	},
}

func TestSemantics(t *testing.T) { runScripts(t, scripts) }

func runScripts(t *testing.T, scripts map[string]script) {
	for name, steps := range scripts {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, s *stage) {
				for i, step := range steps {
					if got := s.do(step[0]); got != step[1] {
						t.Fatalf("step %d, %s: %q, want %q", i+1, step[0], got, step[1])
					}
				}
			})
		})
	}
}
