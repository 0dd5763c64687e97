package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/lockify-dlm/lockify"

// testModules are the modules that any test may import besides those of its
// package.
var testModules = []string{"go.uber.org/goleak", "pgregory.net/rapid", "go.opentelemetry.io", "google.golang.org/protobuf"}

// layer is a row of the layer table.
type layer struct {
	imports []string // packages of this module, as directories
	modules []string // other modules
	never   []string // of the standard library
	seen    bool
}

var code = regexp.MustCompile("`([^`]+)`")

// layerTable reads the table below "## Layers". Its columns: package, may
// import, other modules, never, what for.
func layerTable(t *testing.T) map[string]*layer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text2, found := strings.Cut(string(text), "\n## Layers\n")
	if !found {
		t.Fatal("ARCHITECTURE.md has no section Layers")
	}
	section, _, _ := strings.Cut(text2, "\n## ")
	table := map[string]*layer{}
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		name := names(cells[0])
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) != 5 || len(name) != 1 || table[name[0]] != nil {
			t.Fatalf("bad row: %s", line)
		}
		table[name[0]] = &layer{imports: names(cells[1]), modules: names(cells[2]), never: names(cells[3])}
	}
	return table
}

// names gives what stands between back quotes.
func names(cell string) (out []string) {
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		out = append(out, m[1])
	}
	return out
}

// within says whether path is one of list, or below one of them.
func within(path string, list []string) bool {
	return slices.ContainsFunc(list, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}

func TestLayers(t *testing.T) {
	table := layerTable(t)
	for dir, files := range packages(sourceFiles(t)) {
		row := table[dir]
		if row == nil {
			t.Errorf("package %s is not in the layer table of ARCHITECTURE.md", dir)
			continue
		}
		row.seen = true
		for _, f := range files {
			for _, spec := range f.ast.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if why := row.forbids(f, path); why != "" {
					t.Errorf("%s: imports %s: %s", fset.Position(spec.Pos()), path, why)
				}
			}
		}
	}
	for dir, row := range table {
		if !row.seen {
			t.Errorf("the layer table has %s, which is no package", dir)
		}
		for _, p := range row.imports {
			if table[p] == nil {
				t.Errorf("%s may import %s, which is no package", dir, p)
			}
		}
	}
}

// forbids says why f may not import path, "" if it may. Tests are free inside
// this module and the standard library: they look from outside.
func (l *layer) forbids(f *file, path string) string {
	first, _, _ := strings.Cut(path, "/")
	switch inside := path == module || strings.HasPrefix(path, module+"/"); {
	case inside && f.test():
	case inside:
		dir := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
		if dir == "" {
			dir = "."
		}
		if !slices.Contains(l.imports, dir) {
			return "the layer table does not allow it"
		}
	case strings.Contains(first, "."):
		if !within(path, l.modules) && !(f.test() && within(path, testModules)) {
			return "the layer table does not allow this module here"
		}
	case within(path, l.never) && !f.test():
		return "the layer table forbids it here"
	}
	return ""
}

// TestLayersNoCycle: the table itself has one direction.
func TestLayersNoCycle(t *testing.T) {
	table := layerTable(t)
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(dir string, trail []string)
	visit = func(dir string, trail []string) {
		trail = append(trail, dir)
		switch {
		case state[dir] == 1:
			t.Fatalf("a circle: %s", strings.Join(trail, " -> "))
		case state[dir] == 2 || table[dir] == nil:
			return
		}
		state[dir] = 1
		for _, p := range table[dir].imports {
			visit(p, trail)
		}
		state[dir] = 2
	}
	for dir := range table {
		visit(dir, nil)
	}
}

// TestForbids: the test above can fail.
func TestForbids(t *testing.T) {
	l := &layer{imports: []string{"wire"}, modules: []string{"example.org/m"}, never: []string{"net", "sync"}}
	code, test := &file{path: "x/a.go"}, &file{path: "x/a_test.go"}
	for _, c := range []struct {
		f    *file
		path string
		ok   bool
	}{
		{code, module + "/wire", true},
		{code, module + "/engine", false},
		{code, module, false},
		{test, module + "/engine", true},
		{code, "example.org/m", true},
		{code, "example.org/m/sub", true},
		{code, "example.org/mm", false},
		{test, "example.org/other", false},
		{test, testModules[0], true},
		{code, testModules[0], false},
		{code, "fmt", true},
		{code, "net", false},
		{code, "net/http", false},
		{code, "sync/atomic", false},
		{test, "net", true},
		{code, "netip", true},
	} {
		if got := l.forbids(c.f, c.path) == ""; got != c.ok {
			t.Errorf("%s imports %s: allowed %v", c.f.path, c.path, got)
		}
	}
}
