package nvme

import "fmt"

// Offsets of properties (base specification, "Property Definitions"). CAP has 8
// bytes, the others 4.
const (
	PropCAP  = 0x00
	PropVS   = 0x08
	PropCC   = 0x14
	PropCSTS = 0x1c
	PropNSSR = 0x20
	PropCRTO = 0x68
)

// Version is the property VS, and field VER of Identify Controller.
type Version uint32

// Versions that there are.
const (
	Version13 Version = 0x10300
	Version14 Version = 0x10400
	Version20 Version = 0x20000
	Version21 Version = 0x20100
)

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff) }

// Capabilities is the property CAP.
type Capabilities struct {
	MaxQueue    uint16 // MQES: entries of a queue, minus one
	Contiguous  bool   // CQR: over fabrics true
	Timeout     uint8  // TO: how long CC.EN may take to show in CSTS.RDY, in 500 ms
	NVM         bool   // CSS bit 0: the NVM command set
	CommandSets bool   // CSS bit 6: Identify with CSI
	NoIO        bool   // CSS bit 7: admin commands only
	MinPage     uint8  // MPSMIN: 2^(12+n) bytes
	MaxPage     uint8  // MPSMAX: 2^(12+n) bytes
	ReadyModes  uint8  // CRMS: bit 0: CRTO and media ready mode, bit 1: independent of media
}

// Value is the property.
func (c Capabilities) Value() uint64 {
	return uint64(c.MaxQueue) | uint64(bit(c.Contiguous, 0))<<16 | uint64(c.Timeout)<<24 |
		uint64(bit(c.NVM, 0)|bit(c.CommandSets, 6)|bit(c.NoIO, 7))<<37 |
		uint64(c.MinPage&15)<<48 | uint64(c.MaxPage&15)<<52 | uint64(c.ReadyModes&3)<<59
}

// ParseCapabilities reads the property.
func ParseCapabilities(v uint64) Capabilities {
	return Capabilities{
		MaxQueue: uint16(v), Contiguous: v>>16&1 != 0, Timeout: uint8(v >> 24), NVM: v>>37&1 != 0,
		CommandSets: v>>43&1 != 0, NoIO: v>>44&1 != 0, MinPage: uint8(v>>48) & 15, MaxPage: uint8(v>>52) & 15,
		ReadyModes: uint8(v>>59) & 3,
	}
}

// Config is the property CC.
type Config struct {
	Enable     bool  // EN
	CommandSet uint8 // CSS: 0 NVM, 6 all that are supported, 7 none
	Page       uint8 // MPS: 2^(12+n) bytes
	Arbitrate  uint8 // AMS
	Shutdown   uint8 // SHN: 0 none, 1 normal, 2 abrupt
	SQESize    uint8 // IOSQES: 2^n bytes, 6
	CQESize    uint8 // IOCQES: 2^n bytes, 4
	ReadyMode  bool  // CRIME: ready independent of media
}

// Values of Config.CommandSet and Config.Shutdown.
const (
	CommandSetNVM   = 0
	CommandSetAll   = 6
	CommandSetNone  = 7
	ShutdownNormal  = 1
	ShutdownAbrupt  = 2
	DefaultSQESize  = 6
	DefaultCQESize  = 4
	shiftCommandSet = 4
)

// Value is the property.
func (c Config) Value() uint32 {
	return uint32(bit(c.Enable, 0)) | uint32(c.CommandSet&7)<<shiftCommandSet | uint32(c.Page&15)<<7 |
		uint32(c.Arbitrate&7)<<11 | uint32(c.Shutdown&3)<<14 | uint32(c.SQESize&15)<<16 |
		uint32(c.CQESize&15)<<20 | uint32(bit(c.ReadyMode, 0))<<24
}

// ParseConfig reads the property.
func ParseConfig(v uint32) Config {
	return Config{
		Enable: v&1 != 0, CommandSet: uint8(v>>shiftCommandSet) & 7, Page: uint8(v>>7) & 15,
		Arbitrate: uint8(v>>11) & 7, Shutdown: uint8(v>>14) & 3, SQESize: uint8(v>>16) & 15,
		CQESize: uint8(v>>20) & 15, ReadyMode: v>>24&1 != 0,
	}
}

// ControllerStatus is the property CSTS.
type ControllerStatus uint32

const (
	StatusReady         ControllerStatus = 1 << 0 // RDY
	StatusFatal         ControllerStatus = 1 << 1 // CFS
	StatusShutdownBusy  ControllerStatus = 1 << 2 // SHST 01b: shutdown in progress
	StatusShutdownDone  ControllerStatus = 2 << 2 // SHST 10b: shutdown complete
	StatusShutdownMask  ControllerStatus = 3 << 2
	StatusResetOccurred ControllerStatus = 1 << 4 // NSSRO
)

// ReadyTimeouts is the property CRTO: how long a controller takes to be ready,
// in 500 ms.
type ReadyTimeouts struct {
	WithMedia   uint16 // CRWMT
	Independent uint16 // CRIMT
}

// Value is the property.
func (r ReadyTimeouts) Value() uint32 { return uint32(r.WithMedia) | uint32(r.Independent)<<16 }

// ParseReadyTimeouts reads the property.
func ParseReadyTimeouts(v uint32) ReadyTimeouts {
	return ReadyTimeouts{WithMedia: uint16(v), Independent: uint16(v >> 16)}
}
