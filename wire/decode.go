package wire

import (
	"encoding/binary"
	"fmt"
)

// Decode reads the message at the start of src into m, in place, and returns
// the bytes it took. Fields that the type does not carry become zero. On
// success it allocates nothing; on an error m is undefined. What it accepts,
// Append gives back byte for byte.
//
// Errors: ErrTruncated, ErrType, ErrField (empty name, unknown mode, status or
// set of modes), ErrTooLarge, ErrTrailing.
func (m *Msg) Decode(src []byte) (int, error) {
	if len(src) < msgHeaderSize {
		return 0, fmt.Errorf("%w: message header has %d of %d bytes", ErrTruncated, len(src), msgHeaderSize)
	}
	t := Type(src[0])
	f := fields[t]
	size := int(binary.LittleEndian.Uint16(src[2:]))
	switch {
	case f == 0:
		return 0, fmt.Errorf("%w: %d", ErrType, uint8(t))
	case src[1] != 0:
		return 0, fmt.Errorf("%w: reserved byte of %v is %#x", ErrField, t, src[1])
	case size < msgHeaderSize || size > len(src):
		return 0, fmt.Errorf("%w: %v says %d bytes, %d are left", ErrTruncated, t, size, len(src))
	}
	*m = Msg{Type: t}
	b := src[msgHeaderSize:size]
	if f&fName != 0 {
		if len(b) == 0 || len(b) <= int(b[0]) || b[0]-1 >= MaxName {
			return 0, badName(t, b)
		}
		n := 1 + int(b[0])
		m.Name, b = b[1:n:n], b[n:]
	}
	// One check for all fields of fixed size; the slicing below then cannot fail.
	if n := int(fixedSizes[t]); len(b) < n {
		return 0, fmt.Errorf("%w: %v has %d of %d bytes behind the name", ErrTruncated, t, len(b), n)
	}
	b = m.decodeFixed(b, f)
	if f&fChecked != 0 && !m.fixedValid(f) {
		return 0, m.badFixed(f)
	}
	if f&fTail != 0 {
		var err error
		if b, err = m.decodeTail(b, f); err != nil {
			return 0, fmt.Errorf("%v: %w", t, err)
		}
	}
	if len(b) != 0 {
		return 0, fmt.Errorf("%w: %d behind %v", ErrTrailing, len(b), t)
	}
	return size, nil
}

// decodeFixed takes the fields of fixed size off b, which holds them all, and
// returns the rest.
func (m *Msg) decodeFixed(b []byte, f field) []byte {
	le := binary.LittleEndian
	if f&fLife != 0 {
		m.Life = Life{le.Uint64(b), le.Uint64(b[8:])}
		b = b[16:]
	}
	if f&fOther != 0 {
		m.Other = Life{le.Uint64(b), le.Uint64(b[8:])}
		b = b[16:]
	}
	if f&fClaim != 0 {
		m.Claim, b = le.Uint64(b), b[8:]
	}
	if f&fInstance != 0 {
		m.Instance, b = le.Uint64(b), b[8:]
	}
	if f&fLock != 0 {
		m.Lock, b = le.Uint64(b), b[8:]
	}
	if f&fOp != 0 {
		m.Op, b = le.Uint32(b), b[4:]
	}
	if f&fMode != 0 {
		m.Mode, b = b[0], b[1:]
	}
	if f&fFlags != 0 {
		m.Flags, b = le.Uint32(b), b[4:]
	}
	if f&fBehindFlags == 0 {
		return b
	}
	return m.decodeRest(b, f)
}

