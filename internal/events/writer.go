package events

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"
)

// maxLines bounds the lines that wait to be written.
const maxLines = 1024

// Writer passes the lines of a log on to another writer, for which nobody waits: a node whose log
// is not read any more (a pipe to a program that is stopped, a disk that is full and slow) goes on.
// What there is no room for is left out, and counted.
type Writer struct {
	w     io.Writer
	lines chan line
	lost  atomic.Uint64
	told  func(lost uint64)
}

// line is one to write, or somebody who waits until those before are written.
type line struct {
	text    []byte
	written chan struct{}
}

// NewWriter begins to write to w. told hears how many lines were left out, as soon as there is room
// again; it may write.
func NewWriter(w io.Writer, told func(lost uint64)) *Writer {
	q := &Writer{w: w, lines: make(chan line, maxLines), told: told}
	go q.run()
	return q
}

// Write takes a line, which is not kept, and never fails.
func (q *Writer) Write(text []byte) (int, error) {
	select {
	case q.lines <- line{text: bytes.Clone(text)}:
	default:
		q.lost.Add(1)
	}
	return len(text), nil
}

// Flush waits until all lines are written that are there, but no longer than for d.
func (q *Writer) Flush(d time.Duration) {
	end := time.After(d)
	l := line{written: make(chan struct{})}
	select {
	case q.lines <- l:
	case <-end:
		return
	}
	select {
	case <-l.written:
	case <-end:
	}
}

func (q *Writer) run() {
	for l := range q.lines {
		if l.written != nil {
			close(l.written)
			continue
		}
		_, _ = q.w.Write(l.text)       // there is nowhere to say what is wrong with it
		if len(q.lines) < maxLines/2 { // so there is room to say it
			if lost := q.lost.Swap(0); lost > 0 {
				q.told(lost)
			}
		}
	}
}
