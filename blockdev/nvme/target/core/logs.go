package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// errorEntries is how many errors a controller remembers.
const errorEntries = 64

// errorLog is LogError: a ring of the last errors of admin commands.
type errorLog struct {
	entries [errorEntries]nvme.ErrorEntry
	count   uint64
}

func (l *errorLog) add(s *Session, cmd *nvme.Command, st nvme.Status) {
	l.count++
	e := &l.entries[l.count%errorEntries]
	*e = nvme.ErrorEntry{
		Count: l.count, SQID: s.queue.id, CID: cmd.CID, StatusField: uint16(st) << 1, Location: 0xffff,
		NSID: cmd.NSID, Transport: nvme.TransportTCP, Opcode: uint8(cmd.Opcode),
	}
}

// page gives the entries, newest first.
func (l *errorLog) page() (b []byte) {
	for i := range uint64(errorEntries) {
		if i < l.count {
			b = l.entries[(l.count-i)%errorEntries].Append(b)
		} else {
			b = (&nvme.ErrorEntry{}).Append(b)
		}
	}
	return b
}

// Stats counts what hosts have done.
type Stats struct {
	Reads, Writes           uint64 // commands
	ReadBytes, WrittenBytes uint64
	Errors                  uint64 // commands that a device has failed
}

func (t *Stats) add(o *Stats) {
	t.Reads += o.Reads
	t.Writes += o.Writes
	t.ReadBytes += o.ReadBytes
	t.WrittenBytes += o.WrittenBytes
	t.Errors += o.Errors
}

func (t *Stats) count(q *slot, st nvme.Status) {
	switch q.cmd.Opcode {
	case nvme.OpRead, nvme.OpCompare:
		t.Reads++
		t.ReadBytes += uint64(len(q.buf))
	case nvme.OpWrite:
		t.Writes++
		t.WrittenBytes += uint64(len(q.buf))
	}
	if !st.OK() && st.Type() == 2 && st.Code() != nvme.StatusCompareFailed {
		t.Errors++
	}
}

// Stats gives the subsystem's counters since its start.
func (s *Subsystem) Stats() Stats {
	sum := s.stats
	for o := range s.t.sessions {
		if o.subsystem == s {
			sum.add(&o.stats)
		}
	}
	return sum
}

// logPage gives a log page from the offset that the command asks for.
func (c *Controller) logPage(cmd *nvme.Command) ([]byte, nvme.Status) {
	p, st := cmd.LogPage()
	if !st.OK() {
		return nil, st
	}
	page := c.wholePage(&p)
	if page == nil {
		return nil, nvme.StatusInvalidLogPage | nvme.DNR
	}
	end := uint64(len(page))
	if p.ID == nvme.LogANA {
		end = anaLogMax
	}
	if p.Offset > end {
		return nil, nvme.StatusInvalidField | nvme.DNR
	}
	part := page[min(p.Offset, uint64(len(page))):]
	if !p.Retain {
		if len(part) > 0 {
			c.consume(p.ID)
		}
		c.events.clear(p.ID)
		c.deliver()
	}
	return part, nvme.StatusSuccess
}

// consume notes that a log page has been read: what it told is not told again.
func (c *Controller) consume(id nvme.LogID) {
	switch id {
	case nvme.LogChangedNS:
		c.changedNS = nil
	case nvme.LogReservation:
		c.noticeRead()
	}
}

