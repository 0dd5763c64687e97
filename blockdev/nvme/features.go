package nvme

import "encoding/binary"

// FeatureID is a feature (base specification, "Feature Identifiers").
type FeatureID uint8

const (
	FeatureArbitration     FeatureID = 0x01
	FeaturePower           FeatureID = 0x02
	FeatureTemperature     FeatureID = 0x04
	FeatureErrorRecovery   FeatureID = 0x05
	FeatureWriteCache      FeatureID = 0x06 // bit 0: the volatile write cache is on
	FeatureQueues          FeatureID = 0x07 // QueueCount
	FeatureInterruptMerge  FeatureID = 0x08
	FeatureInterruptVector FeatureID = 0x09
	FeatureAtomicity       FeatureID = 0x0a // bit 0: only power loss counts
	FeatureAsyncEvents     FeatureID = 0x0b // EventMask
	FeatureTimestamp       FeatureID = 0x0e // data: Timestamp
	FeatureKeepAlive       FeatureID = 0x0f // ms
	FeatureHostBehavior    FeatureID = 0x16 // data: 512 bytes
	FeatureHostID          FeatureID = 0x81 // data: 16 bytes; bit 0: they are 16, not 8
	FeatureReservationMask FeatureID = 0x82 // bits 1 to 3: no such event
	FeatureReservationKeep FeatureID = 0x83 // bit 0: PTPL, persist through power loss
)

// Bytes of the features that have data.
const (
	HostIDSize       = 16
	TimestampSize    = 8
	HostBehaviorSize = 512
)

// Selection is which value Get Features gives.
type Selection uint8

const (
	SelectCurrent   Selection = 0
	SelectDefault   Selection = 1
	SelectSaved     Selection = 2
	SelectSupported Selection = 3 // the Result is FeatureCapabilities
)

// FeatureCapabilities is the Result of Get Features with SelectSupported.
type FeatureCapabilities uint32

const (
	FeatureSaveable   FeatureCapabilities = 1 << 0
	FeatureNamespace  FeatureCapabilities = 1 << 1 // one value for each namespace
	FeatureChangeable FeatureCapabilities = 1 << 2
)

// Feature is the parameters of Set Features and Get Features.
type Feature struct {
	ID     FeatureID
	Select Selection // Get Features
	Save   bool      // Set Features
	NSID   uint32    // where the feature is one of a namespace
	Value  uint32    // Set Features: dword 11
}

// SetSetFeatures makes c a Set Features with n bytes of data, in its capsule. CID
// stays.
func (c *Command) SetSetFeatures(p Feature, n uint32) {
	*c = Command{
		Opcode: OpSetFeatures, CID: c.CID, NSID: p.NSID, CDW10: uint32(p.ID) | uint32(bit(p.Save, 0))<<31,
		CDW11: p.Value,
	}
	c.SetData(n, n != 0)
}

// SetGetFeatures makes c a Get Features with n bytes of data. CID stays. The
// Result of its completion is the value.
func (c *Command) SetGetFeatures(p Feature, n uint32) {
	*c = Command{
		Opcode: OpGetFeatures, CID: c.CID, NSID: p.NSID, CDW10: uint32(p.ID) | uint32(p.Select&7)<<8, CDW11: p.Value,
	}
	c.SetData(n, false)
}

// Feature reads the parameters of Set Features and Get Features.
func (c *Command) Feature() Feature {
	f := Feature{ID: FeatureID(c.CDW10), NSID: c.NSID, Value: c.CDW11}
	if c.Opcode == OpSetFeatures {
		f.Save = c.CDW10>>31 != 0
	} else {
		f.Select = Selection(c.CDW10>>8) & 7
	}
	return f
}

// QueueCount is the value of FeatureQueues, and the Result of setting it: I/O
// queues, 1 to 65535, not minus one. What the controller gives may be less, or
// more, than the host has asked for.
type QueueCount struct {
	Submission uint32
	Completion uint32
}

// Value is the feature.
func (q QueueCount) Value() uint32 { return (q.Submission-1)&0xffff | (q.Completion-1)<<16 }

// ParseQueueCount reads the feature. 65536 of either is StatusInvalidField.
func ParseQueueCount(v uint32) (QueueCount, Status) {
	q := QueueCount{Submission: v&0xffff + 1, Completion: v>>16 + 1}
	if q.Submission > 0xffff || q.Completion > 0xffff {
		return QueueCount{}, StatusInvalidField | DNR
	}
	return q, StatusSuccess
}

// EventMask is the value of FeatureAsyncEvents: which events the host wants. Its
// upper bits are those of Identify Controller's OAES.
type EventMask uint32

const (
	EventsSMART     EventMask = 0xff    // bits 0 to 7: critical warnings
	EventsNamespace EventMask = 1 << 8  // NoticeNamespace
	EventsANA       EventMask = 1 << 11 // NoticeANA
	EventsDiscovery EventMask = 1 << 31 // NoticeDiscovery
)

// Timestamp is the data of FeatureTimestamp: ms since 1970, 48 bits.
type Timestamp struct {
	Millis uint64
	Origin uint8 // 0: reset, 1: set by a host
}

// Append appends the 8 bytes.
func (t Timestamp) Append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, t.Millis&(1<<48-1)|uint64(t.Origin&7)<<49)
}

// Decode reads the 8 bytes at the start of src.
func (t *Timestamp) Decode(src []byte) error {
	if err := need("a timestamp", src, TimestampSize); err != nil {
		return err
	}
	v := binary.LittleEndian.Uint64(src)
	*t = Timestamp{Millis: v & (1<<48 - 1), Origin: uint8(v>>49) & 7}
	return nil
}
