package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// anaStates says in Identify that there are all states, and that namespaces stay in their
// groups.
const anaStates = 0x1f | 1<<6 | 1<<7

// anaLogMax is how long hosts take LogANA to be, by Identify: some read all of it, in
// pieces, whatever its header says.
const anaLogMax = nvme.ANAHeaderSize + MaxNamespaces*(nvme.ANAGroupSize+4)

// anaState is how a port reaches a group of namespaces.
type anaState struct {
	state   nvme.ANAState
	changes uint64
}

// access gives the state of a group.
func (p *Port) access(group uint32) anaState {
	if a := p.ana[group]; a != nil {
		return *a
	}
	return anaState{state: nvme.ANAOptimized}
}

// reaches says whether I/O may go through this port.
func (p *Port) reaches(n *Namespace) nvme.Status {
	a := p.ana[n.group]
	if a == nil {
		return nvme.StatusSuccess
	}
	switch a.state {
	case nvme.ANAInaccessible:
		return nvme.StatusANAInaccessible
	case nvme.ANALost:
		return nvme.StatusANALoss
	case nvme.ANAChange:
		return nvme.StatusANATransition
	}
	return nvme.StatusSuccess
}

// SetANA sets how a port reaches a group of namespaces, of all subsystems, and tells the
// hosts that are connected there.
func (t *Target) SetANA(p *Port, group uint32, state nvme.ANAState) {
	a := p.ana[group]
	if a == nil {
		a = &anaState{state: nvme.ANAOptimized}
		p.ana[group] = a
	}
	if a.state == state {
		return
	}
	a.state = state
	a.changes++
	for s := range t.sessions {
		if s.port == p && s.queue != nil && s.queue.id == 0 && !s.subsystem.discovery {
			c := s.controller
			c.event(nvme.AsyncEvent{Type: nvme.EventNotice, Info: nvme.NoticeANA, Log: nvme.LogANA},
				c.features.events&nvme.EventsANA != 0)
		}
	}
}

// anaLog makes the page LogANA.
func (c *Controller) anaLog(groupsOnly bool) []byte {
	members := map[uint32][]uint32{}
	last := uint32(0)
	for _, n := range c.sub.namespaces {
		if n != nil {
			members[n.group] = append(members[n.group], n.ID)
			last = max(last, n.group)
		}
	}
	h := nvme.ANAHeader{Groups: uint16(len(members))}
	var groups []byte
	for id := uint32(1); id <= last; id++ {
		ids := members[id]
		if ids == nil {
			continue
		}
		a := c.admin.port.access(id)
		h.Changes += a.changes
		g := nvme.ANAGroup{ID: id, Changes: a.changes, State: a.state}
		if !groupsOnly {
			g.NSIDs = nvme.NSIDList(nvme.AppendNSIDs(nil, ids)[:4*len(ids)])
		}
		groups = g.Append(groups)
	}
	return append(h.Append(nil), groups...)
}
