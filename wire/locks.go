package wire

import "encoding/binary"

// LockRecSize is the encoded size of a LockRec in bytes.
const LockRecSize = 26

// LockRec is one lock in an ADOPT, REG or RETURN.
type LockRec struct {
	Lock    uint64 // the owner's lock id
	Op      uint32
	Flags   uint32
	Owner   uint64 // who waits as a whole; 0: none
	Granted uint8  // mode held; NoMode: none
	Wanted  uint8  // mode requested; NoMode: nothing is waiting
}

// NoMode stands for "no mode" in a LockRec, a DENIED and an AST (the kernel's IV).
const NoMode uint8 = 0xff

// LockList is a list of lock records in encoded form; it is read in place.
type LockList []byte

// Len gives the number of records.
func (l LockList) Len() int { return len(l) / LockRecSize }

// At reads record i, 0 <= i < Len().
func (l LockList) At(i int) LockRec {
	p := l[i*LockRecSize:]
	le := binary.LittleEndian
	return LockRec{Lock: le.Uint64(p), Op: le.Uint32(p[8:]), Flags: le.Uint32(p[12:]), Owner: le.Uint64(p[16:]), Granted: p[24], Wanted: p[25]}
}

// Append encodes a record behind l.
func (l LockList) Append(r LockRec) LockList {
	le := binary.LittleEndian
	l = le.AppendUint64(l, r.Lock)
	l = le.AppendUint32(l, r.Op)
	l = le.AppendUint32(l, r.Flags)
	l = le.AppendUint64(l, r.Owner)
	return append(l, r.Granted, r.Wanted)
}
