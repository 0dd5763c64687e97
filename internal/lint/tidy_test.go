package lint

import (
	"go/ast"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Lines of a file. A file has one subject, and is read as a whole.
const (
	maxLines     = 600
	maxTestLines = 1200
)

func TestFileSize(t *testing.T) {
	for _, f := range sourceFiles(t) {
		limit := maxLines
		if f.test() {
			limit = maxTestLines
		}
		if f.ast != nil && f.lines > limit {
			t.Errorf("%s has %d lines, at most %d", f.path, f.lines, limit)
		}
	}
}

// leftovers are the words of unfinished work; machinePath is a path that only
// exists where somebody works. They are put together here so that this file
// does not match.
var (
	leftovers   = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	machinePath = regexp.MustCompile(`(^|[^\w.~-])/(wo` + `rk|ho` + `me|ro` + `ot|Us` + `ers)/\w`)
)

func TestLeftovers(t *testing.T) {
	for _, f := range sourceFiles(t) {
		for i, line := range strings.Split(f.text, "\n") {
			if m := leftovers.FindString(line); m != "" {
				t.Errorf("%s:%d: %s", f.path, i+1, m)
			}
			if m := machinePath.FindString(line); m != "" {
				t.Errorf("%s:%d: a path of some machine: %s", f.path, i+1, strings.TrimSpace(line))
			}
		}
	}
}

// TestTestsWaitForEvents: a test that sleeps is slow where it need not be, and
// fails where the machine is slower still.
func TestTestsWaitForEvents(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if f.ast != nil && f.test() {
			for _, call := range sleeps(f.ast) {
				t.Errorf("%s: a test sleeps; wait for the event", fset.Position(call.Pos()))
			}
		}
	}
}

// sleeps finds the uses of the function Sleep of package time.
func sleeps(f *ast.File) (out []ast.Node) {
	name := ""
	for _, s := range f.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err == nil && p == "time" {
			name = "time"
			if s.Name != nil {
				name = s.Name.Name
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == name {
				out = append(out, sel)
			}
		}
		return true
	})
	return out
}

// TestPatterns: the tests above can fail.
func TestPatterns(t *testing.T) {
	for _, s := range []string{"// TO" + "DO later", "FIX" + "ME", "a XX" + "X b"} {
		if !leftovers.MatchString(s) {
			t.Errorf("%q is not found", s)
		}
	}
	for _, s := range []string{"open /ho" + "me/me", `"/wo` + `rk/x"`} {
		if !machinePath.MatchString(s) {
			t.Errorf("%q is not found", s)
		}
	}
	for _, s := range []string{"https://example.org/work/x", "internal/home/x", "./root/x", "XXXL"} {
		if leftovers.MatchString(s) || machinePath.MatchString(s) {
			t.Errorf("%q is found", s)
		}
	}
}
