package core

import (
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
)

// Session is one connection of a host: its bytes in, its bytes out, and between them the
// commands of one queue.
type Session struct {
	t    *Target
	port *Port
	wake func()

	// Received bytes: rx[start:end] has not been looked at.
	rx         []byte
	start, end int
	recv       nvme.Receiver
	send       nvme.Format
	agreed     bool // ICResp has been sent
	body       body
	bulky      int // commands that an R2T has asked for bulk data

	out output

	queue      *queue // nil before Connect
	controller *Controller
	subsystem  *Subsystem

	auth          *auth.Controller // nil: the host need not authenticate itself
	proving       int32            // Authentication Send that Work has to look at; none
	worked        bool             // Work has done it
	authenticated bool             // the host has authenticated itself, or need not

	slots     []slot
	free      []int32
	buffers   buffers
	waiting   []int32    // commands that wait for a buffer
	ready     []int32    // requests for devices
	nextReady int        // requests before it have been given
	slow      []int32    // commands that need the target for themselves
	held      int32      // first of two fused commands, whose second has to come now; none
	writing   []inFlight // by index of the namespace
	drains    []*drain   // what commands of this session wait for
	drained   bool       // somebody waits for writes of this session, and some have ended

	born  uint64 // ms
	alive bool   // there was a command since the last tick
	ended bool   // Close was called
	err   error  // why the session ends
	stats Stats
}

// inFlight counts the writes of one namespace that devices have.
type inFlight struct {
	n       int
	waiters []*drain // those who wait for none
}

// body is the data of the PDU that is being received.
type body struct {
	on      bool
	dst     []byte // what is still missing
	slot    int32
	sum     uint32
	tail    int // bytes of digest
	capsule bool
	after   func(s *Session, slot int32, ok bool)
}

// Sizes of receive buffers.
const (
	smallInput = 16 << 10  // before Connect, and of admin queues
	largeInput = 256 << 10 // of I/O queues
	// directMin is from how many missing bytes on data is received where it belongs.
	directMin = 4096
	// Where bulk data comes after an R2T, little is read beyond what is known to be data:
	// some commands, and the next header. So nearly all of it is received where it belongs.
	bulkData   = 16 << 10
	bulkBeyond = 512

	adminEntries = 32 // slots before Connect
)

const none int32 = -1

var (
	errShutdown = errors.New("the target shuts down")
	errHostTerm = errors.New("the host ends the connection")
)

// NewSession begins a session at port. wake is called when there is something for
// the session to do besides what its own calls say; it must not call the target, and not
// block.
func (t *Target) NewSession(port *Port, wake func()) *Session {
	s := &Session{
		t: t, port: port, wake: wake, born: t.now, held: none, proving: none,
		rx:   make([]byte, smallInput),
		recv: nvme.Receiver{Role: nvme.Controller, MaxData: nvme.AdminCapsuleData},
	}
	s.makeSlots(1)
	t.sessions[s] = struct{}{}
	return s
}

func (s *Session) makeSlots(n int) {
	old := len(s.slots)
	if n <= old {
		return
	}
	slots := make([]slot, n)
	copy(slots, s.slots)
	s.slots = slots
	for i := n - 1; i >= old; i-- {
		s.free = append(s.free, int32(i))
	}
}

// Exclusive says whether the next calls need the target for themselves. If not, others of
// its sessions may be used at the same time, as long as none of them is Exclusive.
func (s *Session) Exclusive() bool {
	return s.queue == nil || s.queue.id == 0 || s.delayed()
}

// Again says whether Received has to be called again, to go on.
func (s *Session) Again() bool { return s.delayed() || s.fed() }

// delayed says that there is something to go on with that other sessions have to do with.
func (s *Session) delayed() bool { return len(s.slow) > 0 || s.drained || s.worked }

// Entries is how many commands there can be at a time.
func (s *Session) Entries() int { return len(s.slots) }

// Room gives the places for the next received bytes, in order: the second one is used
// when the first one is full, and may be empty.
func (s *Session) Room() (first, second []byte) {
	rx := s.rx[s.end:]
	if s.bulky > 0 && len(rx) > bulkBeyond {
		rx = rx[:bulkBeyond]
	}
	if len(s.body.dst) >= directMin && s.start == s.end {
		return s.body.dst, rx
	}
	return rx, nil
}

// Received tells that n bytes have come to where Room said. 0 is a call to go on.
func (s *Session) Received(n int) {
	if s.err != nil || s.ended {
		return
	}
	s.catchUp()
	if len(s.body.dst) >= directMin && s.start == s.end {
		s.start, s.end = 0, 0
		k := min(n, len(s.body.dst))
		s.took(s.body.dst[:k])
		n -= k
	}
	s.end += n
	for s.err == nil && len(s.slow) == 0 && s.proving == none && s.step() {
	}
	if s.start == s.end {
		s.start, s.end = 0, 0
	} else if s.start > 0 && len(s.rx)-s.end < nvme.MaxHeaderLen*2 {
		s.end = copy(s.rx, s.rx[s.start:s.end])
		s.start = 0
	}
}

