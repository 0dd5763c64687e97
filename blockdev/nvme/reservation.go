package nvme

import (
	"encoding/binary"
	"fmt"
)

// ReservationType is a type of reservation (NVM command set specification,
// "Reservation Type").
type ReservationType uint8

const (
	NoReservation                 ReservationType = 0
	WriteExclusive                ReservationType = 1 // the holder may write, all may read
	ExclusiveAccess               ReservationType = 2 // the holder may read and write
	WriteExclusiveRegistrants     ReservationType = 3 // registrants may write, all may read; there is a holder
	ExclusiveAccessRegistrants    ReservationType = 4 // registrants may read and write; there is a holder
	WriteExclusiveAllRegistrants  ReservationType = 5 // as 3, and all registrants are holders
	ExclusiveAccessAllRegistrants ReservationType = 6 // as 4, and all registrants are holders
)

var reservationNames = [...]string{
	"none", "write exclusive", "exclusive access", "write exclusive, registrants only",
	"exclusive access, registrants only", "write exclusive, all registrants", "exclusive access, all registrants",
}

func (t ReservationType) String() string {
	if int(t) >= len(reservationNames) {
		return fmt.Sprintf("reservation type %d", uint8(t))
	}
	return reservationNames[t]
}

// Valid says whether t is one of the six types.
func (t ReservationType) Valid() bool {
	return t >= WriteExclusive && t <= ExclusiveAccessAllRegistrants
}

// ReservationAction is what a Reservation Register, Acquire or Release does
// (fields RREGA, RACQA, RRELA).
type ReservationAction uint8

const (
	Register         ReservationAction = 0 // Reservation Register: Other is the new key
	Unregister       ReservationAction = 1
	ReplaceKey       ReservationAction = 2 // Other is the new key
	Acquire          ReservationAction = 0 // Reservation Acquire
	Preempt          ReservationAction = 1 // Other is the key whose registrants go
	PreemptAndAbort  ReservationAction = 2 // and their commands are aborted
	Release          ReservationAction = 0 // Reservation Release
	Clear            ReservationAction = 1 // reservation and all registrants
	reservationField                   = 7
)

// Persist is field CPTPL of Reservation Register: whether registrations and
// reservation persist through power loss.
type Persist uint8

const (
	PersistNoChange Persist = 0
	PersistOff      Persist = 2
	PersistOn       Persist = 3
)

// Reservation is the parameters of Reservation Register, Acquire and Release.
type Reservation struct {
	NSID      uint32
	Action    ReservationAction
	IgnoreKey bool            // IEKEY: the current key is not compared
	Type      ReservationType // of Acquire and Release
	Persist   Persist         // of Register
}

// Bytes of data of reservation commands.
const (
	ReservationDataSize    = 16 // Register, Acquire
	ReservationReleaseSize = 8  // Release
)

// SetReservation makes c the command op: OpReservationRegister, -Acquire or
// -Release, with its data in the capsule or not. CID stays.
func (c *Command) SetReservation(op Opcode, p *Reservation, inCapsule bool) {
	*c = Command{
		Opcode: op, CID: c.CID, NSID: p.NSID, CDW10: uint32(p.Action&reservationField) | uint32(bit(p.IgnoreKey, 3)),
	}
	n := uint32(ReservationDataSize)
	switch op {
	case OpReservationRegister:
		c.CDW10 |= uint32(p.Persist) << 30
	case OpReservationRelease:
		n = ReservationReleaseSize
		fallthrough
	default:
		c.CDW10 |= uint32(p.Type) << 8
	}
	c.SetData(n, inCapsule)
}

// Reservation reads the parameters of Reservation Register, Acquire and Release.
func (c *Command) Reservation() Reservation {
	r := Reservation{
		NSID: c.NSID, Action: ReservationAction(c.CDW10 & reservationField), IgnoreKey: c.CDW10>>3&1 != 0,
	}
	if c.Opcode == OpReservationRegister {
		r.Persist = Persist(c.CDW10 >> 30)
	} else {
		r.Type = ReservationType(c.CDW10 >> 8)
	}
	return r
}

// ReservationKeys is the data of Reservation Register and Acquire.
type ReservationKeys struct {
	Current uint64 // CRKEY
	Other   uint64 // NRKEY or PRKEY: see ReservationAction
}

// Append appends the 16 bytes.
func (k *ReservationKeys) Append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(AppendReleaseKey(dst, k.Current), k.Other)
}

// Decode reads the 16 bytes at the start of src.
func (k *ReservationKeys) Decode(src []byte) error {
	if err := need("reservation keys", src, ReservationDataSize); err != nil {
		return err
	}
	*k = ReservationKeys{Current: binary.LittleEndian.Uint64(src), Other: binary.LittleEndian.Uint64(src[8:])}
	return nil
}

// AppendReleaseKey appends the data of Reservation Release: the current key.
func AppendReleaseKey(dst []byte, key uint64) []byte {
	return binary.LittleEndian.AppendUint64(dst, key)
}

// ReleaseKey reads the data of Reservation Release.
func ReleaseKey(src []byte) (uint64, error) {
	if err := need("a reservation key", src, ReservationReleaseSize); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(src), nil
}

// Report is the parameters of Reservation Report.
type Report struct {
	NSID     uint32
	Extended bool   // EDS: with host IDs of 16 bytes; a host that has such an ID must ask so
	Length   uint64 // bytes: a multiple of 4, from 4 on
}

