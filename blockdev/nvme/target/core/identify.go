package core

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// firmware is the revision that hosts are told.
const firmware = "1"

// serialOf makes a serial number of a name: two targets that are ways to one subsystem
// have the same.
func serialOf(nqn string) string {
	sum := sha256.Sum256([]byte("serial\x00" + nqn))
	return hex.EncodeToString(sum[:10])
}

// uuidOf makes a UUID, of version 8, of a namespace's place.
func uuidOf(nqn string, nsid uint32) (u [16]byte) {
	sum := sha256.Sum256(append([]byte("namespace\x00"+nqn+"\x00"), byte(nsid), byte(nsid>>8), byte(nsid>>16), byte(nsid>>24)))
	copy(u[:], sum[:])
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return u
}

// identify gives the data of an Identify.
func (c *Controller) identify(p nvme.Identify) ([]byte, nvme.Status) {
	const invalid = nvme.StatusInvalidField | nvme.DNR
	switch {
	case p.CNS == nvme.CNSController:
		d := c.identifyController()
		return d.Append(nil), nvme.StatusSuccess
	case c.sub.discovery:
		return nil, invalid
	case (p.CNS == nvme.CNSSetNamespace || p.CNS == nvme.CNSSetController || p.CNS == nvme.CNSSetActiveList) && p.CSI != nvme.CSINVM:
		return nil, invalid
	}
	n := c.sub.namespace(p.NSID)
	switch p.CNS {
	case nvme.CNSActiveList, nvme.CNSSetActiveList:
		if p.NSID >= nvme.NSIDAll-1 {
			return nil, nvme.StatusInvalidNamespace | nvme.DNR
		}
		return nvme.AppendNSIDs(nil, c.sub.activeAbove(p.NSID)), nvme.StatusSuccess
	case nvme.CNSSetController:
		return (&nvme.IdentifyNVMController{}).Append(nil), nvme.StatusSuccess
	case nvme.CNSControllerList:
		return nvme.AppendControllers(nil, c.sub.controllersFrom(p.CNTLID)), nvme.StatusSuccess
	case nvme.CNSCommandSetTable:
		t := nvme.CommandSetTable{}
		t.Sets[0] = 1 << nvme.CSINVM
		return t.Append(nil), nvme.StatusSuccess
	case nvme.CNSNamespace:
		if p.NSID == nvme.NSIDAll {
			return (&nvme.IdentifyNamespace{Formats: c.sub.commonFormat()}).Append(nil), nvme.StatusSuccess
		}
		if n == nil && p.NSID != 0 && p.NSID <= MaxNamespaces {
			return make([]byte, nvme.IdentifySize), nvme.StatusSuccess // not active
		}
	case nvme.CNSDescriptors, nvme.CNSSetNamespace, nvme.CNSIndependent:
	default:
		return nil, invalid
	}
	if n == nil {
		return nil, nvme.StatusInvalidNamespace | nvme.DNR
	}
	return n.identify(p.CNS), nvme.StatusSuccess
}

func (n *Namespace) identify(cns nvme.CNS) []byte {
	attr := uint8(0)
	if n.info.ReadOnly {
		attr = nvme.NSWriteProtect
	}
	switch cns {
	case nvme.CNSDescriptors:
		d := nvme.Descriptors{NGUID: n.uuid, UUID: n.uuid, CSI: nvme.CSINVM, WithCSI: true}
		return d.Append(nil)
	case nvme.CNSSetNamespace:
		return (&nvme.IdentifyNVMNamespace{}).Append(nil)
	case nvme.CNSIndependent:
		d := nvme.IdentifyIndependent{
			NMIC: nvme.NSShared, RESCAP: n.reservations(), ANAGRPID: n.group, NSATTR: attr, NSTAT: nvme.NSReady,
		}
		return d.Append(nil)
	}
	d := nvme.IdentifyNamespace{
		NSZE: n.size, NCAP: n.size, NUSE: n.size, NMIC: nvme.NSShared, RESCAP: n.reservations(),
		ANAGRPID: n.group, NSATTR: attr, NGUID: n.uuid,
	}
	d.Formats[0].Shift = uint8(n.shift)
	if n.info.Features&blockdev.DeallocateZeroes != 0 {
		d.DLFEAT = 1 | 1<<3
	}
	return d.Append(nil)
}

func (n *Namespace) reservations() uint8 {
	r := uint8(nvme.ReserveAll | nvme.ReserveIEKEY13)
	if n.res.store != nil {
		r |= nvme.ReservePersist
	}
	return r
}

