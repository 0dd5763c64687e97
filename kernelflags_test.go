package lockify

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Each flag of the kernel's DLM that means something in user space is an option
// here, whose documentation says the kernel's name, or a method's.
func TestKernelFlags(t *testing.T) {
	docs := packageDocs(t)
	options := []struct {
		kernel, function string
		option           Option
		flags            uint32
	}{
		{"NOQUEUE", "NoQueue", NoQueue(), lockspace.NoQueue},
		{"NOQUEUEBAST", "NoQueueBlocking", NoQueueBlocking(), lockspace.NoQueue | lockspace.NoQueueBast},
		{"VALBLK", "ReadValue", ReadValue(), lockspace.ValBlk},
		{"VALBLK", "WithValue", WithValue(nil), lockspace.ValBlk},
		{"IVVALBLK", "InvalidateValue", InvalidateValue(), lockspace.IvValBlk},
		{"QUECVT", "QueueConvert", QueueConvert(), lockspace.QueCvt},
		{"CONVDEADLK", "DemoteOnDeadlock", DemoteOnDeadlock(), lockspace.ConvDeadlk},
		{"NODLCKWT", "WaitOnDeadlock", WaitOnDeadlock(), lockspace.NoDlckWt},
		{"PERSISTENT", "Persistent", Persistent(), lockspace.Persistent},
		{"ORPHAN", "AdoptOrphan", AdoptOrphan(), lockspace.Orphan},
		{"EXPEDITE", "Expedite", Expedite(), lockspace.Expedite},
		{"HEADQUE", "HeadOfQueue", HeadOfQueue(), lockspace.HeadQue},
		{"NOORDER", "NoOrder", NoOrder(), lockspace.OutOfOrder},
		{"ALTPR", "AlternatePR", AlternatePR(), lockspace.AltPR},
		{"ALTCW", "AlternateCW", AlternateCW(), lockspace.AltCW},
		{"FORCEUNLOCK", "Force", Force(), lockspace.ForceUnlock},
		{"TIMEOUT", "Timeout", Timeout(time.Second), 0},
		{"CANCEL", "Lock.Cancel", Option{}, 0},
		{"CONVERT", "Lock.Convert", Option{}, 0},
		{"SBF_DEMOTED", "Lock.Demoted", Option{}, 0},
		{"SBF_ALTMODE", "Lock.Alternate", Option{}, 0},
		{"SBF_VALNOTVALID", "Lock.Value", Option{}, 0},
		{"dlm_ls_purge", "Lockspace.Purge", Option{}, 0},
	}
	covered := uint32(0)
	for _, c := range options {
		covered |= c.flags
		if c.option.flags != c.flags {
			t.Errorf("%s sets %#x, want %#x", c.function, c.option.flags, c.flags)
		}
		text := strings.Join(strings.Fields(docs[c.function]), " ")
		if _, kernel, _ := strings.Cut(text, "(Kernel: "); !strings.Contains(kernel, c.kernel) {
			t.Errorf("the documentation of %s does not say that it is the kernel's %s: %q", c.function, c.kernel, docs[c.function])
		}
		if !strings.Contains(docs[""], c.kernel) && c.flags != 0 {
			t.Errorf("the package documentation does not say what %s is", c.kernel)
		}
	}
	for _, o := range optionNames { // all that there are, but for lockify's own
		if o.flag < 1<<24 && covered&o.flag == 0 {
			t.Errorf("option %s has no kernel's flag above", o.name)
		}
	}
}

// packageDocs gives the documentation of each function, and method as
// Type.Method, of this package, as go doc shows it; "": the package's.
func packageDocs(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, "github.com/lockify-dlm/lockify")
	if err != nil {
		t.Fatal(err)
	}
	docs := map[string]string{"": p.Doc}
	for _, f := range p.Funcs {
		docs[f.Name] = f.Doc
	}
	for _, typ := range p.Types {
		for _, f := range typ.Funcs {
			docs[f.Name] = f.Doc
		}
		for _, f := range typ.Methods {
			docs[typ.Name+"."+f.Name] = f.Doc
		}
	}
	return docs
}
