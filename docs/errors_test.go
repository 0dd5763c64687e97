package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write reference/errors.md anew")

const errorsHead = `# Errors

<!-- Made by go test ./docs -rewrite; change the comments in the code instead. -->

Errors are told apart with ` + "`errors.Is`" + `. Their texts say more, and may change.

`

// constant is a variable or constant of the code: its name, value and comment.
type constant struct{ name, value, note string }

// constants gives those of a file whose name or type is wanted, in their order.
func constants(t *testing.T, file string, wanted func(name, kind string) bool) (all []constant) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", file), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST && g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 {
				continue
			}
			kind := ""
			if id, ok := v.Type.(*ast.Ident); ok {
				kind = id.Name
			}
			if !wanted(v.Names[0].Name, kind) {
				continue
			}
			note := v.Comment.Text()
			if note == "" {
				note = v.Doc.Text()
			}
			if note == "" && len(g.Specs) == 1 {
				note = g.Doc.Text()
			}
			c := constant{name: v.Names[0].Name, note: strings.Join(strings.Fields(note), " ")}
			if len(v.Values) == 1 {
				c.value = text(v.Values[0])
			}
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		t.Fatalf("nothing found in %s", file)
	}
	return all
}

// text is the first literal of an expression.
func text(e ast.Expr) (s string) {
	ast.Inspect(e, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && s == "" {
			s = strings.Trim(l.Value, "\"`")
		}
		return true
	})
	return s
}

// errorOf gives the errors of the statuses on the wire, as errors.go has them.
func errorOf(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "errors.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"NoQuorum": "ErrNoQuorum"} // it has the node's text, and no place in the map
	ast.Inspect(f, func(n ast.Node) bool {
		kv, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, ok1 := kv.Key.(*ast.SelectorExpr)
		value, ok2 := kv.Value.(*ast.Ident)
		if ok1 && ok2 {
			all[key.Sel.Name] = value.Name
		}
		return true
	})
	return all
}

// reference/errors.md says what the code says.
func TestErrorsReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(errorsHead)
	isError := func(name, _ string) bool { return strings.HasPrefix(name, "Err") }
	for _, p := range []struct{ title, pkg, file string }{
		{"Of package lockify", "lockify", "errors.go"}, {"Of guarded requests to disks", "lockify", "guard.go"}, {"Of package fence", "fence", "fence/gate.go"},
	} {
		fmt.Fprintf(&b, "## %s\n\n| error | text | what |\n|---|---|---|\n", p.title)
		for _, c := range constants(t, p.file, isError) {
			text := strings.Replace(c.value, "%w", "lockify: invalid argument", 1)
			if text == "" {
				text = "lockify: session lost"
			}
			fmt.Fprintf(&b, "| `%s.%s` | %s | %s |\n", p.pkg, c.name, text, c.note)
		}
		b.WriteString("\n")
	}
	b.WriteString("## Statuses on the wire\n\nAnswers to clients have one of them; programs see the error.\n\n| status | name | error | what |\n|---|---|---|---|\n")
	errs := errorOf(t)
	for _, c := range constants(t, "wire/types.go", func(_, kind string) bool { return kind == "Status" }) {
		err := "none"
		if e := errs[c.name]; e != "" {
			err = "`lockify." + e + "`"
		} else if c.name != "OK" && c.name != "Unlocked" {
			t.Errorf("wire.%s has no error", c.name)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.value, c.name, err, c.note)
	}
	b.WriteString("\n## Exit statuses of lockctl\n\n| status | name | what |\n|---|---|---|\n")
	for _, c := range constants(t, "cmd/lockctl/main.go", func(name, _ string) bool {
		return strings.HasPrefix(name, "exit") && name != "exitStatus"
	}) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.value, c.name, c.note)
	}
	name := filepath.Join("reference", "errors.md")
	if *rewrite {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != b.String() {
		t.Errorf("docs/reference/errors.md is not what the code says (%v): go test ./docs -run Errors -rewrite writes it anew", err)
	}
}
