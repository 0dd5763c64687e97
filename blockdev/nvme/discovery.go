package nvme

import "fmt"

// Bytes of the parts of LogDiscovery.
const (
	DiscoveryHeaderSize = 1024
	DiscoveryEntrySize  = 1024
)

// DiscoveryHeader begins LogDiscovery (base specification, "Discovery Log
// Page"). A host reads it, then the entries, then it again: if Generation is
// another one, it begins anew.
type DiscoveryHeader struct {
	Generation uint64 // counts changes of the page
	Records    uint64 // entries that follow
	Format     uint16 // 0
}

// Append appends the 1024 bytes.
func (h *DiscoveryHeader) Append(dst []byte) []byte {
	return appendFixed(dst, DiscoveryHeaderSize, h.fields)
}

// Decode reads the first 18 bytes of src: a host may read no more at first.
// ErrField if the format is unknown.
func (h *DiscoveryHeader) Decode(src []byte) error {
	var v DiscoveryHeader
	if err := decodeFixed("the discovery log", src, 18, v.fields); err != nil {
		return err
	}
	if v.Format != 0 {
		return badField("RECFMT of the discovery log", v.Format)
	}
	*h = v
	return nil
}

func (h *DiscoveryHeader) fields(l *layout) {
	l.u64(0, &h.Generation)
	l.u64(8, &h.Records)
	l.u16(16, &h.Format)
}

// Fields of a DiscoveryEntry.
const (
	TransportRDMA = 1
	TransportFC   = 2
	TransportTCP  = 3
	TransportLoop = 254

	FamilyIPv4 = 1
	FamilyIPv6 = 2

	SubsystemReferral  = 1 // another discovery service
	SubsystemNVM       = 2
	SubsystemDiscovery = 3 // this discovery service itself

	SecureNotSpecified = 0 // TREQ, bits 0 and 1
	SecureRequired     = 1
	SecureNotRequired  = 2
	NoFlowControl      = 1 << 2 // TREQ: ConnectNoFlowControl is possible

	EntryDuplicate  = 1 << 0 // EFLAGS: returned information is the same on all ports of the service
	EntryPersistent = 1 << 1 // EFLAGS: the discovery controller stays connected, and sends events

	SecurityNone  = 0 // TSAS of TCP: SECTYPE
	SecurityTLS12 = 1
	SecurityTLS13 = 2
)

// DiscoveryEntry is an entry of LogDiscovery: a way to a subsystem.
type DiscoveryEntry struct {
	Transport uint8  // TransportTCP...
	Family    uint8  // FamilyIPv4...
	Subsystem uint8  // SubsystemNVM...
	TREQ      uint8  // Secure..., NoFlowControl
	PortID    uint16 // of the port in its subsystem
	CNTLID    uint16 // CNTLIDDynamic
	ASQSZ     uint16 // most entries of the admin queue, 32 at least
	EFlags    uint16 // Entry...
	Service   string // TRSVCID: the TCP port; 32 bytes at most
	SubNQN    string
	Address   string // TRADDR: an IP address; 256 bytes at most
	Security  uint8  // Security...
}

// Append appends the 1024 bytes.
func (e *DiscoveryEntry) Append(dst []byte) []byte {
	return appendFixed(dst, DiscoveryEntrySize, e.fields)
}

// Decode reads the 1024 bytes at the start of src.
func (e *DiscoveryEntry) Decode(src []byte) error {
	var v DiscoveryEntry
	if err := decodeFixed("a discovery log entry", src, DiscoveryEntrySize, v.fields); err != nil {
		return err
	}
	if v.SubNQN == "" {
		return fmt.Errorf("a discovery log entry: SUBNQN: %w: it is empty", ErrNQN)
	}
	*e = v
	return nil
}

func (e *DiscoveryEntry) fields(l *layout) {
	l.u8(0, &e.Transport)
	l.u8(1, &e.Family)
	l.u8(2, &e.Subsystem)
	l.u8(3, &e.TREQ)
	l.u16(4, &e.PortID)
	l.u16(6, &e.CNTLID)
	l.u16(8, &e.ASQSZ)
	l.u16(10, &e.EFlags)
	l.text(32, 32, &e.Service)
	l.nqn(256, &e.SubNQN)
	l.text(512, 256, &e.Address)
	l.u8(768, &e.Security)
}
