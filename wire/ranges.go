package wire

import (
	"encoding/binary"
	"fmt"
)

// RangeRecSize is the encoded size of a RangeRec in bytes.
const RangeRecSize = 25

// RangeRec is one byte range: asked for, or locked.
type RangeRec struct {
	Owner uint64 // the number by which the program tells its owners apart
	Start int64  // first byte, 0 and up
	End   int64  // last byte, Start and up
	Type  uint8  // 0 none (unlock), 1 read, 2 write
}

const maxRangeType = 2

// RangeList is a list of range records in encoded form; it is read in place.
type RangeList []byte

// Len gives the number of records.
func (l RangeList) Len() int { return len(l) / RangeRecSize }

// At reads record i, 0 <= i < Len().
func (l RangeList) At(i int) RangeRec {
	p := l[i*RangeRecSize:]
	le := binary.LittleEndian
	return RangeRec{
		Owner: le.Uint64(p), Start: int64(le.Uint64(p[8:])), End: int64(le.Uint64(p[16:])), Type: p[24],
	}
}

// Append encodes a record behind l.
func (l RangeList) Append(r RangeRec) RangeList {
	le := binary.LittleEndian
	l = le.AppendUint64(l, r.Owner)
	l = le.AppendUint64(l, uint64(r.Start))
	l = le.AppendUint64(l, uint64(r.End))
	return append(l, r.Type)
}

// check judges all records.
func (l RangeList) check() error {
	for i := range l.Len() {
		if r := l.At(i); r.Start < 0 || r.End < r.Start || r.Type > maxRangeType {
			return fmt.Errorf("%w: type %d, bytes %d to %d in range record %d", ErrField, r.Type, r.Start, r.End, i)
		}
	}
	return nil
}
