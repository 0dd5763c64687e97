package nvme

// CNS says what an Identify is to give (base specification, "Identify Command").
type CNS uint8

const (
	CNSNamespace       CNS = 0x00 // IdentifyNamespace
	CNSController      CNS = 0x01 // IdentifyController
	CNSActiveList      CNS = 0x02 // NSIDList: namespaces above NSID
	CNSDescriptors     CNS = 0x03 // descriptors: the names of NSID
	CNSSetNamespace    CNS = 0x05 // of a command set; NVM: IdentifyNVMNamespace
	CNSSetController   CNS = 0x06 // of a command set; NVM: IdentifyNVMController
	CNSSetActiveList   CNS = 0x07 // NSIDList: namespaces of a command set above NSID
	CNSIndependent     CNS = 0x08 // IdentifyIndependent: of NSID, whatever its command set
	CNSControllerList  CNS = 0x13 // ControllerList of the subsystem
	CNSCommandSetTable CNS = 0x1c // which command sets go together
)

// CSINVM is the NVM command set.
const CSINVM = 0

// IdentifySize is the bytes of data of each Identify.
const IdentifySize = 4096

// Identify is the parameters of an Identify.
type Identify struct {
	CNS    CNS
	CSI    uint8  // command set, of CNS 05h to 07h
	NSID   uint32 // where CNS says so, else 0
	CNTLID uint16 // where CNS says so, else 0
}

// SetIdentify makes c an Identify. CID stays.
func (c *Command) SetIdentify(p Identify) {
	*c = Command{
		Opcode: OpIdentify, CID: c.CID, NSID: p.NSID, CDW10: uint32(p.CNS) | uint32(p.CNTLID)<<16,
		CDW11: uint32(p.CSI) << 24,
	}
	c.SetData(IdentifySize, false)
}

// Identify reads the parameters of an Identify.
func (c *Command) Identify() Identify {
	return Identify{CNS: CNS(c.CDW10), CSI: uint8(c.CDW11 >> 24), NSID: c.NSID, CNTLID: uint16(c.CDW10 >> 16)}
}

// LogID is a log page (base specification, "Get Log Page Command").
type LogID uint8

const (
	LogSupported     LogID = 0x00 // which log pages there are
	LogError         LogID = 0x01 // ErrorEntry, newest first
	LogSMART         LogID = 0x02 // SMART
	LogFirmware      LogID = 0x03 // firmware slots
	LogChangedNS     LogID = 0x04 // NSIDList: changed since it was read last
	LogEffects       LogID = 0x05 // Effects
	LogANA           LogID = 0x0c // ANA header and groups
	LogDiscovery     LogID = 0x70 // DiscoveryHeader and DiscoveryEntry
	LogReservation   LogID = 0x80 // ReservationNotice, oldest first
	ANAGroupsOnly          = 1    // LogPage.Specific of LogANA: without lists of namespaces
	retainEventShift       = 15
)

// LogPage is the parameters of a Get Log Page.
type LogPage struct {
	ID       LogID
	NSID     uint32 // NSIDAll: of the controller
	Specific uint8  // LSP, 0 to 127
	Retain   bool   // RAE: the event that pointed to the page is not cleared
	Length   uint64 // bytes: a multiple of 4, 4 to 2^34
	Offset   uint64 // bytes: a multiple of 4
	CSI      uint8  // command set, of the pages that depend on it
}

// SetLogPage makes c a Get Log Page. CID stays. Length must fit into 32 bits:
// the SGL can say no more.
func (c *Command) SetLogPage(p *LogPage) {
	dwords := p.Length/4 - 1
	*c = Command{
		Opcode: OpGetLogPage, CID: c.CID, NSID: p.NSID,
		CDW10: uint32(p.ID) | uint32(p.Specific&0x7f)<<8 | uint32(bit(p.Retain, 0))<<retainEventShift | uint32(dwords)<<16,
		CDW11: uint32(dwords >> 16), CDW12: uint32(p.Offset), CDW13: uint32(p.Offset >> 32), CDW14: uint32(p.CSI) << 24,
	}
	c.CDW11 &= 0xffff
	c.SetData(uint32(p.Length), false)
}

// LogPage reads the parameters of a Get Log Page. A length other than that of
// the SGL, or an offset that is not a multiple of 4, is StatusInvalidField.
func (c *Command) LogPage() (LogPage, Status) {
	p := LogPage{
		ID: LogID(c.CDW10), NSID: c.NSID, Specific: uint8(c.CDW10>>8) & 0x7f, Retain: c.CDW10>>retainEventShift&1 != 0,
		Length: (uint64(c.CDW10>>16|c.CDW11<<16) + 1) * 4, Offset: uint64(c.CDW12) | uint64(c.CDW13)<<32,
		CSI: uint8(c.CDW14 >> 24),
	}
	const indexOffset = 1 << 23 // OT: the offset counts entries; nobody here offers that
	if p.Length != uint64(c.SGL.Length) || p.Offset%4 != 0 || c.CDW14&indexOffset != 0 {
		return LogPage{}, StatusInvalidField | DNR
	}
	return p, StatusSuccess
}

// SetAbort makes c an Abort of the command with the ID cid on queue sqid. CID
// stays. Bit 0 of the Result is 0 if the command was aborted.
func (c *Command) SetAbort(sqid, cid uint16) {
	*c = Command{Opcode: OpAbort, CID: c.CID, CDW10: uint32(sqid) | uint32(cid)<<16}
	c.SetData(0, false)
}

// Abort reads the parameters of an Abort.
func (c *Command) Abort() (sqid, cid uint16) { return uint16(c.CDW10), uint16(c.CDW10 >> 16) }

// SetKeepAlive makes c a Keep Alive. CID stays.
func (c *Command) SetKeepAlive() {
	*c = Command{Opcode: OpKeepAlive, CID: c.CID}
	c.SetData(0, false)
}

// SetAsyncEvent makes c an Asynchronous Event Request. CID stays. It completes
// when there is an event, with AsyncEvent as its Result.
func (c *Command) SetAsyncEvent() {
	*c = Command{Opcode: OpAsyncEvent, CID: c.CID}
	c.SetData(0, false)
}

// AsyncEvent is the Result of an Asynchronous Event Request (base specification,
// "Asynchronous Event Request Command").
type AsyncEvent struct {
	Type EventType
	Info uint8 // the event of the type
	Log  LogID // reading it clears the event
}

// EventType is a kind of event.
type EventType uint8

const (
	EventError     EventType = 0
	EventSMART     EventType = 1
	EventNotice    EventType = 2
	EventCommand   EventType = 6 // Info: EventReservation...
	EventVendor    EventType = 7
	eventTypeMask            = 7
	eventInfoShift           = 8
	eventLogShift            = 16
)

// Info of EventNotice, and of EventCommand of the NVM command set.
const (
	NoticeNamespace    = 0x00 // namespaces or their attributes have changed
	NoticeANA          = 0x03 // asymmetric access has changed
	NoticeDiscovery    = 0xf0 // the discovery log has changed
	CommandReservation = 0x00 // a reservation log page is there
)

// Value is the Result.
func (e AsyncEvent) Value() uint64 {
	return uint64(e.Type&eventTypeMask) | uint64(e.Info)<<eventInfoShift | uint64(e.Log)<<eventLogShift
}

// ParseAsyncEvent reads the Result.
func ParseAsyncEvent(v uint64) AsyncEvent {
	return AsyncEvent{
		Type: EventType(v & eventTypeMask), Info: uint8(v >> eventInfoShift), Log: LogID(v >> eventLogShift),
	}
}
