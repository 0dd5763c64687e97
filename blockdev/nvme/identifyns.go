package nvme

// LBAFormat is a block format (NVM command set specification, "LBA Format").
type LBAFormat struct {
	Metadata uint16 // bytes for each block
	Shift    uint8  // LBADS: blocks of 2^n bytes, 9 at least; 0: no format
	RP       uint8  // relative performance, 0 best to 3
}

// maxFormats is how many formats a namespace can have.
const maxFormats = 64

// IdentifyNamespace is the data of Identify with CNSNamespace (NVM command set
// specification, "Identify Namespace Data Structure"). All of it is zero if the
// NSID is not active.
type IdentifyNamespace struct {
	NSZE     uint64 // blocks
	NCAP     uint64 // blocks that may be allocated
	NUSE     uint64 // blocks that are allocated
	NSFEAT   uint8  // NS...
	NLBAF    uint8  // formats, minus one
	FLBAS    uint8  // the format: bits 0 to 3, and above them 5 and 6; bit 4: metadata behind the data
	MC, DPC  uint8
	DPS      uint8 // bits 0 to 2: type of protection information; 0: none
	NMIC     uint8 // bit 0: shared by controllers
	RESCAP   uint8 // Reserve...
	FPI      uint8
	DLFEAT   uint8  // bits 0 to 2: 1: deallocated blocks read as zeroes; bit 3: Write Zeroes may deallocate
	NAWUN    uint16 // blocks, minus one; as are the next two
	NAWUPF   uint16
	NACWU    uint16
	NABSN    uint16
	NABO     uint16
	NABSPF   uint16
	NOIOB    uint16
	NVMCAP   Uint128
	NPWG     uint16 // blocks, minus one: good sizes; as are the next four
	NPWA     uint16
	NPDG     uint16
	NPDA     uint16
	NOWS     uint16
	ANAGRPID uint32
	NSATTR   uint8 // bit 0: write protected
	NVMSETID uint16
	ENDGID   uint16
	NGUID    [16]byte
	EUI64    [8]byte
	Formats  [maxFormats]LBAFormat
}

// Bits of RESCAP and others.
const (
	NSThin         = 1 << 0 // NSFEAT: NCAP may be less than NSZE
	NSAtomic       = 1 << 1 // NAWUN, NAWUPF, NACWU are there
	NSDeallocate   = 1 << 2 // reading a deallocated block fails, if the host wants that
	NSOptimal      = 1 << 4 // NPWG, NPWA, NPDG, NPDA, NOWS are there
	NSShared       = 1 << 0 // NMIC
	NSWriteProtect = 1 << 0 // NSATTR

	ReservePersist = 1 << 0 // RESCAP: reservations can persist through power loss
	ReserveAll     = 0x7e   // all six types, bits 1 to 6
	ReserveIEKEY13 = 1 << 7 // IEKEY as of version 1.3
)

// Append appends the 4096 bytes.
func (n *IdentifyNamespace) Append(dst []byte) []byte {
	return appendFixed(dst, IdentifySize, n.fields)
}

// Decode reads src, which has IdentifySize bytes.
func (n *IdentifyNamespace) Decode(src []byte) error {
	return decodeFixed("Identify Namespace", src, IdentifySize, n.fields)
}

func (n *IdentifyNamespace) fields(l *layout) {
	l.u64(0, &n.NSZE)
	l.u64(8, &n.NCAP)
	l.u64(16, &n.NUSE)
	l.u8(24, &n.NSFEAT)
	l.u8(25, &n.NLBAF)
	l.u8(26, &n.FLBAS)
	l.u8(27, &n.MC)
	l.u8(28, &n.DPC)
	l.u8(29, &n.DPS)
	l.u8(30, &n.NMIC)
	l.u8(31, &n.RESCAP)
	l.u8(32, &n.FPI)
	l.u8(33, &n.DLFEAT)
	for i, v := range []*uint16{&n.NAWUN, &n.NAWUPF, &n.NACWU, &n.NABSN, &n.NABO, &n.NABSPF, &n.NOIOB} {
		l.u16(34+2*i, v)
	}
	l.u128(48, &n.NVMCAP)
	for i, v := range []*uint16{&n.NPWG, &n.NPWA, &n.NPDG, &n.NPDA, &n.NOWS} {
		l.u16(64+2*i, v)
	}
	l.u32(92, &n.ANAGRPID)
	l.u8(99, &n.NSATTR)
	l.u16(100, &n.NVMSETID)
	l.u16(102, &n.ENDGID)
	l.raw(104, n.NGUID[:])
	l.raw(120, n.EUI64[:])
	for i := range n.Formats {
		f := &n.Formats[i]
		l.u16(128+4*i, &f.Metadata)
		l.u8(128+4*i+2, &f.Shift)
		l.u8(128+4*i+3, &f.RP)
	}
}