// decodeRest goes on behind Flags, where most messages end.
func (m *Msg) decodeRest(b []byte, f field) []byte {
	le := binary.LittleEndian
	if f&fStatus != 0 {
		m.Status, b = Status(b[0]), b[1:]
	}
	if f&fBits != 0 {
		m.Bits, b = b[0], b[1:]
	}
	if f&fHops != 0 {
		m.Hops, b = b[0], b[1:]
	}
	if f&fSince != 0 {
		m.Since, b = b[0], b[1:]
	}
	if f&fNum != 0 {
		m.Num, b = le.Uint32(b), b[4:]
	}
	if f&fReq != 0 {
		m.Req, b = le.Uint64(b), b[8:]
	}
	if f&fToken != 0 {
		m.Token, b = le.Uint64(b), b[8:]
	}
	if f&fSeq != 0 {
		m.Seq, b = le.Uint64(b), b[8:]
	}
	if f&fIdle != 0 {
		m.Idle, b = le.Uint64(b), b[8:]
	}
	if f&fWait != 0 {
		m.Wait, b = le.Uint64(b), b[8:]
	}
	if f&fFeatures != 0 {
		m.Features, b = le.Uint64(b), b[8:]
	}
	if f&fOwner != 0 {
		m.Owner, b = le.Uint64(b), b[8:]
	}
	return b
}

// decodeTail takes value, text and the lists off b and returns the rest.
func (m *Msg) decodeTail(b []byte, f field) (rest []byte, err error) {
	if f&fValue != 0 {
		if m.Value, b, err = takeBlock(b, 1, MaxValue); err != nil {
			return nil, fmt.Errorf("value: %w", err)
		}
	}
	if f&fText != 0 {
		if m.Text, b, err = takeBlock(b, 1, MaxText); err != nil {
			return nil, fmt.Errorf("text: %w", err)
		}
	}
	if f&fLocks != 0 {
		var list []byte
		if list, b, err = takeBlock(b, LockRecSize, MaxLocks); err != nil {
			return nil, fmt.Errorf("lock list: %w", err)
		}
		m.Locks = list
		if err = m.Locks.check(); err != nil {
			return nil, err
		}
	}
	if f&fRanges != 0 {
		var list []byte
		if list, b, err = takeBlock(b, RangeRecSize, MaxRanges); err != nil {
			return nil, fmt.Errorf("range list: %w", err)
		}
		m.Ranges = list
		if err = m.Ranges.check(); err != nil {
			return nil, err
		}
	}
	if f&fEntries != 0 {
		var list []byte
		if list, b, err = takeBlock(b, 1, MaxEntries); err != nil {
			return nil, fmt.Errorf("entries: %w", err)
		}
		m.Entries = list
		if err = m.Entries.check(); err != nil {
			return nil, err
		}
	}
	if f&fPath != 0 {
		var path []byte
		if path, b, err = takeBlock(b, 1, maxPathBytes); err != nil {
			return nil, fmt.Errorf("path: %w", err)
		}
		m.Path = path
		if err = m.Path.check(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// takeBlock takes a u16 count and that many units of unit bytes off b. Zero
// units give a nil block.
func takeBlock(b []byte, unit, limit int) (block, rest []byte, err error) {
	if len(b) < 2 {
		return nil, nil, ErrTruncated
	}
	n := int(binary.LittleEndian.Uint16(b))
	if n > limit {
		return nil, nil, fmt.Errorf("%w: %d, at most %d", ErrTooLarge, n, limit)
	}
	end := 2 + n*unit
	switch {
	case len(b) < end:
		return nil, nil, ErrTruncated
	case n == 0:
		return nil, b[2:], nil
	}
	return b[2:end:end], b[end:], nil
}

// NameAt gives the name of the message at the start of src, without decoding it, and what is
// behind the message. nil: it has none, or Decode would say what is wrong with it.
func NameAt(src []byte) (name, rest []byte) {
	if len(src) <= msgHeaderSize || !Type(src[0]).Named() {
		return nil, nil
	}
	size, end := int(binary.LittleEndian.Uint16(src[2:])), msgHeaderSize+1+int(src[msgHeaderSize])
	if end == msgHeaderSize+1 || end > size || size > len(src) {
		return nil, nil
	}
	return src[msgHeaderSize+1 : end : end], src[size:]
}