func (c *Controller) wholePage(p *nvme.LogPage) []byte {
	if c.sub.discovery {
		switch p.ID {
		case nvme.LogDiscovery:
			return c.discoveryLog()
		case nvme.LogSupported:
			return supportedLogs(nvme.LogSupported, nvme.LogError, nvme.LogDiscovery)
		case nvme.LogError:
			return c.errors.page()
		}
		return nil
	}
	switch p.ID {
	case nvme.LogSupported:
		return supportedLogs(nvme.LogSupported, nvme.LogError, nvme.LogSMART, nvme.LogFirmware, nvme.LogChangedNS,
			nvme.LogEffects, nvme.LogANA, nvme.LogReservation)
	case nvme.LogError:
		return c.errors.page()
	case nvme.LogSMART:
		return c.smart()
	case nvme.LogFirmware:
		b := make([]byte, 512)
		b[0] = 1 // the active slot
		copy(b[8:16], firmware+"       ")
		return b
	case nvme.LogChangedNS:
		return nvme.AppendNSIDs(nil, c.changedNS) // never more than fit: MaxNamespaces
	case nvme.LogEffects:
		return c.effects()
	case nvme.LogANA:
		return c.anaLog(p.Specific&nvme.ANAGroupsOnly != 0)
	case nvme.LogReservation:
		return c.notice()
	}
	return nil
}

func supportedLogs(ids ...nvme.LogID) []byte {
	s := nvme.SupportedLogs{}
	for _, id := range ids {
		s.Pages[id] = 1
	}
	return s.Append(nil)
}

func (c *Controller) smart() []byte {
	t := c.sub.Stats()
	units := func(bytes uint64) nvme.Uint128 { return nvme.Uint128{Lo: (bytes + 511999) / 512000} }
	s := nvme.SMART{
		Temperature: 293, Spare: 100, SpareThreshold: 1, ReadUnits: units(t.ReadBytes), WriteUnits: units(t.WrittenBytes),
		Reads: nvme.Uint128{Lo: t.Reads}, Writes: nvme.Uint128{Lo: t.Writes}, MediaErrors: nvme.Uint128{Lo: t.Errors},
		PowerOnHours: nvme.Uint128{Lo: c.sub.t.now / 3600_000}, ErrorEntries: nvme.Uint128{Lo: c.errors.count},
	}
	return s.Append(nil)
}

func (c *Controller) effects() []byte {
	e := nvme.Effects{}
	for _, op := range []nvme.Opcode{nvme.OpGetLogPage, nvme.OpIdentify, nvme.OpAbort, nvme.OpSetFeatures,
		nvme.OpGetFeatures, nvme.OpAsyncEvent, nvme.OpKeepAlive} {
		e.Admin[op] = nvme.EffectSupported
	}
	for _, op := range []nvme.Opcode{nvme.OpRead, nvme.OpFlush, nvme.OpReservationRegister, nvme.OpReservationReport,
		nvme.OpReservationAcquire, nvme.OpReservationRelease} {
		e.IO[op] = nvme.EffectSupported
	}
	d := nvme.IdentifyController{}
	c.sub.describe(&d)
	for op, bit := range map[nvme.Opcode]uint16{nvme.OpCompare: nvme.CommandCompare, nvme.OpVerify: nvme.CommandVerify} {
		if d.ONCS&bit != 0 {
			e.IO[op] = nvme.EffectSupported
		}
	}
	e.IO[nvme.OpWrite] = nvme.EffectSupported | nvme.EffectContent
	e.IO[nvme.OpDatasetManagement] = nvme.EffectSupported | nvme.EffectContent
	if d.ONCS&nvme.CommandWriteZeroes != 0 {
		e.IO[nvme.OpWriteZeroes] = nvme.EffectSupported | nvme.EffectContent
	}
	return e.Append(nil)
}

// namespaceChanged tells hosts that a namespace has come or changed.
func (s *Subsystem) namespaceChanged(nsid uint32) {
	for _, c := range s.controllers {
		if c.status&nvme.StatusReady == 0 {
			continue
		}
		c.noteChanged(nsid)
		c.event(nvme.AsyncEvent{Type: nvme.EventNotice, Info: nvme.NoticeNamespace, Log: nvme.LogChangedNS},
			c.features.events&nvme.EventsNamespace != 0)
	}
}

func (c *Controller) noteChanged(nsid uint32) {
	at := 0
	for at < len(c.changedNS) && c.changedNS[at] < nsid {
		at++
	}
	if at < len(c.changedNS) && c.changedNS[at] == nsid {
		return
	}
	c.changedNS = append(c.changedNS[:at], append([]uint32{nsid}, c.changedNS[at:]...)...)
}
