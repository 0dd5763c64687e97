package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// Fused commands are a Compare and the Write that follows it on the same queue, about the
// same blocks: both are done as one request, or none of them. They find each other when
// their capsules are complete; each then gets its data on its own.

// fuse finds out what the command is: single, first or second of two.
func (s *Session) fuse(i int32) {
	q := &s.slots[i]
	kind := q.cmd.Flags & nvme.FuseMask
	q.partner = none
	first := s.held
	s.held = none
	if first != none && kind != nvme.FuseSecond {
		s.fail(first, nvme.StatusFusedMissing|nvme.DNR)
	}
	switch {
	case kind == 0:
	case kind == nvme.FuseFirst:
		if q.cmd.Opcode != nvme.OpCompare {
			q.status = nvme.StatusInvalidField | nvme.DNR
			return
		}
		s.held, q.partner = i, i // itself: the second one is to come
	case kind != nvme.FuseSecond:
		q.status = nvme.StatusInvalidField | nvme.DNR
	case first == none:
		q.status = nvme.StatusFusedMissing | nvme.DNR
	default:
		f := &s.slots[first]
		f.partner, q.partner = i, first
		a, b := f.cmd.IO(), q.cmd.IO()
		if q.cmd.Opcode != nvme.OpWrite || a.NSID != b.NSID || a.LBA != b.LBA || a.Blocks != b.Blocks {
			q.status = nvme.StatusInvalidField | nvme.DNR
		}
	}
}

// fail ends a command that has not been run, and the other one of two fused commands.
func (s *Session) fail(i int32, st nvme.Status) {
	q := &s.slots[i]
	other := q.partner
	q.partner = none
	if s.held == i {
		s.held = none
	}
	s.failOne(i, st)
	if other != none && other != i {
		s.slots[other].partner = none
		s.failOne(other, nvme.StatusFusedFailed|nvme.DNR)
	}
}

// failOne ends a command now, or when the data that was asked for has come.
func (s *Session) failOne(i int32, st nvme.Status) {
	q := &s.slots[i]
	if q.state == transferring || q.state == waitingData {
		q.status = st
		return
	}
	s.complete(i, st)
}

// runFused runs two fused commands when both have their data.
func (s *Session) runFused(i int32) {
	q := &s.slots[i]
	other := q.partner
	if other == i || s.slots[other].state != holding {
		return
	}
	second := i
	if q.cmd.Flags&nvme.FuseMask == nvme.FuseFirst {
		second = other
	}
	w := &s.slots[second]
	if !w.ns.compareWrites() {
		s.fail(second, nvme.StatusInvalidField|nvme.DNR)
		return
	}
	w.fused, w.state = true, queued
	s.ready = append(s.ready, second)
}

// fusedDone ends both.
func (s *Session) fusedDone(second int32, st nvme.Status) {
	w := &s.slots[second]
	first := w.partner
	w.partner = none
	s.slots[first].partner = none
	// The Compare has failed, or the Write after it.
	compare, write := nvme.StatusSuccess, st
	if st.Code() == nvme.StatusCompareFailed {
		compare, write = st, nvme.StatusFusedFailed|nvme.DNR
	}
	s.complete(first, compare)
	s.complete(second, write)
}
