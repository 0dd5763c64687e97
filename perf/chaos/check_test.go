package chaos

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lockify-dlm/lockify"
)

const (
	nl = lockify.NL
	cr = lockify.CR
	pr = lockify.PR
	pw = lockify.PW
	ex = lockify.EX
)

// at gives an operation its time.
func at(call, ret int64, o op) op {
	o.Name, o.Call, o.Return = "x", call, ret
	return o
}

func got(lock uint32, m lockify.Mode, token uint64) op {
	return op{Kind: acquire, Lock: lock, Lane: int(lock), Mode: m, Token: token}
}

func turned(lock uint32, from, m lockify.Mode, token uint64) op {
	return op{Kind: convert, Lock: lock, Lane: int(lock), From: from, Mode: m, Token: token}
}

func gaveUp(lock uint32, from lockify.Mode) op {
	return op{Kind: release, Lock: lock, Lane: int(lock), From: from}
}

func losing(lock uint32, from lockify.Mode) op {
	return op{Kind: lose, Lock: lock, Lane: int(lock), From: from}
}

func (o op) read(v string) op {
	o.Read, o.Valid, o.Value = true, v != "", v
	return o
}

func (o op) wrote(v string) op {
	o.Write, o.Value = true, v
	return o
}

func (o op) killed() op {
	o.Killed = true
	return o
}

// The checker accepts what may be, and finds what may not.
func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		name string
		want porcupine.CheckResult
		lost []span
		ops  []op
	}{
		{"one after the other", porcupine.Ok, nil, []op{
			at(0, 10, got(1, ex, 5)), at(20, 30, gaveUp(1, ex)), at(5, 40, got(2, ex, 6)),
		}},
		{"two holders", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, ex, 5)), at(5, 19, got(2, ex, 6)), at(20, 30, gaveUp(1, ex)),
		}},
		{"a reader beside a writer", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, pw, 5)), at(5, 19, got(2, pr, 5)), at(20, 30, gaveUp(1, pw)),
		}},
		{"NL and CR beside a writer", porcupine.Ok, nil, []op{
			at(0, 10, got(1, pw, 5)), at(15, 19, got(2, cr, 0)), at(15, 19, got(3, nl, 0)), at(20, 30, gaveUp(1, pw)),
		}},
		{"a conversion beside a holder", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, pr, 1)), at(11, 12, got(2, pr, 1)), at(13, 19, turned(1, pr, ex, 6)), at(20, 30, gaveUp(2, pr)),
		}},
		{"a conversion when the other has gone", porcupine.Ok, nil, []op{
			at(0, 10, got(1, pr, 1)), at(11, 12, got(2, pr, 1)), at(13, 29, turned(1, pr, ex, 6)), at(20, 30, gaveUp(2, pr)),
		}},
		{"lost before the next", porcupine.Ok, nil, []op{
			at(0, 10, got(1, ex, 5)), at(20, 30, losing(1, ex)), at(5, 25, got(2, ex, 6)),
		}},
		{"believed in for too long", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, ex, 5)), at(26, 30, losing(1, ex)), at(5, 25, got(2, ex, 6)),
		}},
		{"a token that falls", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex)), at(20, 30, got(2, ex, 4)),
		}},
		{"a token that comes twice", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex)), at(20, 30, got(2, pr, 5)), at(31, 32, turned(2, pr, pw, 5)),
		}},
		{"a reader with a writer's token from before", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex)), at(20, 30, got(2, pr, 4)),
		}},
		{"the value that was written", porcupine.Ok, nil, []op{
			at(0, 1, got(9, nl, 0)),
			at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")), at(20, 30, got(2, pr, 5).read("a")),
		}},
		{"a stale value", porcupine.Illegal, nil, []op{
			at(0, 10, got(1, ex, 5)), at(11, 12, turned(1, ex, pr, 5).wrote("a")), at(13, 14, turned(1, pr, ex, 6)),
			at(15, 16, gaveUp(1, ex).wrote("b")), at(20, 30, got(2, pr, 6).read("a")),
		}},
		{"a value that was valid", porcupine.Illegal, nil, []op{
			at(0, 1, got(9, nl, 0)),
			at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")), at(20, 30, got(2, pr, 5).read("")),
		}},
		{"the same, after a node was lost", porcupine.Ok, []span{{15, 17}}, []op{
			at(0, 1, got(9, nl, 0)),
			at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")), at(20, 30, got(2, pr, 5).read("")),
		}},
		{"the same, when nobody kept it", porcupine.Ok, nil, []op{
			at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")), at(20, 30, got(2, pr, 5).read("")),
		}},
		{"not valid, and then again", porcupine.Illegal, nil, []op{
			at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")),
			at(20, 30, got(2, pr, 5).read("")), at(40, 50, got(3, pr, 5).read("a")),
		}},
		{"the value of a writer who was killed", porcupine.Illegal, []span{{25, 90}}, []op{
			at(0, 1, got(9, nl, 0)), at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")),
			at(20, 21, got(2, ex, 6)), at(25, 26, losing(2, ex).killed()), at(40, 50, got(3, pr, 6).read("a")),
		}},
		{"a write of which nobody has heard", porcupine.Ok, []span{{25, 90}}, []op{
			at(0, 1, got(9, nl, 0)), at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")),
			at(20, 21, got(2, ex, 6)), at(25, 26, losing(2, ex).wrote("b")), at(40, 50, got(3, pr, 6).read("b")),
		}},
		{"it was written once it was seen", porcupine.Illegal, []span{{25, 90}}, []op{
			at(0, 1, got(9, nl, 0)), at(1, 10, got(1, ex, 5)), at(11, 12, gaveUp(1, ex).wrote("a")),
			at(20, 21, got(2, ex, 6)), at(25, 26, losing(2, ex).wrote("b")), at(40, 50, got(3, pr, 6).read("b")),
			at(60, 70, got(4, pr, 6).read("a")),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := check(map[string][]op{"x": tc.ops}, tc.lost, time.Minute)
			if len(v) != 1 || v[0].result != tc.want {
				t.Errorf("%v, want %v", v[0].result, tc.want)
			}
		})
	}
}

// A violation is told in words and drawn.
func TestExplain(t *testing.T) {
	v := check(map[string][]op{"x": {
		at(0, 10, got(1, ex, 5)), at(5, 19, got(2, pr, 6)), at(20, 30, gaveUp(1, ex)),
	}}, nil, time.Minute)
	if text := v[0].explain(); !strings.Contains(text, "#1 EX") || !strings.Contains(text, "#2 PR") {
		t.Errorf("explained as %q", text)
	}
	file, err := v[0].draw(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "lock #2 PR") {
		t.Errorf("%s does not tell of lock 2: %v", file, err)
	}
}
