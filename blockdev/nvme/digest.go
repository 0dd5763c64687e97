package nvme

import (
	"encoding/binary"
	"hash/crc32"
)

// DigestSize is the bytes of a header or data digest.
const DigestSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Digest continues a digest over b: CRC32C as in iSCSI. It begins with 0. Data
// that arrives or leaves in pieces is taken piece by piece.
func Digest(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// AppendDigest appends a digest as it travels.
func AppendDigest(dst []byte, sum uint32) []byte { return binary.LittleEndian.AppendUint32(dst, sum) }

// CheckHeaderDigest compares the header digest of a PDU, of which src holds at
// least h.HeaderLen() bytes, with its header. Without a digest all is well. An
// error is a *FatalError.
func CheckHeaderDigest(h *Header, src []byte) error {
	if h.Flags&FlagHeaderDigest == 0 {
		return nil
	}
	if len(src) < h.HeaderLen() {
		return Fatal(FatalHeaderField, offPLen, "%v has %d of %d bytes of its header", h.Type, len(src), h.HeaderLen())
	}
	got := binary.LittleEndian.Uint32(src[h.HLen:])
	if want := Digest(0, src[:h.HLen]); got != want {
		return Fatal(FatalHeaderDigest, got, "header digest of %v is %#08x, want %#08x", h.Type, got, want)
	}
	return nil
}

// DataDigestOK compares sum, taken over all data of a PDU, with the four bytes
// that follow the data. A wrong data digest is no fatal error: the command ends
// with StatusTransientTransport, and the connection goes on (TCP transport,
// "Data Digest").
func DataDigestOK(sum uint32, trailer []byte) bool {
	return len(trailer) >= DigestSize && binary.LittleEndian.Uint32(trailer) == sum
}
