package flame

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// sampled is a profile in which main spends 30 in lock, 10 of them in hash, and 70 in
// the runtime.
func sampled(t *testing.T) *bytes.Buffer {
	t.Helper()
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}}}
	place := map[string]*profile.Location{}
	for _, name := range []string{"main.main", "example.com/lock.<Lock>", "lock.hash", "runtime.futex"} {
		f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name}
		l := &profile.Location{ID: f.ID, Line: []profile.Line{{Function: f}}}
		p.Function, p.Location, place[name] = append(p.Function, f), append(p.Location, l), l
	}
	for _, s := range []struct {
		value int64
		stack []string // the innermost first
	}{
		{20, []string{"example.com/lock.<Lock>", "main.main"}},
		{10, []string{"lock.hash", "example.com/lock.<Lock>", "main.main"}},
		{70, []string{"runtime.futex", "main.main"}},
	} {
		x := &profile.Sample{Value: []int64{1, s.value}}
		for _, name := range s.stack {
			x.Location = append(x.Location, place[name])
		}
		p.Sample = append(p.Sample, x)
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return &b
}

func TestWrite(t *testing.T) {
	var out strings.Builder
	if err := Write(&out, sampled(t), "lock & unlock"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"all: 100.0 %", "main.main: 100.0 %", "example.com/lock.&lt;Lock&gt;: 30.0 %", "lock.hash: 10.0 %", "runtime.futex: 70.0 %",
		">lock &amp; unlock<", ">lock.&lt;Lock&gt;<", `width="840"`, `width="360"`, `width="120"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the picture does not have %q", want)
		}
	}
	var err error
	for d := xml.NewDecoder(strings.NewReader(out.String())); err == nil; {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("no XML: %v", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	if err := Write(io.Discard, strings.NewReader("no profile"), "x"); err == nil {
		t.Error("it draws what is no profile")
	}
	var b bytes.Buffer
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}}}
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := Write(io.Discard, &b, "x"); err == nil {
		t.Error("it draws nothing")
	}
}
