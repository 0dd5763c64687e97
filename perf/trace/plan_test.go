package trace

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func mustLoad(t testing.TB, name string) *Trace {
	t.Helper()
	tr, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func mustPlan(t testing.TB, tr *Trace, o Options) *Plan {
	t.Helper()
	p, err := NewPlan(tr, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// check executes a plan in some random interleavings: none may get stuck, and
// all must give every recorded status and blocking ast, no more and no less.
func check(t *testing.T, what string, p *Plan, seeds uint64) tally {
	t.Helper()
	var c tally
	for seed := range seeds {
		for _, direct := range []bool{true, false} {
			w := newWorld(p, seed, direct)
			if err := w.run(); err != nil {
				t.Fatalf("%s, seed %d, direct %v: %v", what, seed, direct, err)
			}
			c = w.compare()
			if len(c.Differ) > 0 {
				t.Fatalf("%s, seed %d, direct %v: %d differences:\n%s", what, seed, direct,
					len(c.Differ), strings.Join(c.Differ[:min(len(c.Differ), 5)], "\n"))
			}
		}
	}
	return c
}

func TestReplayReproducesTrace(t *testing.T) {
	want := map[string]tally{
		"gfs2-1node x1": {Statuses: 1784}, "gfs2-1node x3": {Statuses: 5144},
		"gfs2-2node x1": {Statuses: 5875, Basts: 855}, "gfs2-2node x3": {Statuses: 17107, Basts: 2535},
		"ocfs2-2node x1": {Statuses: 5171, Basts: 639}, "ocfs2-2node x3": {Statuses: 15351, Basts: 1899},
	}
	for _, name := range Names() {
		tr := mustLoad(t, name)
		for _, c := range []struct {
			repeat int
			seeds  uint64
		}{{1, 20}, {3, 5}} {
			what := fmt.Sprintf("%s x%d", name, c.repeat)
			got := check(t, what, mustPlan(t, tr, Options{Repeat: c.repeat}), c.seeds)
			if got.Statuses != want[what].Statuses || got.Basts != want[what].Basts {
				t.Errorf("%s: %d statuses and %d blocking asts, want %+v", what, got.Statuses, got.Basts, want[what])
			}
		}
	}
}

// TestDependenciesMatter takes each kind of dependency away; the replay must
// then get stuck or differ, else the kind would be useless.
func TestDependenciesMatter(t *testing.T) {
	for what, strip := range map[string]func(*Step){
		"own":   func(s *Step) { s.Own = nil },
		"basts": func(s *Step) { s.Basts = 0 },
		"after": func(s *Step) { s.After = nil },
	} {
		p := mustPlan(t, mustLoad(t, "gfs2-2node"), Options{})
		for _, prog := range p.Programs {
			for i := range prog.Steps {
				strip(&prog.Steps[i])
			}
		}
		failed := false
		for seed := range uint64(3) {
			w := newWorld(p, seed, false)
			failed = failed || w.run() != nil || len(w.compare().Differ) > 0
		}
		if !failed {
			t.Errorf("without %q the replay is the same", what)
		}
	}
}

func TestUntil(t *testing.T) {
	for _, name := range Names() {
		tr := mustLoad(t, name)
		whole := mustPlan(t, tr, Options{})
		phases, err := Summarize(tr)
		if err != nil {
			t.Fatal(err)
		}
		for _, ph := range phases {
			if ph.Phase == "" {
				continue
			}
			for _, repeat := range []int{1, 2} {
				p := mustPlan(t, tr, Options{Until: ph.Phase, Repeat: repeat})
				check(t, fmt.Sprintf("%s until %s x%d", name, ph.Phase, repeat), p, 2)
				if repeat > 1 {
					continue
				}
				for n, prog := range p.Programs {
					all := whole.Programs[n].Steps
					for i := range prog.Steps {
						if prog.Steps[i].Line != all[i].Line {
							t.Fatalf("%s until %s: step %d of node %d is not the whole plan's", name, ph.Phase, i, n+1)
						}
					}
				}
			}
		}
	}
	p := mustPlan(t, mustLoad(t, "gfs2-2node"), Options{Until: "create"})
	steps := p.Programs[1].Steps
	if last := steps[len(steps)-1]; last.Kind != StepPhaseEnd || last.Phase != "create" {
		t.Errorf("until create: node 2 ends with %v of %q", last.Kind, last.Phase)
	}
}

func TestOptions(t *testing.T) {
	tr := mustLoad(t, "gfs2-2node")
	for _, o := range []Options{
		{Nodes: 1}, {Nodes: -1}, {Nodes: MaxNode + 1}, {Repeat: -1}, {Repeat: MaxRepeat + 1}, {Repeat: MaxRepeat}, {Until: "nonsense"},
	} {
		if _, err := NewPlan(tr, o); !errors.Is(err, ErrOptions) {
			// The largest repeat is fine for a short trace; this one fits too.
			if o.Repeat != MaxRepeat || err != nil {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
	p := mustPlan(t, tr, Options{Nodes: 5})
	if len(p.Programs) != 5 || p.Programs[4].Node != 5 || len(p.Programs[2].Steps) != 0 {
		t.Errorf("5 nodes: %d programs", len(p.Programs))
	}
	foreign := mustRead(t, "1,1,phase,,,,PHASE_BEGIN:create:1,", "2,1,lock,9,1,EX,,574142", "3,1,ast,9,1,,:0,574142")
	if _, err := NewPlan(foreign, Options{Repeat: 2}); err != nil {
		t.Errorf("a name that is not created need not be copied: %v", err)
	}
}

func TestPlanIsTheSameEachTime(t *testing.T) {
	for _, name := range Names() {
		a, b := mustPlan(t, mustLoad(t, name), Options{Repeat: 2}), mustPlan(t, mustLoad(t, name), Options{Repeat: 2})
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: two plans of one trace differ", name)
		}
	}
}

// TestCrossReferences: how many there are, and none where one node works alone.
func TestCrossReferences(t *testing.T) {
	want := map[string]map[string]int{
		"gfs2-1node": {},
		"gfs2-2node": {
			"mount2": 4, "idle_while_n2_works": 1, "n1_stat_n2files": 1, "unlink": 28, "shared_create": 71, "mkdir": 0, "": 396,
		},
		"ocfs2-2node": {},
	}
	for _, name := range Names() {
		p := mustPlan(t, mustLoad(t, name), Options{})
		refs := map[string]int{}
		for _, prog := range p.Programs {
			for _, s := range prog.Steps {
				refs[s.Phase] += len(s.After)
				if alone := s.Phase == "create" || s.Phase == "write" || s.Phase == "stat"; alone && !s.Kind.IsMark() && len(s.After) > 0 {
					t.Errorf("%s: line %d in phase %s waits for %v", name, s.Line, s.Phase, s.After)
				}
			}
		}
		t.Log(name, refs, want[name])
	}
}

func TestLoose(t *testing.T) {
	want := map[string][]Loose{"gfs2-2node": {{Before: 18682, After: 20369}}}
	for _, name := range Names() {
		if p := mustPlan(t, mustLoad(t, name), Options{}); !reflect.DeepEqual(p.Loose, want[name]) {
			t.Errorf("%s: loose pairs %v, want %v", name, p.Loose, want[name])
		}
	}
}

// TestCopies: each copy has as many creations as the trace, under names that
// no other copy has; other names are locked as often as in the trace.
func TestCopies(t *testing.T) {
	const repeat = 4
	for _, name := range Names() {
		tr := mustLoad(t, name)
		one, many := mustPlan(t, tr, Options{}), mustPlan(t, tr, Options{Repeat: repeat})
		fresh := map[string]bool{}
		for _, prog := range one.Programs {
			for _, s := range prog.Steps {
				if s.Creation {
					fresh[string(s.Name)] = true
				}
			}
		}
		created, others, copyOf := [repeat]int{}, 0, map[string]int{}
		ops := map[string]map[int]bool{}
		for _, prog := range many.Programs {
			for _, s := range prog.Steps {
				if s.Kind == StepOp {
					key := fmt.Sprint(prog.Node, s.Phase)
					if ops[key] == nil {
						ops[key] = map[int]bool{}
					}
					if ops[key][s.Op] {
						t.Fatalf("%s: node %d does operation %d of %s twice", name, prog.Node, s.Op, s.Phase)
					}
					ops[key][s.Op] = true
				}
				if s.Kind.IsMark() {
					continue
				}
				if k, ok := copyOf[string(s.Name)]; ok && k != s.Copy {
					t.Fatalf("%s: copies %d and %d share the name %q", name, k, s.Copy, s.Name)
				}
				copyOf[string(s.Name)] = s.Copy
				if s.Creation {
					created[s.Copy]++
				}
				if s.Copy == 0 && !fresh[string(s.Name)] {
					others++
				}
			}
		}
		for k := range created {
			if created[k] != created[0] || created[0] == 0 {
				t.Errorf("%s: creations per copy %v", name, created)
			}
		}
		steps := 0
		for _, prog := range one.Programs {
			for _, s := range prog.Steps {
				if !s.Kind.IsMark() && !fresh[string(s.Name)] {
					steps++
				}
			}
		}
		if others != steps {
			t.Errorf("%s: %d steps on names not created, want %d", name, others, steps)
		}
	}
}

func TestCopyName(t *testing.T) {
	for _, c := range []struct {
		name string
		copy int
		want string
	}{
		{"       2            d020", 0, "       2            d020"},
		{"       2            d020", 1, "       2   100000000d020"},
		{"       5            d020", 1023, "       5 3ff00000000d020"},
		{"M0000000000000000001a1430ace9fb", 2, "M0002000000000000001a1430ace9fb"},
		{"N0000000000000005\x00\x00\x00\x00\x00\x00\x1a\x140000\x00\x00", 2, ""},
	} {
		got, err := copyName([]byte(c.name), c.copy)
		if c.want == "" {
			if err == nil && len(got) != len(c.name) {
				t.Errorf("%q: %q", c.name, got)
			}
			continue
		}
		if err != nil || string(got) != c.want {
			t.Errorf("%q copy %d: %q, %v, want %q", c.name, c.copy, got, err, c.want)
		}
	}
	for _, bad := range []string{"version_lock", "       2   1000000000000", "M123400000000000001a1430ace9fb0"} {
		if got, err := copyName([]byte(bad), 1); err == nil && len(got) != len(bad) {
			t.Errorf("%q: %q", bad, got)
		}
	}
	if _, err := copyName([]byte("version_lock"), 1); !errors.Is(err, ErrOptions) {
		t.Errorf("a name of no known form: %v", err)
	}
}
