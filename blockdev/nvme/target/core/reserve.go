package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// drain is a reservation command that waits until no write that it has forbidden is with
// a device any more: after it, the host that sent it may rely on that.
type drain struct {
	slot int32
	left int // sessions with such writes
}

// reserve does a reservation command that has its data.
func (s *Session) reserve(i int32) {
	q, n := &s.slots[i], s.slots[i].ns
	if q.cmd.Opcode == nvme.OpReservationReport {
		s.report(i)
		return
	}
	h := s.controller.hostID
	p := q.cmd.Reservation()
	var k nvme.ReservationKeys
	var err error
	if q.cmd.Opcode == nvme.OpReservationRelease {
		k.Current, err = nvme.ReleaseKey(q.buf)
	} else {
		err = k.Decode(q.buf)
	}
	if err != nil {
		s.complete(i, nvme.StatusDataSGLLength|nvme.DNR)
		return
	}
	v := n.res.clone()
	st := nvme.StatusSuccess
	switch q.cmd.Opcode {
	case nvme.OpReservationRegister:
		st = v.register(h, &p, &k, n.res.store != nil)
	case nvme.OpReservationAcquire:
		st = v.acquire(h, &p, &k)
	default:
		st = v.release(h, &p, &k)
	}
	if st.OK() && len(v.keys) > maxRegistrants {
		st = nvme.StatusInternal | nvme.DNR
	}
	if !st.OK() {
		s.complete(i, st)
		return
	}
	was := n.res.rules
	if err := n.res.adopt(&v); err != nil {
		s.complete(i, nvme.StatusInternal)
		return
	}
	s.subsystem.tell(n, &was, h, q.cmd.Opcode == nvme.OpReservationRelease && p.Action == nvme.Clear)
	s.awaitWrites(i)
}

// maxRegistrants bounds what hosts can make a namespace remember.
const maxRegistrants = 1024

// awaitWrites answers when no forbidden write is with a device.
func (s *Session) awaitWrites(i int32) {
	n := s.slots[i].ns
	d := &drain{slot: i}
	for o := range s.t.sessions {
		if o.subsystem != s.subsystem || o.queue.id == 0 || n.Index >= len(o.writing) ||
			n.res.permits(o.controller.hostID, nvme.OpWrite) {
			continue
		}
		if w := &o.writing[n.Index]; w.n > 0 {
			w.waiters = append(w.waiters, d)
			d.left++
		}
	}
	if d.left == 0 {
		s.complete(i, nvme.StatusSuccess)
		return
	}
	s.slots[i].state = parked
	s.drains = append(s.drains, d)
}

// settle tells those who have waited for writes of this session.
func (s *Session) settle() {
	s.drained = false
	for k := range s.writing {
		w := &s.writing[k]
		if w.n > 0 {
			continue
		}
		for _, d := range w.waiters {
			d.left--
		}
		if len(w.waiters) > 0 {
			s.wakeSubsystem()
		}
		w.waiters = nil
	}
}

// wakeSubsystem wakes the sessions that wait for writes.
func (s *Session) wakeSubsystem() {
	for o := range s.t.sessions {
		if len(o.drains) > 0 {
			o.wake()
		}
	}
}

// awake answers the commands of this session that need not wait any more.
func (s *Session) awake() {
	kept := s.drains[:0]
	for _, d := range s.drains {
		if d.left > 0 {
			kept = append(kept, d)
			continue
		}
		s.complete(d.slot, nvme.StatusSuccess)
	}
	s.drains = kept
}

// report does a Reservation Report. Host IDs have 16 bytes here, always.
func (s *Session) report(i int32) {
	q := &s.slots[i]
	p, st := q.cmd.Report()
	if st.OK() && !p.Extended {
		st = nvme.StatusHostIDFormat | nvme.DNR
	}
	if !st.OK() {
		s.complete(i, st)
		return
	}
	r := &q.ns.res
	d := nvme.ReservationStatus{Generation: r.generation, Type: r.kind, Persist: r.persist, Extended: true}
	for h, key := range r.keys {
		e := nvme.Registrant{CNTLID: nvme.CNTLIDDynamic, Holder: r.holds(h), HostID: h, Key: key}
		there := false
		for _, c := range s.subsystem.controllers {
			if c.hostID == h && !c.gone {
				e.CNTLID, there = c.id, true
				d.Registrants = append(d.Registrants, e)
			}
		}
		if !there {
			d.Registrants = append(d.Registrants, e)
		}
	}
	clear(q.buf[copy(q.buf, d.Append(nil)):])
	s.respondData(i, nvme.StatusSuccess)
}

// tell notes what a change of rules, made by the host by, means for others.
func (s *Subsystem) tell(n *Namespace, was *rules, by hostID, cleared bool) {
	now := &n.res.rules
	released := was.kind != now.kind && was.kind != nvme.NoReservation &&
		was.kind != nvme.WriteExclusive && was.kind != nvme.ExclusiveAccess
	for _, c := range s.controllers {
		_, before := was.keys[c.hostID]
		_, still := now.keys[c.hostID]
		switch {
		case c.hostID == by || !before:
		case cleared:
			c.notify(n, nvme.ReservationPreempted)
		case !still:
			c.notify(n, nvme.RegistrationPreempted)
		case released:
			c.notify(n, nvme.ReservationReleased)
		}
	}
}

// maxNotices is how many notices wait for a host; older ones are lost.
const maxNotices = 64

// notify leaves a notice for the host, which FeatureReservationMask can forbid.
func (c *Controller) notify(n *Namespace, t nvme.NoticeType) {
	if c.features.noNotice[n.ID]>>t&1 != 0 || c.status&nvme.StatusReady == 0 {
		return
	}
	c.notices++
	if len(c.noticed) == maxNotices {
		c.noticed = c.noticed[:copy(c.noticed, c.noticed[1:])]
	}
	c.noticed = append(c.noticed, nvme.ReservationNotice{Count: c.notices, Type: t, NSID: n.ID})
	c.event(nvme.AsyncEvent{Type: nvme.EventCommand, Info: nvme.CommandReservation, Log: nvme.LogReservation}, true)
}

// notice makes the page LogReservation of the oldest notice.
func (c *Controller) notice() []byte {
	if len(c.noticed) == 0 {
		return (&nvme.ReservationNotice{Count: c.notices}).Append(nil)
	}
	n := c.noticed[0]
	n.More = uint8(min(len(c.noticed)-1, 255))
	return n.Append(nil)
}

// noticeRead removes the oldest notice; if there are more, the host is told again.
func (c *Controller) noticeRead() {
	if len(c.noticed) == 0 {
		return
	}
	c.noticed = c.noticed[:copy(c.noticed, c.noticed[1:])]
	if len(c.noticed) > 0 {
		c.event(nvme.AsyncEvent{Type: nvme.EventCommand, Info: nvme.CommandReservation, Log: nvme.LogReservation}, true)
	}
}

// setPersist sets FeatureReservationKeep.
func (c *Controller) setPersist(nsid uint32, on bool) nvme.Status {
	for _, n := range c.sub.namespaces {
		if n == nil || nsid != nvme.NSIDAll && n.ID != nsid {
			continue
		}
		if on && n.res.store == nil {
			return nvme.StatusInvalidField | nvme.DNR
		}
		v := n.res.clone()
		v.persist = on
		if n.res.adopt(&v) != nil {
			return nvme.StatusInternal
		}
	}
	if nsid != nvme.NSIDAll && c.sub.namespace(nsid) == nil {
		return nvme.StatusInvalidNamespace | nvme.DNR
	}
	return nvme.StatusSuccess
}
