package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// features are what a host has set, until a reset.
type features struct {
	events      nvme.EventMask
	arbitration uint32
	power       uint32
	recovery    uint32
	atomicity   uint32
	thresholds  [2]uint32 // temperatures: over, under
	timestamp   nvme.Timestamp
	stamped     uint64 // ms: when timestamp was set
	behavior    [nvme.HostBehaviorSize]byte
	noNotice    map[uint32]uint32 // FeatureReservationMask, by NSID
}

// eventsKnown are the bits of FeatureAsyncEvents that mean something here.
func (c *Controller) eventsKnown() nvme.EventMask {
	if c.sub.discovery {
		return nvme.EventsDiscovery
	}
	return nvme.EventsNamespace | nvme.EventsANA
}

// word gives the place of a feature that is a number without a meaning here but that of
// being remembered; nil: it is none of these.
func (f *features) word(id nvme.FeatureID, value uint32) *uint32 {
	switch id {
	case nvme.FeatureArbitration:
		return &f.arbitration
	case nvme.FeaturePower:
		return &f.power
	case nvme.FeatureErrorRecovery:
		return &f.recovery
	case nvme.FeatureAtomicity:
		return &f.atomicity
	case nvme.FeatureTemperature:
		if kind := value >> 20 & 3; kind < 2 && value>>16&15 == 0 {
			return &f.thresholds[kind]
		}
	}
	return nil
}

// setFeature does a Set Features.
func (c *Controller) setFeature(q *slot) (uint64, nvme.Status) {
	p := q.cmd.Feature()
	const invalid = nvme.StatusInvalidField | nvme.DNR
	if p.Save {
		return 0, nvme.StatusFeatureNotSaveable | nvme.DNR
	}
	if c.sub.discovery && p.ID != nvme.FeatureAsyncEvents && p.ID != nvme.FeatureKeepAlive {
		return 0, invalid
	}
	switch p.ID {
	case nvme.FeatureQueues:
		return c.setQueues(p.Value)
	case nvme.FeatureAsyncEvents:
		c.features.events = nvme.EventMask(p.Value)
	case nvme.FeatureKeepAlive:
		c.setKeepAlive(p.Value)
	case nvme.FeatureWriteCache, nvme.FeatureHostID:
		return 0, nvme.StatusFeatureNotChangable | nvme.DNR
	case nvme.FeaturePower:
		if p.Value&31 != 0 {
			return 0, invalid // there is one power state
		}
	case nvme.FeatureTimestamp:
		if c.features.timestamp.Decode(q.buf) != nil {
			return 0, invalid
		}
		c.features.timestamp.Origin = 1
		c.features.stamped = c.sub.t.now
	case nvme.FeatureHostBehavior:
		if copy(c.features.behavior[:], q.buf) < nvme.HostBehaviorSize {
			return 0, invalid
		}
	case nvme.FeatureReservationMask:
		return 0, c.setNoNotice(p.NSID, p.Value)
	case nvme.FeatureReservationKeep:
		return 0, c.setPersist(p.NSID, p.Value&1 != 0)
	default:
		w := c.features.word(p.ID, p.Value)
		if w == nil {
			return 0, invalid
		}
		*w = p.Value
	}
	return 0, nvme.StatusSuccess
}

// setQueues grants I/O queues. It is done once, before there are any.
func (c *Controller) setQueues(v uint32) (uint64, nvme.Status) {
	n, st := nvme.ParseQueueCount(v)
	if !st.OK() {
		return 0, st
	}
	for _, s := range c.io {
		if s != nil {
			return 0, nvme.StatusSequence | nvme.DNR
		}
	}
	c.queues = int(min(n.Submission, n.Completion, MaxQueues))
	g := uint32(c.queues)
	return uint64(nvme.QueueCount{Submission: g, Completion: g}.Value()), nvme.StatusSuccess
}

func (c *Controller) setNoNotice(nsid, value uint32) nvme.Status {
	if nsid != nvme.NSIDAll && c.sub.namespace(nsid) == nil {
		return nvme.StatusInvalidNamespace | nvme.DNR
	}
	if c.features.noNotice == nil {
		c.features.noNotice = map[uint32]uint32{}
	}
	for _, n := range c.sub.namespaces {
		if n != nil && (nsid == nvme.NSIDAll || n.ID == nsid) {
			c.features.noNotice[n.ID] = value
		}
	}
	return nvme.StatusSuccess
}

// getFeature does a Get Features.
func (c *Controller) getFeature(cmd *nvme.Command) (data []byte, result uint64, st nvme.Status) {
	p := cmd.Feature()
	if c.sub.discovery && p.ID != nvme.FeatureAsyncEvents && p.ID != nvme.FeatureKeepAlive {
		return nil, 0, nvme.StatusInvalidField | nvme.DNR
	}
	f := &c.features
	switch p.Select {
	case nvme.SelectCurrent:
	case nvme.SelectDefault, nvme.SelectSaved:
		f = &features{}
	default:
		return nil, 0, nvme.StatusInvalidField | nvme.DNR
	}
	v := uint32(0)
	switch p.ID {
	case nvme.FeatureQueues:
		v = nvme.QueueCount{Submission: uint32(c.queues), Completion: uint32(c.queues)}.Value()
	case nvme.FeatureAsyncEvents:
		v = uint32(f.events)
	case nvme.FeatureKeepAlive:
		v = c.keepAlive
	case nvme.FeatureWriteCache:
		if c.sub.volatileCache() {
			v = 1
		}
	case nvme.FeatureTimestamp:
		t := f.timestamp
		t.Millis += c.sub.t.now - f.stamped
		data = t.Append(nil)
	case nvme.FeatureHostBehavior:
		data = f.behavior[:]
	case nvme.FeatureHostID:
		if p.Value&1 == 0 {
			return nil, 0, nvme.StatusHostIDFormat | nvme.DNR
		}
		data = c.hostID[:]
	case nvme.FeatureReservationMask, nvme.FeatureReservationKeep:
		n := c.sub.namespace(p.NSID)
		if n == nil {
			return nil, 0, nvme.StatusInvalidNamespace | nvme.DNR
		}
		if v = f.noNotice[n.ID]; p.ID == nvme.FeatureReservationKeep {
			v = 0
			if n.res.persist {
				v = 1
			}
		}
	default:
		w := f.word(p.ID, p.Value)
		if w == nil {
			return nil, 0, nvme.StatusInvalidField | nvme.DNR
		}
		v = *w
	}
	return data, uint64(v), nvme.StatusSuccess
}
