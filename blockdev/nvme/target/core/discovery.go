package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// discoveryChanged tells hosts that stay connected to the discovery service.
func (t *Target) discoveryChanged() {
	t.generation++
	for _, c := range t.discovery.controllers {
		c.event(nvme.AsyncEvent{Type: nvme.EventNotice, Info: nvme.NoticeDiscovery, Log: nvme.LogDiscovery},
			c.features.events&nvme.EventsDiscovery != 0)
	}
}

// discoveryLog lists the ways to the subsystems that the host may use, and the discovery
// service itself, at each port.
func (c *Controller) discoveryLog() []byte {
	t := c.sub.t
	h := nvme.DiscoveryHeader{Generation: t.generation}
	var entries []byte
	for _, name := range t.names() {
		sub := t.subsystems[name]
		if !sub.allows(c.hostNQN) {
			continue
		}
		for _, p := range t.ports {
			if p.Address == "" || !sub.at(p) {
				continue
			}
			// Of TLS nothing is said: nvme-cli takes "not required" for "wanted".
			e := nvme.DiscoveryEntry{
				Transport: nvme.TransportTCP, Family: nvme.FamilyIPv4, Subsystem: nvme.SubsystemNVM,
				TREQ: nvme.NoFlowControl, PortID: p.ID, CNTLID: nvme.CNTLIDDynamic,
				ASQSZ: adminEntries, Service: p.Service, SubNQN: name, Address: p.Address,
			}
			if p.IPv6 {
				e.Family = nvme.FamilyIPv6
			}
			if sub.discovery {
				e.Subsystem, e.EFlags = nvme.SubsystemDiscovery, nvme.EntryPersistent|nvme.EntryDuplicate
			}
			h.Records++
			entries = e.Append(entries)
		}
	}
	return append(h.Append(nil), entries...)
}
