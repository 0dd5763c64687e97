package wire

import (
	"encoding/binary"
	"fmt"
)

// Decode reads the message at the start of src into m, in place, and returns
// the bytes it took. On an error m is undefined. Errors: ErrTruncated,
// ErrType, ErrField, ErrTooLarge, ErrTrailing.
func (m *Msg) Decode(src []byte) (int, error) {
	if len(src) < 4 {
		return 0, fmt.Errorf("%w: message header has %d of 4 bytes", ErrTruncated, len(src))
	}
	t := Type(src[0])
	f := fields[t]
	if f == 0 {
		return 0, fmt.Errorf("%w: %d", ErrType, t)
	}
	size := int(binary.LittleEndian.Uint16(src[2:]))
	if src[1] != 0 {
		return 0, fmt.Errorf("%w: reserved byte of message type %d is %#x", ErrField, t, src[1])
	}
	if size < 4 || size > len(src) {
		return 0, fmt.Errorf("%w: message type %d says %d bytes, %d are left", ErrTruncated, t, size, len(src))
	}
	r := reader{b: src[4:size]}
	*m = Msg{Type: t}
	m.decodeFields(&r, f)
	if r.err != nil {
		return 0, fmt.Errorf("message type %d: %w", t, r.err)
	}
	if len(r.b) != 0 {
		return 0, fmt.Errorf("%w: %d behind message type %d", ErrTrailing, len(r.b), t)
	}
	return size, nil
}

func (m *Msg) decodeFields(r *reader, f field) {
	if f&fName != 0 {
		m.Name = r.bytes(int(r.u8()), MaxName, "name")
	}
	if f&fLife != 0 {
		m.Life = Life{r.u64(), r.u64()}
	}
	if f&fOther != 0 {
		m.Other = Life{r.u64(), r.u64()}
	}
	if f&fClaim != 0 {
		m.Claim = r.u64()
	}
	if f&fInstance != 0 {
		m.Instance = r.u64()
	}
	if f&fLock != 0 {
		m.Lock = r.u64()
	}
	if f&fOp != 0 {
		m.Op = r.u32()
	}
	if f&fMode != 0 {
		m.Mode = r.u8()
	}
	if f&fFlags != 0 {
		m.Flags = r.u32()
	}
	m.decodeRest(r, f)
}

func (m *Msg) decodeRest(r *reader, f field) {
	if f&fStatus != 0 {
		m.Status = Status(r.u8())
	}
	if f&fBits != 0 {
		m.Bits = r.u8()
	}
	if f&fHops != 0 {
		m.Hops = r.u8()
	}
	if f&fSince != 0 {
		m.Since = r.u8()
	}
	if f&fNum != 0 {
		m.Num = r.u32()
	}
	if f&fReq != 0 {
		m.Req = r.u64()
	}
	if f&fToken != 0 {
		m.Token = r.u64()
	}
	if f&fSeq != 0 {
		m.Seq = r.u64()
	}
	if f&fIdle != 0 {
		m.Idle = r.u64()
	}
	if f&fFeatures != 0 {
		m.Features = r.u64()
	}
	if f&fValue != 0 {
		m.Value = r.bytes(int(r.u16()), MaxValue, "value")
	}
	if f&fText != 0 {
		m.Text = r.bytes(int(r.u16()), MaxText, "text")
	}
	if f&fLocks != 0 {
		n := int(r.u16())
		if n > MaxLocks {
			r.fail(fmt.Errorf("%w: %d lock records, at most %d", ErrTooLarge, n, MaxLocks))
			return
		}
		m.Locks = LockList(r.bytes(n*LockRecSize, MaxLocks*LockRecSize, "lock list"))
	}
}

// reader takes fields off a byte slice; the first error sticks and later
// reads give zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.fail(ErrTruncated)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if p := r.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) bytes(n, limit int, what string) []byte {
	if n > limit {
		r.fail(fmt.Errorf("%w: %s of %d bytes, at most %d", ErrTooLarge, what, n, limit))
		return nil
	}
	if n == 0 {
		return nil
	}
	return r.take(n)
}
