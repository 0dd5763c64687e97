package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryRule: the header of each model lists its rules, and for each of
// them the table has a line that switches it off and must find a violation.
func TestEveryRule(t *testing.T) {
	variants, err := parse(table)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.pml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	define := regexp.MustCompile(`(?m)^#ifndef (\w+)\n#define \w+ (\d+)$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		model := strings.TrimSuffix(file, ".pml")
		verified := false
		defaults := map[string]string{}
		for _, m := range define.FindAllStringSubmatch(string(text), -1) {
			defaults[m[1]] = m[2]
		}
		for _, v := range variants {
			if v.model != model {
				continue
			}
			verified = verified || v.want == "verified" && !v.full
			for _, s := range v.switches {
				if name, _, _ := strings.Cut(s, "="); defaults[name] == "" {
					t.Errorf("%s: the model has no switch %s", &v, name)
				}
			}
		}
		if !verified {
			t.Errorf("%s: nothing is verified", model)
		}
		for _, rule := range rules(string(text)) {
			off := slices.ContainsFunc(variants, func(v variant) bool {
				return v.model == model && v.want == "violated" && !v.full && slices.ContainsFunc(v.switches, func(s string) bool {
					name, value, _ := strings.Cut(s, "=")
					return name == rule && value != defaults[rule]
				})
			})
			if !off {
				t.Errorf("%s: no line shows what happens without rule %s", model, rule)
			}
		}
	}
}

// rules gives the names in a header's list "Rules ...:".
func rules(text string) (out []string) {
	_, list, found := strings.Cut(text, "   Rules (1: on):\n")
	if !found {
		return nil
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for _, m := range regexp.MustCompile(`(?m)^   ([A-Z0-9]+) `).FindAllStringSubmatch(list, -1) {
		out = append(out, m[1])
	}
	return out
}

func TestParse(t *testing.T) {
	got, err := parse("# text\nlife full verified A=1 B=2 # why\n\ngate violated\n")
	if err != nil || len(got) != 2 || got[0].String() != "life A=1 B=2" || !got[0].full || got[0].want != "verified" ||
		got[1].want != "violated" || got[1].full {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"life", "life maybe", "life full", "life verified A"} {
		if v, err := parse(bad); err == nil {
			t.Errorf("%q is read as %v", bad, v)
		}
	}
}

func TestVerdict(t *testing.T) {
	const states = "     1234 states, stored\n"
	for _, c := range []struct{ report, got, why string }{
		{"errors: 0\n" + states, "verified", ""},
		{"pan:1: invalid end state (at depth 11)\nerrors: 1\n" + states, "violated", "invalid end state (at depth 11)"},
		{"error: max search depth too small\nerrors: 0\n" + states, "incomplete search", ""},
		{"pan: out of memory\nerrors: 0\n" + states, "incomplete search", ""},
		{"Segmentation fault", "no report: Segmentation fault", ""},
	} {
		if r := verdict(c.report); r.got != c.got || r.why != c.why {
			t.Errorf("%q: %q %q, want %q %q", c.report, r.got, r.why, c.got, c.why)
		}
	}
}
