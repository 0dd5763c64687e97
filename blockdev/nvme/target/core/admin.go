package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// admin begins a command of the admin queue, whose capsule is complete.
func (s *Session) admin(i int32) {
	q := &s.slots[i]
	st := q.cmd.CheckSGL(q.capsule)
	if st.OK() && !s.controller.ready() {
		st = nvme.StatusSequence | nvme.DNR
	}
	if st.OK() && q.cmd.Flags&nvme.FuseMask != 0 {
		st = nvme.StatusInvalidField | nvme.DNR
	}
	if st.OK() && q.cmd.SGL.Length > MaxTransfer && q.cmd.Direction() != nvme.NoData {
		st = nvme.StatusInvalidField | nvme.DNR
	}
	switch {
	case !st.OK():
		s.finish(i, st)
	case q.capsule > 0 || q.cmd.Direction() == nvme.NoData || q.cmd.SGL.Length == 0:
		s.adminRun(i)
	default:
		s.needBuffer(i, int(q.cmd.SGL.Length))
	}
}

// finish ends an admin command; errors go to the log.
func (s *Session) finish(i int32, st nvme.Status) {
	if !st.OK() {
		s.controller.errors.add(s, &s.slots[i].cmd, st)
	}
	s.complete(i, st)
}

// adminRun does an admin command that has its data, or a buffer for it.
func (s *Session) adminRun(i int32) {
	q, c := &s.slots[i], s.controller
	var page []byte
	st, result := nvme.StatusInvalidOpcode|nvme.DNR, uint64(0)
	switch op := q.cmd.Opcode; {
	case op == nvme.OpIdentify:
		page, st = c.identify(q.cmd.Identify())
	case op == nvme.OpGetLogPage:
		page, st = c.logPage(&q.cmd)
	case op == nvme.OpKeepAlive:
		st = nvme.StatusSuccess
	case op == nvme.OpAsyncEvent:
		c.events.request(s, i)
		return
	case op == nvme.OpSetFeatures:
		result, st = c.setFeature(q)
	case op == nvme.OpGetFeatures:
		page, result, st = c.getFeature(&q.cmd)
	case op == nvme.OpAbort && !c.sub.discovery:
		sqid, cid := q.cmd.Abort()
		result, st = c.abort(sqid, cid)
	}
	if !st.OK() {
		s.finish(i, st)
		return
	}
	if q.cmd.Direction() != nvme.ToHost || page == nil {
		s.respond(i, st, result)
		return
	}
	if len(page) > len(q.buf) && q.cmd.Opcode != nvme.OpGetLogPage {
		s.finish(i, nvme.StatusDataSGLLength|nvme.DNR)
		return
	}
	clear(q.buf[copy(q.buf, page):])
	s.respondData(i, st)
}

// abort takes back an Asynchronous Event Request. Other commands end by themselves before
// long; the answer says that they were not aborted.
func (c *Controller) abort(sqid, cid uint16) (uint64, nvme.Status) {
	if int(sqid) > MaxQueues || sqid != 0 && c.io[sqid-1] == nil {
		return 1, nvme.StatusInvalidField | nvme.DNR
	}
	if sqid == 0 && c.events.take(c.admin, cid) {
		return 0, nvme.StatusSuccess
	}
	return 1, nvme.StatusSuccess
}
