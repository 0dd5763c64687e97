package lockspace

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// FuzzScenario makes a script of the input, any input, and plays it. Whatever
// it does, nothing may panic, hang, or break an invariant: each operation is
// reported once, what is granted is compatible (a wrong New aside, until it is
// found), and when all is unlocked at the end each name had one master and
// nothing is left. A failure prints the script, which can then be made a
// scenario.
func FuzzScenario(f *testing.F) {
	for seed := range byte(8) {
		data := []byte{seed}
		for i := range 400 {
			data = append(data, byte(mix(uint64(seed)<<32|uint64(i))))
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := &scriptWriter{data: data}
		s := &scene{t: t, abort: func(why string) { panic(sceneFailure(why)) }}
		var done []string
		defer func() {
			p := recover()
			if why, ok := p.(sceneFailure); ok {
				t.Errorf("%s", string(why))
			}
			if t.Failed() || p != nil {
				t.Logf("the script:\n%s", strings.Join(done, "\n"))
			}
			if _, ok := p.(sceneFailure); p != nil && !ok {
				panic(p)
			}
		}()
		for line := w.header(); line != ""; line = w.next() {
			done = append(done, line)
			_, _ = s.exec(line) // commands that are impossible do nothing
		}
		done = append(done, "(the end)")
		s.endFuzz(w.wrongNew)
	})
}

// sceneFailure carries a failure out of a Host's method.
type sceneFailure string

// endFuzz brings the cluster to rest and checks that it can.
func (s *scene) endFuzz(wrongNew bool) {
	s.quiet = true
	c := s.c
	for _, n := range c.nodes {
		if n.down || n.shards[0].Epoch() == 0 { // while it is a member, or waits to be one, what needs it hangs, rightly
			s.mustExec("view")
			break
		}
	}
	s.mustExec("deliver")
	c.oneMaster()
	if !wrongNew {
		for _, n := range c.nodes {
			if len(n.conflicts) != 0 {
				c.fatalf("node %d: conflict about %q, and no name was used wrongly", n.id, n.conflicts[0])
			}
		}
	}
	for _, n := range c.nodes {
		if !n.down {
			for _, sh := range n.shards {
				sh.Purge(n.now(), 0)
			}
		}
	}
	for _, l := range c.locks { // two that convert may wait for each other for good, if one wants that
		if !l.gone && l.wanted != NoMode && l.flags&NoDlckWt != 0 {
			l.tryCancel(0)
		}
	}
	c.windDown()
}

func (s *scene) mustExec(line string) {
	if _, err := s.exec(line); err != nil {
		s.c.fatalf("%s: %v", line, err)
	}
}

// oneMaster is invariant 7, agreement, when nothing is on its way.
func (c *cluster) oneMaster() {
	masters := map[string]uint16{}
	for _, n := range c.nodes {
		if n.down {
			continue
		}
		for _, s := range n.shards {
			for _, r := range allNames(s) {
				if r.state != master && r.state != claimed {
					continue
				}
				name := string(r.name())
				if other, ok := masters[name]; ok {
					c.fatalf("%q: nodes %d and %d are both master", name, other, n.id)
				}
				masters[name] = n.id
			}
		}
	}
}

// scriptWriter turns bytes into commands: each choice takes one, and the script
// ends with them.
type scriptWriter struct {
	data     []byte
	nodes    int
	names    []string
	locks    int
	down     []int // nodes that are down
	lines    int
	crashes  bool
	wrongNew bool // New may be used for names that exist
}

const fuzzMaxLines = 300

func (w *scriptWriter) pick(n int) int {
	if len(w.data) == 0 || n < 2 {
		return 0
	}
	b := w.data[0]
	w.data = w.data[1:]
	return int(b) % n
}

// header gives the first command; the names follow by themselves.
func (w *scriptWriter) header() string {
	w.nodes = 2 + w.pick(3)
	w.wrongNew, w.crashes = w.pick(2) == 1, w.pick(3) == 0
	return fmt.Sprintf("nodes %d shards=%d", w.nodes, 1+w.pick(2))
}

