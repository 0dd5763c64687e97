package lockspace

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The scenarios of testdata/scenarios: scripts with the output they must have.
// A file holds scenarios one after the other:
//
//	# 2.3: a new request waits behind one that waits.   (comment: which rule, and why so)
//	scenario 2.3 grant order: behind those that wait
//	nodes 2
//	name x dir=1
//	lock 1 a x PR
//		a = PR
//
// A command stands on a line, what it must give is indented by a tab below it.
// sceneVerbs has the commands. After each command mutual exclusion is checked;
// behind the last one all locks are unlocked, each operation must have ended
// once, and nothing may be left on any node.
//
// Two commands belong to the runner: "stage" (see scene.stage) runs a scenario
// with a local and with a remote master, with the same output; "again without
// RULE" repeats all commands so far with a rule of rules.go switched off, and
// gives the commands whose output then differs.
//
//	go test ./lockspace -run Scenario -v          lists them
//	go test ./lockspace -run Scenario -rewrite    writes the output as it is now
//
// Files kernel-*.txt hold what the Linux kernel did in the recordings of
// perf/trace; a test there makes them, and nothing else may change them.

var rewrite = flag.Bool("rewrite", false, "rewrite the expected output of the scenarios")

// scriptLine is a line of a file with the output below it.
type scriptLine struct {
	text string
	no   int // from 1
	out  []string
}

func (l *scriptLine) command() bool { return l.text != "" && l.text[0] != '#' }

// scriptFile is a file: lines, and where its scenarios begin.
type scriptFile struct {
	path  string
	lines []scriptLine
}

func readScript(path string) (*scriptFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &scriptFile{path: path}
	for i, text := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if out, ok := strings.CutPrefix(text, "\t"); !ok {
			s.lines = append(s.lines, scriptLine{text: text, no: i + 1})
		} else if n := len(s.lines); n > 0 && s.lines[n-1].command() {
			s.lines[n-1].out = append(s.lines[n-1].out, out)
		} else {
			return nil, fmt.Errorf("%s:%d: output without a command", path, i+1)
		}
	}
	return s, nil
}

func (s *scriptFile) write() error {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(l.text + "\n")
		for _, out := range l.out {
			b.WriteString("\t" + out + "\n")
		}
	}
	return os.WriteFile(s.path, []byte(b.String()), 0o644)
}

// scenarios calls f with each scenario's title and commands.
func (s *scriptFile) scenarios(f func(title string, lines []scriptLine)) error {
	start, title := -1, ""
	for i := range s.lines {
		t, ok := strings.CutPrefix(s.lines[i].text, "scenario ")
		switch {
		case ok:
			if start >= 0 {
				f(title, s.lines[start:i])
			}
			start, title = i+1, t
		case start < 0 && s.lines[i].command():
			return fmt.Errorf("%s:%d: a command before the first scenario", s.path, s.lines[i].no)
		}
	}
	if start >= 0 {
		f(title, s.lines[start:])
	}
	return nil
}

func TestScenario(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	played := 0
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s, err := readScript(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.scenarios(func(title string, lines []scriptLine) {
				played++
				t.Run(title, func(t *testing.T) { runScenario(t, path, lines) })
			}); err != nil {
				t.Fatal(err)
			}
			if *rewrite && !recorded(path) {
				if err := s.write(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Logf("%d scenarios in %d files", played, len(files))
}

// recorded says that a file's output is the kernel's, from perf/trace.
func recorded(path string) bool { return strings.HasPrefix(filepath.Base(path), "kernel-") }

// runScenario runs the commands and compares, or rewrites, their output.
func runScenario(t *testing.T, path string, lines []scriptLine) {
	first := slices.IndexFunc(lines, func(l scriptLine) bool { return l.command() })
	if first < 0 {
		t.Fatal("an empty scenario")
	}
	if !strings.HasPrefix(lines[first].text, "stage") {
		play(t, path, lines, &scene{t: t}, *rewrite && !recorded(path))
		return
	}
	for user := 1; user <= 2; user++ {
		t.Run(map[int]string{1: "local", 2: "remote"}[user], func(t *testing.T) {
			play(t, path, lines, &scene{t: t, user: user}, *rewrite && user == 1)
		})
	}
}

func play(t *testing.T, path string, lines []scriptLine, s *scene, rewrite bool) {
	var done []played
	for i := range lines {
		l := &lines[i]
		if !l.command() {
			continue
		}
		var out []string
		var err error
		if rule, ok := strings.CutPrefix(l.text, "again without "); ok {
			out, err = replay(t, done, rule)
		} else {
			out, err = s.exec(l.text)
			done = append(done, played{l.text, out})
		}
		if err != nil {
			t.Fatalf("%s:%d: %s: %v", path, l.no, l.text, err)
		}
		if rewrite {
			l.out = out
		} else if !slices.Equal(out, l.out) {
			t.Errorf("%s:%d: %s\n\t%s\nwant\n\t%s", path, l.no, l.text, strings.Join(out, "\n\t"), strings.Join(l.out, "\n\t"))
		}
	}
	if s.c != nil && s.without == 0 {
		s.quiet = true
		s.c.windDown()
	}
}

type played struct {
	text string
	out  []string
}

// replay runs commands again with rules off. It gives those with another
// output, up to the first sign that the rule is missed.
func replay(t *testing.T, done []played, rules string) (out []string, err error) {
	s := &scene{t: t}
	if s.without, err = rulesOf(rules); err != nil {
		return nil, err
	}
	for _, p := range done {
		got, err := s.exec(p.text)
		if err != nil { // what it was about does not happen any more
			got = []string{"(" + err.Error() + ")"}
		}
		if slices.Equal(got, p.out) {
			continue
		}
		out = append(out, p.text)
		for _, line := range got {
			out = append(out, "\t"+line)
		}
		if slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, bothHold) }) {
			break
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("nothing changes without %s", rules)
	}
	return out, nil
}
