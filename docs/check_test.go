package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exported gives the names that package lockify has for others.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names[d.Name.Name] = true // methods too: they are called on what lockify gives
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = true
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					}
				}
			}
		}
	}
	return names
}

// ours are names of package lockify in Go and in prose.
var ours = regexp.MustCompile(`\blockify\.([A-Z]\w*)`)

// What pages say of commands that are not run, and of the Go API, is there.
func TestNamed(t *testing.T) {
	root, bin := built(t)
	c, err := newChecker(root, bin)
	if err != nil {
		t.Fatal(err)
	}
	names := exported(t)
	for _, name := range pages(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePage(name, string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range c.page(p) {
			t.Error(err)
		}
		for _, m := range ours.FindAllStringSubmatch(string(text), -1) {
			if !names[m[1]] {
				t.Errorf("%s: package lockify has no %s", name, m[1])
			}
		}
	}
	if len(c.known) < 50 {
		t.Errorf("only %d commands were looked at", len(c.known))
	}
	for _, bad := range []string{
		"lockctl why storage a --no-such-flag", "lockctl wy storage a", "bin/lockifyd --id 1 --frob", "lockbench nothing",
		"make no-such-target", "make demo NOSUCH=1", `lockctl why "x`,
	} {
		if err := c.command(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
	for _, good := range []string{"lockctl lock s n --no-wait -- true --frob", "make fuzz FUZZTIME=1s", "lockctl dump s --json | gzip >x"} {
		if err := c.command(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// joinLines and what it makes of a block.
func TestJoinLines(t *testing.T) {
	got := strings.Join(joinLines([]string{"# about", "make a   # why", `b \`, "   c", "", "d"}), "|")
	if want := "make a|b c|d"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
