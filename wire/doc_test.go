package wire

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// docText gives the package comment, as lines without the comment marks.
func docText(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(f.Doc.Text(), "\n")
}

// section gives the lines between the heading and the next one.
func section(t *testing.T, heading string) []string {
	t.Helper()
	var lines []string
	in := false
	for _, line := range docText(t) {
		if strings.HasPrefix(line, "# ") {
			in = line == "# "+heading
			continue
		}
		if in {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		t.Fatalf("doc.go has no section %q", heading)
	}
	return lines
}

func TestDocMessageTable(t *testing.T) {
	var want []string
	for _, typ := range allTypes() {
		line := fmt.Sprintf("%3d %v:", uint8(typ), typ)
		for _, info := range fieldInfo {
			if fields[typ]&info.bit != 0 {
				line += " " + info.name
			}
		}
		want = append(want, line)
	}
	var got []string
	lines := section(t, "Messages")
	for i, line := range lines {
		entry, ok := strings.CutPrefix(line, "\t")
		if !ok || strings.HasPrefix(entry, "    ") {
			continue
		}
		got = append(got, entry)
		meaning, ok := strings.CutPrefix(lines[i+1], "\t    ")
		if !ok || len(strings.TrimSpace(meaning)) < 10 || !strings.HasSuffix(meaning, ".") {
			t.Errorf("no sentence with the meaning below %q", entry)
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("the table in doc.go differs from fields in msg.go.\ndoc.go:\n%s\ncode:\n%s", g, w)
	}
}

func TestDocFieldTable(t *testing.T) {
	var rows [][]string
	for _, line := range section(t, "Fields") {
		cols := strings.Fields(line)
		if strings.HasPrefix(line, "\toffset") {
			break // the lock record's table follows
		}
		if strings.HasPrefix(line, "\t") && cols[0] != "field" {
			rows = append(rows, cols)
		}
	}
	if len(rows) != len(fieldInfo) {
		t.Fatalf("doc.go has %d fields, the code %d", len(rows), len(fieldInfo))
	}
	for i, info := range fieldInfo {
		if rows[i][0] != info.name || rows[i][1] != info.size {
			t.Errorf("row %d of doc.go is %s of %s bytes, want %s of %s", i, rows[i][0], rows[i][1], info.name, info.size)
		}
		if info.bit != 1<<i {
			t.Errorf("%s is not constant number %d of the code", info.name, i)
		}
		if info.bit > fName && info.bit < fValue && fmt.Sprint(info.bit.size()) != info.size {
			t.Errorf("size of %s is %d in the code, %s in the test", info.name, info.bit.size(), info.size)
		}
	}
}

func TestDocHeaderTable(t *testing.T) {
	// The sum of sizes must give each offset, and the last one the header's size.
	next, rows := 0, 0
	for _, line := range section(t, "Frame header") {
		var offset, size int
		if n, _ := fmt.Sscanf(line, "\t%d %d", &offset, &size); n != 2 {
			continue
		}
		if offset != next {
			t.Errorf("row %q is at offset %d, want %d", line, offset, next)
		}
		next += size
		rows++
	}
	if next != HeaderSize || rows != 14 {
		t.Errorf("the table has %d rows and %d bytes, want 14 and %d", rows, next, HeaderSize)
	}
}

func TestDocExample(t *testing.T) {
	var text string
	in := false
	for _, line := range section(t, "Fields") {
		in = in || strings.HasPrefix(line, "As an example")
		if in && strings.HasPrefix(line, "\t") {
			text += line
		}
	}
	m := Msg{Type: Confirm, Name: []byte("ab"), Life: Life{1, 2}, Claim: 3}
	want := strings.Join(strings.Fields(text), "")
	if got := fmt.Sprintf("%x", m.Append(nil)); got != want {
		t.Errorf("encoded: %s\ndoc.go:  %s", got, want)
	}
}

func TestDocLimits(t *testing.T) {
	all := strings.Join(docText(t), "\n")
	for _, want := range []string{
		fmt.Sprintf("bytes of the payload as sent, at most %d\n", MaxPayload),
		fmt.Sprintf("messages in the payload, at most %d\n", MaxMessages),
		fmt.Sprintf("u8 n, n bytes; 1 to %d:", MaxName),
		fmt.Sprintf("u16 n, n bytes; 0 to %d: lock value block", MaxValue),
		fmt.Sprintf("u16 n, n bytes; 0 to %d\n", MaxText),
		fmt.Sprintf("n lock records; n from 0 to %d\n", MaxLocks),
		fmt.Sprintf("n range records; n from 0 to %d\n", MaxRanges),
		fmt.Sprintf("2+%d*n u16 n", RangeRecSize),
		fmt.Sprintf("n bytes of directory entries; n from 0 to %d\n", MaxEntries),
		fmt.Sprintf("0 to %d, see Status", lastStatus),
		fmt.Sprintf("payloads above %d bytes", CompressAbove),
		fmt.Sprintf("2+%d*n u16 n", LockRecSize),
	} {
		if !strings.Contains(all, want) {
			t.Errorf("doc.go does not say %q", want)
		}
	}
}

// constsOf gives the exported constants of one type in types.go.
func constsOf(t *testing.T, typeName string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "types.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if id, ok := spec.Type.(*ast.Ident); ok && id.Name == typeName && spec.Names[0].IsExported() {
				names = append(names, spec.Names[0].Name)
			}
		}
		return true
	})
	return names
}

func TestEveryConstantIsListed(t *testing.T) {
	// A constant added to types.go must come into fields, names and lastStatus.
	if got, want := len(allTypes()), len(constsOf(t, "Type")); got != want {
		t.Errorf("fields has %d types, types.go %d", got, want)
	}
	if got, want := int(lastStatus)+1, len(constsOf(t, "Status")); got != want || len(statusNames) != want {
		t.Errorf("lastStatus makes %d, statusNames has %d, types.go has %d", got, len(statusNames), want)
	}
	seen := map[string]Type{}
	for i, name := range typeNames {
		if known := fields[i] != 0; (name != "") != known {
			t.Errorf("type %d: name %q, known %v", i, name, known)
		}
		if old, dup := seen[name]; dup && name != "" {
			t.Errorf("types %d and %d are both %s", old, i, name)
		}
		seen[name] = Type(i)
	}
	for s, name := range statusNames {
		if name == "" {
			t.Errorf("status %d has no name", s)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Notify.String(), "NOTIFY"}, {LinkHello.String(), "LINK_HELLO"}, {Type(200).String(), "TYPE_200"},
		{BadVersion.String(), "no common version"}, {Status(99).String(), "status 99"},
	} {
		if c.got != c.want {
			t.Errorf("name %q, want %q", c.got, c.want)
		}
	}
	for typ, want := range map[Type]Kind{Lookup: KindNode, 63: KindNode, LinkHello: KindLink, LinkClose: KindLink, 127: KindLink, Hello: KindClient, 255: KindClient} {
		if got := typ.Kind(); got != want {
			t.Errorf("%v is of kind %d, want %d", typ, got, want)
		}
	}
}
