package core

import (
	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// slotState says where a command is between its capsule and the end of its response.
type slotState uint8

const (
	empty        slotState = iota
	receiving              // its data is on the way in the capsule, or it is being looked at
	waitingData            // it waits for a buffer
	transferring           // R2T has been sent
	holding                // first of two fused commands
	queued                 // it is among the requests for devices, or slow
	running                // a device has it
	parked                 // it waits for an event
	responding             // its response is among the output
)

// slot is a command of the session's queue.
type slot struct {
	cmd     nvme.Command
	state   slotState
	status  nvme.Status
	capsule uint32 // bytes of data in the capsule
	got     uint32 // bytes of data received after R2T
	buf     []byte
	ns      *Namespace
	op      blockdev.Op
	step    uint32 // of commands that are several requests: the next one
	partner int32  // the other of two fused commands
	fused   bool   // second of two, and both are one request
	counted bool   // among Session.writing
	landed  bool   // the device has the data: the write is done
}

// Request is what a device shall do.
type Request struct {
	Namespace *Namespace
	Tag       int32 // for Done
	Op        blockdev.Op
	FUA       bool
	Offset    int64 // bytes
	Length    int64 // bytes
	Buf, With []byte
}

// release frees a slot.
func (s *Session) release(i int32) {
	q := &s.slots[i]
	s.buffers.put(q.buf)
	q.buf, q.ns, q.state, q.fused, q.landed, q.got, q.step = nil, nil, empty, false, false, 0, 0
	s.free = append(s.free, i)
}

// complete ends a command without data for the host.
func (s *Session) complete(i int32, st nvme.Status) { s.respond(i, st, 0) }

// respond ends a command without data for the host, with a result.
func (s *Session) respond(i int32, st nvme.Status, result uint64) {
	q := &s.slots[i]
	q.state = responding
	s.completion(q, st, result)
	s.out.end(i)
}

func (s *Session) completion(q *slot, st nvme.Status, result uint64) {
	c := nvme.Completion{Result: result, CID: q.cmd.CID, Status: st}
	if s.queue != nil {
		c.SQHead = s.queue.head
	}
	s.out.take(s.send.AppendCompletion(s.out.room(), &c))
}

// respondData ends a command with the data in its buffer, or with st alone if that is no
// success.
func (s *Session) respondData(i int32, st nvme.Status) {
	q := &s.slots[i]
	if !st.OK() || len(q.buf) == 0 {
		s.complete(i, st)
		return
	}
	s.respondWith(i, q.buf, false)
}

// respondWith ends a command with success and data, which may be borrowed.
func (s *Session) respondWith(i int32, data []byte, borrowed bool) {
	q := &s.slots[i]
	q.state = responding
	flags := nvme.FlagLast
	success := s.queue != nil && s.queue.noFlowControl
	if success {
		flags |= nvme.FlagSuccess
	}
	d := nvme.Data{CID: q.cmd.CID, Length: uint32(len(data))}
	s.out.take(s.send.AppendC2H(s.out.room(), &d, flags))
	s.out.data(data)
	if borrowed {
		s.out.lend(q.buf)
	}
	if s.send.DataDigest {
		s.out.take(nvme.AppendDigest(s.out.room(), nvme.Digest(0, data)))
	}
	if !success {
		s.completion(q, nvme.StatusSuccess, 0)
	}
	s.out.end(i)
}

// needBuffer gives the command n bytes, now or when there are some; then go on.
func (s *Session) needBuffer(i int32, n int) {
	if len(s.waiting) == 0 && s.buffers.fits(n) {
		s.slots[i].buf = s.buffers.get(n)
		s.buffered(i)
		return
	}
	s.slots[i].state = waitingData
	s.slots[i].got = uint32(n)
	s.waiting = append(s.waiting, i)
}

// fed says that commands wait for buffers, and there are some again.
func (s *Session) fed() bool {
	return len(s.waiting) > 0 && s.buffers.fits(int(s.slots[s.waiting[0]].got))
}

// feed gives buffers to commands that wait for them, in order.
func (s *Session) feed() {
	for len(s.waiting) > 0 {
		i := s.waiting[0]
		q := &s.slots[i]
		n := int(q.got)
		if !s.buffers.fits(n) {
			return
		}
		s.waiting = s.waiting[:copy(s.waiting, s.waiting[1:])]
		if !q.status.OK() {
			q.got = 0
			s.complete(i, q.status)
			continue
		}
		q.buf, q.got = s.buffers.get(n), 0
		s.buffered(i)
	}
}

// buffered goes on with a command that has its buffer.
func (s *Session) buffered(i int32) {
	q := &s.slots[i]
	if q.cmd.Direction() != nvme.ToController {
		s.run(i)
		return
	}
	q.state, q.got = transferring, 0
	if len(q.buf) >= bulkData {
		s.bulky++
	}
	r := nvme.R2T{CID: q.cmd.CID, TTag: uint16(i), Length: uint32(len(q.buf))}
	s.out.take(s.send.AppendR2T(s.out.room(), &r))
}
