package trace

import (
	"errors"
	"fmt"
	"testing"
)

// freshNames gives the names that a plan's first copy creates.
func freshNames(p *Plan) map[string]bool {
	fresh := map[string]bool{}
	for _, prog := range p.Programs {
		for _, s := range prog.Steps {
			if s.Creation && s.Copy == 0 {
				fresh[string(s.Name)] = true
			}
		}
	}
	return fresh
}

// countShared gives the number of steps on names that the trace does not create.
func countShared(p *Plan, fresh map[string]bool) int {
	n := 0
	for _, prog := range p.Programs {
		for _, s := range prog.Steps {
			if !s.Kind.IsMark() && s.Copy == 0 && !fresh[string(s.Name)] {
				n++
			}
		}
	}
	return n
}

// TestCopies: each copy has as many creations as the trace, under names that
// no other copy has; other names are locked as often as in the trace.
func TestCopies(t *testing.T) {
	const repeat = 4
	for _, name := range Names() {
		tr := mustLoad(t, name)
		one, many := mustPlan(t, tr, Options{}), mustPlan(t, tr, Options{Repeat: repeat})
		fresh := freshNames(one)
		if a, b := countShared(one, fresh), countShared(many, fresh); a != b || a == 0 {
			t.Errorf("%s: %d steps on names not created, in %d copies %d", name, a, repeat, b)
		}
		created, copyOf := [repeat]int{}, map[string]int{}
		for _, prog := range many.Programs {
			for _, s := range prog.Steps {
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
			}
		}
		for k := range created {
			if created[k] != len(fresh) {
				t.Errorf("%s: %d names created, copies create %v", name, len(fresh), created)
			}
		}
	}
}

// TestOperationNumbers: over all copies a phase's operations are numbered
// from 0 without gaps, as many as its beginning announces.
func TestOperationNumbers(t *testing.T) {
	for _, name := range Names() {
		for _, prog := range mustPlan(t, mustLoad(t, name), Options{Repeat: 3}).Programs {
			seen, announced := map[string]map[int]bool{}, map[string]int{}
			for _, s := range prog.Steps {
				switch s.Kind {
				case StepPhaseBegin:
					announced[s.Phase] = s.Count
					seen[s.Phase] = map[int]bool{}
				case StepOp:
					if seen[s.Phase][s.Op] || s.Op >= announced[s.Phase] {
						t.Fatalf("%s: node %d: operation %d of %s, %d announced", name, prog.Node, s.Op, s.Phase, announced[s.Phase])
					}
					seen[s.Phase][s.Op] = true
				}
			}
			for phase, ops := range seen {
				if len(ops) != 0 && len(ops) != announced[phase] {
					t.Errorf("%s: %s has %d operations, %d announced", name, phase, len(ops), announced[phase])
				}
			}
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
		{"N0000000000000005\x00\x00\x00\x00\x00\x00\x1a\x14\x00\x00\x00\x00\x00\x00", 1023,
			"N03ff000000000005\x00\x00\x00\x00\x00\x00\x1a\x14\x00\x00\x00\x00\x00\x00"},
	} {
		got, err := copyName([]byte(c.name), c.copy)
		if err != nil || string(got) != c.want || len(got) != len(c.name) {
			t.Errorf("%q copy %d: %q, %v, want %q", c.name, c.copy, got, err, c.want)
		}
	}
	for _, bad := range []string{"version_lock", "       2   1000000000000", "M0001000000000000001a1430ace9fb"} {
		if got, err := copyName([]byte(bad), 1); !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

// TestNewNames follows a name through its lives on two nodes.
func TestNewNames(t *testing.T) {
	const inode = "202020202020203220202020202020202020202020202034"
	tr := mustRead(t,
		"1,1,phase,,,,PHASE_BEGIN:create:2,",
		"2,1,lock,9,1,EX,,"+inode, "3,1,ast,9,1,,:0,"+inode,
		"4,1,lock,9,2,NL,,"+inode, "5,1,ast,9,2,,:0,"+inode,
		"6,1,unlock,9,1,,,"+inode, "7,1,ast,9,1,,:-65538,"+inode,
		"8,1,unlock,9,2,,,"+inode,
		"9,1,lock,9,3,NL,,"+inode, "10,1,ast,9,3,,:0,"+inode,
		"11,1,ast,9,2,,:-65538,"+inode,
		"12,1,unlock,9,3,,,"+inode, "13,1,ast,9,3,,:-65538,"+inode,
		"14,1,lock,9,1,EX,,"+inode, "15,1,ast,9,1,,:0,"+inode,
		"16,1,phase,,,,PHASE_END:create,",
		"17,1,unlock,9,1,,,"+inode, "18,1,ast,9,1,,:-65538,"+inode,
		"19,1,lock,9,1,EX,,"+inode, "20,1,ast,9,1,,:0,"+inode,
	)
	type class struct{ New, Reused, Creation bool }
	want := []class{{true, false, true}, {}, {}, {true, true, true}, {true, true, false}}
	var got []class
	for _, s := range mustPlan(t, tr, Options{}).Programs[0].Steps {
		if s.Kind == StepLock {
			got = append(got, class{s.NewName, s.Reused, s.Creation})
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("new, reused, creation: %v, want %v", got, want)
	}
}
