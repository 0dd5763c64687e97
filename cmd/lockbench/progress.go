package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// How often progress is shown: on a terminal, and where each time is a line that stays.
const (
	terminalEvery = 100 * time.Millisecond
	fileEvery     = 10 * time.Second
)

// progress shows how far a run is: on a terminal in one line that changes, in a file or a
// pipe in a line now and then, with the seconds since the begin.
type progress struct {
	w        io.Writer
	quiet    bool
	terminal bool
	begin    time.Time
	last     time.Time
	shown    bool
}

func newProgress(w io.Writer, quiet bool) *progress {
	p := &progress{w: w, quiet: quiet, begin: time.Now()}
	if f, ok := w.(*os.File); ok {
		st, err := f.Stat()
		p.terminal = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	if !p.terminal {
		p.last = p.begin // what ends at once says nothing
	}
	return p
}

func (p *progress) show(protocol, phase string, ops, of int) {
	p.line(fmt.Sprintf("%s: %s %d of %d", protocol, phase, ops, of))
}

// line shows the text, if the last one has been there for a while.
func (p *progress) line(text string) {
	now := time.Now()
	every := fileEvery
	if p.terminal {
		every = terminalEvery
	}
	if p.quiet || now.Sub(p.last) < every {
		return
	}
	p.last = now
	if !p.terminal {
		fmt.Fprintf(p.w, "%4.0f s: %s\n", now.Sub(p.begin).Seconds(), text)
		return
	}
	p.shown = true
	fmt.Fprint(p.w, "\r\x1b[K"+text)
}

func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
