package engine

import (
	"sync"

	"github.com/lockify-dlm/lockify/wire"
)

// Frame buffers come in three sizes. Arrays, not slices, lie in the pools: a
// slice converts to a pointer to an array without an allocation.
const (
	bufSmall = 4 << 10
	bufLarge = 64 << 10
	bufMax   = wire.HeaderSize + wire.MaxPayload
)

var (
	smallBufs = sync.Pool{New: func() any { return new([bufSmall]byte) }}
	largeBufs = sync.Pool{New: func() any { return new([bufLarge]byte) }}
	maxBufs   = sync.Pool{New: func() any { return new([bufMax]byte) }}
)

// GetBuf gives a frame buffer: wire.HeaderSize bytes of reserved header (not
// zeroed) and room for about 4 KiB in all before an append has to allocate.
// Append messages behind it, then pass it to a Send, which takes it over, or
// to PutBuf.
func GetBuf() []byte { return GetBufSize(0) }

// GetBufSize is GetBuf with room for payload bytes; at most wire.MaxPayload
// of them come from a pool.
func GetBufSize(payload int) []byte {
	switch n := wire.HeaderSize + payload; {
	case n <= bufSmall:
		return smallBufs.Get().(*[bufSmall]byte)[:wire.HeaderSize]
	case n <= bufLarge:
		return largeBufs.Get().(*[bufLarge]byte)[:wire.HeaderSize]
	case n <= bufMax:
		return maxBufs.Get().(*[bufMax]byte)[:wire.HeaderSize]
	default:
		return make([]byte, wire.HeaderSize, n)
	}
}

// PutBuf gives a buffer back; nobody may use it afterwards. Buffers that grew
// by append, and any other slice, are welcome too.
func PutBuf(b []byte) {
	switch {
	case cap(b) >= bufMax:
		maxBufs.Put((*[bufMax]byte)(b[:bufMax]))
	case cap(b) >= bufLarge:
		largeBufs.Put((*[bufLarge]byte)(b[:bufLarge]))
	case cap(b) >= bufSmall:
		smallBufs.Put((*[bufSmall]byte)(b[:bufSmall]))
	}
}
