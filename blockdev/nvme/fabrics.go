package nvme

import (
	"encoding/binary"
	"fmt"
)

// Fabrics is the type of a command whose opcode is OpFabrics.
func (c *Command) Fabrics() FabricsType { return FabricsType(c.NSID) }

func (c *Command) setFabrics(t FabricsType) {
	*c = Command{Opcode: OpFabrics, CID: c.CID, NSID: uint32(t)}
	c.SetData(0, false)
}

// Connect makes a queue (base specification, "Connect Command"). ConnectData goes
// with it.
type Connect struct {
	RecFmt uint16 // 0
	QID    uint16 // 0: the admin queue, which makes the controller
	SQSize uint16 // entries of the submission queue, minus one: 1 at least
	Attrs  uint8  // ConnectNoFlowControl
	KATO   uint32 // keep alive timeout in ms, 0: none; of the admin queue only
}

// ConnectNoFlowControl asks for no flow control of the submission queue: SQHead of
// completions means nothing, and C2HData may carry SUCCESS. A controller that
// agrees has NoSQHead as SQHead of Connect's completion.
const ConnectNoFlowControl = 1 << 2

// NoSQHead says that there is no flow control.
const NoSQHead = 0xffff

// CNTLIDDynamic is what a host asks for in the admin queue's Connect: a
// controller of the target's choice.
const CNTLIDDynamic = 0xffff

// SetConnect makes c a Connect, with its data in the capsule. CID stays.
func (c *Command) SetConnect(p *Connect) {
	c.setFabrics(FabricsConnect)
	c.SetData(ConnectDataSize, true)
	c.CDW10 = uint32(p.RecFmt) | uint32(p.QID)<<16
	c.CDW11 = uint32(p.SQSize) | uint32(p.Attrs)<<16
	c.CDW12 = p.KATO
}

// Connect reads the parameters of a Connect.
func (c *Command) Connect() Connect {
	return Connect{
		RecFmt: uint16(c.CDW10), QID: uint16(c.CDW10 >> 16), SQSize: uint16(c.CDW11),
		Attrs: uint8(c.CDW11 >> 16), KATO: c.CDW12,
	}
}

// ConnectDataSize is the bytes of ConnectData.
const ConnectDataSize = 1024

// Offsets in ConnectData.
const (
	offHostID  = 0
	offCNTLID  = 16
	offSubNQN  = 256
	offHostNQN = 512
)

// ConnectData is the data of a Connect.
type ConnectData struct {
	HostID  [16]byte
	CNTLID  uint16 // CNTLIDDynamic, or the controller of an I/O queue
	SubNQN  string
	HostNQN string
}

// Append appends the 1024 bytes. The NQNs are valid (CheckNQN).
func (d *ConnectData) Append(dst []byte) []byte {
	n := len(dst)
	dst = append(dst, zeros[:ConnectDataSize]...)
	b := dst[n:]
	copy(b[offHostID:], d.HostID[:])
	binary.LittleEndian.PutUint16(b[offCNTLID:], d.CNTLID)
	putNQN(b[offSubNQN:], d.SubNQN)
	putNQN(b[offHostNQN:], d.HostNQN)
	return dst
}

// Decode reads src, which is ConnectDataSize bytes. It allocates the two
// strings. An error that is a *ConnectError says what to tell the host.
func (d *ConnectData) Decode(src []byte) error {
	if err := need("data of Connect", src, ConnectDataSize); err != nil {
		return err
	}
	*d = ConnectData{HostID: [16]byte(src[offHostID:]), CNTLID: binary.LittleEndian.Uint16(src[offCNTLID:])}
	var err error
	if d.SubNQN, err = getNQN(src[offSubNQN : offSubNQN+nqnField]); err != nil {
		return &ConnectError{Offset: offSubNQN, Data: true, Err: fmt.Errorf("SUBNQN: %w", err)}
	}
	if d.HostNQN, err = getNQN(src[offHostNQN : offHostNQN+nqnField]); err != nil {
		return &ConnectError{Offset: offHostNQN, Data: true, Err: fmt.Errorf("HOSTNQN: %w", err)}
	}
	return nil
}

