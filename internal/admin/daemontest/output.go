package daemontest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience bounds every wait for an event. It is long, because a busy machine
// is no failure; a test that waits so long has failed.
const Patience = 30 * time.Second

// Output collects what a process writes, as an io.Writer, and lets tests wait
// for lines.
type Output struct {
	mu   sync.Mutex
	part []byte // line not complete yet
	all  []string
	news chan struct{} // closed at the next line
}

// NewOutput makes an empty one.
func NewOutput() *Output { return &Output{news: make(chan struct{})} }

// Write takes output.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.part = append(o.part, b...)
	for {
		i := bytes.IndexByte(o.part, '\n')
		if i < 0 {
			return len(b), nil
		}
		o.all = append(o.all, string(o.part[:i]))
		o.part = o.part[i+1:]
		close(o.news)
		o.news = make(chan struct{})
	}
}

// String gives all output so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(append(o.all, string(o.part)), "\n")
}

// Lines gives the number of complete lines so far: a place to wait from.
func (o *Output) Lines() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all)
}

// find gives the first line from a place on that contains all parts.
func (o *Output) find(from int, parts []string) (line string, ok bool, news chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
next:
	for _, line := range o.all[min(from, len(o.all)):] {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		return line, true, nil
	}
	return "", false, o.news
}

// Await waits for a line, from a place on, that contains all parts.
func (o *Output) Await(t testing.TB, from int, parts ...string) string {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for {
		line, ok, news := o.find(from, parts)
		if ok {
			return line
		}
		select {
		case <-news:
		case <-late.C:
			t.Fatalf("no line with %q within %v in:\n%s", parts, Patience, o)
		}
	}
}
