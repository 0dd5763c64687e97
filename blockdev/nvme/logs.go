package nvme

// Bytes of log pages, and of the entries of those that have some.
const (
	ErrorEntrySize        = 64
	SMARTSize             = 512
	EffectsSize           = 4096
	SupportedLogsSize     = 1024
	ReservationNoticeSize = 64
)

// ErrorEntry is an entry of LogError (base specification, "Error Information").
type ErrorEntry struct {
	Count       uint64 // number of the error, from 1; 0: no entry
	SQID        uint16
	CID         uint16
	StatusField uint16 // with phase tag: Status is all but bit 0
	Location    uint16 // byte and bit (from bit 8) of the parameter in the command; ffffh: none
	LBA         uint64
	NSID        uint32
	Vendor      uint8
	Transport   uint8 // TransportTCP...
	CSI         uint8
	Opcode      uint8
	Specific    uint64
	TransferTag uint16 // transport type specific: over TCP, offset of the parameter, or the TTAG
}

// Status is what the command ended with.
func (e *ErrorEntry) Status() Status { return Status(e.StatusField >> 1) }

// Append appends the 64 bytes.
func (e *ErrorEntry) Append(dst []byte) []byte { return appendFixed(dst, ErrorEntrySize, e.fields) }

// Decode reads the 64 bytes at the start of src.
func (e *ErrorEntry) Decode(src []byte) error {
	return decodeFixed("an error log entry", src, ErrorEntrySize, e.fields)
}

func (e *ErrorEntry) fields(l *layout) {
	l.u64(0, &e.Count)
	l.u16(8, &e.SQID)
	l.u16(10, &e.CID)
	l.u16(12, &e.StatusField)
	l.u16(14, &e.Location)
	l.u64(16, &e.LBA)
	l.u32(24, &e.NSID)
	l.u8(28, &e.Vendor)
	l.u8(29, &e.Transport)
	l.u8(30, &e.CSI)
	l.u8(31, &e.Opcode)
	l.u64(32, &e.Specific)
	l.u16(40, &e.TransferTag)
}

// SMART is LogSMART (base specification, "SMART / Health Information").
type SMART struct {
	Critical        uint8  // bits of what is wrong
	Temperature     uint16 // K
	Spare           uint8  // %
	SpareThreshold  uint8  // %
	Used            uint8  // %, may be above 100
	GroupCritical   uint8
	ReadUnits       Uint128 // 1000 times 512 bytes, rounded up; as is the next
	WriteUnits      Uint128
	Reads           Uint128 // commands
	Writes          Uint128 // commands
	BusyMinutes     Uint128
	PowerCycles     Uint128
	PowerOnHours    Uint128
	UnsafeShutdowns Uint128
	MediaErrors     Uint128
	ErrorEntries    Uint128
	WarningMinutes  uint32    // above the warning temperature
	CriticalMinutes uint32    // above the critical temperature
	Sensors         [8]uint16 // K; 0: none
	ManagedCount    [2]uint32
	ManagedSeconds  [2]uint32
}

// Append appends the 512 bytes.
func (s *SMART) Append(dst []byte) []byte { return appendFixed(dst, SMARTSize, s.fields) }

// Decode reads the 512 bytes at the start of src.
func (s *SMART) Decode(src []byte) error {
	return decodeFixed("the SMART log", src, SMARTSize, s.fields)
}

func (s *SMART) fields(l *layout) {
	l.u8(0, &s.Critical)
	l.u16(1, &s.Temperature)
	l.u8(3, &s.Spare)
	l.u8(4, &s.SpareThreshold)
	l.u8(5, &s.Used)
	l.u8(6, &s.GroupCritical)
	for i, v := range []*Uint128{&s.ReadUnits, &s.WriteUnits, &s.Reads, &s.Writes, &s.BusyMinutes, &s.PowerCycles,
		&s.PowerOnHours, &s.UnsafeShutdowns, &s.MediaErrors, &s.ErrorEntries} {
		l.u128(32+16*i, v)
	}
	l.u32(192, &s.WarningMinutes)
	l.u32(196, &s.CriticalMinutes)
	for i := range s.Sensors {
		l.u16(200+2*i, &s.Sensors[i])
	}
	for i := range s.ManagedCount {
		l.u32(216+4*i, &s.ManagedCount[i])
		l.u32(224+4*i, &s.ManagedSeconds[i])
	}
}

// Effect says what a command does (base specification, "Commands Supported and
// Effects").
type Effect uint32

const (
	EffectSupported  Effect = 1 << 0  // CSUPP
	EffectContent    Effect = 1 << 1  // LBCC: changes data
	EffectNamespace  Effect = 1 << 2  // NCC: changes what a namespace can do
	EffectInventory  Effect = 1 << 3  // NIC: changes which namespaces there are
	EffectController Effect = 1 << 4  // CCC: changes what the controller can do
	EffectExclusive  Effect = 1 << 16 // CSE 001b: no other command to the namespace at the same time
)

// Effects is LogEffects.
type Effects struct {
	Admin [256]Effect // by opcode
	IO    [256]Effect // by opcode
}

// Append appends the 4096 bytes.
func (e *Effects) Append(dst []byte) []byte { return appendFixed(dst, EffectsSize, e.fields) }

// Decode reads the 4096 bytes at the start of src.
func (e *Effects) Decode(src []byte) error {
	return decodeFixed("the effects log", src, EffectsSize, e.fields)
}

func (e *Effects) fields(l *layout) {
	for i := range e.Admin {
		l.u32(4*i, (*uint32)(&e.Admin[i]))
		l.u32(1024+4*i, (*uint32)(&e.IO[i]))
	}
}

// SupportedLogs is LogSupported: bit 0 if there is such a page, by LogID.
type SupportedLogs struct{ Pages [256]uint32 }

// Append appends the 1024 bytes.
func (s *SupportedLogs) Append(dst []byte) []byte {
	return appendFixed(dst, SupportedLogsSize, s.fields)
}

// Decode reads the 1024 bytes at the start of src.
func (s *SupportedLogs) Decode(src []byte) error {
	return decodeFixed("the list of log pages", src, SupportedLogsSize, s.fields)
}

func (s *SupportedLogs) fields(l *layout) {
	for i := range s.Pages {
		l.u32(4*i, &s.Pages[i])
	}
}
