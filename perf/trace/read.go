package trace

import (
	"bufio"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed data/*.csv.gz
var embedded embed.FS

const suffix = ".csv.gz"

// Trace is one recording, row by row.
type Trace struct {
	Name   string // the file's name without directory and suffix
	Nodes  []int  // numbers of its nodes, ascending
	Events []Event
}

// Names lists the recordings that are part of this package, sorted.
func Names() []string {
	files, err := embedded.ReadDir("data")
	if err != nil {
		panic("trace: embedded recordings: " + err.Error()) // cannot happen: fixed at build time
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), suffix))
	}
	slices.Sort(names)
	return names
}

// Load reads a recording: one of Names, or else the path of a file in the
// same format. Errors name the file and, for a bad row (ErrRow), its line.
func Load(nameOrPath string) (*Trace, error) {
	var f io.ReadCloser
	var err error
	if slices.Contains(Names(), nameOrPath) {
		f, err = embedded.Open("data/" + nameOrPath + suffix)
	} else {
		f, err = os.Open(nameOrPath)
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("trace %q is no file and none of %s: %w",
				nameOrPath, strings.Join(Names(), ", "), err)
		}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(strings.TrimSuffix(filepath.Base(nameOrPath), suffix), f)
}

// Read reads a whole recording, gzip-compressed, from r. name appears in
// errors. It fails with the first bad row, and where a node's clock runs
// backwards.
func Read(name string, r io.Reader) (*Trace, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	tr := &Trace{Name: name}
	sc := bufio.NewScanner(z)
	sc.Buffer(make([]byte, 0, MaxLine), MaxLine)
	clock := map[int]int64{}
	line := 0
	for sc.Scan() {
		line++
		err := tr.add(line, sc.Text(), clock)
		if sc.Err() != nil {
			break // the row is cut off where reading failed
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, line+1, err)
	}
	if len(tr.Events) == 0 {
		return nil, fmt.Errorf("%s: no rows", name)
	}
	for n := range clock {
		tr.Nodes = append(tr.Nodes, n)
	}
	slices.Sort(tr.Nodes)
	return tr, nil
}

// add takes one line of the file. clock holds each node's time so far.
func (tr *Trace) add(line int, row string, clock map[int]int64) error {
	if line == 1 {
		if row != columns {
			return fmt.Errorf("%w: header is not %q", ErrRow, columns)
		}
		return nil
	}
	if line > MaxRows {
		return fmt.Errorf("more than %d rows", MaxRows)
	}
	ev, err := parseRow(row)
	if err != nil {
		return err
	}
	if ev.TimeUS < clock[ev.Node] {
		return fmt.Errorf("%w: node %d's clock runs backwards", ErrRow, ev.Node)
	}
	clock[ev.Node] = ev.TimeUS
	ev.Line = line
	tr.Events = append(tr.Events, ev)
	return nil
}
