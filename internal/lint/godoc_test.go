package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestPackageComment: each package has a doc.go with its comment.
func TestPackageComment(t *testing.T) {
	for dir, files := range packages(sourceFiles(t)) {
		found := false
		for _, f := range files {
			if f.base() == "doc.go" {
				found = f.ast.Doc != nil && len(f.ast.Doc.Text()) > 60
			}
		}
		if !found {
			t.Errorf("%s: no doc.go with a package comment", dir)
		}
	}
}

// TestExportedIsDocumented: each exported declaration has a comment.
func TestExportedIsDocumented(t *testing.T) {
	for _, f := range sourceFiles(t) {
		if f.ast == nil || f.test() {
			continue
		}
		for _, id := range undocumented(f.ast) {
			t.Errorf("%s: exported %s has no comment", fset.Position(id.Pos()), id.Name)
		}
	}
}

// undocumented gives the exported names without a comment. In a group of
// constants or variables the comment of the group will do, or one behind the
// name; so will a type, which says what its constants are. String and Error
// say what they do.
func undocumented(f *ast.File) (out []*ast.Ident) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			method := d.Recv != nil
			switch {
			case d.Doc != nil || !d.Name.IsExported():
			case method && (!ast.IsExported(receiver(d.Recv)) || d.Name.Name == "String" || d.Name.Name == "Error"):
			default:
				out = append(out, d.Name)
			}
		case *ast.GenDecl:
			if d.Doc == nil && !typedGroup(d) {
				out = append(out, undocumentedSpecs(d)...)
			}
		}
	}
	return out
}

// typedGroup says whether d is a group of constants that begins with a type.
func typedGroup(d *ast.GenDecl) bool {
	if d.Tok != token.CONST || !d.Lparen.IsValid() || len(d.Specs) == 0 {
		return false
	}
	first, ok := d.Specs[0].(*ast.ValueSpec)
	return ok && first.Type != nil
}

func undocumentedSpecs(d *ast.GenDecl) (out []*ast.Ident) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
				out = append(out, s.Name)
			}
		case *ast.ValueSpec:
			if s.Names[0].IsExported() && s.Doc == nil && s.Comment == nil {
				out = append(out, s.Names[0])
			}
		}
	}
	return out
}

// receiver gives the type name of a method's receiver.
func receiver(fields *ast.FieldList) string {
	for e := fields.List[0].Type; ; {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// TestUndocumented: the test above can fail.
func TestUndocumented(t *testing.T) {
	f, err := parser.ParseFile(fset, "sample.go", `package p

func A() {}

// B does.
func B() {}

type C struct{}

func (C) D() {}
func (*c[T]) E() {}
func (C) String() string { return "" }

const (
	F = 1
	G = 2 // is two
)

const (
	J C = 1
	K C = 2
)

// H and I.
var (
	H int
	I int
)
`, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, id := range undocumented(f) {
		got = append(got, id.Name)
	}
	if s := strings.Join(got, " "); s != "A C D F" {
		t.Fatalf("found %s", s)
	}
}
