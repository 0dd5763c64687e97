package wire

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// MaxEdges bounds the edges of a Path.
const MaxEdges = 32

const (
	partySize    = 29
	edgeSize     = 1 + 16 + 2*partySize + 1 // without the name's bytes
	edgeRanges   = 4 * 8                    // behind the name: start and end for each party, if Bytes
	maxPathBytes = MaxEdges * (edgeSize + MaxName + edgeRanges)
)

// Kinds of edges.
const (
	edgeHolds = iota
	edgeAhead
	edgeBytes
)

// Party is one end of an Edge: a lock, and for whom it is.
type Party struct {
	Instance uint64 // of the lock's node
	Lock     uint64
	Op       uint32
	Owner    uint64 // unique at Instance; 0: nobody
	Mode     uint8

	Start, End int64 // if the edge is of byte ranges: the first and the last one, 0 <= Start <= End
}

// Edge says that one lock waits for another on the same name.
type Edge struct {
	Name    []byte
	Life    Life  // of the name; its node is where they were seen
	Waiter  Party // Mode: wanted
	Blocker Party // Mode: held, or, if Ahead, wanted
	Ahead   bool  // Blocker stands before Waiter in the queue; else it holds a mode that excludes Waiter's
	Bytes   bool  // of byte ranges: Lock is the handle, Mode PR to read, EX to write; not with Ahead
}

// Path is a list of edges in encoded form; it is read in place.
type Path []byte

// Append encodes an edge behind p. A name over its limit is a programming
// error and panics.
func (p Path) Append(e *Edge) Path {
	mustFit("name", len(e.Name), MaxName)
	le := binary.LittleEndian
	kind := byte(edgeHolds)
	switch {
	case e.Ahead:
		kind = edgeAhead
	case e.Bytes:
		kind = edgeBytes
	}
	p = append(p, kind)
	p = le.AppendUint64(le.AppendUint64(p, e.Life.Instance), e.Life.Counter)
	for _, q := range []*Party{&e.Waiter, &e.Blocker} {
		p = le.AppendUint64(le.AppendUint64(p, q.Instance), q.Lock)
		p = append(le.AppendUint64(le.AppendUint32(p, q.Op), q.Owner), q.Mode)
	}
	p = append(append(p, byte(len(e.Name))), e.Name...)
	if e.Bytes {
		for _, q := range []*Party{&e.Waiter, &e.Blocker} {
			p = le.AppendUint64(le.AppendUint64(p, uint64(q.Start)), uint64(q.End))
		}
	}
	return p
}

// next decodes the first edge of a path that check has accepted.
func (p Path) next() (e Edge, rest Path) {
	le := binary.LittleEndian
	e.Ahead, e.Bytes = p[0] == edgeAhead, p[0] == edgeBytes
	e.Life = Life{le.Uint64(p[1:]), le.Uint64(p[9:])}
	e.Waiter, e.Blocker = party(p[17:]), party(p[17+partySize:])
	end := edgeSize + int(p[edgeSize-1])
	e.Name = p[edgeSize:end:end]
	p = p[end:]
	if e.Bytes {
		for i, q := range []*Party{&e.Waiter, &e.Blocker} {
			q.Start, q.End = int64(le.Uint64(p[16*i:])), int64(le.Uint64(p[16*i+8:]))
		}
		p = p[edgeRanges:]
	}
	return e, p
}

func party(b []byte) Party {
	le := binary.LittleEndian
	return Party{
		Instance: le.Uint64(b), Lock: le.Uint64(b[8:]), Op: le.Uint32(b[16:]), Owner: le.Uint64(b[20:]), Mode: b[28],
	}
}

// Edges gives the edges with their numbers, from 0. An edge's name points into
// the path.
func (p Path) Edges() iter.Seq2[int, Edge] {
	return func(yield func(int, Edge) bool) {
		var e Edge
		for i := 0; len(p) != 0; i++ {
			if e, p = p.next(); !yield(i, e) {
				return
			}
		}
	}
}

// Len gives the number of edges.
func (p Path) Len() (n int) {
	for range p.Edges() {
		n++
	}
	return n
}

// At decodes edge i, 0 <= i < Len().
func (p Path) At(i int) Edge {
	for j, e := range p.Edges() {
		if j == i {
			return e
		}
	}
	panic(fmt.Sprintf("wire: path has no edge %d", i))
}

// check judges a path's form, that is all but who waits for whom.
func (p Path) check() error {
	for n := 0; len(p) != 0; n++ {
		switch {
		case n == MaxEdges:
			return fmt.Errorf("%w: path of more than %d edges", ErrTooLarge, MaxEdges)
		case len(p) < edgeSize:
			return fmt.Errorf("%w: edge %d of a path", ErrTruncated, n)
		}
		size, rest := int(p[edgeSize-1]), 0
		if p[0] == edgeBytes {
			rest = edgeRanges
		}
		switch {
		case size > MaxName:
			return fmt.Errorf("%w: name of %d bytes in edge %d of a path", ErrTooLarge, size, n)
		case size == 0, p[0] > edgeBytes, p[16+partySize] > maxMode, p[16+2*partySize] > maxMode:
			return fmt.Errorf("%w: kind %d, modes %d and %d, name of %d bytes in edge %d of a path",
				ErrField, p[0], p[16+partySize], p[16+2*partySize], size, n)
		case len(p) < edgeSize+size+rest:
			return fmt.Errorf("%w: name or bytes in edge %d of a path", ErrTruncated, n)
		}
		e, next := p.next()
		for _, q := range []*Party{&e.Waiter, &e.Blocker} {
			if q.Start < 0 || q.End < q.Start {
				return fmt.Errorf("%w: bytes %d to %d in edge %d of a path", ErrField, q.Start, q.End, n)
			}
		}
		p = next
	}
	return nil
}
