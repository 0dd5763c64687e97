package nvmetest

import (
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Structures whose fields tshark knows, each with a value of its own.
var (
	controller = nvme.IdentifyController{
		VID: 0x1101, SSVID: 0x1102, Serial: "a serial number", Model: "a model", Firmware: "1.0", RAB: 0x12,
		IEEE: [3]byte{0x13, 0x14, 0x15}, CMIC: nvme.MultiANA | nvme.MultiPort, MDTS: 0x16, CNTLID: 0x1103, Version: nvme.Version14,
		RTD3R: 0x11040506, RTD3E: 0x11070809, OAES: nvme.EventsANA | nvme.EventsNamespace, CTRATT: nvme.AttrHostID128 | nvme.AttrTBKAS,
		Type: nvme.TypeIO, CRDT: [3]uint16{0x1110, 0x1111, 0x1112}, OACS: 0x0102, ACL: 0x17, AERL: 0x18, FRMW: 0x03,
		LPA: nvme.LogPageEffects, ELPE: 0x19, NPSS: 0, WCTEMP: 0x1113, CCTEMP: 0x1114, KAS: 0x1115, ANATT: 0x1a, ANACAP: 0x1f,
		ANAGRPMAX: 0x11161718, NANAGRPID: 0x11191a1b, SQES: 0x66, CQES: 0x44, MAXCMD: 0x1120, NN: 0x11212223,
		ONCS: nvme.CommandCompare | nvme.CommandReservations, FUSES: nvme.FuseCompareWrite, FNA: 1, VWC: nvme.WriteCache | nvme.FlushAllSupport,
		AWUN: 0x1124, AWUPF: 0x1125, NWPC: 1, ACWU: 0x1126, SGLS: nvme.SGLSupported | nvme.SGLOffsets | nvme.SGLTransportSGL,
		MNAN: 0x11272829, SubNQN: "nqn.2026-01.org.example:disk", IOCCSZ: 0x112a2b2c, IORCSZ: 0x112d2e2f, ICDOFF: 0x1130,
		FCATT: 1, MSDBD: 0x1b, OFCS: 1,
	}
	namespace = nvme.IdentifyNamespace{
		NSZE: 0x2101020304050607, NCAP: 0x2111020304050607, NUSE: 0x2121020304050607, NSFEAT: nvme.NSThin, NLBAF: 1, FLBAS: 1, MC: 1,
		DPC: 2, DPS: 3, NMIC: nvme.NSShared, NGUID: [16]byte{0: 0x21, 15: 0x22}, EUI64: [8]byte{0x23, 7: 0x24},
		Formats: [64]nvme.LBAFormat{{Shift: 9}, {Metadata: 8, Shift: 12, RP: 2}},
	}
	errorEntry = nvme.ErrorEntry{
		Count: 0x3101020304050607, SQID: 0x3102, CID: 0x3103, StatusField: 0x4105, Location: 0x0304, LBA: 0x3111020304050607,
		NSID: 0x31050607, Vendor: 0x31, Transport: nvme.TransportTCP, Specific: 0x3121020304050607, TransferTag: 0x3108,
	}
	smart = nvme.SMART{
		Critical: 4, Temperature: 300, Spare: 99, SpareThreshold: 10, Used: 41, ReadUnits: nvme.Uint128{Lo: 0x4101},
		WriteUnits: nvme.Uint128{Lo: 0x4102}, Reads: nvme.Uint128{Lo: 0x4103}, Writes: nvme.Uint128{Lo: 0x4104},
		BusyMinutes: nvme.Uint128{Lo: 0x4105}, PowerCycles: nvme.Uint128{Lo: 0x4106}, PowerOnHours: nvme.Uint128{Lo: 0x4107},
		UnsafeShutdowns: nvme.Uint128{Lo: 0x4108}, MediaErrors: nvme.Uint128{Lo: 0x4109}, ErrorEntries: nvme.Uint128{Lo: 0x410a},
		WarningMinutes: 0x410b0c0d, CriticalMinutes: 0x410e0f10, Sensors: [8]uint16{0: 301, 7: 308},
		ManagedCount: [2]uint32{0x41111213, 0x41141516}, ManagedSeconds: [2]uint32{0x41171819, 0x411a1b1c},
	}
	entry = nvme.DiscoveryEntry{
		Transport: nvme.TransportTCP, Family: nvme.FamilyIPv4, Subsystem: nvme.SubsystemNVM, TREQ: nvme.NoFlowControl, PortID: 0x5101,
		CNTLID: 0x5102, ASQSZ: 0x5103, Service: "4420", SubNQN: "nqn.2026-01.org.example:other", Address: "192.0.2.2",
		Security: nvme.SecurityTLS12,
	}
)

// wanted gives what tshark is to say of the fields of a structure, below prefix: a
// number, or a text or hex digits.
var wanted = map[string]map[string]any{
	"nvme.cmd.identify.ctrl.": {
		"vid": controller.VID, "ssvid": controller.SSVID, "sn": controller.Serial, "mn": controller.Model, "fr": "312e302020202020",
		"rab": controller.RAB, "ieee": 0x151413, "cmic": controller.CMIC, "mdts": controller.MDTS, "cntlid": controller.CNTLID,
		"ver": controller.Version, "rtd3r": controller.RTD3R, "rtd3e": controller.RTD3E, "oaes": controller.OAES, "oaes.ana": 1,
		"ctratt": controller.CTRATT, "ctratt.hi_128": 1, "ctratt.tbkas": 1, "cntrltype": controller.Type, "crdt1": controller.CRDT[0],
		"crdt2": controller.CRDT[1], "crdt3": controller.CRDT[2], "oacs": controller.OACS, "acl": controller.ACL, "aerl": controller.AERL,
		"frmw": controller.FRMW, "lpa.cmds": 1, "lpa.smrt": 0, "elpe": controller.ELPE, "npss": controller.NPSS, "wctemp": controller.WCTEMP,
		"cctemp": controller.CCTEMP, "kas": controller.KAS, "anatt": controller.ANATT, "anacap": controller.ANACAP,
		"anagrpmax": controller.ANAGRPMAX, "nanagrpid": controller.NANAGRPID, "sqes": controller.SQES, "cqes": controller.CQES,
		"maxcmd": controller.MAXCMD, "nn": controller.NN, "oncs": controller.ONCS, "oncs.ccs": 1, "oncs.ress": 1, "oncs.wzs": 0,
		"fuses": controller.FUSES, "fna": controller.FNA, "vwc": controller.VWC, "vwc.cp": 1, "awun": controller.AWUN,
		"awupf": controller.AWUPF, "nwpc": controller.NWPC, "acwu": controller.ACWU, "sgls": controller.SGLS, "sgls.offs": 1,
		"sgls.tdbd": 1, "mnan": controller.MNAN, "subnqn": controller.SubNQN,
	},
	"nvme.cmd.identify.ns.": {
		"nsze": namespace.NSZE, "ncap": namespace.NCAP, "nuse": namespace.NUSE, "nsfeat": namespace.NSFEAT, "nlbaf": namespace.NLBAF,
		"flbas": namespace.FLBAS, "mc": namespace.MC, "dpc": namespace.DPC, "dps": namespace.DPS, "nmic": namespace.NMIC,
		"nguid": "21000000000000000000000000000022", "eui64": uint64(0x2300000000000024), "lbaf": "0x00090000 0x020c0008",
	},
	"nvme.cmd.identify.nslist.": {"nsid": "0x00000001 0x00000002 0x11223344"},
	"nvme.cmd.get_logpage.errinf.": {
		"errcnt": errorEntry.Count, "sqid": errorEntry.SQID, "cid": errorEntry.CID, "sf": errorEntry.StatusField,
		"pel": errorEntry.Location, "lba": errorEntry.LBA, "vsi": errorEntry.Vendor, "trype": errorEntry.Transport,
		"csi": errorEntry.Specific, "tsi": errorEntry.TransferTag,
	},
	"nvme.cmd.get_logpage.smart.": {
		"cw": smart.Critical, "ct": smart.Temperature, "asc": smart.Spare, "ast": smart.SpareThreshold, "lae": smart.Used,
		"dur": smart.ReadUnits, "duw": smart.WriteUnits, "hrc": smart.Reads, "hwc": smart.Writes, "cbt": smart.BusyMinutes,
		"pc": smart.PowerCycles, "poh": smart.PowerOnHours, "us": smart.UnsafeShutdowns, "mie": smart.MediaErrors,
		"ele": smart.ErrorEntries, "wctt": smart.WarningMinutes, "cctt": smart.CriticalMinutes, "ts.s1": smart.Sensors[0],
		"ts.s2": smart.Sensors[1], "ts.s8": smart.Sensors[7], "tmt1c": smart.ManagedCount[0], "tmt2c": smart.ManagedCount[1],
		"tmt1t": smart.ManagedSeconds[0], "tmt2t": smart.ManagedSeconds[1],
	},
	"nvme.cmd.get_logpage.ana.": {
		"chcnt": 0x1516, "ngd": 1, "grp.id": 0x1112, "grp.nns": 2, "grp.chcnt": 0x1314, "grp.anas.state": nvme.ANAInaccessible,
		"grp.nsid": "0x00000001 0x00000102",
	},
	"nvme.cmd.get_logpage.identify.": { // the discovery log, to tshark
		"genctr": 0x2122, "numrec": 1, "recfmt": 0, "rcrd.trtype": entry.Transport, "rcrd.adrfam": entry.Family,
		"rcrd.subtype": entry.Subsystem, "rcrd.treq": entry.TREQ, "rcrd.portid": entry.PortID, "rcrd.cntlid": entry.CNTLID,
		"rcrd.asqsz": entry.ASQSZ, "rcrd.trsvcid": entry.Service, "rcrd.subnqn": entry.SubNQN, "rcrd.traddr": entry.Address,
		"rcrd.tsas.tcp_sectype": entry.Security,
	},
	"nvme.fabrics.": {
		"cmd.connect.qid": "0 1", "cmd.connect.sqsize": "31 127", "cmd.connect.cattr": "0x00 0x04", "cmd.connect.cattr.dfc": "0x00 0x01",
		"cmd.connect.kato": "15000 0", "cmd.connect.data.cntrlid": "0xffff 0x0005", "cqe.connect.cntrlid": "0x0005 0x0005",
		"cqe.connect.authreq": "0x0002 0x0000", "prop_get_set.cc": 0x460001, "prop_get_set.csts": nvme.StatusReady,
		"prop_get.ccap.mqes": 127, "prop_get.ccap.cqr": 1, "prop_get.ccap.to": 15, "prop_get.ccap.css": 1,
		"prop_get.vs": nvme.Version14,
	},
	"nvme.cqe.dword0.": {"set_features.nq": 0x00050003, "aev": "0x000c0302 0x00000000", "aev.lpi": "12 0"},
}

// TestTsharkFields: what others read at a place is what was written for it.
func TestTsharkFields(t *testing.T) {
	var fields []string
	for prefix, of := range wanted {
		for name := range of {
			fields = append(fields, prefix+name)
		}
	}
	got := play(t, nvme.Format{}).Check(t, fields...)
	for prefix, of := range wanted {
		for name, want := range of {
			values := got[prefix+name]
			if !same(strings.TrimRight(strings.Join(values, " "), " "), want) {
				t.Errorf("%s%s is %.200q, want %v", prefix, name, values, want)
			}
		}
	}
}

// same compares what tshark has written with a text or a number of any type.
func same(got string, want any) bool {
	switch w := want.(type) {
	case string:
		return got == w
	case nvme.Uint128:
		b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, w.Lo), w.Hi)
		return got == hex.EncodeToString(b)
	}
	v := reflect.ValueOf(want)
	n, base := strings.CutPrefix(got, "0x")
	digits := 10
	if base || len(n) == 16 { // a field of bytes, too
		digits = 16
	}
	number, err := strconv.ParseUint(n, digits, 64)
	if v.CanInt() {
		return err == nil && number == uint64(v.Int())
	}
	return err == nil && number == v.Uint()
}
