package nvme

import "fmt"

// IdentifyController is the data of Identify with CNSController (base
// specification, "Identify Controller Data Structure"). What is not here is sent
// as zero.
type IdentifyController struct {
	VID, SSVID uint16
	Serial     string // 20 bytes at most
	Model      string // 40 bytes at most
	Firmware   string // 8 bytes at most
	RAB        uint8
	IEEE       [3]byte
	CMIC       uint8 // Multi...
	MDTS       uint8 // most data of a command: 2^n pages of CAP.MPSMIN; 0: no limit
	CNTLID     uint16
	Version    Version
	RTD3R      uint32 // us
	RTD3E      uint32 // us
	OAES       EventMask
	CTRATT     uint32 // Attr...
	Type       ControllerType
	CRDT       [3]uint16 // retry delays, in 100 ms
	OACS       uint16
	ACL        uint8 // Aborts at a time, minus one
	AERL       uint8 // Asynchronous Event Requests at a time, minus one
	FRMW       uint8
	LPA        uint8 // LogPage...
	ELPE       uint8 // entries of the error log, minus one
	NPSS       uint8 // power states, minus one
	WCTEMP     uint16
	CCTEMP     uint16
	KAS        uint16 // granularity of keep alive timeouts in 100 ms; 0: no keep alive
	ANATT      uint8  // most s of an ANA transition
	ANACAP     uint8  // ANA states that there are, and group IDs that don't change
	ANAGRPMAX  uint32
	NANAGRPID  uint32 // ANA groups
	SQES, CQES uint8  // sizes of queue entries: least and most, 2^n bytes, in two halves
	MAXCMD     uint16 // commands at a time on a queue
	NN         uint32 // largest NSID
	ONCS       uint16 // Command...
	FUSES      uint16 // bit 0: Compare and Write
	FNA        uint8
	VWC        uint8 // bit 0: volatile write cache; bits 1 and 2: what a Flush of NSIDAll does
	AWUN       uint16
	AWUPF      uint16
	NWPC       uint8
	ACWU       uint16 // blocks of an atomic Compare and Write, minus one
	SGLS       uint32 // SGL...
	MNAN       uint32 // most namespaces that there can be; 0: NN
	SubNQN     string
	IOCCSZ     uint32 // most bytes of an I/O command capsule, in 16 bytes
	IORCSZ     uint32 // most bytes of an I/O response capsule, in 16 bytes
	ICDOFF     uint16 // where data begins in a capsule, in 16 bytes: 0
	FCATT      uint8  // bit 0: static controllers
	MSDBD      uint8  // most SGL data block descriptors of a command; 0: no limit
	OFCS       uint16 // bit 0: Disconnect
}

// ControllerType is field CNTRLTYPE.
type ControllerType uint8

const (
	TypeNotReported    ControllerType = 0
	TypeIO             ControllerType = 1
	TypeDiscovery      ControllerType = 2
	TypeAdministrative ControllerType = 3
)

// Bits of IdentifyController's fields.
const (
	MultiPort       = 1 << 0 // CMIC
	MultiController = 1 << 1
	MultiANA        = 1 << 3 // asymmetric namespace access

	ANACapAll    = 0x1f   // ANACAP: all five states occur
	ANACapStatic = 1 << 6 // ANAGRPID of a namespace never changes

	AttrHostID128 = 1 << 0 // CTRATT: host IDs of 16 bytes
	AttrTBKAS     = 1 << 6 // any traffic keeps the connection alive
	AttrUUIDList  = 1 << 9

	LogPageNamespace = 1 << 0 // LPA: SMART of a namespace
	LogPageEffects   = 1 << 1 // LogEffects
	LogPageExtended  = 1 << 2 // offsets, and lengths of 32 bits

	CommandCompare      = 1 << 0 // ONCS
	CommandWriteZeroes  = 1 << 3
	CommandDSM          = 1 << 2
	CommandSaveSelect   = 1 << 4 // Set Features with Save, Get Features with Select
	CommandReservations = 1 << 5
	CommandTimestamp    = 1 << 6
	CommandVerify       = 1 << 7

	FuseCompareWrite = 1 << 0 // FUSES

	SGLSupported    = 1 << 0  // SGLS: no alignment needed
	SGLKeyed        = 1 << 2  // not over TCP
	SGLOffsets      = 1 << 20 // SGLInCapsule
	SGLTransportSGL = 1 << 21 // SGLTransport

	WriteCache         = 1 << 0 // VWC
	FlushAllNotSupport = 2 << 1 // Flush of NSIDAll fails
	FlushAllSupport    = 3 << 1 // Flush of NSIDAll flushes all namespaces
)

// Append appends the 4096 bytes.
func (c *IdentifyController) Append(dst []byte) []byte {
	return appendFixed(dst, IdentifySize, c.fields)
}

// Decode reads src, which has IdentifySize bytes.
func (c *IdentifyController) Decode(src []byte) error {
	v := IdentifyController{}
	if err := decodeFixed("Identify Controller", src, IdentifySize, v.fields); err != nil {
		return err
	}
	*c = v
	return nil
}

