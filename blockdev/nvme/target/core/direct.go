package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// Devices whose content is in memory (blockdev.Direct) spare a copy of bulk data: the
// socket is read into their memory, or written from there, while it is borrowed. The
// session's own buffers are there as well, for what can't be moved that way.

// Landing is where the rest of a write's data belongs.
type Landing struct {
	Namespace *Namespace
	Offset    int64  // bytes, of the write
	Have      []byte // the data that has been received already
	Rest      []byte // what is missing; its place in the session's buffer
}

// Landing says whether the next bytes from the host are the rest of a write's data, so
// that whoever receives all of it at once, after Have, has done the write.
func (s *Session) Landing() (Landing, bool) {
	if !s.body.on || s.body.capsule || s.body.tail > 0 || s.start != s.end || s.err != nil || s.ended {
		return Landing{}, false
	}
	q := &s.slots[s.body.slot]
	if q.cmd.Opcode != nvme.OpWrite || s.queue.id == 0 || q.partner != none || !q.status.OK() ||
		int(q.got) < len(q.buf) || !s.permitted(q).OK() {
		return Landing{}, false
	}
	have := len(q.buf) - len(s.body.dst)
	return Landing{
		Namespace: q.ns, Offset: int64(q.cmd.IO().LBA << q.ns.shift), Have: q.buf[:have], Rest: s.body.dst,
	}, true
}

// Landed says that the write that Landing told of has been done. Received is to be called
// as if the data were where Room wanted it.
func (s *Session) Landed() { s.slots[s.body.slot].landed = true }

// DoneDirect tells that a read has succeeded. Its data is data, which belongs to the
// session until Keep has been called; there must be no other such data.
func (s *Session) DoneDirect(tag int32, data []byte) {
	s.stats.count(&s.slots[tag], nvme.StatusSuccess)
	s.respondWith(tag, data, true)
}

// Keep has the session do without what DoneDirect has lent it: what of that has not been
// sent is copied.
func (s *Session) Keep() { s.out.keep() }
