package host

import (
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Bounds of the output.
const (
	maxPieces  = 1024    // of one writev
	maxHeader  = 256     // bytes of a header, its digest and padding; a TermReq
	minArena   = 4096    // bytes
	maxArena   = 1 << 16 // bytes
	noCID      = -1
	headerRoom = 128 // bytes of arena for each command
)

// piece is what belongs to a buffer of the output.
type piece struct {
	cid int32 // whose buffer it is; noCID: it is of the arena
	end int   // in the arena
}

// output is what shall be written: headers and digests, which are in a ring of bytes,
// the arena, and the buffers of commands. Only so much is put there as there is room
// for; the rest waits in conn.cmds and conn.data.
type output struct {
	out   [][]byte
	meta  []piece
	at    int // out[:at] has been sent
	arena []byte
	head  int // the oldest byte in use
	tail  int // behind the latest one
}

func (o *output) init(commands int) {
	o.arena = make([]byte, min(max(commands*headerRoom, minArena), maxArena))
	o.out, o.meta = make([][]byte, 0, maxPieces), make([]piece, 0, maxPieces)
}

// Output gives what is to be written next, piece by piece; the slices are c's. Sent
// says how much of it has been written.
func (c *conn) Output() [][]byte {
	c.fill()
	return c.out[c.at:]
}

// Sent takes n bytes off the output.
func (c *conn) Sent(n int) {
	for n > 0 {
		b := c.out[c.at]
		if n < len(b) {
			c.out[c.at] = b[n:]
			return
		}
		n -= len(b)
		m := c.meta[c.at]
		c.out[c.at] = nil
		c.at++
		if m.cid == noCID {
			c.head = m.end
			continue
		}
		s := &c.slots[m.cid]
		if s.refs--; s.refs == 0 && s.ended {
			c.deliver(uint16(m.cid))
		}
	}
	if c.at == len(c.out) {
		c.reset()
	}
}

func (o *output) reset() {
	o.out, o.meta, o.at = o.out[:0], o.meta[:0], 0
	o.head, o.tail = 0, 0
}

// drop empties the output; it says whether that was empty before.
func (c *conn) drop() bool {
	whole := c.at == len(c.out)
	clear(c.out)
	c.reset()
	return whole
}

// room makes at least maxHeader bytes of the arena free behind tail, and gives them;
// nil if there are none.
func (o *output) room() []byte {
	switch {
	case o.tail >= o.head && len(o.arena)-o.tail >= maxHeader:
	case o.tail >= o.head && o.head > maxHeader:
		o.tail = 0
	case o.tail < o.head && o.head-o.tail > maxHeader:
	default:
		return nil
	}
	return o.arena[o.tail : o.tail : o.tail+maxHeader]
}

// header puts what add appends into the output; false if there is no room.
func (o *output) header(add func([]byte) []byte) bool {
	b := o.room()
	if b == nil {
		return false
	}
	o.commit(add(b))
	return true
}

// commit makes b, which begins where room said, part of the output.
func (o *output) commit(b []byte) {
	start := o.tail
	o.tail += len(b)
	if k := len(o.out) - 1; k >= o.at && o.meta[k].cid == noCID && o.meta[k].end == start {
		o.out[k] = o.arena[start-len(o.out[k]) : o.tail]
		o.meta[k].end = o.tail
		return
	}
	o.push(b, piece{cid: noCID, end: o.tail})
}

func (o *output) push(b []byte, m piece) {
	if len(o.out) == cap(o.out) && o.at > 0 {
		n := copy(o.out, o.out[o.at:])
		copy(o.meta, o.meta[o.at:])
		clear(o.out[n:])
		o.out, o.meta, o.at = o.out[:n], o.meta[:n], 0
	}
	o.out, o.meta = append(o.out, b), append(o.meta, m)
}

// full says whether no further PDU should be put into the output now.
func (o *output) full() bool { return len(o.out)-o.at >= maxPieces/2 || o.room() == nil }

// fill puts into the output what may be sent: data that was asked for, then commands.
// Nothing comes between two fused commands.
func (c *conn) fill() {
	if !c.ready || c.fail != nil {
		return
	}
	for !c.full() {
		if c.data.n > 0 && !c.fused {
			c.sendData(c.data.first())
			continue
		}
		if c.cmds.n == 0 {
			return
		}
		cid := c.cmds.first()
		s := &c.slots[cid]
		need := 1
		switch fuse := s.cmd.Flags & nvme.FuseMask; {
		case fuse == nvme.FuseFirst:
			need = 2
		case fuse == nvme.FuseSecond && c.fused:
			need = 0 // counted with the first
		}
		if c.flying+need > c.limit {
			return
		}
		c.fused = need == 2
		c.cmds.pop()
		c.sendCommand(cid, s)
	}
}

func (c *conn) sendCommand(cid uint16, s *slot) {
	inline := uint32(0)
	if s.cmd.SGL.Type == nvme.SGLInCapsule {
		inline = s.length
	}
	s.phase = begun
	c.flying++
	c.commit(c.format.AppendCommand(c.room(), &s.cmd, inline))
	if inline > 0 {
		c.sendBytes(cid, s, inline)
	}
}

// sendData sends one H2CData of what the controller has asked for.
func (c *conn) sendData(cid uint16) {
	s := &c.slots[cid]
	n := min(s.asked-s.moved, c.maxH2C)
	flags := nvme.PDUFlags(0)
	if s.moved+n == s.asked {
		flags = nvme.FlagLast
		c.data.pop()
	}
	d := nvme.Data{CID: cid, TTag: s.ttag, Offset: s.moved, Length: n}
	c.commit(c.format.AppendH2C(c.room(), &d, flags))
	c.sendBytes(cid, s, n)
}

// sendBytes puts the next n bytes of a command's data into the output, by reference,
// and their digest.
func (c *conn) sendBytes(cid uint16, s *slot, n uint32) {
	sum := uint32(0)
	s.moved += n
	for n > 0 {
		b := s.bufs[s.buf][s.off:]
		if uint32(len(b)) > n {
			b = b[:n]
		}
		s.off += len(b)
		if s.off == len(s.bufs[s.buf]) {
			s.buf, s.off = s.buf+1, 0
		}
		n -= uint32(len(b))
		if len(b) == 0 {
			continue
		}
		if c.format.DataDigest {
			sum = nvme.Digest(sum, b)
		}
		c.push(b, piece{cid: int32(cid)})
		s.refs++
	}
	if c.format.DataDigest {
		c.commit(nvme.AppendDigest(c.arena[c.tail:c.tail:len(c.arena)], sum))
	}
}

// detach replaces the buffers of a command by copies: those in the output, and what
// the controller may still ask for.
func (c *conn) detach(cid uint16) {
	s := &c.slots[cid]
	for i := c.at; i < len(c.out); i++ {
		if c.meta[i].cid == int32(cid) {
			c.out[i] = append([]byte(nil), c.out[i]...)
		}
	}
	rest := make([]byte, 0, s.length-s.moved)
	for s.buf < len(s.bufs) {
		rest = append(rest, s.bufs[s.buf][s.off:]...)
		s.buf, s.off = s.buf+1, 0
	}
	s.one[0], s.buf, s.off = rest, 0, 0
	s.bufs = s.one[:]
}