// Active says whether there is such a namespace.
func (n *IdentifyNamespace) Active() bool { return n.NSZE != 0 }

// Format gives the format in use. ErrField if it is none, or the bytes of the
// namespace don't fit into 63 bits.
func (n *IdentifyNamespace) Format() (LBAFormat, error) {
	i := n.FLBAS&15 | n.FLBAS>>1&0x30
	if i > n.NLBAF {
		return LBAFormat{}, badField("FLBAS", n.FLBAS)
	}
	f := n.Formats[i]
	f.RP &= 3
	switch {
	case f.Shift < 9 || f.Shift > 31:
		return LBAFormat{}, badField("LBADS", f.Shift)
	case n.NSZE > (1<<63-1)>>f.Shift:
		return LBAFormat{}, badField("NSZE", n.NSZE)
	}
	return f, nil
}

// IdentifyNVMNamespace is the data of Identify with CNSSetNamespace and CSINVM.
type IdentifyNVMNamespace struct {
	LBSTM    uint64             // mask of storage tags
	PIC      uint8              // protection information that there is
	Extended [maxFormats]uint32 // ELBAF: more of each format
}

// Append appends the 4096 bytes.
func (n *IdentifyNVMNamespace) Append(dst []byte) []byte {
	return appendFixed(dst, IdentifySize, n.fields)
}

// Decode reads src, which has IdentifySize bytes.
func (n *IdentifyNVMNamespace) Decode(src []byte) error {
	return decodeFixed("Identify NVM Namespace", src, IdentifySize, n.fields)
}

func (n *IdentifyNVMNamespace) fields(l *layout) {
	l.u64(0, &n.LBSTM)
	l.u8(8, &n.PIC)
	for i := range n.Extended {
		l.u32(12+4*i, &n.Extended[i])
	}
}

// IdentifyIndependent is the data of Identify with CNSIndependent (base
// specification, "I/O Command Set Independent Identify Namespace").
type IdentifyIndependent struct {
	NSFEAT   uint8
	NMIC     uint8 // bit 0: shared by controllers
	RESCAP   uint8 // Reserve...
	FPI      uint8
	ANAGRPID uint32
	NSATTR   uint8 // bit 0: write protected
	NVMSETID uint16
	ENDGID   uint16
	NSTAT    uint8 // bit 0: ready
}

// NSReady is a bit of NSTAT.
const NSReady = 1 << 0

// Append appends the 4096 bytes.
func (n *IdentifyIndependent) Append(dst []byte) []byte {
	return appendFixed(dst, IdentifySize, n.fields)
}

// Decode reads src, which has IdentifySize bytes.
func (n *IdentifyIndependent) Decode(src []byte) error {
	return decodeFixed("Identify Namespace, independent of command sets", src, IdentifySize, n.fields)
}

func (n *IdentifyIndependent) fields(l *layout) {
	l.u8(0, &n.NSFEAT)
	l.u8(1, &n.NMIC)
	l.u8(2, &n.RESCAP)
	l.u8(3, &n.FPI)
	l.u32(4, &n.ANAGRPID)
	l.u8(8, &n.NSATTR)
	l.u16(10, &n.NVMSETID)
	l.u16(12, &n.ENDGID)
	l.u8(14, &n.NSTAT)
}
