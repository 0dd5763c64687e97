package main

import (
	"bytes"
	"testing"
	"time"
)

// TestProgress: what is no terminal gets whole lines, not more often than each 10 s.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, false)
	p.line("early")
	p.begin, p.last = p.begin.Add(-fileEvery), p.last.Add(-fileEvery)
	p.line("one")
	p.line("too soon")
	p.last = p.last.Add(-fileEvery - time.Second)
	p.line("two")
	p.done()
	if got, want := b.String(), "  10 s: one\n  10 s: two\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.Reset()
	p.quiet, p.last = true, time.Time{}
	p.line("three")
	if b.Len() != 0 {
		t.Errorf("quiet, but says %q", b.String())
	}
}
