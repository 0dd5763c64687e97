package core

import (
	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// io begins a command of an I/O queue, whose capsule is complete.
func (s *Session) io(i int32) {
	q := &s.slots[i]
	s.fuse(i)
	if q.status.OK() {
		q.status = q.cmd.CheckSGL(q.capsule)
	}
	n := 0
	if q.status.OK() {
		n, q.status = s.prepare(q)
	}
	switch {
	case !q.status.OK():
		s.fail(i, q.status)
	case q.cmd.Direction() == nvme.NoData || q.capsule > 0:
		s.run(i)
	default:
		s.needBuffer(i, n)
	}
}

// prepare judges a command and says how many bytes of data it has. What may change until
// it is run is looked at again then.
func (s *Session) prepare(q *slot) (int, nvme.Status) {
	c := &q.cmd
	q.ns = s.subsystem.namespace(c.NSID)
	if q.ns == nil && (c.Opcode != nvme.OpFlush || c.NSID != nvme.NSIDAll) {
		return 0, nvme.StatusInvalidNamespace | nvme.DNR
	}
	if st := s.permitted(q); !st.OK() {
		return 0, st
	}
	switch c.Opcode {
	case nvme.OpRead, nvme.OpWrite, nvme.OpCompare, nvme.OpWriteZeroes, nvme.OpVerify:
		return q.prepareBlocks()
	case nvme.OpFlush:
		q.op = blockdev.Flush
		return 0, nvme.StatusSuccess
	case nvme.OpDatasetManagement:
		q.op = blockdev.Deallocate
		return q.exactly(c.DSM().Ranges * nvme.RangeSize)
	case nvme.OpReservationRegister, nvme.OpReservationAcquire:
		return q.exactly(nvme.ReservationDataSize)
	case nvme.OpReservationRelease:
		return q.exactly(nvme.ReservationReleaseSize)
	case nvme.OpReservationReport:
		r, st := c.Report()
		if st.OK() && r.Length > MaxTransfer {
			st = nvme.StatusInvalidField | nvme.DNR
		}
		return int(r.Length), st
	}
	return 0, nvme.StatusInvalidOpcode | nvme.DNR
}

// exactly says that the command has n bytes of data; else it fails. More than n are
// taken and ignored, as hosts send whole pages.
func (q *slot) exactly(n uint32) (int, nvme.Status) {
	if q.cmd.SGL.Length < n || q.cmd.SGL.Length > MaxTransfer {
		return 0, nvme.StatusDataSGLLength | nvme.DNR
	}
	return int(q.cmd.SGL.Length), nvme.StatusSuccess
}

// prepareBlocks judges a command on a range of blocks.
func (q *slot) prepareBlocks() (int, nvme.Status) {
	p, info := q.cmd.IO(), &q.ns.info
	need := blockdev.Features(0)
	switch q.cmd.Opcode {
	case nvme.OpRead:
		q.op = blockdev.Read
	case nvme.OpWrite:
		q.op = blockdev.Write
	case nvme.OpCompare:
		q.op, need = blockdev.Compare, blockdev.HasCompare
	case nvme.OpVerify:
		q.op, need = blockdev.Verify, blockdev.HasVerify
	default:
		q.op, need = blockdev.WriteZeroes, blockdev.HasWriteZeroes
		const both = blockdev.HasDeallocate | blockdev.DeallocateZeroes
		if p.Deallocate && info.Features&both == both {
			q.op, need = blockdev.Deallocate, 0
		}
	}
	bytes := uint64(p.Blocks) << q.ns.shift
	switch {
	case info.Features&need != need:
		return 0, nvme.StatusInvalidOpcode | nvme.DNR
	case p.LBA >= q.ns.size || uint64(p.Blocks) > q.ns.size-p.LBA:
		return 0, nvme.StatusLBARange | nvme.DNR
	case q.op.Writes() && info.ReadOnly:
		return 0, nvme.StatusWriteProtected | nvme.DNR
	case q.cmd.Direction() == nvme.NoData:
		return 0, nvme.StatusSuccess
	case bytes > MaxTransfer || info.MaxTransfer != 0 && bytes > uint64(info.MaxTransfer):
		return 0, nvme.StatusInvalidField | nvme.DNR
	case bytes != uint64(q.cmd.SGL.Length):
		return 0, nvme.StatusDataSGLLength | nvme.DNR
	}
	return int(bytes), nvme.StatusSuccess
}

// permitted says whether the command may be done now: the state of the controller, of the
// way to the namespace, and reservations.
func (s *Session) permitted(q *slot) nvme.Status {
	if !s.controller.ready() {
		return nvme.StatusNamespaceNotReady
	}
	if q.ns == nil {
		return nvme.StatusSuccess // a Flush of all
	}
	if st := s.port.reaches(q.ns); !st.OK() {
		return st
	}
	if !q.ns.res.permits(s.controller.hostID, q.cmd.Opcode) {
		return nvme.StatusReservation
	}
	return nvme.StatusSuccess
}

// run starts a command that has its data, or a buffer for it.
func (s *Session) run(i int32) {
	q := &s.slots[i]
	if q.cmd.Opcode == nvme.OpFabrics {
		s.authRun(i)
		return
	}
	if s.queue.id == 0 {
		s.adminRun(i)
		return
	}
	if q.partner != none {
		q.state = holding
		s.runFused(i)
		return
	}
	switch q.cmd.Opcode {
	case nvme.OpReservationRegister, nvme.OpReservationAcquire, nvme.OpReservationRelease, nvme.OpReservationReport:
		q.state = queued
		s.slow = append(s.slow, i)
	case nvme.OpFlush, nvme.OpDatasetManagement:
		if !s.skipSteps(q) {
			s.complete(i, q.status)
			return
		}
		fallthrough
	default:
		q.state = queued
		s.ready = append(s.ready, i)
	}
}

// skipSteps moves a command of several requests to the next one that there is something
// to do for; false: there is none.
func (s *Session) skipSteps(q *slot) bool {
	if q.cmd.Opcode == nvme.OpFlush {
		if q.cmd.NSID != nvme.NSIDAll {
			return q.step == 0
		}
		for ; int(q.step) < len(s.subsystem.namespaces); q.step++ {
			if q.ns = s.subsystem.namespaces[q.step]; q.ns != nil {
				return true
			}
		}
		return false
	}
	d := q.cmd.DSM()
	if !d.Deallocate || q.ns.info.Features&blockdev.HasDeallocate == 0 {
		return false // hints, no more
	}
	if q.ns.info.ReadOnly {
		q.status = nvme.StatusWriteProtected | nvme.DNR
		return false
	}
	for ; q.step < d.Ranges; q.step++ {
		r := nvme.RangeList(q.buf).At(int(q.step))
		if r.LBA >= q.ns.size || uint64(r.Blocks) > q.ns.size-r.LBA {
			q.status = nvme.StatusLBARange | nvme.DNR
			return false
		}
		if r.Blocks > 0 {
			return true
		}
	}
	return false
}

// Next gives a request for a device; false: there is none now. When the session is about
// to end, with the controller as a rule, what has not begun is not answered either: the
// host takes it for not done when it sees the connection end, and may do it again.
func (s *Session) Next() (Request, bool) {
	for s.err == nil && s.nextReady < len(s.ready) {
		i := s.ready[s.nextReady]
		s.nextReady++
		q := &s.slots[i]
		if st := s.permitted(q); !st.OK() {
			s.fail(i, st)
			continue
		}
		q.state = running
		if q.op.Writes() {
			s.count(q)
		}
		return s.request(i, q), true
	}
	if s.err != nil {
		return Request{}, false
	}
	s.ready, s.nextReady = s.ready[:0], 0
	return Request{}, false
}

func (s *Session) request(i int32, q *slot) Request {
	r := Request{Namespace: q.ns, Tag: i, Op: q.op}
	switch q.cmd.Opcode {
	case nvme.OpFlush:
		return r
	case nvme.OpDatasetManagement:
		d := nvme.RangeList(q.buf).At(int(q.step))
		r.Offset, r.Length = int64(d.LBA<<q.ns.shift), int64(d.Blocks)<<q.ns.shift
		return r
	}
	p := q.cmd.IO()
	r.FUA = p.FUA && q.op.Writes()
	r.Offset, r.Length, r.Buf = int64(p.LBA<<q.ns.shift), int64(p.Blocks)<<q.ns.shift, q.buf
	if q.fused {
		r.Op, r.Buf, r.With = blockdev.CompareWrite, s.slots[q.partner].buf, q.buf
	}
	return r
}

// count notes that a device is about to write.
func (s *Session) count(q *slot) {
	for len(s.writing) <= q.ns.Index {
		s.writing = append(s.writing, inFlight{})
	}
	s.writing[q.ns.Index].n++
	q.counted = true
}

// Done tells how a request has ended.
func (s *Session) Done(tag int32, status blockdev.Status) {
	q := &s.slots[tag]
	if q.counted {
		q.counted = false
		w := &s.writing[q.ns.Index]
		if w.n--; w.n == 0 && len(w.waiters) > 0 {
			s.drained = true
		}
	}
	st := statusOf(status)
	s.stats.count(q, st)
	switch op := q.cmd.Opcode; {
	case q.fused:
		s.fusedDone(tag, st)
	case op == nvme.OpRead:
		s.respondData(tag, st)
	case (op == nvme.OpFlush || op == nvme.OpDatasetManagement) && st.OK():
		if q.step++; s.skipSteps(q) {
			q.state = queued
			s.ready = append(s.ready, tag)
			return
		}
		st = q.status
		fallthrough
	default:
		s.complete(tag, st)
	}
}

// statusOf gives a device's status as the host's.
func statusOf(st blockdev.Status) nvme.Status {
	switch st {
	case blockdev.OK:
		return nvme.StatusSuccess
	case blockdev.StatusInvalidOp, blockdev.StatusInvalidField, blockdev.StatusOutOfRange, blockdev.StatusCompareFailure:
		return nvme.Status(st) | nvme.DNR
	case blockdev.StatusReadOnly:
		return nvme.StatusWriteProtected | nvme.DNR
	case blockdev.StatusMisaligned, blockdev.StatusTooLong:
		return nvme.StatusInvalidField | nvme.DNR
	case blockdev.StatusCanceled, blockdev.StatusDeadline, blockdev.StatusLinkBroken:
		return nvme.StatusAborted
	case blockdev.StatusClosed:
		return nvme.StatusNamespaceNotReady
	case blockdev.StatusLost:
		return nvme.StatusPathInternal
	}
	if st < 0x800 {
		return nvme.Status(st)
	}
	return nvme.StatusInternal
}