// catchUp does what was left for this call.
func (s *Session) catchUp() {
	if s.worked {
		s.proved()
	}
	for _, i := range s.slow {
		s.reserve(i)
	}
	s.slow = s.slow[:0]
	if s.drained {
		s.settle()
	}
	if len(s.drains) > 0 {
		s.awake()
	}
	if s.controller != nil && s.queue.id == 0 {
		s.controller.deliver()
	}
	s.feed()
}

// took notes that b, which is where it belongs, has been received.
func (s *Session) took(b []byte) {
	if s.body.tail > 0 {
		s.body.sum = nvme.Digest(s.body.sum, b)
	}
	s.body.dst = s.body.dst[len(b):]
}

// step takes the next piece from what has been received; false: it is not complete, or
// there is none.
func (s *Session) step() bool {
	b := s.rx[s.start:s.end]
	if s.body.on {
		return s.stepBody(b)
	}
	if len(b) < nvme.HeaderSize {
		return false
	}
	var h nvme.Header
	if err := s.recv.ParseHeader(b, &h); err != nil {
		s.fatal(err, b)
		return false
	}
	n := h.HeaderLen()
	if h.Type == nvme.TypeH2CTermReq {
		n = int(h.PLen)
	} else {
		n += h.Padding()
	}
	if len(b) < n {
		return false
	}
	s.start += n
	b = b[:n]
	err := nvme.CheckHeaderDigest(&h, b)
	if err == nil {
		err = s.pdu(&h, b)
	}
	if err != nil {
		s.fatal(err, b)
	}
	return err == nil
}

func (s *Session) stepBody(b []byte) bool {
	if d := s.body.dst; len(d) > 0 {
		n := copy(d, b)
		s.start += n
		s.took(d[:n])
		if len(s.body.dst) > 0 {
			return false
		}
		b = b[n:]
	}
	ok := true
	if t := s.body.tail; t > 0 {
		if len(b) < t {
			return false
		}
		ok = nvme.DataDigestOK(s.body.sum, b)
		s.start += t
	}
	after, slot := s.body.after, s.body.slot
	s.body = body{}
	after(s, slot, ok)
	return true
}

// expect has the data of h received to dst.
func (s *Session) expect(h *nvme.Header, dst []byte, slot int32, after func(*Session, int32, bool)) {
	s.body = body{on: true, dst: dst, slot: slot, after: after, capsule: h.Type == nvme.TypeCapsuleCmd}
	if h.Flags&nvme.FlagDataDigest != 0 {
		s.body.tail = nvme.DigestSize
	}
}

// pdu takes a PDU, without its data.
func (s *Session) pdu(h *nvme.Header, b []byte) error {
	switch {
	case h.Type == nvme.TypeH2CTermReq:
		var r nvme.TermReq
		if err := r.Decode(b); err != nil {
			return err
		}
		s.kill(fmt.Errorf("%w: %v, info %#x", errHostTerm, r.Status, r.Info))
		return nil
	case !s.agreed && h.Type == nvme.TypeICReq:
		return s.onICReq(b)
	case !s.agreed || h.Type == nvme.TypeICReq:
		return nvme.Fatal(nvme.FatalSequence, 0, "%v when it may not come", h.Type)
	case h.Type == nvme.TypeH2CData:
		return s.onData(h, b)
	}
	return s.onCommand(h, b)
}

// onICReq agrees on how both ends speak.
func (s *Session) onICReq(b []byte) error {
	var r nvme.ICReq
	if err := r.Decode(b); err != nil {
		return err
	}
	resp := nvme.ICResp{HeaderDigest: r.HeaderDigest, DataDigest: r.DataDigest, MaxH2CData: MaxTransfer}
	s.recv.Format = nvme.Format{HeaderDigest: r.HeaderDigest, DataDigest: r.DataDigest}
	s.recv.MaxData = MaxTransfer
	s.send = nvme.Format{HeaderDigest: r.HeaderDigest, DataDigest: r.DataDigest, Align: r.HPDA}
	s.out.take(resp.Append(s.out.room()))
	s.agreed = true
	return nil
}

