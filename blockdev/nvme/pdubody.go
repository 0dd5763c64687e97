package nvme

import "encoding/binary"

// ICReq is the host's first PDU: how it wants to speak.
type ICReq struct {
	PFV          uint16 // version of the format: 0
	HPDA         uint8  // alignment of data to the host, 0 to 31: 4*(HPDA+1) bytes
	HeaderDigest bool
	DataDigest   bool
	MaxR2T       uint32 // R2Ts outstanding for a command, minus one
}

// ICResp is the controller's answer to ICReq.
type ICResp struct {
	PFV          uint16 // version of the format: 0
	CPDA         uint8  // alignment of data to the controller, 0 to 31: 4*(CPDA+1) bytes
	HeaderDigest bool
	DataDigest   bool
	MaxH2CData   uint32 // most bytes of data of an H2CData; a multiple of 4, 4096 at least
}

// Offsets in ICReq and ICResp.
const (
	offPFV    = 8
	offPDA    = 10
	offDigest = 11
	offMax    = 12
)

func appendIC(dst []byte, t PDUType, pfv uint16, pda uint8, hd, dd bool, limit uint32) []byte {
	dst = (&Header{Type: t, HLen: ICSize, PLen: ICSize}).Append(dst)
	dst = binary.LittleEndian.AppendUint16(dst, pfv)
	dst = append(dst, pda, bit(hd, 0)|bit(dd, 1))
	dst = binary.LittleEndian.AppendUint32(dst, limit)
	return append(dst, zeros[:ICSize-16]...)
}

// Append appends the whole PDU.
func (r *ICReq) Append(dst []byte) []byte {
	return appendIC(dst, TypeICReq, r.PFV, r.HPDA, r.HeaderDigest, r.DataDigest, r.MaxR2T)
}

// Append appends the whole PDU.
func (r *ICResp) Append(dst []byte) []byte {
	return appendIC(dst, TypeICResp, r.PFV, r.CPDA, r.HeaderDigest, r.DataDigest, r.MaxH2CData)
}

// Decode reads the whole PDU, whose common header has been parsed, and judges
// what the specification fixes. An error is a *FatalError.
func (r *ICReq) Decode(src []byte) error {
	if err := checkIC(src); err != nil {
		return err
	}
	*r = ICReq{
		PFV: binary.LittleEndian.Uint16(src[offPFV:]), HPDA: src[offPDA], HeaderDigest: src[offDigest]&1 != 0,
		DataDigest: src[offDigest]&2 != 0, MaxR2T: binary.LittleEndian.Uint32(src[offMax:]),
	}
	return nil
}

// Decode reads the whole PDU, whose common header has been parsed, and judges
// what the specification fixes. An error is a *FatalError.
func (r *ICResp) Decode(src []byte) error {
	if err := checkIC(src); err != nil {
		return err
	}
	*r = ICResp{
		PFV: binary.LittleEndian.Uint16(src[offPFV:]), CPDA: src[offPDA], HeaderDigest: src[offDigest]&1 != 0,
		DataDigest: src[offDigest]&2 != 0, MaxH2CData: binary.LittleEndian.Uint32(src[offMax:]),
	}
	if r.MaxH2CData < MinMaxH2CData || r.MaxH2CData%4 != 0 {
		return Fatal(FatalHeaderField, offMax, "MAXH2CDATA is %d: not a multiple of 4 from %d on",
			r.MaxH2CData, MinMaxH2CData)
	}
	return nil
}

// checkIC judges what ICReq and ICResp have in common.
func checkIC(src []byte) error {
	switch {
	case len(src) < ICSize:
		return Fatal(FatalHeaderField, offPLen, "%d of %d bytes of %v", len(src), ICSize, TypeICReq)
	case binary.LittleEndian.Uint16(src[offPFV:]) != 0:
		return Fatal(FatalUnsupported, offPFV, "PFV is %d, not 0", binary.LittleEndian.Uint16(src[offPFV:]))
	case src[offPDA] > MaxAlign:
		return Fatal(FatalHeaderField, offPDA, "alignment of data is %d, at most %d", src[offPDA], MaxAlign)
	}
	return nil
}