// compareWrites says whether Compare and Write can be fused.
func (n *Namespace) compareWrites() bool { return n.info.Features&blockdev.HasCompareWrite != 0 }

func (c *Controller) identifyController() nvme.IdentifyController {
	sub := c.sub
	d := nvme.IdentifyController{
		Serial: sub.cfg.Serial, Model: sub.cfg.Model, Firmware: firmware, CNTLID: c.id, Version: version,
		MDTS: transferPages, KAS: keepAliveUnit / 100, AERL: maxAERs - 1, OAES: c.eventsKnown(),
		CTRATT: nvme.AttrHostID128 | nvme.AttrTBKAS, LPA: nvme.LogPageExtended, ELPE: errorEntries - 1,
		MAXCMD: MaxEntries - 1, SQES: 0x66, CQES: 0x44, SubNQN: sub.cfg.NQN, IOCCSZ: nvme.CommandSize / 16, IORCSZ: 1,
		SGLS: nvme.SGLSupported | nvme.SGLOffsets | nvme.SGLTransportSGL, MSDBD: 1,
	}
	if sub.discovery {
		d.Serial, d.Model, d.Type = serialOf(sub.cfg.NQN), "lockify discovery", nvme.TypeDiscovery
		d.CTRATT |= 0
		d.SQES, d.CQES = 0, 0
		return d
	}
	d.Type = nvme.TypeIO
	d.CMIC = nvme.MultiPort | nvme.MultiController | nvme.MultiANA
	d.LPA |= nvme.LogPageEffects
	d.IOCCSZ = (nvme.CommandSize + CapsuleData) / 16
	d.ANATT, d.ANACAP, d.ANAGRPMAX, d.NANAGRPID = 10, anaStates, MaxNamespaces, MaxNamespaces
	d.NN, d.MNAN = MaxNamespaces, MaxNamespaces
	d.WCTEMP, d.CCTEMP = 343, 353 // K: what a drive without sensors may say
	sub.describe(&d)
	return d
}

// describe says what all namespaces can do.
func (s *Subsystem) describe(d *nvme.IdentifyController) {
	all := ^blockdev.Features(0)
	transfer := MaxTransfer
	for _, n := range s.namespaces {
		if n != nil {
			all &= n.info.Features
			if n.info.MaxTransfer != 0 {
				transfer = min(transfer, n.info.MaxTransfer)
			}
		}
	}
	for d.MDTS > 1 && 4096<<d.MDTS > transfer {
		d.MDTS--
	}
	d.ONCS = nvme.CommandDSM | nvme.CommandReservations | nvme.CommandTimestamp | nvme.CommandSaveSelect
	for bit, has := range map[uint16]blockdev.Features{
		nvme.CommandCompare: blockdev.HasCompare, nvme.CommandWriteZeroes: blockdev.HasWriteZeroes,
		nvme.CommandVerify: blockdev.HasVerify,
	} {
		if all&has != 0 {
			d.ONCS |= bit
		}
	}
	if all&blockdev.HasCompareWrite != 0 {
		d.FUSES = nvme.FuseCompareWrite
		d.ACWU = MaxTransfer>>16 - 1 // in the largest blocks, so that it holds for all
	}
	d.VWC = nvme.FlushAllSupport
	if s.volatileCache() {
		d.VWC |= nvme.WriteCache
	}
}

func (s *Subsystem) volatileCache() bool {
	for _, n := range s.namespaces {
		if n != nil && n.info.VolatileCache {
			return true
		}
	}
	return false
}

// commonFormat is the format of all namespaces, if they have the same.
func (s *Subsystem) commonFormat() (f [64]nvme.LBAFormat) {
	for _, n := range s.namespaces {
		switch {
		case n == nil:
		case f[0].Shift == 0:
			f[0].Shift = uint8(n.shift)
		case f[0].Shift != uint8(n.shift):
			return [64]nvme.LBAFormat{}
		}
	}
	return f
}

// activeAbove gives the namespaces above nsid.
func (s *Subsystem) activeAbove(nsid uint32) (ids []uint32) {
	for _, n := range s.namespaces {
		if n != nil && n.ID > nsid && len(ids) < nvme.MaxNSIDs {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// controllersFrom gives the controllers from id on.
func (s *Subsystem) controllersFrom(id uint16) (ids []uint16) {
	for n := int(id); n <= maxControllerID && len(ids) < nvme.MaxControllers; n++ {
		if s.controllers[uint16(n)] != nil {
			ids = append(ids, uint16(n))
		}
	}
	return ids
}
