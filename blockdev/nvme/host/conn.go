package host

import (
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// connConfig says how a connection shall be.
type connConfig struct {
	Commands     int  // commands at a time, 1 to maxCommands
	Spare        int  // commands that may be waited for though nobody wants their end any more
	HeaderDigest bool // ask for digests
	DataDigest   bool
	Buffer       int // bytes of the receive buffer; 4096 at least
}

// maxCommands is the most commands of a connection.
const maxCommands = 16384

// ending is the end of a command.
type ending struct {
	CID    uint16
	User   uint32 // as given to Submit
	Status nvme.Status
	Result uint64
	Got    int // bytes received
}

// phase says how far a command has come.
type phase uint8

const (
	idle    phase = iota
	waiting       // in the queue of commands; nothing of it has been handed out
	begun         // it is in the output, or has been sent
)

// slot is a command, by its CID.
type slot struct {
	cmd    nvme.Command
	one    [1][]byte
	bufs   [][]byte
	length uint32
	user   uint32
	phase  phase
	orphan bool // nobody wants its end any more
	broken bool // a data digest was wrong
	ended  bool // its end is there, but the output still holds its buffers
	end    ending
	refs   int    // pieces of the output that are its buffers
	moved  uint32 // bytes received, or put into the output
	asked  uint32 // where the data that an R2T has asked for ends
	ttag   uint16 // of that R2T
	buf    int    // where moved is: in bufs[buf]
	off    int    // at this byte
}

// conn is the host's end of an NVMe/TCP connection, and so of a queue pair: bytes
// and commands go in, bytes and ends of commands come out. See the package's
// comment for who does what. It is for one goroutine at a time.
type conn struct {
	cfg    connConfig
	peer   nvme.Receiver
	format nvme.Format // of what is sent
	maxH2C uint32
	ready  bool  // ICResp has come
	fail   error // the connection is over
	limit  int   // commands at the controller, at most
	flying int   // commands that have begun and not ended
	spare  int   // orphans

	slots []slot
	free  []uint16
	cmds  fifo // CIDs of commands that wait
	data  fifo // CIDs of commands that an R2T has asked for data
	fused bool // the output ends with the first of two fused commands
	ends  []ending

	output
	input
}

// newConn makes the host's end of a connection that has just been made. Its first
// output is an ICReq.
func newConn(cfg connConfig) (*conn, error) {
	if cfg.Commands < 1 || cfg.Commands > maxCommands || cfg.Spare < 0 || cfg.Spare > maxCommands {
		return nil, fmt.Errorf("nvme: a connection for %d commands and %d spare ones: must be 1 to %d", cfg.Commands, cfg.Spare, maxCommands)
	}
	n := cfg.Commands + cfg.Spare
	c := &conn{cfg: cfg, limit: cfg.Commands, slots: make([]slot, n), free: make([]uint16, n), ends: make([]ending, 0, n)}
	c.peer = nvme.Receiver{Role: nvme.Host, MaxData: maxPDUData}
	for i := range c.free {
		c.free[i] = uint16(n - 1 - i)
	}
	c.cmds, c.data = newFIFO(n), newFIFO(n)
	c.output.init(n)
	c.input.init(max(cfg.Buffer, 4096))
	req := nvme.ICReq{HeaderDigest: cfg.HeaderDigest, DataDigest: cfg.DataDigest}
	c.header(func(b []byte) []byte { return req.Append(b) })
	return c, nil
}

// maxPDUData bounds what a PDU may claim to hold: no command here asks for more.
const maxPDUData = 1 << 30

// Err says why the connection is over, nil if it is not.
func (c *conn) Err() error { return c.fail }

// SetLimit makes n commands at a time the most that the controller is sent; those
// beyond it wait. It is at least 2, for two fused commands.
func (c *conn) SetLimit(n int) { c.limit = max(2, min(n, c.cfg.Commands)) }

// Submit takes a command with its data, which belongs to c until the command's end
// has been reaped, and gives its CID; false if there is no room. The command's CID and
// SGL are set here. The data is either one buffer, or bufs; it is inline, in the
// command's capsule, or not. The first of two fused commands must be followed at once
// by the second.
func (c *conn) Submit(cmd *nvme.Command, one []byte, bufs [][]byte, inline bool, user uint32) (uint16, bool) {
	k := len(c.free)
	if k <= c.spareLeft() || c.fail != nil {
		return 0, false
	}
	cid := c.free[k-1]
	c.free = c.free[:k-1]
	s := &c.slots[cid]
	s.cmd, s.user, s.phase = *cmd, user, waiting
	s.cmd.CID = cid
	if bufs == nil {
		s.one[0] = one
		bufs = s.one[:]
	}
	s.bufs = bufs
	for _, b := range bufs {
		s.length += uint32(len(b))
	}
	s.cmd.SetData(s.length, inline && s.length > 0)
	c.cmds.push(cid)
	return cid, true
}

// spareLeft is how many free slots are kept for those that replace orphans.
func (c *conn) spareLeft() int { return c.cfg.Spare - c.spare }

// Begun says whether the controller may have heard of the command.
func (c *conn) Begun(cid uint16) bool { return c.slots[cid].phase == begun }

// Forget ends c's interest in a command that has not ended: there will be no ending, and
// its buffers are free when Forget returns. What has begun goes on at the controller;
// data that it may still ask for is copied. It is false if the controller still has
// too many such commands.
func (c *conn) Forget(cid uint16) bool {
	s := &c.slots[cid]
	if s.phase == waiting {
		if s.cmd.Flags&nvme.FuseMask == nvme.FuseSecond && c.cmds.first() == cid {
			c.fused = false // its first has gone out: the controller ends that
		}
		c.cmds.remove(cid)
		c.release(cid)
		return true
	}
	if c.spare >= c.cfg.Spare {
		return false
	}
	c.spare++
	s.orphan = true
	if s.cmd.Direction() == nvme.ToController && s.length > 0 {
		c.detach(cid)
	} else {
		s.one[0], s.bufs = nil, nil
	}
	return true
}

// Ends gives the ends since the last call. They are valid until the next call of a
// method of c.
func (c *conn) Ends() []ending {
	e := c.ends
	c.ends = c.ends[:0]
	return e
}

// HasEnds says whether Ends would give any.
func (c *conn) HasEnds() bool { return len(c.ends) > 0 }

// finish ends a command, unless the output still holds its buffers.
func (c *conn) finish(cid uint16, status nvme.Status, result uint64) {
	s := &c.slots[cid]
	if s.broken {
		status = nvme.StatusTransientTransport
	}
	s.end = ending{CID: cid, User: s.user, Status: status, Result: result, Got: int(s.moved)}
	s.ended = true
	c.flying--
	if s.asked > s.moved {
		c.data.remove(cid)
	}
	if s.refs == 0 {
		c.deliver(cid)
	}
}

func (c *conn) deliver(cid uint16) {
	s := &c.slots[cid]
	orphan := s.orphan
	if orphan {
		c.spare--
	} else {
		c.ends = append(c.ends, s.end)
	}
	c.release(cid)
	if orphan {
		// An Abort of it may be under way, and would take the next command with its CID: that comes
		// when there is no other one.
		last := len(c.free) - 1
		copy(c.free[1:], c.free[:last])
		c.free[0] = cid
	}
}

func (c *conn) release(cid uint16) {
	s := &c.slots[cid]
	s.one[0], s.bufs = nil, nil
	s.length, s.moved, s.asked, s.buf, s.off, s.refs = 0, 0, 0, 0, 0, 0
	s.phase, s.orphan, s.broken, s.ended = idle, false, false, false
	c.free = append(c.free, cid)
}

// Fail ends the connection: nothing comes out any more but a TermReq, if err is a
// *nvme.FatalError and no PDU is cut short by it. Commands get no ending any more, and
// their buffers are free.
func (c *conn) Fail(err error) {
	if c.fail != nil {
		return
	}
	c.fail = err
	whole := c.drop()
	if fatal, ok := err.(*nvme.FatalError); ok && whole {
		term := nvme.TermReq{Status: fatal.Status, Info: fatal.Info, PDU: c.current()}
		c.header(func(b []byte) []byte { return term.Append(b, nvme.Host) })
	}
}

// fifo is a ring of CIDs, each at most once in it.
type fifo struct {
	ids     []uint16
	head, n int
}

func newFIFO(n int) fifo { return fifo{ids: make([]uint16, n)} }

func (f *fifo) at(i int) int {
	if i += f.head; i >= len(f.ids) {
		i -= len(f.ids)
	}
	return i
}

func (f *fifo) push(id uint16) {
	f.ids[f.at(f.n)] = id
	f.n++
}

func (f *fifo) first() uint16 { return f.ids[f.head] }

func (f *fifo) pop() {
	f.head = f.at(1)
	f.n--
}

func (f *fifo) remove(id uint16) {
	to := 0
	for i := range f.n {
		if v := f.ids[f.at(i)]; v != id {
			f.ids[f.at(to)] = v
			to++
		}
	}
	f.n = to
}
