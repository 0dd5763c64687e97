package nvme

import (
	"encoding/binary"
	"fmt"
)

// PDUType is the type of a PDU (TCP transport, "PDU Type").
type PDUType uint8

const (
	TypeICReq       PDUType = 0x00 // host: how it wants to speak
	TypeICResp      PDUType = 0x01 // controller: how it will
	TypeH2CTermReq  PDUType = 0x02 // host: the connection ends
	TypeC2HTermReq  PDUType = 0x03 // controller: the connection ends
	TypeCapsuleCmd  PDUType = 0x04 // host: a command, perhaps with data
	TypeCapsuleResp PDUType = 0x05 // controller: a completion
	TypeH2CData     PDUType = 0x06 // host: data that an R2T asked for
	TypeC2HData     PDUType = 0x07 // controller: data of a read
	TypeR2T         PDUType = 0x09 // controller: ready for data of a write
)

var pduNames = [...]string{
	"ICReq", "ICResp", "H2CTermReq", "C2HTermReq", "CapsuleCmd", "CapsuleResp", "H2CData", "C2HData", "", "R2T",
}

func (t PDUType) String() string {
	if int(t) >= len(pduNames) || pduNames[t] == "" {
		return fmt.Sprintf("PDU type %#02x", uint8(t))
	}
	return pduNames[t]
}

// PDUFlags are the flags of a PDU (TCP transport, "PDU Common Header").
type PDUFlags uint8

const (
	FlagHeaderDigest PDUFlags = 1 << 0 // HDGSTF
	FlagDataDigest   PDUFlags = 1 << 1 // DDGSTF
	FlagLast         PDUFlags = 1 << 2 // LAST_PDU: no more data of this R2T or command
	FlagSuccess      PDUFlags = 1 << 3 // SUCCESS: no CapsuleResp follows; the command has succeeded
)

// Sizes of PDU headers, in bytes, without digest.
const (
	HeaderSize     = 8   // the common header, at the start of each
	ICSize         = 128 // ICReq and ICResp
	TermReqSize    = 24  // without the PDU that it is about
	CapsuleCmdSize = HeaderSize + CommandSize
	CapsuleRspSize = HeaderSize + CompletionSize
	DataSize       = 24 // H2CData, C2HData
	R2TSize        = 24

	// MaxHeaderLen is the most that Header.HeaderLen gives.
	MaxHeaderLen = 128
	// MaxTermData is the most bytes of a PDU header that a TermReq quotes.
	MaxTermData = 128
	// MaxAlign is the largest HPDA and CPDA: units of 4 bytes, minus one.
	MaxAlign = 31
	// MinMaxH2CData is the least MAXH2CDATA that a controller may ask for.
	MinMaxH2CData = 4096
)

// Offsets of the common header's fields.
const (
	offType  = 0
	offFlags = 1
	offHLen  = 2
	offPDO   = 3
	offPLen  = 4
)

// Role is one of the two ends of a connection.
type Role uint8

const (
	Host       Role = 1 // the initiator
	Controller Role = 2 // the target
)

func (r Role) String() string {
	return [...]string{"nobody", "host", "controller"}[r]
}

// pduRule says what is fixed for each type.
type pduRule struct {
	hlen  uint8    // 0: no such type
	to    Role     // who receives it
	flags PDUFlags // those that it may have
	data  bool     // may have data
}

var pduRules = [...]pduRule{
	TypeICReq:       {hlen: ICSize, to: Controller},
	TypeICResp:      {hlen: ICSize, to: Host},
	TypeH2CTermReq:  {hlen: TermReqSize, to: Controller, data: true},
	TypeC2HTermReq:  {hlen: TermReqSize, to: Host, data: true},
	TypeCapsuleCmd:  {hlen: CapsuleCmdSize, to: Controller, flags: FlagHeaderDigest | FlagDataDigest, data: true},
	TypeCapsuleResp: {hlen: CapsuleRspSize, to: Host, flags: FlagHeaderDigest},
	TypeH2CData:     {hlen: DataSize, to: Controller, flags: FlagHeaderDigest | FlagDataDigest | FlagLast, data: true},
	TypeC2HData: {hlen: DataSize, to: Host,
		flags: FlagHeaderDigest | FlagDataDigest | FlagLast | FlagSuccess, data: true},
	TypeR2T: {hlen: R2TSize, to: Host, flags: FlagHeaderDigest},
}

// hasDigests says whether digests that were agreed on apply to the type.
func (t PDUType) hasDigests() bool { return t >= TypeCapsuleCmd }

// Header is the common header of a PDU.
type Header struct {
	Type  PDUType
	Flags PDUFlags
	HLen  uint8  // bytes of the header, without digest
	PDO   uint8  // offset of the data from the start of the PDU, in bytes; 0: none
	PLen  uint32 // bytes of the PDU, with all digests
}

// Append appends the eight bytes.
func (h *Header) Append(dst []byte) []byte {
	dst = append(dst, byte(h.Type), byte(h.Flags), h.HLen, h.PDO)
	return binary.LittleEndian.AppendUint32(dst, h.PLen)
}

// HeaderLen is the bytes in front of the data, or of the padding before it:
// what must be there before the body is decoded.
func (h *Header) HeaderLen() int {
	if h.Flags&FlagHeaderDigest != 0 {
		return int(h.HLen) + DigestSize
	}
	return int(h.HLen)
}

// Padding is the bytes between HeaderLen and the data.
func (h *Header) Padding() int {
	if h.DataLen() == 0 {
		return 0
	}
	return h.dataOffset() - h.HeaderLen()
}

