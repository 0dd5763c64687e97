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
		}{{1, 10}, {3, 3}} {
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
				check(t, fmt.Sprintf("%s until %s x%d", name, ph.Phase, repeat), p, 1)
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
		{Nodes: 1}, {Nodes: -1}, {Nodes: MaxNode + 1}, {Repeat: -1}, {Repeat: MaxRepeat + 1}, {Until: "nonsense"},
	} {
		if _, err := NewPlan(tr, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	p := mustPlan(t, tr, Options{Nodes: 5})
	if len(p.Programs) != 5 || p.Programs[4].Node != 5 || len(p.Programs[2].Steps) != 0 {
		t.Errorf("5 nodes: %d programs", len(p.Programs))
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

// TestCrossReferences: how many each phase has; none where one node works
// alone. A rise is no error, but means that a replay waits more than before.
func TestCrossReferences(t *testing.T) {
	want := map[string]map[string]int{
		"gfs2-1node": {},
		"gfs2-2node": {
			"mount2": 4, "idle_while_n2_works": 1, "n1_stat_n2files": 1, "unlink": 28, "shared_create": 71, "": 396,
		},
		"ocfs2-2node": {"mount2": 1, "idle_while_n2_works": 1, "n1_stat_n2files": 1, "unlink": 1, "": 207},
	}
	for _, name := range Names() {
		p := mustPlan(t, mustLoad(t, name), Options{})
		refs := map[string]int{}
		for _, prog := range p.Programs {
			for _, s := range prog.Steps {
				if len(s.After) > 0 {
					refs[s.Phase] += len(s.After)
				}
			}
		}
		if !reflect.DeepEqual(refs, want[name]) {
			t.Errorf("%s: references %v, want %v", name, refs, want[name])
		}
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
