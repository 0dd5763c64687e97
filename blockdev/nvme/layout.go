package nvme

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// layout is a structure of fixed size while it is written or read. A type of
// which control commands are made names its fields and their offsets once, in a
// method fields that serves both directions.
type layout struct {
	b   []byte
	put bool // else get
	err error
}

// appendFixed appends size bytes, which fields fills.
func appendFixed(dst []byte, size int, fields func(l *layout)) []byte {
	n := len(dst)
	for len(dst)-n < size {
		dst = append(dst, zeros[:min(size-(len(dst)-n), len(zeros))]...)
	}
	fields(&layout{b: dst[n:], put: true})
	return dst
}

// decodeFixed has fields read the size bytes at the start of src.
func decodeFixed(what string, src []byte, size int, fields func(l *layout)) error {
	if err := need(what, src, size); err != nil {
		return err
	}
	l := layout{b: src[:size]}
	fields(&l)
	return l.err
}

func (l *layout) u8(off int, v *uint8) {
	if l.put {
		l.b[off] = *v
	} else {
		*v = l.b[off]
	}
}

func (l *layout) u16(off int, v *uint16) {
	if l.put {
		binary.LittleEndian.PutUint16(l.b[off:], *v)
	} else {
		*v = binary.LittleEndian.Uint16(l.b[off:])
	}
}

func (l *layout) u32(off int, v *uint32) {
	if l.put {
		binary.LittleEndian.PutUint32(l.b[off:], *v)
	} else {
		*v = binary.LittleEndian.Uint32(l.b[off:])
	}
}

func (l *layout) u64(off int, v *uint64) {
	if l.put {
		binary.LittleEndian.PutUint64(l.b[off:], *v)
	} else {
		*v = binary.LittleEndian.Uint64(l.b[off:])
	}
}

func (l *layout) u128(off int, v *Uint128) {
	l.u64(off, &v.Lo)
	l.u64(off+8, &v.Hi)
}

func (l *layout) raw(off int, v []byte) {
	if l.put {
		copy(l.b[off:], v)
	} else {
		copy(v, l.b[off:])
	}
}

// text is ASCII, padded with spaces to n bytes. What is longer is cut.
func (l *layout) text(off, n int, v *string) {
	b := l.b[off : off+n]
	if !l.put {
		*v = strings.TrimRight(string(b), " \x00")
		return
	}
	for i := copy(b, *v); i < n; i++ {
		b[i] = ' '
	}
}

// nqn is a name, or nothing.
func (l *layout) nqn(off int, v *string) {
	b := l.b[off : off+nqnField]
	switch {
	case l.put:
		putNQN(b, *v)
	case b[0] == 0:
		*v = ""
	default:
		name, err := getNQN(b)
		if err != nil && l.err == nil {
			l.err = fmt.Errorf("name at %d: %w", off, err)
		}
		*v = name
	}
}

// Uint128 is a number of 16 bytes.
type Uint128 struct{ Lo, Hi uint64 }
