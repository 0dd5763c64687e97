package trace

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The recordings as expected output for package lockspace: each distinct
// history of a name becomes a scenario of lockspace/testdata/scenarios (its
// scenario_test.go says how they read), with the completions and blocking asts
// that the kernel gave. The file system's own names stand in the comments.

var update = flag.Bool("update", false, "write the scenarios for lockspace anew")

func TestGolden(t *testing.T) {
	for _, name := range Names() {
		tr, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		tl, err := newTimeline(tr)
		if err != nil {
			t.Fatal(err)
		}
		h, err := newHistory(tl)
		if err != nil {
			t.Fatal(err)
		}
		path := "../../lockspace/testdata/scenarios/kernel-" + name + ".txt"
		want := h.golden(name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the recording gives (%v); write it with -update", path, err)
		}
	}
}

// golden writes the distinct histories, the most frequent first.
func (h *history) golden(trace string) string {
	names := map[string][]string{} // by script
	for _, name := range h.names {
		s := h.goldenScript(h.byName[name])
		names[s] = append(names[s], name)
	}
	var scripts []string
	for s := range names {
		scripts = append(scripts, s)
	}
	slices.SortFunc(scripts, func(a, b string) int {
		if d := len(names[b]) - len(names[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	fmt.Fprintf(&b, `# What the Linux kernel's DLM did in the recording %s (perf/trace/data), a
# scenario for each distinct history of a name: its requests in the order in which
# its master decided them, with the statuses and blocking ASTs of the kernel.
# Made by go test ./perf/trace -run Golden -update. Value blocks are left out, the
# recording has none.
`, trace)
	for i, s := range scripts {
		n := names[s]
		fmt.Fprintf(&b, "\n# %d names, such as %q.\nscenario kernel %s: history %d\n%s", len(n), n[0], trace, i+1, s)
	}
	return b.String()
}

// goldenScript gives one name's history. Nodes are numbered as they come, and
// the first is the master.
func (h *history) goldenScript(ops []*operation) string {
	nodes := map[int]int{}
	label := map[*lockLife]string{}
	held := map[*lockLife]string{}
	number := func(n int) int {
		if nodes[n] == 0 {
			nodes[n] = len(nodes) + 1
		}
		return nodes[n]
	}
	var b strings.Builder
	for _, op := range ops {
		ev := &h.tl.tr.Events[op.event]
		if label[op.lock] == "" {
			label[op.lock] = string(rune('a' + len(label)))
		}
		switch ev.Kind {
		case KindLock:
			fmt.Fprintf(&b, "lock %d %s %v bast%s\n", number(op.node), label[op.lock], ev.Mode, goldenFlags(ev.Flags))
		case KindConvert:
			fmt.Fprintf(&b, "convert %s %v%s\n", label[op.lock], ev.Mode, goldenFlags(ev.Flags))
		case KindUnlock:
			fmt.Fprintf(&b, "unlock %s\n", label[op.lock])
		}
		if out := h.goldenEvents(ops, op, label, held); out != "" {
			b.WriteString("\t" + out + "\n")
		}
	}
	return "nodes 2 brief\nname r dir=1\n" + b.String()
}

func goldenFlags(f Flags) (s string) {
	for _, w := range strings.Split((f &^ (Convert | ValBlk | Local)).String(), "|") {
		if w != "" {
			s += " " + strings.ToLower(w)
		}
	}
	return s
}

// goldenEvents gives what the decision of op let happen.
func (h *history) goldenEvents(ops []*operation, op *operation, label, held map[*lockLife]string) string {
	var out []string
	for _, o := range ops {
		if o.granter != op || o.status == Unlocked {
			continue
		}
		mode := h.tl.tr.Events[o.event].Mode.String()
		switch o.status {
		case OK:
			held[o.lock] = mode
			out = append(out, label[o.lock]+"="+mode)
		case ErrAgain:
			out = append(out, label[o.lock]+":would block/"+orNone(held[o.lock]))
		case ErrDeadlk:
			out = append(out, label[o.lock]+":deadlock/"+orNone(held[o.lock]))
		}
	}
	for l := range label {
		for _, b := range l.basts {
			if b.cause == op {
				out = append(out, label[l]+"<"+b.mode.String())
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func orNone(mode string) string {
	if mode == "" {
		return "--"
	}
	return mode
}