// SetReport makes c a Reservation Report. CID stays.
func (c *Command) SetReport(p Report) {
	*c = Command{
		Opcode: OpReservationReport, CID: c.CID, NSID: p.NSID, CDW10: uint32(p.Length/4 - 1),
		CDW11: uint32(bit(p.Extended, 0)),
	}
	c.SetData(uint32(p.Length), false)
}

// Report reads the parameters of Reservation Report. A length other than that
// of the SGL is StatusInvalidField.
func (c *Command) Report() (Report, Status) {
	r := Report{NSID: c.NSID, Extended: c.CDW11&1 != 0, Length: (uint64(c.CDW10) + 1) * 4}
	if r.Length != uint64(c.SGL.Length) {
		return Report{}, StatusInvalidField | DNR
	}
	return r, StatusSuccess
}

// Registrant is a controller with a registration, in a ReservationStatus.
type Registrant struct {
	CNTLID uint16 // CNTLIDDynamic if it is none at present
	Holder bool
	HostID [16]byte // not Extended: the first 8 bytes
	Key    uint64
}

// ReservationStatus is the data of Reservation Report (NVM command set
// specification, "Reservation Status").
type ReservationStatus struct {
	Generation  uint32 // counts registrations that came, changed or went
	Type        ReservationType
	Persist     bool // PTPLS
	Extended    bool
	Total       int // registrants that there are; the data may end before the last
	Registrants []Registrant
}

// Bytes of the parts of a ReservationStatus.
const (
	reservationHeader         = 24
	reservationHeaderExtended = 64
	registrantSize            = 24
	registrantSizeExtended    = 64
)

// Size is the bytes that Append appends.
func (s *ReservationStatus) Size() int {
	if s.Extended {
		return reservationHeaderExtended + len(s.Registrants)*registrantSizeExtended
	}
	return reservationHeader + len(s.Registrants)*registrantSize
}

// Append appends all of the status; the command may want less of it. Registrants
// are at most 65535.
func (s *ReservationStatus) Append(dst []byte) []byte {
	n := len(dst)
	le := binary.LittleEndian
	dst = append(le.AppendUint32(dst, s.Generation), byte(s.Type))
	dst = le.AppendUint16(dst, uint16(len(s.Registrants)))
	dst = append(dst, 0, 0, bit(s.Persist, 0))
	head := reservationHeader
	if s.Extended {
		head = reservationHeaderExtended
	}
	dst = append(dst, zeros[:head-(len(dst)-n)]...)
	for i := range s.Registrants {
		r := &s.Registrants[i]
		dst = le.AppendUint16(dst, r.CNTLID)
		dst = append(dst, bit(r.Holder, 0), 0, 0, 0, 0, 0)
		if s.Extended {
			dst = le.AppendUint64(dst, r.Key)
			dst = append(dst, r.HostID[:]...)
			dst = append(dst, zeros[:registrantSizeExtended-32]...)
		} else {
			dst = append(dst, r.HostID[:8]...)
			dst = le.AppendUint64(dst, r.Key)
		}
	}
	return dst
}

// Decode reads src, whose form s.Extended says. It stops where src does: then
// Total is above len(Registrants), and the host asks for more bytes.
func (s *ReservationStatus) Decode(src []byte) error {
	head, size := reservationHeader, registrantSize
	if s.Extended {
		head, size = reservationHeaderExtended, registrantSizeExtended
	}
	if err := need("a reservation status", src, head); err != nil {
		return err
	}
	le := binary.LittleEndian
	total := int(le.Uint16(src[5:]))
	v := ReservationStatus{
		Generation: le.Uint32(src), Type: ReservationType(src[4]), Persist: src[9]&1 != 0, Extended: s.Extended, Total: total,
	}
	n := min(total, (len(src)-head)/size)
	v.Registrants = make([]Registrant, n)
	for i := range v.Registrants {
		b, r := src[head+i*size:][:size], &v.Registrants[i]
		r.CNTLID, r.Holder = le.Uint16(b), b[2]&1 != 0
		if s.Extended {
			r.Key = le.Uint64(b[8:])
			copy(r.HostID[:], b[16:32])
		} else {
			copy(r.HostID[:8], b[8:16])
			r.Key = le.Uint64(b[16:])
		}
	}
	*s = v
	return nil
}

// NoticeType is why a ReservationNotice was made.
type NoticeType uint8

const (
	NoNotice              NoticeType = 0 // the log is empty
	RegistrationPreempted NoticeType = 1
	ReservationReleased   NoticeType = 2
	ReservationPreempted  NoticeType = 3
)

// ReservationNotice is LogReservation: one of the notices that wait, the oldest
// (NVM command set specification, "Reservation Notification").
type ReservationNotice struct {
	Count uint64 // of notices so far, from 1; 0: none yet
	Type  NoticeType
	More  uint8 // notices behind this one; 255: that many or more
	NSID  uint32
}

// Append appends the 64 bytes.
func (n *ReservationNotice) Append(dst []byte) []byte {
	return appendFixed(dst, ReservationNoticeSize, n.fields)
}

// Decode reads the 64 bytes at the start of src.
func (n *ReservationNotice) Decode(src []byte) error {
	return decodeFixed("a reservation notice", src, ReservationNoticeSize, n.fields)
}

func (n *ReservationNotice) fields(l *layout) {
	l.u64(0, &n.Count)
	l.u8(8, (*uint8)(&n.Type))
	l.u8(9, &n.More)
	l.u32(12, &n.NSID)
}
