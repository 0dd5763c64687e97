package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the repository seen from this package.
const root = "../.."

// file is a text file of the repository.
type file struct {
	path  string // from the root, with slashes
	text  string
	lines int
	ast   *ast.File // nil if it is not Go
}

func (f *file) dir() string  { return path.Dir(f.path) }
func (f *file) test() bool   { return strings.HasSuffix(f.path, "_test.go") }
func (f *file) base() string { return path.Base(f.path) }

var fset = token.NewFileSet()

// sourceFiles gives all text files that may be committed.
func sourceFiles(t *testing.T) []*file {
	t.Helper()
	files, err := readSource()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files found", len(files))
	}
	return files
}

var readSource = sync.OnceValues(func() (files []*file, err error) {
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", "out", "testdata"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		switch ext := path.Ext(rel); {
		case slices.Contains([]string{".go", ".md", ".mod", ".toml", ".yml", ".yaml", ".json", ".sh", ".service"}, ext):
		case rel == "Makefile" || path.Dir(rel) == ".ci":
		default:
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f := &file{path: rel, text: string(text), lines: strings.Count(string(text), "\n")}
		if path.Ext(rel) == ".go" {
			if f.ast, err = parser.ParseFile(fset, rel, text, parser.ParseComments); err != nil {
				return err
			}
		}
		files = append(files, f)
		return nil
	})
	return files, err
})

// packages gives the Go files by directory.
func packages(files []*file) map[string][]*file {
	out := map[string][]*file{}
	for _, f := range files {
		if f.ast != nil {
			out[f.dir()] = append(out[f.dir()], f)
		}
	}
	return out
}
