package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Sizes and limits of the format. A peer that exceeds one is refused; it is
// never given memory first.
const (
	HeaderSize  = 64      // bytes of a frame header
	MaxPayload  = 1 << 20 // bytes of a payload, as sent and when decompressed
	MaxMessages = 1 << 14 // messages in one frame
	MaxName     = 64      // bytes of a resource name or a lockspace name
	MaxValue    = 256     // bytes of a lock value block
	MaxText     = 1024    // bytes of a text field
	MaxLocks    = 512     // lock records in one message
	MaxRanges   = 1024    // range records in one message
	MaxEntries  = 16384   // bytes of directory entries in one message
)

// Version of the frame format. A HELLO offers a range; a frame carries the
// version both ends agreed on.
const (
	VersionMin = 1
	VersionMax = 1
)

// Magic starts each frame: "LKFY" in little-endian order.
const Magic uint32 = 'L' | 'K'<<8 | 'F'<<16 | 'Y'<<24

// Kind tells which conversation a frame belongs to.
type Kind uint8

const (
	KindNode   Kind = 1 // lock traffic between two nodes
	KindLink   Kind = 2 // the link between two nodes itself: hello, resume, keep-alive
	KindClient Kind = 3 // a client and its node
	KindMail   Kind = 4 // membership: a payload of package cluster, opaque here; one way, to a node that need not be a peer
	KindLook   Kind = 5 // what a node is asked for people, and answers: a payload of package node, opaque here; with FeatureLook
)

// FlagCompressed says that the payload is one S2 block. Its decoded length
// stands in the block and is checked against MaxPayload before decoding.
const FlagCompressed uint16 = 1 << 0

const knownFlags = FlagCompressed

// Header is the fixed part in front of each frame's messages. doc.go gives
// the offsets.
type Header struct {
	Version   uint8
	Kind      Kind
	Flags     uint16
	Length    uint32 // payload bytes that follow, as sent
	Count     uint16 // messages in the payload
	Shard     uint16 // the sender's shard: names of one resource always travel under one number
	Lockspace uint32 // SpaceID of the lockspace's name; 0 where none applies
	CRC       uint32 // CRC32C over the header (this field zero) and the payload as sent
	Epoch     uint64 // the view the sender was in
	Instance  uint64 // the sender's node instance, or the client's session
	Clock     uint64 // the sender's token clock: at least every token it has seen
	Seq       uint64 // place in the sequenced stream of a link, from 1; 0: not sequenced
	Ack       uint64 // last Seq that the sender has received in order
}

// crcOffset is the place of CRC in the header.
const crcOffset = 20

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	noCRC      [4]byte // what stands at crcOffset for the checksum
)

// ReserveHeader appends room for a header; SealFrame fills it later.
func ReserveHeader(dst []byte) []byte {
	var zero [HeaderSize]byte
	return append(dst, zero[:]...)
}

// PutHeader writes h to the first HeaderSize bytes of dst as it stands; the
// checksum is h.CRC.
func PutHeader(dst []byte, h *Header) {
	_ = dst[HeaderSize-1]
	le := binary.LittleEndian
	le.PutUint32(dst[0:], Magic)
	dst[4] = h.Version
	dst[5] = byte(h.Kind)
	le.PutUint16(dst[6:], h.Flags)
	le.PutUint32(dst[8:], h.Length)
	le.PutUint16(dst[12:], h.Count)
	le.PutUint16(dst[14:], h.Shard)
	le.PutUint32(dst[16:], h.Lockspace)
	le.PutUint32(dst[crcOffset:], h.CRC)
	le.PutUint64(dst[24:], h.Epoch)
	le.PutUint64(dst[32:], h.Instance)
	le.PutUint64(dst[40:], h.Clock)
	le.PutUint64(dst[48:], h.Seq)
	le.PutUint64(dst[56:], h.Ack)
}

// SealFrame completes a frame whose header room is frame[:HeaderSize] and
// whose payload is the rest: it sets Length and CRC and writes the header. A
// payload over MaxPayload or more than MaxMessages messages are a programming
// error and panic: the peer would close the connection.
func SealFrame(frame []byte, h *Header) {
	mustFit("payload", len(frame)-HeaderSize, MaxPayload)
	mustFit("message count", int(h.Count), MaxMessages)
	h.Length = uint32(len(frame) - HeaderSize)
	h.CRC = 0
	PutHeader(frame, h)
	h.CRC = crc32.Checksum(frame, castagnoli)
	binary.LittleEndian.PutUint32(frame[crcOffset:], h.CRC)
}

// ParseHeader reads and checks a header, not its checksum, which needs the
// payload: CheckCRC. src must hold at least HeaderSize bytes, else
// ErrTruncated. Errors: ErrMagic, ErrVersion, ErrKind, ErrFlags, ErrTooLarge.
func ParseHeader(src []byte, h *Header) error {
	if len(src) < HeaderSize {
		return fmt.Errorf("%w: header has %d of %d bytes", ErrTruncated, len(src), HeaderSize)
	}
	le := binary.LittleEndian
	if m := le.Uint32(src[0:]); m != Magic {
		return fmt.Errorf("%w: %#08x", ErrMagic, m)
	}
	*h = Header{
		Version: src[4], Kind: Kind(src[5]), Flags: le.Uint16(src[6:]),
		Length: le.Uint32(src[8:]), Count: le.Uint16(src[12:]), Shard: le.Uint16(src[14:]),
		Lockspace: le.Uint32(src[16:]), CRC: le.Uint32(src[crcOffset:]),
		Epoch: le.Uint64(src[24:]), Instance: le.Uint64(src[32:]), Clock: le.Uint64(src[40:]),
		Seq: le.Uint64(src[48:]), Ack: le.Uint64(src[56:]),
	}
	return h.check()
}

func (h *Header) check() error {
	switch {
	case h.Version < VersionMin || h.Version > VersionMax:
		return fmt.Errorf("%w: frame has version %d, this build speaks %d to %d", ErrVersion, h.Version, VersionMin, VersionMax)
	case h.Kind < KindNode || h.Kind > KindLook:
		return fmt.Errorf("%w: %d", ErrKind, h.Kind)
	case h.Flags&^knownFlags != 0:
		return fmt.Errorf("%w: %#x", ErrFlags, h.Flags)
	case h.Length > MaxPayload:
		return fmt.Errorf("%w: payload of %d bytes, at most %d", ErrTooLarge, h.Length, MaxPayload)
	case h.Count > MaxMessages:
		return fmt.Errorf("%w: %d messages, at most %d", ErrTooLarge, h.Count, MaxMessages)
	}
	return nil
}

// CheckCRC verifies the checksum of header bytes, at least HeaderSize, and of
// the payload as received. Errors: ErrChecksum.
func CheckCRC(header, payload []byte) error {
	want := binary.LittleEndian.Uint32(header[crcOffset:])
	got := crc32.Update(0, castagnoli, header[:crcOffset])
	got = crc32.Update(got, castagnoli, noCRC[:]) // a local copy of the header would be on the heap
	got = crc32.Update(got, castagnoli, header[crcOffset+len(noCRC):HeaderSize])
	got = crc32.Update(got, castagnoli, payload)
	if got != want {
		return fmt.Errorf("%w: frame says %#08x, content has %#08x", ErrChecksum, want, got)
	}
	return nil
}