// DataLen is the bytes of data, without digest, padding and header.
func (h *Header) DataLen() int {
	n := int(h.PLen) - h.dataOffset()
	if h.Flags&FlagDataDigest != 0 {
		n -= DigestSize
	}
	return n
}

// dataOffset is where the data begins. A PDU that ends with its header has no
// data, and its PDO means nothing. The PDU quoted by a TermReq follows at once.
func (h *Header) dataOffset() int {
	if !h.Type.hasDigests() || int(h.PLen) == h.HeaderLen() {
		return h.HeaderLen()
	}
	return int(h.PDO)
}

// Format is how PDUs are written in one direction, as agreed in ICReq and
// ICResp.
type Format struct {
	HeaderDigest bool
	DataDigest   bool
	Align        uint8 // data begins at a multiple of 4*(Align+1) bytes: the receiver's HPDA or CPDA
}

// Receiver judges the headers of the PDUs that one end of a connection is sent.
type Receiver struct {
	Role    Role   // of this end
	Format  Format // as agreed; ignored for ICReq, ICResp, TermReq
	MaxData int    // most bytes of data in a PDU: 0 to 2^31-1024
}

// ParseHeader reads the common header at the start of src into h and judges
// all of it, so that neither HeaderLen, Padding nor DataLen can mislead the
// caller. Whether a PDU may come now is for the state machine to say. An error is
// a *FatalError, for a TermReq; but after one in a TermReq nothing is sent.
func (r *Receiver) ParseHeader(src []byte, h *Header) error {
	if len(src) < HeaderSize {
		return Fatal(FatalHeaderField, offPLen, "%d of %d bytes of a common header", len(src), HeaderSize)
	}
	*h = Header{
		Type: PDUType(src[offType]), Flags: PDUFlags(src[offFlags]), HLen: src[offHLen], PDO: src[offPDO],
		PLen: binary.LittleEndian.Uint32(src[offPLen:]),
	}
	if int(h.Type) >= len(pduRules) || pduRules[h.Type].hlen == 0 {
		return Fatal(FatalHeaderField, offType, "unknown %v", h.Type)
	}
	rule := &pduRules[h.Type]
	switch {
	case rule.to != r.Role:
		return Fatal(FatalHeaderField, offType, "%v is not for the %v", h.Type, r.Role)
	case h.HLen != rule.hlen:
		return Fatal(FatalHeaderField, offHLen, "HLEN of %v is %d, not %d", h.Type, h.HLen, rule.hlen)
	case h.Type.hasDigests():
		return r.checkTransfer(h, rule)
	case h.Type <= TypeICResp && h.PLen != ICSize:
		return Fatal(FatalHeaderField, offPLen, "PLEN of %v is %d, not %d", h.Type, h.PLen, ICSize)
	case h.PLen < uint32(rule.hlen) || h.PLen > uint32(rule.hlen)+MaxTermData:
		return Fatal(FatalHeaderField, offPLen, "PLEN of %v is %d, not %d to %d", h.Type, h.PLen,
			rule.hlen, int(rule.hlen)+MaxTermData)
	}
	h.Flags = 0 // reserved here, and ignored
	return nil
}

// checkTransfer judges what may have digests and data.
func (r *Receiver) checkTransfer(h *Header, rule *pduRule) error {
	if h.Flags&FlagHeaderDigest != 0 != r.Format.HeaderDigest {
		return Fatal(FatalHeaderField, offFlags, "flags %#02x of %v, with header digests agreed: %v",
			uint8(h.Flags), h.Type, r.Format.HeaderDigest)
	}
	head := uint64(h.HeaderLen())
	data := uint64(h.PLen) > head
	switch {
	case uint64(h.PLen) < head || data && !rule.data:
		return Fatal(FatalHeaderField, offPLen, "PLEN of %v is %d, its header has %d", h.Type, h.PLen, head)
	case h.Flags&FlagDataDigest != 0 != (data && r.Format.DataDigest):
		return Fatal(FatalHeaderField, offFlags, "flags %#02x of %v, with data: %v, and data digests agreed: %v",
			uint8(h.Flags), h.Type, data, r.Format.DataDigest)
	case h.Flags&^rule.flags != 0:
		return Fatal(FatalHeaderField, offFlags, "flags %#02x of %v", uint8(h.Flags), h.Type)
	case h.Flags&(FlagLast|FlagSuccess) == FlagSuccess:
		return Fatal(FatalHeaderField, offFlags, "%v with SUCCESS, but not LAST_PDU", h.Type)
	case !data:
		return nil
	}
	return r.checkData(h, head)
}

// checkData judges where data begins and how long it is.
func (r *Receiver) checkData(h *Header, head uint64) error {
	tail := uint64(0)
	if h.Flags&FlagDataDigest != 0 {
		tail = DigestSize
	}
	switch {
	case uint64(h.PDO) < head || int(h.PDO)%(4*(int(r.Format.Align)+1)) != 0:
		return Fatal(FatalHeaderField, offPDO, "PDO of %v is %d: not a multiple of %d from %d on",
			h.Type, h.PDO, 4*(int(r.Format.Align)+1), head)
	case uint64(h.PLen) <= uint64(h.PDO)+tail:
		return Fatal(FatalHeaderField, offPLen, "PLEN of %v is %d, its data begins at %d", h.Type, h.PLen, h.PDO)
	case uint64(h.PLen)-uint64(h.PDO)-tail > uint64(r.MaxData):
		return Fatal(FatalTransferLimit, 0, "%v has %d bytes of data, at most %d", h.Type,
			uint64(h.PLen)-uint64(h.PDO)-tail, r.MaxData)
	}
	return nil
}
