package nvme

import "encoding/binary"

// CommandSize is the bytes of a submission queue entry (base specification,
// "Submission Queue Entry").
const CommandSize = 64

// NSIDAll stands for all namespaces.
const NSIDAll = 0xffffffff

// Command is a submission queue entry. The meaning of dwords 10 to 15 depends on
// the command: each has a Set method that fills them, and one that reads them.
type Command struct {
	Opcode   Opcode
	Flags    CommandFlags
	CID      uint16 // picked by the host, unique among its queue's commands
	NSID     uint32 // namespace, from 1; Fabrics commands: the type of command, in the low byte
	CDW2     uint32
	CDW3     uint32
	Metadata uint64
	SGL      SGL
	CDW10    uint32
	CDW11    uint32
	CDW12    uint32
	CDW13    uint32
	CDW14    uint32
	CDW15    uint32
}

// CommandFlags are the fields FUSE and PSDT of dword 0.
type CommandFlags uint8

const (
	FuseFirst  CommandFlags = 1 << 0 // first of two fused commands
	FuseSecond CommandFlags = 2 << 0 // second of two fused commands
	FuseMask   CommandFlags = 3 << 0
	UseSGL     CommandFlags = 1 << 6 // PSDT 01b: required over fabrics
	PSDTMask   CommandFlags = 3 << 6
)

// Append appends the 64 bytes.
func (c *Command) Append(dst []byte) []byte {
	n := len(dst)
	dst = append(dst, zeros[:CommandSize]...)
	b := dst[n : n+CommandSize : n+CommandSize]
	le := binary.LittleEndian
	b[0], b[1] = byte(c.Opcode), byte(c.Flags)
	le.PutUint16(b[2:], c.CID)
	le.PutUint32(b[4:], c.NSID)
	le.PutUint32(b[8:], c.CDW2)
	le.PutUint32(b[12:], c.CDW3)
	le.PutUint64(b[16:], c.Metadata)
	c.SGL.put(b[24:])
	le.PutUint32(b[40:], c.CDW10)
	le.PutUint32(b[44:], c.CDW11)
	le.PutUint32(b[48:], c.CDW12)
	le.PutUint32(b[52:], c.CDW13)
	le.PutUint32(b[56:], c.CDW14)
	le.PutUint32(b[60:], c.CDW15)
	return dst
}

// Decode reads the entry at the start of src; in a CapsuleCmd it begins at
// HeaderSize. The only error is ErrTruncated.
func (c *Command) Decode(src []byte) error {
	if len(src) < CommandSize {
		return need("a command", src, CommandSize)
	}
	b := src[:CommandSize:CommandSize]
	le := binary.LittleEndian
	c.Opcode, c.Flags, c.CID = Opcode(b[0]), CommandFlags(b[1]), le.Uint16(b[2:])
	c.NSID, c.CDW2, c.CDW3 = le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	c.Metadata = le.Uint64(b[16:])
	c.SGL.get(b[24:])
	c.CDW10, c.CDW11, c.CDW12 = le.Uint32(b[40:]), le.Uint32(b[44:]), le.Uint32(b[48:])
	c.CDW13, c.CDW14, c.CDW15 = le.Uint32(b[52:]), le.Uint32(b[56:]), le.Uint32(b[60:])
	return nil
}

// SGLType is type and subtype of an SGL descriptor (base specification, "SGL
// Descriptor"). Others than these two don't occur over TCP.
type SGLType uint8

const (
	SGLInCapsule SGLType = 0x01 // data block, offset: Addr is the offset in the capsule's data
	SGLTransport SGLType = 0x5a // transport data block: data comes or goes in PDUs of its own
)

// SGLSize is the bytes of an SGL descriptor.
const SGLSize = 16

// SGL is a command's SGL descriptor: where its data is.
type SGL struct {
	Addr   uint64
	Length uint32 // bytes of data
	Type   SGLType
}

func (s *SGL) put(b []byte) {
	_ = b[SGLSize-1]
	binary.LittleEndian.PutUint64(b, s.Addr)
	binary.LittleEndian.PutUint32(b[8:], s.Length)
	b[12], b[13], b[14], b[15] = 0, 0, 0, byte(s.Type)
}

func (s *SGL) get(b []byte) {
	_ = b[SGLSize-1]
	s.Addr, s.Length, s.Type = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:]), SGLType(b[15])
}

// SetData makes the command one with n bytes of data; in its capsule, or in PDUs
// of their own. A command without data has SetData(0, false).
func (c *Command) SetData(n uint32, inCapsule bool) {
	c.Flags = c.Flags&^PSDTMask | UseSGL
	c.SGL = SGL{Length: n, Type: SGLTransport}
	if inCapsule {
		c.SGL.Type = SGLInCapsule
	}
}

// CheckSGL judges the data pointer of a command that came with capsule bytes of
// data in its capsule. It says what the host has to be told: StatusSuccess, or
// why the command fails.
func (c *Command) CheckSGL(capsule uint32) Status {
	dir := c.Direction()
	switch {
	case c.Flags&PSDTMask != UseSGL:
		return StatusInvalidField | DNR
	case dir == NoData && capsule == 0:
		return StatusSuccess // whatever the SGL says: nothing is moved
	case dir == NoData:
		return StatusDataSGLLength | DNR
	case c.SGL.Type == SGLTransport && capsule == 0:
		return StatusSuccess
	case c.SGL.Type == SGLTransport:
		return StatusDataSGLLength | DNR
	case c.SGL.Type != SGLInCapsule || dir == ToHost:
		return StatusSGLType | DNR
	case c.SGL.Addr != 0:
		return StatusSGLOffset | DNR
	case c.SGL.Length != capsule:
		return StatusDataSGLLength | DNR
	}
	return StatusSuccess
}

// Direction is where a command's data goes.
type Direction uint8

const (
	NoData       Direction = 0
	ToController Direction = 1
	ToHost       Direction = 2
	Both         Direction = 3 // no command here has it
)

// Direction tells by the opcode (or the type of a Fabrics command) where data
// goes; that is so for all commands, also unknown ones.
func (c *Command) Direction() Direction {
	if c.Opcode == OpFabrics {
		return Direction(c.NSID & 3)
	}
	return Direction(c.Opcode & 3)
}
