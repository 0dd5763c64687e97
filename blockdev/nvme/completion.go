package nvme

import "encoding/binary"

// CompletionSize is the bytes of a completion queue entry (base specification,
// "Completion Queue Entry").
const CompletionSize = 16

// Completion is a completion queue entry.
type Completion struct {
	Result uint64 // dwords 0 and 1, depends on the command
	SQHead uint16 // how far the controller has consumed the submission queue
	SQID   uint16 // reserved over fabrics: 0
	CID    uint16 // of the command
	Status Status
}

// Append appends the 16 bytes.
func (c *Completion) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, c.Result)
	dst = le.AppendUint16(dst, c.SQHead)
	dst = le.AppendUint16(dst, c.SQID)
	dst = le.AppendUint16(dst, c.CID)
	return le.AppendUint16(dst, uint16(c.Status)<<1)
}

// Decode reads the entry at the start of src; in a CapsuleResp it begins at
// HeaderSize. The only error is ErrTruncated.
func (c *Completion) Decode(src []byte) error {
	if len(src) < CompletionSize {
		return need("a completion", src, CompletionSize)
	}
	le := binary.LittleEndian
	c.Result, c.SQHead, c.SQID = le.Uint64(src), le.Uint16(src[8:]), le.Uint16(src[10:])
	c.CID, c.Status = le.Uint16(src[12:]), Status(le.Uint16(src[14:])>>1)
	return nil
}
