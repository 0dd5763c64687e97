package trace

import (
	"fmt"
	"strings"
	"testing"
)

// TestGrantRules checks the reference model against what fs/dlm does with
// small scripts: "A lock EX noqueue" and the like; what it reports follows.
func TestGrantRules(t *testing.T) {
	for _, c := range []struct{ what, script, want string }{
		{"compatible", "A lock PR; B lock PR", "A=OK B=OK"},
		{"wait and bast", "A lock EX; B lock PR; A convert NL", "A=OK A<PR A=OK B=OK"},
		{"noqueue", "A lock EX; B lock PR NOQUEUE; A unlock", "A=OK B=EAGAIN A=DLM_EUNLOCK"},
		{"noqueue with bast", "A lock PR; B lock EX NOQUEUE|NOQUEUEBAST", "A=OK B=EAGAIN A<EX"},
		{"bast once", "A lock EX; B lock PR; C lock PR; D lock EX", "A=OK A<PR A<EX"},
		{"bast again after a conversion", "A lock EX; B lock CR; A convert PR; C lock EX", "A=OK A<CR A=OK B=OK A<EX B<EX"},
		{"new request behind a waiting one", "A lock PR; B lock EX; C lock PR", "A=OK A<EX"},
		{"conversion past a waiting request", "A lock CR; B lock EX; A convert PR", "A=OK A<EX A=OK A<EX"},
		{"quecvt behind a conversion", "A lock PR; B lock NL; C lock NL; B convert EX; C convert CR QUECVT; A unlock",
			"A=OK B=OK C=OK A<EX A=DLM_EUNLOCK B=OK B<CR"},
		{"conversion in place", "A lock PR; B lock NL; C lock NL; B convert EX; C convert CR",
			"A=OK B=OK C=OK A<EX C=OK C<EX"},
		{"conversion deadlock", "A lock PR; B lock PR; A convert EX; B convert EX", "A=OK B=OK B<EX B=EDEADLK"},
		{"nodlckwt", "A lock PR; B lock PR; D lock NL; A convert EX NODLCKWT; B convert EX NODLCKWT; D unlock",
			"A=OK B=OK D=OK B<EX D=DLM_EUNLOCK A<EX"},
		{"NL behind a conversion", "A lock PR; B lock PR; A convert EX; C lock NL", "A=OK B=OK B<EX"},
		{"PR against CW", "A lock PR; B lock PR; C lock CW; B convert NL; A unlock",
			"A=OK B=OK A<CW B<CW B=OK A<CW A=DLM_EUNLOCK C=OK"},
		{"waiting order", "A lock EX; B lock EX; C lock PR; A unlock; B unlock",
			"A=OK A<EX A=DLM_EUNLOCK B=OK B<PR B=DLM_EUNLOCK C=OK"},
	} {
		if got := runScript(t, c.script); got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.what, c.script, got, c.want)
		}
	}
}

func runScript(t *testing.T, script string) string {
	t.Helper()
	var out []string
	locks := map[string]*kLock{}
	r := &kResource{
		cast: func(l *kLock, s Status) { out = append(out, fmt.Sprintf("%c=%v", rune(l.id), s)) },
		bast: func(l *kLock, m Mode) { out = append(out, fmt.Sprintf("%c<%v", rune(l.id), m)) },
	}
	for line := range strings.SplitSeq(script, "; ") {
		f := append(strings.Fields(line), "", "")
		l := locks[f[0]]
		if l == nil {
			l = &kLock{id: int(f[0][0])}
			locks[f[0]] = l
		}
		flags, err := parseFlags(f[3])
		if err != nil {
			t.Fatal(err)
		}
		kind := map[string]StepKind{"lock": StepLock, "convert": StepConvert, "unlock": StepUnlock}[f[1]]
		mode := NoMode
		if kind != StepUnlock {
			if mode, err = parseMode(f[2], false); err != nil {
				t.Fatal(err)
			}
		}
		r.do(l, kind, mode, flags)
	}
	return strings.Join(out, " ")
}