// TermReq says why its sender ends the connection: H2CTermReq or C2HTermReq. It
// never has digests.
type TermReq struct {
	Status FatalStatus
	Info   uint32 // field FEI, see the FatalStatus
	PDU    []byte // the header that it is about, as far as its receiver had it; at most MaxTermData bytes
}

// Append appends the whole PDU, as sent by from.
func (r *TermReq) Append(dst []byte, from Role) []byte {
	t := TypeH2CTermReq
	if from == Controller {
		t = TypeC2HTermReq
	}
	pdu := r.PDU[:min(len(r.PDU), MaxTermData)]
	dst = (&Header{Type: t, HLen: TermReqSize, PLen: uint32(TermReqSize + len(pdu))}).Append(dst)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(r.Status))
	dst = binary.LittleEndian.AppendUint32(dst, r.Info)
	dst = append(dst, zeros[:TermReqSize-14]...)
	return append(dst, pdu...)
}

// Decode reads the whole PDU, whose common header has been parsed. PDU points
// into src.
func (r *TermReq) Decode(src []byte) error {
	if len(src) < TermReqSize || len(src) > TermReqSize+MaxTermData {
		return Fatal(FatalHeaderField, offPLen, "a TermReq of %d bytes, not %d to %d",
			len(src), TermReqSize, TermReqSize+MaxTermData)
	}
	*r = TermReq{
		Status: FatalStatus(binary.LittleEndian.Uint16(src[8:])), Info: binary.LittleEndian.Uint32(src[10:]),
		PDU: src[TermReqSize:len(src):len(src)],
	}
	return nil
}

// Data is the header of H2CData and C2HData. The data itself follows it.
type Data struct {
	CID    uint16 // of the command
	TTag   uint16 // H2CData: of the R2T; C2HData: 0
	Offset uint32 // from the start of the command's data, in bytes
	Length uint32 // bytes
}

// Decode reads the header of an H2CData or C2HData, of which src has at least
// h.HeaderLen() bytes. An error is a *FatalError.
func (d *Data) Decode(h *Header, src []byte) error {
	if len(src) < DataSize {
		return Fatal(FatalHeaderField, offPLen, "%v has %d of %d bytes", h.Type, len(src), DataSize)
	}
	*d = Data{
		CID: binary.LittleEndian.Uint16(src[8:]), Offset: binary.LittleEndian.Uint32(src[12:]),
		Length: binary.LittleEndian.Uint32(src[16:]),
	}
	if h.Type == TypeH2CData {
		d.TTag = binary.LittleEndian.Uint16(src[10:])
	}
	if uint64(d.Length) != uint64(h.DataLen()) {
		return Fatal(FatalHeaderField, 16, "%v says %d bytes of data, PLEN %d", h.Type, d.Length, h.DataLen())
	}
	if uint64(d.Offset)+uint64(d.Length) > 1<<32 {
		return Fatal(FatalDataRange, 0, "%v ends at %d", h.Type, uint64(d.Offset)+uint64(d.Length))
	}
	return nil
}

// R2T asks the host for data of a write.
type R2T struct {
	CID    uint16 // of the command
	TTag   uint16 // comes back in each H2CData
	Offset uint32 // from the start of the command's data, in bytes
	Length uint32 // bytes, not 0
}

// Decode reads the header of an R2T, of which src has at least h.HeaderLen()
// bytes. An error is a *FatalError.
func (r *R2T) Decode(src []byte) error {
	if len(src) < R2TSize {
		return Fatal(FatalHeaderField, offPLen, "R2T has %d of %d bytes", len(src), R2TSize)
	}
	*r = R2T{
		CID: binary.LittleEndian.Uint16(src[8:]), TTag: binary.LittleEndian.Uint16(src[10:]),
		Offset: binary.LittleEndian.Uint32(src[12:]), Length: binary.LittleEndian.Uint32(src[16:]),
	}
	switch {
	case r.Length == 0:
		return Fatal(FatalHeaderField, 16, "R2T for no data")
	case uint64(r.Offset)+uint64(r.Length) > 1<<32:
		return Fatal(FatalDataRange, 0, "R2T ends at %d", uint64(r.Offset)+uint64(r.Length))
	}
	return nil
}

