package nvme

import "encoding/binary"

// MaxBlocks is the most logical blocks of a command.
const MaxBlocks = 1 << 16

// IO is the parameters of Read, Write, Compare, Write Zeroes and Verify (NVM
// command set specification).
type IO struct {
	NSID       uint32
	LBA        uint64
	Blocks     uint32 // 1 to MaxBlocks
	FUA        bool   // force unit access: not complete before it is durable
	Limited    bool   // limited retry
	Deallocate bool   // Write Zeroes: blocks may be deallocated, if they read as zeroes then
	Protect    uint8  // field PRINFO; 0: no protection information
}

// Bits of dword 12.
const (
	bitLimited    = 1 << 31
	bitFUA        = 1 << 30
	shiftProtect  = 26
	bitDeallocate = 1 << 25
)

// SetIO makes c one of the commands that IO is for, without data: SetData says
// where it is. CID stays, all else is set.
func (c *Command) SetIO(op Opcode, p *IO) {
	*c = Command{
		Opcode: op, Flags: UseSGL, CID: c.CID, NSID: p.NSID, SGL: SGL{Type: SGLTransport},
		CDW10: uint32(p.LBA), CDW11: uint32(p.LBA >> 32), CDW12: (p.Blocks-1)&0xffff | uint32(p.Protect&15)<<shiftProtect,
	}
	if p.FUA {
		c.CDW12 |= bitFUA
	}
	if p.Limited {
		c.CDW12 |= bitLimited
	}
	if p.Deallocate {
		c.CDW12 |= bitDeallocate
	}
}

// IO reads the parameters of the commands that IO is for.
func (c *Command) IO() IO {
	return IO{
		NSID: c.NSID, LBA: uint64(c.CDW10) | uint64(c.CDW11)<<32, Blocks: c.CDW12&0xffff + 1,
		FUA: c.CDW12&bitFUA != 0, Limited: c.CDW12&bitLimited != 0, Deallocate: c.CDW12&bitDeallocate != 0,
		Protect: uint8(c.CDW12>>shiftProtect) & 15,
	}
}

// SetFlush makes c a Flush. CID stays.
func (c *Command) SetFlush(nsid uint32) {
	*c = Command{Opcode: OpFlush, CID: c.CID, NSID: nsid}
	c.SetData(0, false)
}

// Dataset Management (NVM command set specification).
const (
	RangeSize = 16  // bytes of a Range
	MaxRanges = 256 // of a command
)

// DSM is the parameters of a Dataset Management. Its data is a RangeList.
type DSM struct {
	NSID       uint32
	Ranges     uint32 // 1 to MaxRanges
	Deallocate bool   // AD: what the ranges hold is needed no more
}

const bitAD = 1 << 2

// SetDSM makes c a Dataset Management, with its data in the capsule or not. CID
// stays.
func (c *Command) SetDSM(p DSM, inCapsule bool) {
	*c = Command{Opcode: OpDatasetManagement, CID: c.CID, NSID: p.NSID, CDW10: (p.Ranges - 1) & 0xff}
	c.SetData(p.Ranges*RangeSize, inCapsule)
	if p.Deallocate {
		c.CDW11 = bitAD
	}
}

// DSM reads the parameters of a Dataset Management.
func (c *Command) DSM() DSM {
	return DSM{NSID: c.NSID, Ranges: c.CDW10&0xff + 1, Deallocate: c.CDW11&bitAD != 0}
}

// Range is one of a RangeList.
type Range struct {
	Attrs  uint32 // hints
	Blocks uint32
	LBA    uint64
}

// Append appends the 16 bytes.
func (r *Range) Append(dst []byte) []byte {
	le := binary.LittleEndian
	return le.AppendUint64(le.AppendUint32(le.AppendUint32(dst, r.Attrs), r.Blocks), r.LBA)
}

// RangeList is the data of a Dataset Management, in place: a multiple of
// RangeSize.
type RangeList []byte

// Ranges gives the first n ranges at the start of data, in place. The only error
// is ErrTruncated.
func Ranges(data []byte, n uint32) (RangeList, error) {
	if uint64(len(data)) < uint64(n)*RangeSize {
		return nil, need("a list of ranges", data, int(n)*RangeSize)
	}
	return RangeList(data[:n*RangeSize]), nil
}

// Len is the number of ranges.
func (l RangeList) Len() int { return len(l) / RangeSize }

// At gives range i.
func (l RangeList) At(i int) Range {
	b := l[i*RangeSize:][:RangeSize]
	le := binary.LittleEndian
	return Range{Attrs: le.Uint32(b), Blocks: le.Uint32(b[4:]), LBA: le.Uint64(b[8:])}
}