// ConnectError says which parameter of a Connect is wrong; its status is
// StatusConnectParameters.
type ConnectError struct {
	Offset uint16 // of the parameter in the command, or in the data; in bytes
	Data   bool   // in the data
	Err    error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("nvme: Connect: parameter at %d (in the data: %v): %v", e.Offset, e.Data, e.Err)
}

// Unwrap gives what is wrong with it.
func (e *ConnectError) Unwrap() error { return e.Err }

// Result is the Result of the completion that tells the host.
func (e *ConnectError) Result() uint64 { return uint64(e.Offset) | uint64(bit(e.Data, 0))<<16 }

// ConnectResult is the Result of a Connect's completion.
type ConnectResult struct {
	CNTLID       uint16
	AuthRequired bool // AUTHREQ.ATR: DH-HMAC-CHAP comes next
	AuthSecure   bool // AUTHREQ.ASCR: and a secure channel from then on
}

// Value is the Result of the completion.
func (r ConnectResult) Value() uint64 {
	return uint64(r.CNTLID) | uint64(bit(r.AuthRequired, 1)|bit(r.AuthSecure, 2))<<16
}

// ParseConnectResult reads the Result of a completion that has succeeded.
func ParseConnectResult(v uint64) ConnectResult {
	return ConnectResult{CNTLID: uint16(v), AuthRequired: v>>17&1 != 0, AuthSecure: v>>18&1 != 0}
}

// Property is the parameters of Property Get and Property Set (base
// specification, "Property Get Command").
type Property struct {
	Offset uint32 // PropCAP...
	Wide   bool   // 8 bytes, not 4
	Value  uint64 // Property Set
}

// SetPropertyGet makes c a Property Get; the Result of its completion is the
// value. CID stays.
func (c *Command) SetPropertyGet(p Property) {
	c.setFabrics(FabricsPropertyGet)
	c.CDW10, c.CDW11 = uint32(bit(p.Wide, 0)), p.Offset
}

// SetPropertySet makes c a Property Set. CID stays.
func (c *Command) SetPropertySet(p Property) {
	c.setFabrics(FabricsPropertySet)
	c.CDW10, c.CDW11 = uint32(bit(p.Wide, 0)), p.Offset
	c.CDW12, c.CDW13 = uint32(p.Value), uint32(p.Value>>32)
}

// Property reads the parameters of a Property Get or Set. Another size than 4 and
// 8 bytes is StatusInvalidField.
func (c *Command) Property() (Property, Status) {
	p := Property{Offset: c.CDW11, Wide: c.CDW10&7 == 1}
	if c.CDW10&7 > 1 {
		return Property{}, StatusInvalidField | DNR
	}
	if c.Fabrics() == FabricsPropertySet {
		if p.Value = uint64(c.CDW12); p.Wide {
			p.Value |= uint64(c.CDW13) << 32
		}
	}
	return p, StatusSuccess
}

// The security protocol of authentication (base specification, "Authentication
// Send Command").
const (
	authSECP = 0xe9
	authSPSP = 0x01
)

// SetAuthSend makes c an Authentication Send of n bytes, in its capsule or not.
// CID stays.
func (c *Command) SetAuthSend(n uint32, inCapsule bool) {
	c.setFabrics(FabricsAuthSend)
	c.SetData(n, inCapsule)
	c.CDW10, c.CDW11 = authSPSP<<8|authSPSP<<16|authSECP<<24, n
}

// SetAuthReceive makes c an Authentication Receive of at most n bytes. CID stays.
func (c *Command) SetAuthReceive(n uint32) {
	c.setFabrics(FabricsAuthReceive)
	c.SetData(n, false)
	c.CDW10, c.CDW11 = authSPSP<<8|authSPSP<<16|authSECP<<24, n
}

// AuthLength reads the length in bytes of an Authentication Send or Receive, and
// judges the rest.
func (c *Command) AuthLength() (uint32, Status) {
	if c.CDW10>>8 != authSPSP|authSPSP<<8|authSECP<<16 || c.CDW11 == 0 || c.CDW11 != c.SGL.Length {
		return 0, StatusInvalidField | DNR
	}
	return c.CDW11, StatusSuccess
}