// begin appends the common header of a PDU with dataLen bytes of data.
func (f Format) begin(dst []byte, t PDUType, flags PDUFlags, hlen uint8, dataLen uint32) []byte {
	h := Header{Type: t, Flags: flags, HLen: hlen, PLen: uint32(hlen)}
	if f.HeaderDigest {
		h.Flags |= FlagHeaderDigest
		h.PLen += DigestSize
	}
	if dataLen != 0 {
		unit := 4 * (uint32(f.Align) + 1)
		h.PLen = (h.PLen + unit - 1) / unit * unit
		h.PDO = uint8(h.PLen)
		h.PLen += dataLen
		if f.DataDigest {
			h.Flags |= FlagDataDigest
			h.PLen += DigestSize
		}
	}
	return h.Append(dst)
}

// end appends what comes between the header that begins at dst[start], and the
// data: digest and padding.
func (f Format) end(dst []byte, start int) []byte {
	if f.HeaderDigest {
		dst = AppendDigest(dst, Digest(0, dst[start:]))
	}
	if pdo := int(dst[start+offPDO]); pdo != 0 {
		dst = append(dst, zeros[:pdo-(len(dst)-start)]...)
	}
	return dst
}

// AppendCommand appends a CapsuleCmd up to its data. The caller sends dataLen
// bytes of data behind it, and behind these, if there are any and data digests
// are agreed, AppendDigest. So do AppendC2H and AppendH2C.
func (f Format) AppendCommand(dst []byte, c *Command, dataLen uint32) []byte {
	start := len(dst)
	dst = f.begin(dst, TypeCapsuleCmd, 0, CapsuleCmdSize, dataLen)
	return f.end(c.Append(dst), start)
}

// AppendCompletion appends a whole CapsuleResp.
func (f Format) AppendCompletion(dst []byte, c *Completion) []byte {
	start := len(dst)
	dst = f.begin(dst, TypeCapsuleResp, 0, CapsuleRspSize, 0)
	return f.end(c.Append(dst), start)
}

// AppendR2T appends a whole R2T.
func (f Format) AppendR2T(dst []byte, r *R2T) []byte {
	return f.appendTransfer(dst, TypeR2T, 0, Data(*r), 0)
}

// AppendC2H appends a C2HData up to its data; flags are FlagLast and
// FlagSuccess. d.Length is not 0.
func (f Format) AppendC2H(dst []byte, d *Data, flags PDUFlags) []byte {
	return f.appendTransfer(dst, TypeC2HData, flags, Data{CID: d.CID, Offset: d.Offset, Length: d.Length}, d.Length)
}

// AppendH2C appends an H2CData up to its data; flags is FlagLast or 0. d.Length
// is not 0.
func (f Format) AppendH2C(dst []byte, d *Data, flags PDUFlags) []byte {
	return f.appendTransfer(dst, TypeH2CData, flags, *d, d.Length)
}

func (f Format) appendTransfer(dst []byte, t PDUType, flags PDUFlags, d Data, dataLen uint32) []byte {
	start := len(dst)
	dst = f.begin(dst, t, flags, DataSize, dataLen)
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, d.CID)
	dst = le.AppendUint16(dst, d.TTag)
	dst = le.AppendUint32(dst, d.Offset)
	dst = le.AppendUint32(dst, d.Length)
	return f.end(append(dst, 0, 0, 0, 0), start)
}

// zeros are what reserved fields are made of.
var zeros [4096]byte

// bit gives 1<<n if on.
func bit(on bool, n uint) uint8 {
	if on {
		return 1 << n
	}
	return 0
}