// onCommand takes a command; its data may follow.
func (s *Session) onCommand(h *nvme.Header, b []byte) error {
	n := h.DataLen()
	limit := nvme.AdminCapsuleData
	if s.queue != nil && s.queue.id != 0 {
		limit = CapsuleData
	}
	if n > limit {
		return nvme.Fatal(nvme.FatalTransferLimit, 0, "%d bytes of data in a capsule, at most %d", n, limit)
	}
	if len(s.free) == 0 {
		return nvme.Fatal(nvme.FatalSequence, 0, "more commands at a time than the queue has entries: %d", len(s.slots))
	}
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	q := &s.slots[i]
	if err := q.cmd.Decode(b[nvme.HeaderSize:]); err != nil {
		return err
	}
	q.state, q.capsule, q.status, q.partner = receiving, uint32(n), nvme.StatusSuccess, none
	if s.queue != nil {
		s.queue.consumed()
		// What others send to an I/O queue does not keep a host's controller alive.
		s.alive = s.alive || s.authenticated
	}
	if n == 0 {
		s.execute(i)
		return nil
	}
	q.buf = s.buffers.get(n)
	s.expect(h, q.buf, i, (*Session).capsuleComplete)
	return nil
}

func (s *Session) capsuleComplete(i int32, ok bool) {
	if !ok {
		if first := s.held; first != none && s.queue != nil && s.queue.id != 0 {
			s.fail(first, nvme.StatusFusedMissing|nvme.DNR)
		}
		s.complete(i, nvme.StatusTransientTransport)
		return
	}
	s.execute(i)
}

// onData takes data that an R2T asked for.
func (s *Session) onData(h *nvme.Header, b []byte) error {
	var d nvme.Data
	if err := d.Decode(h, b); err != nil {
		return err
	}
	if int(d.TTag) >= len(s.slots) || s.slots[d.TTag].state != transferring || s.slots[d.TTag].cmd.CID != d.CID {
		return nvme.Fatal(nvme.FatalHeaderField, 10, "H2CData with tag %d for command %d: no R2T has asked for it", d.TTag, d.CID)
	}
	q := &s.slots[d.TTag]
	missing := uint32(len(q.buf)) - q.got
	switch {
	case d.Offset != q.got:
		return nvme.Fatal(nvme.FatalDataRange, 0, "H2CData begins at %d, not %d", d.Offset, q.got)
	case d.Length > missing:
		return nvme.Fatal(nvme.FatalDataRange, 0, "H2CData has %d bytes, %d are missing", d.Length, missing)
	case h.Flags&nvme.FlagLast != 0 != (d.Length == missing):
		return nvme.Fatal(nvme.FatalHeaderField, 1, "H2CData with %d of %d missing bytes, LAST_PDU: %v",
			d.Length, missing, h.Flags&nvme.FlagLast != 0)
	case d.Length == 0:
		return nvme.Fatal(nvme.FatalHeaderField, 16, "H2CData without data")
	}
	s.expect(h, q.buf[q.got:q.got+d.Length], int32(d.TTag), (*Session).dataComplete)
	q.got += d.Length
	return nil
}

func (s *Session) dataComplete(i int32, ok bool) {
	q := &s.slots[i]
	if !ok {
		q.status = nvme.StatusTransientTransport
	}
	if int(q.got) < len(q.buf) {
		return
	}
	if q.got >= bulkData {
		s.bulky--
	}
	if q.status != nvme.StatusSuccess {
		q.state = receiving
		s.fail(i, q.status) // with the other one of two fused commands
		return
	}
	if q.landed {
		s.stats.count(q, nvme.StatusSuccess)
		s.complete(i, nvme.StatusSuccess)
		return
	}
	q.state = receiving
	s.run(i)
}

// fatal ends the session with a TermReq.
func (s *Session) fatal(err error, pdu []byte) {
	var f *nvme.FatalError
	if !errors.As(err, &f) {
		f = nvme.Fatal(nvme.FatalHeaderField, 0, "%v", err)
	}
	if nvme.PDUType(pdu[0]) != nvme.TypeH2CTermReq {
		r := nvme.TermReq{Status: f.Status, Info: f.Info, PDU: pdu[:min(len(pdu), nvme.MaxHeaderLen)]}
		s.out.take(r.Append(s.out.room(), nvme.Controller))
	}
	s.kill(err)
}

// kill ends the session, from inside or outside.
func (s *Session) kill(err error) {
	if s.err == nil && !s.ended {
		s.err = err
		s.wake()
	}
}

// Err says why the session is to be closed, once what Output gives has been sent as far
// as the peer takes it without delay. nil: it goes on. Others may end a session: Err is
// called as Exclusive says.
func (s *Session) Err() error { return s.err }

// Output gives what is to be sent; Sent says how much was.
func (s *Session) Output() [][]byte { return s.out.pending() }

// Sent tells that the first n bytes of Output have been sent.
func (s *Session) Sent(n int) {
	s.out.advance(n)
	for {
		i, ok := s.out.over()
		if !ok {
			break
		}
		s.release(i)
	}
}

// Close ends the session. No request of it may be with a device any more. Why is what
// Err said, or the end of the connection.
func (s *Session) Close() {
	if s.ended {
		return
	}
	s.ended = true
	delete(s.t.sessions, s)
	if s.queue != nil {
		s.leave()
	}
}

// Shutdown ends all sessions.
func (t *Target) Shutdown() {
	for s := range t.sessions {
		s.kill(errShutdown)
	}
}
