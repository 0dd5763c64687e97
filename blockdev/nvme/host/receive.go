package host

import (
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// ErrTerminated says that the controller has ended the connection with a TermReq.
var ErrTerminated = errors.New("nvme: the controller has ended the connection")

// Where large data comes, little is read beyond the end of what is known to be data:
// the next header and what may stand around it. So nearly all of the data goes
// straight to its buffer.
const (
	bulkData   = 16 << 10 // bytes of a PDU: large
	bulkBeyond = 256      // bytes
	maxDirect  = 64       // buffers of a command in one Room
)

// input is what has been received and not understood yet, and where in a PDU it is.
type input struct {
	buf       []byte
	from, to  int // what has been received is buf[from:to]
	bulk      bool
	hdr       nvme.Header // of the PDU that is being received
	inData    bool        // its header has been understood
	cid       uint16      // of its command
	left      uint32      // bytes of its data that have not come yet
	sum       uint32      // digest of those that have
	direct    int         // bytes of Room that were places of data
	lastBegin int         // where in buf the latest header begins, for a TermReq
}

func (in *input) init(size int) { in.buf = make([]byte, size) }

// current is the start of the PDU that is being received, as far as it is there.
func (c *conn) current() []byte {
	b := c.buf[c.lastBegin:max(c.to, c.lastBegin)]
	return b[:min(len(b), nvme.MaxTermData)]
}

// Room appends to dst where the next bytes from the controller are to be put, in this
// order; at least one byte. Received says how many have come.
func (c *conn) Room(dst [][]byte) [][]byte {
	if c.from == c.to {
		c.from, c.to, c.lastBegin = 0, 0, 0
	} else if c.from > 0 && len(c.buf)-c.to < len(c.buf)/2 {
		n := copy(c.buf, c.buf[c.from:c.to])
		c.from, c.to, c.lastBegin = 0, n, 0
	}
	c.direct = 0
	beyond := c.buf[c.to:]
	if c.left > 0 {
		if s := &c.slots[c.cid]; !s.orphan {
			dst = c.places(dst, s)
		}
	}
	if (c.bulk || c.direct >= bulkData) && len(beyond) > bulkBeyond {
		beyond = beyond[:bulkBeyond]
	}
	if uint32(c.direct) < c.left && c.direct > 0 {
		return dst // the data does not end with these buffers
	}
	return append(dst, beyond)
}

// places appends the buffers that the rest of the data goes to.
func (c *conn) places(dst [][]byte, s *slot) [][]byte {
	off, left := s.off, int(c.left)
	for i := s.buf; left > 0 && i < len(s.bufs) && i-s.buf < maxDirect; i++ {
		b := s.bufs[i][off:]
		b, off = b[:min(len(b), left)], 0
		if len(b) > 0 {
			dst = append(dst, b)
			left -= len(b)
		}
	}
	c.direct = int(c.left) - left
	return dst
}

// Received takes on n bytes that have been put where the latest Room said. The error
// is that of Err.
func (c *conn) Received(n int) error {
	if c.fail != nil {
		return c.fail
	}
	d := min(n, c.direct)
	c.advance(d)
	c.to += n - d
	for c.fail == nil {
		more, err := c.step()
		if err != nil {
			c.Fail(err)
			break
		}
		if !more {
			break
		}
	}
	return c.fail
}

// advance notes n bytes of data that are in their place.
func (c *conn) advance(n int) {
	s := &c.slots[c.cid]
	c.left -= uint32(n)
	for n > 0 {
		b := s.bufs[s.buf][s.off:]
		b = b[:min(len(b), n)]
		if c.hdr.Flags&nvme.FlagDataDigest != 0 {
			c.sum = nvme.Digest(c.sum, b)
		}
		s.moved += uint32(len(b))
		s.off += len(b)
		if s.off == len(s.bufs[s.buf]) {
			s.buf, s.off = s.buf+1, 0
		}
		n -= len(b)
	}
}

// step understands the next part of what has been received; false if more is needed.
func (c *conn) step() (bool, error) {
	b := c.buf[c.from:c.to]
	if c.inData {
		return c.stepData(b)
	}
	if len(b) < nvme.HeaderSize {
		return false, nil
	}
	c.lastBegin = c.from
	if err := c.peer.ParseHeader(b, &c.hdr); err != nil {
		return false, err
	}
	if c.ready == (c.hdr.Type == nvme.TypeICResp) && c.hdr.Type != nvme.TypeC2HTermReq {
		return false, nvme.Fatal(nvme.FatalSequence, 0, "%v out of order", c.hdr.Type)
	}
	n := c.hdr.HeaderLen() + c.hdr.Padding()
	if c.hdr.Type == nvme.TypeC2HTermReq {
		n = int(c.hdr.PLen)
	}
	if len(b) < n {
		return false, nil
	}
	if err := nvme.CheckHeaderDigest(&c.hdr, b); err != nil {
		return false, err
	}
	c.from += n
	return true, c.understand(b[:n])
}

// stepData takes the data of a C2HData, and its digest.
func (c *conn) stepData(b []byte) (bool, error) {
	s := &c.slots[c.cid]
	if c.left > 0 {
		n := min(len(b), int(c.left))
		if s.orphan {
			c.left -= uint32(n)
			s.moved += uint32(n)
		} else {
			c.place(s, b[:n])
		}
		c.from += n
		b = b[n:]
		if c.left > 0 {
			return false, nil
		}
	}
	if c.hdr.Flags&nvme.FlagDataDigest != 0 {
		if len(b) < nvme.DigestSize {
			return false, nil
		}
		if !s.orphan && !nvme.DataDigestOK(c.sum, b) {
			s.broken = true
		}
		c.from += nvme.DigestSize
	}
	c.inData = false
	if c.hdr.Flags&nvme.FlagSuccess != 0 {
		c.finish(c.cid, nvme.StatusSuccess, 0)
	}
	return true, nil
}

// place copies data from the receive buffer to where it belongs.
func (c *conn) place(s *slot, b []byte) {
	n := len(b)
	buf, off := s.buf, s.off
	for len(b) > 0 {
		k := copy(s.bufs[buf][off:], b)
		b = b[k:]
		buf, off = buf+1, 0
	}
	c.advance(n)
}

// understand takes a PDU but for its data.
func (c *conn) understand(b []byte) error {
	switch c.hdr.Type {
	case nvme.TypeICResp:
		return c.onICResp(b)
	case nvme.TypeCapsuleResp:
		return c.onCompletion(b)
	case nvme.TypeC2HData:
		return c.onData(b)
	case nvme.TypeR2T:
		return c.onR2T(b)
	}
	var term nvme.TermReq
	if err := term.Decode(b); err != nil {
		return fmt.Errorf("%w: %v", ErrTerminated, err)
	}
	return fmt.Errorf("%w: %v (%#x)", ErrTerminated, term.Status, term.Info)
}

func (c *conn) onICResp(b []byte) error {
	var r nvme.ICResp
	if err := r.Decode(b); err != nil {
		return err
	}
	if r.HeaderDigest != c.cfg.HeaderDigest || r.DataDigest != c.cfg.DataDigest {
		return fmt.Errorf("nvme: the controller wants digests of headers: %v, of data: %v; this host: %v, %v",
			r.HeaderDigest, r.DataDigest, c.cfg.HeaderDigest, c.cfg.DataDigest)
	}
	c.format = nvme.Format{HeaderDigest: r.HeaderDigest, DataDigest: r.DataDigest, Align: r.CPDA}
	c.peer.Format = nvme.Format{HeaderDigest: r.HeaderDigest, DataDigest: r.DataDigest}
	c.maxH2C = r.MaxH2CData
	c.ready = true
	return nil
}

// command gives the slot of a CID that the controller names.
func (c *conn) command(cid uint16) (*slot, error) {
	if int(cid) < len(c.slots) {
		if s := &c.slots[cid]; s.phase == begun && !s.ended {
			return s, nil
		}
	}
	return nil, nvme.Fatal(nvme.FatalHeaderField, nvme.HeaderSize, "%v about command %d, which is not under way", c.hdr.Type, cid)
}

func (c *conn) onCompletion(b []byte) error {
	var e nvme.Completion
	if err := e.Decode(b[nvme.HeaderSize:]); err != nil {
		return err
	}
	if int(e.CID) >= len(c.slots) || c.slots[e.CID].phase != begun || c.slots[e.CID].ended {
		return nvme.Fatal(nvme.FatalHeaderField, nvme.HeaderSize+12, "completion of command %d, which is not under way", e.CID)
	}
	c.finish(e.CID, e.Status, e.Result)
	return nil
}

func (c *conn) onData(b []byte) error {
	var d nvme.Data
	if err := d.Decode(&c.hdr, b); err != nil {
		return err
	}
	s, err := c.command(d.CID)
	switch {
	case err != nil:
		return err
	case s.cmd.Direction() != nvme.ToHost:
		return nvme.Fatal(nvme.FatalHeaderField, nvme.HeaderSize, "data of command %d, which has none for the host", d.CID)
	case d.Length == 0:
		return nvme.Fatal(nvme.FatalHeaderField, 16, "C2HData without data")
	case d.Offset != s.moved:
		return nvme.Fatal(nvme.FatalDataRange, d.Offset, "data of command %d at %d, not %d", d.CID, d.Offset, s.moved)
	case d.Length > s.length-s.moved:
		return nvme.Fatal(nvme.FatalDataRange, d.Offset, "data of command %d to %d, it has %d bytes", d.CID, d.Offset+d.Length, s.length)
	}
	c.cid, c.left, c.sum, c.inData = d.CID, d.Length, 0, true
	c.bulk = d.Length >= bulkData
	return nil
}

func (c *conn) onR2T(b []byte) error {
	var r nvme.R2T
	if err := r.Decode(b); err != nil {
		return err
	}
	s, err := c.command(r.CID)
	switch {
	case err != nil:
		return err
	case s.cmd.Direction() != nvme.ToController || s.cmd.SGL.Type != nvme.SGLTransport:
		return nvme.Fatal(nvme.FatalHeaderField, nvme.HeaderSize, "R2T for command %d, which has no data to ask for", r.CID)
	case s.asked > s.moved:
		return nvme.Fatal(nvme.FatalTransferLimit, 0, "a second R2T for command %d at a time", r.CID)
	case r.Offset != s.moved:
		return nvme.Fatal(nvme.FatalDataRange, r.Offset, "R2T for command %d at %d, not %d", r.CID, r.Offset, s.moved)
	case r.Length > s.length-s.moved:
		return nvme.Fatal(nvme.FatalDataRange, r.Offset, "R2T for command %d to %d, it has %d bytes", r.CID, r.Offset+r.Length, s.length)
	}
	s.asked, s.ttag = r.Offset+r.Length, r.TTag
	c.data.push(r.CID)
	return nil
}