func (w *scriptWriter) next() string {
	if w.lines++; len(w.data) == 0 || w.lines > fuzzMaxLines {
		return ""
	}
	if len(w.names) < 3 {
		return w.name()
	}
	switch k := w.pick(32); {
	case k < 8:
		return w.lock()
	case k < 12:
		return w.onLock("convert", " "+w.mode()+w.flags("noqueue", "valblk value=7", "quecvt", "convdeadlk", "nodlckwt",
			"ivvalblk", "noqueuebast", "bast", "persistent", "headque", "noorder", "altpr", "altcw"))
	case k < 15:
		return w.onLock("unlock", w.flags("valblk value=9", "force", "ivvalblk"))
	case k == 15:
		return w.onLock("cancel", "")
	case k == 16:
		return w.onLock("leave", "")
	case k == 17:
		return w.onLock("deadline", fmt.Sprintf(" %dms", 10*w.pick(10)))
	case k < 26:
		return fmt.Sprintf("any %d", w.pick(16))
	case k == 26:
		return "deliver"
	case k == 27:
		return "deliver " + w.names[w.pick(len(w.names))]
	case k == 28:
		return fmt.Sprintf("tick %d %dms", 1+w.pick(w.nodes), []int{1, 10, 300, 1001}[w.pick(4)])
	case k == 29:
		return fmt.Sprintf("purge %d %d", 1+w.pick(w.nodes), 1+w.pick(w.nodes))
	case k == 30 && !w.wrongNew:
		return w.name()
	case k == 31 && w.crashes:
		return w.members()
	}
	return "idle"
}

// name makes one more name. A name is new once.
func (w *scriptWriter) name() string {
	label := fmt.Sprintf("n%d", len(w.names))
	w.names = append(w.names, label)
	return fmt.Sprintf("name %s dir=%d", label, 1+w.pick(w.nodes))
}

func (w *scriptWriter) mode() string { return modeNames[w.pick(len(modeNames))] }

// flags picks some of the given ones, at most two.
func (w *scriptWriter) flags(of ...string) (t string) {
	for range w.pick(3) {
		t += " " + of[w.pick(len(of))]
	}
	return t
}

func (w *scriptWriter) lock() string {
	name := w.names[w.pick(len(w.names))]
	flags := w.flags("noqueue", "valblk", "noqueuebast", "nodlckwt", "bast", "bast", "persistent", "orphan", "headque", "noorder", "altpr", "altcw", "expedite")
	if w.wrongNew && w.pick(3) == 0 {
		flags += " new"
	}
	w.locks++
	line := fmt.Sprintf("lock %d l%d %s %s%s", 1+w.pick(w.nodes), w.locks, name, w.mode(), flags)
	if w.pick(4) == 0 {
		line += fmt.Sprintf(" owner=%d", 1+w.pick(4))
	}
	return line
}

func (w *scriptWriter) onLock(verb, rest string) string {
	return fmt.Sprintf("%s l%d%s", verb, 1+w.pick(w.locks), rest)
}

// members crashes a node, lets one come back, or changes the view. A node that
// is down is out of the view before the next one goes.
func (w *scriptWriter) members() string {
	switch {
	case len(w.down) != 0 && w.pick(2) == 0:
		id := w.down[0]
		w.down = nil
		return fmt.Sprintf("restart %d", id)
	case len(w.down) == 0 && w.pick(2) == 0 && w.nodes > 2:
		id := 1 + w.pick(w.nodes)
		w.down = append(w.down, id)
		return fmt.Sprintf("crash %d%s", id, []string{"", " lose"}[w.pick(2)])
	}
	return "view"
}

// The same bytes make the same script, and the scripts do not fail to begin.
func TestScriptWriter(t *testing.T) {
	data := bytes.Repeat([]byte{1, 7, 77, 3, 200, 31, 9}, 50)
	write := func() (lines []string) {
		w := &scriptWriter{data: data}
		for line := w.header(); line != ""; line = w.next() {
			lines = append(lines, line)
		}
		return lines
	}
	a, b := write(), write()
	if !slices.Equal(a, b) || len(a) < 20 {
		t.Fatalf("%d and %d lines", len(a), len(b))
	}
	s := &scene{t: t}
	for _, line := range a {
		if _, ok := sceneVerbs[strings.Fields(line)[0]]; !ok {
			t.Errorf("no command %q", line)
		}
	}
	if _, err := s.exec(a[0]); err != nil {
		t.Error(err)
	}
}
