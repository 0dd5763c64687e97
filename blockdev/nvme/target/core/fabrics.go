package core

import (
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// queue is what Connect makes of a session.
type queue struct {
	id            uint16
	entries       uint32
	head          uint16 // of the submission queue
	noFlowControl bool
}

// consumed notes that a command has been taken from the submission queue.
func (q *queue) consumed() {
	if q.head++; uint32(q.head) == q.entries {
		q.head = 0
	}
}

// execute begins a command whose capsule is complete.
func (s *Session) execute(i int32) {
	q := &s.slots[i]
	switch {
	case q.cmd.Opcode == nvme.OpFabrics:
		s.fabrics(i)
	case s.queue == nil:
		s.complete(i, nvme.StatusSequence|nvme.DNR)
	case !s.authenticated:
		s.complete(i, nvme.StatusAuthRequired|nvme.DNR)
	case s.queue.id == 0:
		s.admin(i)
	default:
		s.io(i)
	}
}

func (s *Session) fabrics(i int32) {
	q := &s.slots[i]
	if st := q.cmd.CheckSGL(q.capsule); !st.OK() {
		s.complete(i, st)
		return
	}
	t := q.cmd.Fabrics()
	switch {
	case t == nvme.FabricsConnect:
		s.onConnect(i)
	case s.queue == nil:
		s.complete(i, nvme.StatusSequence|nvme.DNR)
	case s.auth != nil && (t == nvme.FabricsAuthSend || t == nvme.FabricsAuthReceive):
		s.authenticate(i)
	case !s.authenticated:
		s.complete(i, nvme.StatusAuthRequired|nvme.DNR)
	case s.queue.id == 0 && t == nvme.FabricsPropertyGet:
		v, st := s.controller.property(&q.cmd)
		s.respond(i, st, v)
	case s.queue.id == 0 && t == nvme.FabricsPropertySet:
		s.complete(i, s.controller.setProperty(&q.cmd))
	default:
		s.complete(i, nvme.StatusInvalidOpcode|nvme.DNR)
	}
}

// Offsets of Connect's parameters, for ConnectError.
const (
	offRecFmt   = 40
	offQID      = 42
	offSQSize   = 44
	offDataID   = 0
	offDataCID  = 16
	offDataSub  = 256
	offDataHost = 512
)

// onConnect makes the session a queue. A refused Connect ends the session, after its
// answer: a host that wants to try again connects anew.
func (s *Session) onConnect(i int32) {
	q := &s.slots[i]
	var d nvme.ConnectData
	p := q.cmd.Connect()
	result, st, err := uint64(0), nvme.StatusSuccess, error(nil)
	switch {
	case s.queue != nil:
		s.complete(i, nvme.StatusSequence|nvme.DNR)
		return
	case q.capsule < nvme.ConnectDataSize:
		err = fmt.Errorf("%d bytes of data in the capsule, not %d", q.capsule, nvme.ConnectDataSize)
		st = nvme.StatusDataSGLLength | nvme.DNR
	case p.RecFmt != 0:
		err, st = fmt.Errorf("its record format is %d, not 0", p.RecFmt), nvme.StatusConnectFormat|nvme.DNR
	default:
		if err = d.Decode(q.buf[:nvme.ConnectDataSize]); err == nil {
			result, st, err = s.connect(&p, &d)
		}
	}
	var bad *nvme.ConnectError
	if errors.As(err, &bad) {
		st, result = nvme.StatusConnectParameters|nvme.DNR, bad.Result()
	}
	if err != nil {
		s.respond(i, st, result)
		s.kill(fmt.Errorf("connecting %q to %q, queue %d: %w", d.HostNQN, d.SubNQN, p.QID, err))
		return
	}
	s.queue.consumed()
	s.respond(i, st, result)
}

func badConnect(off uint16, data bool, format string, args ...any) (uint64, nvme.Status, error) {
	return 0, nvme.StatusConnectParameters, &nvme.ConnectError{Offset: off, Data: data, Err: fmt.Errorf(format, args...)}
}

// connect judges a Connect.
func (s *Session) connect(p *nvme.Connect, d *nvme.ConnectData) (uint64, nvme.Status, error) {
	sub := s.t.subsystems[d.SubNQN]
	switch {
	case sub == nil || !sub.at(s.port):
		return badConnect(offDataSub, true, "there is no such subsystem")
	case d.HostID == hostID{}:
		return badConnect(offDataID, true, "the host ID is 0: hosts without one would share their registrations")
	case nvme.CheckNQN(d.HostNQN) != nil:
		return badConnect(offDataHost, true, "%w", nvme.CheckNQN(d.HostNQN))
	case !sub.allows(d.HostNQN):
		return 0, nvme.StatusConnectHost | nvme.DNR, errors.New("the host is not allowed")
	case p.SQSize == 0 || p.SQSize >= MaxEntries:
		return badConnect(offSQSize, false, "SQSIZE %d, not 1 to %d", p.SQSize, MaxEntries-1)
	case p.QID == 0:
		return s.connectAdmin(sub, p, d)
	}
	return s.connectIO(sub, p, d)
}

// connectAdmin makes a controller.
func (s *Session) connectAdmin(sub *Subsystem, p *nvme.Connect, d *nvme.ConnectData) (uint64, nvme.Status, error) {
	if d.CNTLID != nvme.CNTLIDDynamic {
		return badConnect(offDataCID, true, "controller %d asked for, %#x is the only choice", d.CNTLID, nvme.CNTLIDDynamic)
	}
	id, ok := sub.freeID()
	if !ok {
		return 0, nvme.StatusConnectBusy, fmt.Errorf("the subsystem has %d controllers already", len(sub.controllers))
	}
	c := &Controller{
		id: id, sub: sub, admin: s, hostNQN: d.HostNQN, hostID: d.HostID, queues: MaxQueues, lastSeen: s.t.now,
	}
	c.setKeepAlive(p.KATO)
	if sub.discovery && c.keepAlive == 0 {
		c.keepAlive = discoveryIdle
	}
	sub.controllers[id] = c
	return s.join(c, p), nvme.StatusSuccess, nil
}

// connectIO adds an I/O queue to a controller.
func (s *Session) connectIO(sub *Subsystem, p *nvme.Connect, d *nvme.ConnectData) (uint64, nvme.Status, error) {
	c := sub.controllers[d.CNTLID]
	switch {
	case c == nil || c.gone:
		return badConnect(offDataCID, true, "there is no controller %d", d.CNTLID)
	case c.hostNQN != d.HostNQN:
		return badConnect(offDataHost, true, "controller %d is another host's", d.CNTLID)
	case c.hostID != d.HostID:
		return badConnect(offDataID, true, "controller %d has been made with another host ID", d.CNTLID)
	case sub.discovery:
		return badConnect(offQID, false, "a discovery controller has no I/O queues")
	case !c.ready():
		return 0, nvme.StatusSequence | nvme.DNR, errors.New("the controller is not enabled")
	case int(p.QID) > c.queues:
		return badConnect(offQID, false, "queue %d, of %d", p.QID, c.queues)
	case c.io[p.QID-1] != nil:
		return 0, nvme.StatusSequence | nvme.DNR, fmt.Errorf("there is a queue %d already", p.QID)
	}
	c.io[p.QID-1] = s
	return s.join(c, p), nvme.StatusSuccess, nil
}

// join makes s a queue of c, and gives the result of Connect.
func (s *Session) join(c *Controller, p *nvme.Connect) uint64 {
	s.queue = &queue{id: p.QID, entries: uint32(p.SQSize) + 1, noFlowControl: p.Attrs&nvme.ConnectNoFlowControl != 0}
	s.controller, s.subsystem = c, c.sub
	s.demand()
	// A host may submit again what it has got an answer for while the last byte of it
	// has not been accounted for here: none does, as Sent comes before Received. So
	// these are enough.
	s.makeSlots(int(s.queue.entries))
	if p.QID != 0 {
		rx := make([]byte, largeInput)
		s.start, s.end = 0, copy(rx, s.rx[s.start:s.end])
		s.rx = rx
	}
	return nvme.ConnectResult{CNTLID: c.id, AuthRequired: s.auth != nil}.Value()
}

// leave takes the session out of its controller. With the admin queue the controller
// goes, and with it all its queues.
func (s *Session) leave() {
	c := s.controller
	for i := range s.writing {
		s.writing[i].n = 0
	}
	s.settle()
	c.sub.stats.add(&s.stats)
	if s.queue.id != 0 {
		c.io[s.queue.id-1] = nil
		return
	}
	c.end(errors.New("the admin queue has ended"))
	delete(c.sub.controllers, c.id)
}

// freeID gives a controller ID that is not in use, and was not in use lately.
func (s *Subsystem) freeID() (uint16, bool) {
	first, last := s.cfg.FirstController, s.cfg.LastController
	if len(s.controllers) >= min(MaxControllers, int(last-first)+1) {
		return 0, false
	}
	for {
		if s.nextID < first || s.nextID > last {
			s.nextID = first
		}
		id := s.nextID
		s.nextID++
		if s.controllers[id] == nil {
			return id, true
		}
	}
}