func (c *IdentifyController) fields(l *layout) {
	l.u16(0, &c.VID)
	l.u16(2, &c.SSVID)
	l.text(4, 20, &c.Serial)
	l.text(24, 40, &c.Model)
	l.text(64, 8, &c.Firmware)
	l.u8(72, &c.RAB)
	l.raw(73, c.IEEE[:])
	l.u8(76, &c.CMIC)
	l.u8(77, &c.MDTS)
	l.u16(78, &c.CNTLID)
	l.u32(80, (*uint32)(&c.Version))
	l.u32(84, &c.RTD3R)
	l.u32(88, &c.RTD3E)
	l.u32(92, (*uint32)(&c.OAES))
	l.u32(96, &c.CTRATT)
	l.u8(111, (*uint8)(&c.Type))
	for i := range c.CRDT {
		l.u16(128+2*i, &c.CRDT[i])
	}
	c.adminFields(l)
	c.ioFields(l)
}

// adminFields are the admin command set's, from byte 256.
func (c *IdentifyController) adminFields(l *layout) {
	l.u16(256, &c.OACS)
	l.u8(258, &c.ACL)
	l.u8(259, &c.AERL)
	l.u8(260, &c.FRMW)
	l.u8(261, &c.LPA)
	l.u8(262, &c.ELPE)
	l.u8(263, &c.NPSS)
	l.u16(266, &c.WCTEMP)
	l.u16(268, &c.CCTEMP)
	l.u16(320, &c.KAS)
	l.u8(342, &c.ANATT)
	l.u8(343, &c.ANACAP)
	l.u32(344, &c.ANAGRPMAX)
	l.u32(348, &c.NANAGRPID)
}

// ioFields are those of I/O commands, from byte 512, and of fabrics, from 1792.
func (c *IdentifyController) ioFields(l *layout) {
	l.u8(512, &c.SQES)
	l.u8(513, &c.CQES)
	l.u16(514, &c.MAXCMD)
	l.u32(516, &c.NN)
	l.u16(520, &c.ONCS)
	l.u16(522, &c.FUSES)
	l.u8(524, &c.FNA)
	l.u8(525, &c.VWC)
	l.u16(526, &c.AWUN)
	l.u16(528, &c.AWUPF)
	l.u8(531, &c.NWPC)
	l.u16(532, &c.ACWU)
	l.u32(536, &c.SGLS)
	l.u32(540, &c.MNAN)
	l.nqn(768, &c.SubNQN)
	l.u32(1792, &c.IOCCSZ)
	l.u32(1796, &c.IORCSZ)
	l.u16(1800, &c.ICDOFF)
	l.u8(1802, &c.FCATT)
	l.u8(1803, &c.MSDBD)
	l.u16(1804, &c.OFCS)
}

// CapsuleData is the most bytes of data in the capsule of an I/O command.
// It is 0 where IOCCSZ makes no sense.
func (c *IdentifyController) CapsuleData() int {
	const most = 1 << 24 // bytes; no peer comes near, and nothing here overflows
	return min(max(int(c.IOCCSZ), CommandSize/16), most/16)*16 - CommandSize
}

// AdminCapsuleData is the bytes of data that the capsule of an admin or Fabrics
// command may carry, whatever IOCCSZ says (TCP transport, "Capsules").
const AdminCapsuleData = 8192

// IdentifyNVMController is the data of Identify with CNSSetController and CSINVM
// (NVM command set specification, "I/O Command Set Specific Identify
// Controller"). Limits are 0 where there is none.
type IdentifyNVMController struct {
	VSL   uint8  // most data of a Verify: 2^n pages of CAP.MPSMIN
	WZSL  uint8  // most data of a Write Zeroes: 2^n pages of CAP.MPSMIN
	WUSL  uint8  // most data of a Write Uncorrectable: 2^n pages of CAP.MPSMIN
	DMRL  uint8  // most ranges of a Dataset Management
	DMRSL uint32 // most blocks of one of its ranges
	DMSL  uint64 // most blocks of all of its ranges
}

// Append appends the 4096 bytes.
func (c *IdentifyNVMController) Append(dst []byte) []byte {
	return appendFixed(dst, IdentifySize, c.fields)
}

// Decode reads src, which has IdentifySize bytes.
func (c *IdentifyNVMController) Decode(src []byte) error {
	return decodeFixed("Identify NVM Controller", src, IdentifySize, c.fields)
}

func (c *IdentifyNVMController) fields(l *layout) {
	l.u8(0, &c.VSL)
	l.u8(1, &c.WZSL)
	l.u8(2, &c.WUSL)
	l.u8(3, &c.DMRL)
	l.u32(4, &c.DMRSL)
	l.u64(8, &c.DMSL)
}

// PagesLimit turns MDTS, VSL, WZSL and WUSL into bytes, by the MinPage of
// Capabilities; 0: no limit.
func PagesLimit(exponent, minPage uint8) uint64 {
	if exponent == 0 || int(exponent)+12+int(minPage) > 62 {
		return 0
	}
	return 1 << (12 + int(minPage) + int(exponent))
}

// badField is an error of a structure's field.
func badField(what string, v any) error { return fmt.Errorf("%w: %s is %v", ErrField, what, v) }
