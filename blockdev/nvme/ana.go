package nvme

import (
	"encoding/binary"
	"fmt"
)

// ANAState is how well a controller reaches the namespaces of a group (base
// specification, "Asymmetric Namespace Access").
type ANAState uint8

const (
	ANAOptimized    ANAState = 0x1
	ANANonOptimized ANAState = 0x2
	ANAInaccessible ANAState = 0x3 // commands end with StatusANAInaccessible
	ANALost         ANAState = 0x4 // for good; StatusANALoss
	ANAChange       ANAState = 0xf // StatusANATransition
)

func (s ANAState) String() string {
	switch s {
	case ANAOptimized:
		return "optimized"
	case ANANonOptimized:
		return "non-optimized"
	case ANAInaccessible:
		return "inaccessible"
	case ANALost:
		return "persistent loss"
	case ANAChange:
		return "change"
	}
	return fmt.Sprintf("ANA state %#x", uint8(s))
}

// Bytes of the parts of LogANA.
const (
	ANAHeaderSize = 16
	ANAGroupSize  = 32 // without the NSIDs
)

// ANAHeader begins LogANA (base specification, "Asymmetric Namespace Access").
type ANAHeader struct {
	Changes uint64 // counts changes of the page
	Groups  uint16 // ANAGroups that follow
}

// Append appends the 16 bytes.
func (h *ANAHeader) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h.Changes)
	dst = binary.LittleEndian.AppendUint16(dst, h.Groups)
	return append(dst, zeros[:ANAHeaderSize-10]...)
}

// Decode reads the 16 bytes at the start of src.
func (h *ANAHeader) Decode(src []byte) error {
	if err := need("the ANA log", src, ANAHeaderSize); err != nil {
		return err
	}
	*h = ANAHeader{Changes: binary.LittleEndian.Uint64(src), Groups: binary.LittleEndian.Uint16(src[8:])}
	return nil
}

// ANAGroup is a group of LogANA.
type ANAGroup struct {
	ID      uint32 // from 1
	Changes uint64 // counts changes of the group
	State   ANAState
	NSIDs   NSIDList // in place; empty in a page read with ANAGroupsOnly
}

// Append appends the group and its NSIDs.
func (g *ANAGroup) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, g.ID)
	dst = le.AppendUint32(dst, uint32(g.NSIDs.Len()))
	dst = le.AppendUint64(dst, g.Changes)
	dst = append(dst, byte(g.State))
	dst = append(dst, zeros[:ANAGroupSize-17]...)
	return append(dst, g.NSIDs...)
}

// Size is the bytes that Append appends.
func (g *ANAGroup) Size() int { return ANAGroupSize + len(g.NSIDs) }

// Decode reads the group at the start of src; Size bytes behind it the next one
// begins. Its NSIDs are not judged, but for their number.
func (g *ANAGroup) Decode(src []byte) error {
	if err := need("an ANA group", src, ANAGroupSize); err != nil {
		return err
	}
	le := binary.LittleEndian
	n := uint64(le.Uint32(src[4:]))
	if n*4 > uint64(len(src)-ANAGroupSize) {
		return fmt.Errorf("%w: an ANA group of %d namespaces, with %d bytes", ErrTruncated, n, len(src)-ANAGroupSize)
	}
	end := ANAGroupSize + int(n)*4
	*g = ANAGroup{
		ID: le.Uint32(src), Changes: le.Uint64(src[8:]), State: ANAState(src[16] & 15), NSIDs: NSIDList(src[ANAGroupSize:end:end]),
	}
	return nil
}
