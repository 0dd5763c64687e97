package events

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"
)

// TestWriter: who logs does not wait for the reader of the log, who gets what there was room for, in
// order, and hears of the rest.
func TestWriter(t *testing.T) {
	in, out := io.Pipe()
	var w *Writer
	w = NewWriter(out, func(lost uint64) { fmt.Fprintf(w, "%d lost\n", lost) })
	fmt.Fprintln(w, "the first")
	begun := make([]byte, 4)
	if _, err := io.ReadFull(in, begun); err != nil { // from here on the rest of it is being written
		t.Fatal(err)
	}
	const all = 3 * maxLines
	for i := range all {
		if n, err := fmt.Fprintf(w, "line %d\n", i); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	w.Flush(time.Millisecond) // nobody reads: it returns all the same
	lines := bufio.NewScanner(io.MultiReader(bytes.NewReader(begun), in))
	if !lines.Scan() || lines.Text() != "the first" {
		t.Fatalf("%q", lines.Text())
	}
	got, lost := 0, 0
	for got+lost < all && lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "%d lost", &lost); n == 1 {
			continue
		}
		if want := fmt.Sprint("line ", got); lines.Text() != want {
			t.Fatalf("%q, want %q", lines.Text(), want)
		}
		got++
	}
	if got != maxLines {
		t.Errorf("%d lines, and %d lost", got, lost)
	}
	flushed := make(chan struct{})
	go func() {
		fmt.Fprintln(w, "the last")
		w.Flush(time.Minute)
		close(flushed)
	}()
	if !lines.Scan() || lines.Text() != "the last" {
		t.Errorf("%q", lines.Text())
	}
	<-flushed
}
