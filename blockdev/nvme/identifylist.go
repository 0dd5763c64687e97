package nvme

import (
	"encoding/binary"
	"fmt"
)

// MaxNSIDs is how many namespaces a list has room for.
const MaxNSIDs = IdentifySize / 4

// NSIDList is the data of Identify with CNSActiveList and CNSSetActiveList, and
// of LogChangedNS, in place: NSIDs in ascending order, without the zeros that
// fill the rest.
type NSIDList []byte

// AppendNSIDs appends the 4096 bytes of a list. ids has MaxNSIDs entries at most.
// As an Identify's they are ascending, and above the NSID of the command.
func AppendNSIDs(dst []byte, ids []uint32) []byte {
	n := len(dst)
	for _, id := range ids[:min(len(ids), MaxNSIDs)] {
		dst = binary.LittleEndian.AppendUint32(dst, id)
	}
	return append(dst, zeros[:IdentifySize-(len(dst)-n)]...)
}

// Decode reads src, which has IdentifySize bytes. ErrField if the NSIDs are not
// ascending, so that who asks again above the last one comes to an end.
func (l *NSIDList) Decode(src []byte) error {
	if err := need("a list of namespaces", src, IdentifySize); err != nil {
		return err
	}
	end, last := 0, uint32(0)
	for end < IdentifySize {
		id := binary.LittleEndian.Uint32(src[end:])
		if id == 0 {
			break
		}
		if id <= last {
			return fmt.Errorf("%w: namespace %d behind %d in a list", ErrField, id, last)
		}
		last = id
		end += 4
	}
	*l = NSIDList(src[:end:end])
	return nil
}

// Len is the number of namespaces.
func (l NSIDList) Len() int { return len(l) / 4 }

// At gives the NSID at place i.
func (l NSIDList) At(i int) uint32 { return binary.LittleEndian.Uint32(l[4*i:]) }

// MaxControllers is how many controllers a list has room for.
const MaxControllers = IdentifySize/2 - 1

// ControllerList is the data of Identify with CNSControllerList, in place:
// CNTLIDs in ascending order.
type ControllerList []byte

// AppendControllers appends the 4096 bytes of a list. ids has MaxControllers
// entries at most.
func AppendControllers(dst []byte, ids []uint16) []byte {
	n := len(dst)
	ids = ids[:min(len(ids), MaxControllers)]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(ids)))
	for _, id := range ids {
		dst = binary.LittleEndian.AppendUint16(dst, id)
	}
	return append(dst, zeros[:IdentifySize-(len(dst)-n)]...)
}

// Decode reads src, which has IdentifySize bytes.
func (l *ControllerList) Decode(src []byte) error {
	if err := need("a list of controllers", src, IdentifySize); err != nil {
		return err
	}
	n := int(binary.LittleEndian.Uint16(src))
	if n > MaxControllers {
		return fmt.Errorf("%w: %d controllers in a list, at most %d", ErrTooLarge, n, MaxControllers)
	}
	*l = ControllerList(src[2 : 2+2*n : 2+2*n])
	return nil
}

// Len is the number of controllers.
func (l ControllerList) Len() int { return len(l) / 2 }

// At gives the CNTLID at place i.
func (l ControllerList) At(i int) uint16 { return binary.LittleEndian.Uint16(l[2*i:]) }

// Descriptors are the names of a namespace: the data of Identify with
// CNSDescriptors (base specification, "Namespace Identification Descriptor list").
type Descriptors struct {
	EUI64   [8]byte  // zero: none
	NGUID   [16]byte // zero: none
	UUID    [16]byte // zero: none
	CSI     uint8
	WithCSI bool
}

// Types of descriptors.
const (
	descEUI64 = 1
	descNGUID = 2
	descUUID  = 3
	descCSI   = 4
	descHead  = 4 // bytes in front of the value: type, length, two reserved
)

// Append appends the 4096 bytes.
func (d *Descriptors) Append(dst []byte) []byte {
	n := len(dst)
	add := func(t uint8, v []byte) {
		dst = append(dst, t, uint8(len(v)), 0, 0)
		dst = append(dst, v...)
	}
	if d.EUI64 != [8]byte{} {
		add(descEUI64, d.EUI64[:])
	}
	if d.NGUID != [16]byte{} {
		add(descNGUID, d.NGUID[:])
	}
	if d.UUID != [16]byte{} {
		add(descUUID, d.UUID[:])
	}
	if d.WithCSI {
		add(descCSI, []byte{d.CSI})
	}
	return append(dst, zeros[:IdentifySize-(len(dst)-n)]...)
}

// Decode reads src, which has IdentifySize bytes. Descriptors of unknown types
// are passed over; a known one of another length than its own is ErrField.
func (d *Descriptors) Decode(src []byte) error {
	if err := need("namespace descriptors", src, IdentifySize); err != nil {
		return err
	}
	var v Descriptors
	lengths := map[uint8]int{descEUI64: 8, descNGUID: 16, descUUID: 16, descCSI: 1}
	for b := src[:IdentifySize]; len(b) >= descHead && b[1] != 0; {
		t, n := b[0], int(b[1])
		if descHead+n > len(b) {
			return fmt.Errorf("%w: a namespace descriptor of %d bytes, %d are left", ErrField, n, len(b)-descHead)
		}
		if want, known := lengths[t]; known && n != want {
			return fmt.Errorf("%w: a namespace descriptor of type %d has %d bytes, not %d", ErrField, t, n, want)
		}
		value := b[descHead : descHead+n]
		switch t {
		case descEUI64:
			copy(v.EUI64[:], value)
		case descNGUID:
			copy(v.NGUID[:], value)
		case descUUID:
			copy(v.UUID[:], value)
		case descCSI:
			v.CSI, v.WithCSI = value[0], true
		}
		b = b[descHead+n:]
	}
	*d = v
	return nil
}

// CommandSetTable is the data of Identify with CNSCommandSetTable: combinations
// of command sets that can be on at a time, each a set of CSIs as bits.
type CommandSetTable struct {
	Sets [IdentifySize / 8]uint64
}

// Append appends the 4096 bytes.
func (t *CommandSetTable) Append(dst []byte) []byte { return appendFixed(dst, IdentifySize, t.fields) }

// Decode reads src, which has IdentifySize bytes.
func (t *CommandSetTable) Decode(src []byte) error {
	return decodeFixed("the table of command sets", src, IdentifySize, t.fields)
}

func (t *CommandSetTable) fields(l *layout) {
	for i := range t.Sets {
		l.u64(8*i, &t.Sets[i])
	}
}
