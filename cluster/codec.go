package cluster

import (
	"encoding/binary"
	"fmt"
)

// formatVersion is the first byte of all that this package stores or sends. A
// decoder refuses others: what a newer version adds comes behind a number of
// its own, once all members' features say that they understand it.
const formatVersion = 1

// reader takes encoded fields from the front of b. The first error sticks, and
// what is read after it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrInvalid, what)
	}
	r.b = nil
}

func (r *reader) version() {
	if v := r.byte(); r.err == nil && v != formatVersion {
		r.fail(fmt.Sprintf("format version %d", v))
	}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("too short")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// uint reads a number up to limit.
func (r *reader) uint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.fail("number too large or too short")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) u64() uint64 {
	if len(r.b) < 8 {
		r.fail("too short")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// bytes reads a string of up to limit bytes. It is not copied.
func (r *reader) bytes(limit int) []byte {
	n := int(r.uint(uint64(limit)))
	if n > len(r.b) {
		r.fail("too short")
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// count reads the number of items that follow; each takes at least size bytes.
func (r *reader) count(limit, size int) int {
	n := int(r.uint(uint64(limit)))
	if n*size > len(r.b) {
		r.fail("fewer items than announced")
		return 0
	}
	return n
}

// end gives the first error; bytes left over are one.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes left over")
	}
	return r.err
}

func appendU64(b []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(b, v) }

func appendUint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}
