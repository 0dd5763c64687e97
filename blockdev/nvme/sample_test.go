package nvme

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

var update = flag.Bool("update", false, "write testdata from the code's output")

// appender and decoder are what all structures have.
type appender interface{ Append(dst []byte) []byte }
type decoder interface{ Decode(src []byte) error }

// sample is a structure with all fields set, and its name in golden.txt.
type sample struct {
	name  string
	value appender // a pointer, which is a decoder, too
}

// decode reads src into a new value of the sample's type.
func (s sample) decode(src []byte) (any, error) {
	v := reflect.New(reflect.TypeOf(s.value).Elem())
	if status, ok := s.value.(*ReservationStatus); ok {
		v.Interface().(*ReservationStatus).Extended = status.Extended // the form is not in the data
	}
	err := v.Interface().(decoder).Decode(src)
	return v.Interface(), err
}

// command makes a sample of what set makes of a Command.
func command(name string, set func(c *Command)) sample {
	c := &Command{CID: 0x1122}
	set(c)
	return sample{"Command/" + name, c}
}

var sampleIO = IO{NSID: 7, LBA: 0x1122334455667788, Blocks: 0x10000, FUA: true, Limited: true, Deallocate: true, Protect: 5}

func commandSamples() []sample {
	out := []sample{
		command("Connect", func(c *Command) {
			c.SetConnect(&Connect{RecFmt: 0, QID: 3, SQSize: 127, Attrs: ConnectNoFlowControl, KATO: 15000})
		}),
		command("PropertyGet", func(c *Command) { c.SetPropertyGet(Property{Offset: PropCAP, Wide: true}) }),
		command("PropertySet", func(c *Command) { c.SetPropertySet(Property{Offset: PropCC, Value: 0x460001}) }),
		command("AuthSend", func(c *Command) { c.SetAuthSend(72, true) }),
		command("AuthReceive", func(c *Command) { c.SetAuthReceive(4096) }),
		command("Identify", func(c *Command) {
			c.SetIdentify(Identify{CNS: CNSSetNamespace, CSI: 2, NSID: 9, CNTLID: 0x1234})
		}),
		command("GetLogPage", func(c *Command) {
			c.SetLogPage(&LogPage{ID: LogANA, NSID: NSIDAll, Specific: ANAGroupsOnly, Retain: true, Length: 1 << 20,
				Offset: 0x1122334455667788, CSI: 3})
		}),
		command("SetFeatures", func(c *Command) {
			c.SetSetFeatures(Feature{ID: FeatureHostID, Save: true, NSID: 4, Value: 1}, HostIDSize)
		}),
		command("GetFeatures", func(c *Command) {
			c.SetGetFeatures(Feature{ID: FeatureTimestamp, Select: SelectSupported, NSID: 4}, TimestampSize)
		}),
		command("Abort", func(c *Command) { c.SetAbort(2, 0x5566) }),
		command("AsyncEvent", func(c *Command) { c.SetAsyncEvent() }),
		command("KeepAlive", func(c *Command) { c.SetKeepAlive() }),
		command("Flush", func(c *Command) { c.SetFlush(7) }),
		command("DatasetManagement", func(c *Command) { c.SetDSM(DSM{NSID: 7, Ranges: 256, Deallocate: true}, true) }),
	}
	for _, op := range []Opcode{OpReservationRegister, OpReservationAcquire, OpReservationRelease} {
		out = append(out, command(ioNames[op], func(c *Command) {
			c.SetReservation(op, &Reservation{NSID: 7, Action: PreemptAndAbort, IgnoreKey: true, Type: ExclusiveAccessAllRegistrants,
				Persist: PersistOn}, true)
		}))
	}
	out = append(out, command("Reservation Report", func(c *Command) {
		c.SetReport(Report{NSID: 7, Extended: true, Length: 4096})
	}))
	for _, op := range []Opcode{OpRead, OpWrite, OpCompare, OpWriteZeroes, OpVerify} {
		out = append(out, command(ioNames[op], func(c *Command) {
			c.SetIO(op, &sampleIO)
			switch op {
			case OpWrite:
				c.SetData(4096, true)
				c.Flags |= FuseSecond
			case OpCompare:
				c.SetData(4096, true)
				c.Flags |= FuseFirst
			case OpRead:
				c.SetData(1<<20, false)
			}
		}))
	}
	return out
}

// filled gives a T in which each number has another value; texts are left empty.
func filled[T any]() *T {
	v := new(T)
	next := uint64(0)
	fill(reflect.ValueOf(v).Elem(), &next)
	return v
}

func fill(v reflect.Value, next *uint64) {
	switch v.Kind() {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		*next++
		v.SetUint((*next*0x9e3779b97f4a7c15 | 1) >> (64 - v.Type().Bits())) // all bytes count, and differ
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), next)
		}
	}
}

func with[T any](v *T, change func(v *T)) *T {
	change(v)
	return v
}

const sampleNQN = "nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

func sampleController() *IdentifyController {
	return with(filled[IdentifyController](), func(c *IdentifyController) {
		c.Serial, c.Model, c.Firmware, c.SubNQN = "serial", "a model of forty bytes, not one byte less", "firmware", sampleNQN
		c.Model = c.Model[:40]
	})
}

func sampleEntry() *DiscoveryEntry {
	return with(filled[DiscoveryEntry](), func(e *DiscoveryEntry) {
		e.Transport, e.Family, e.Subsystem = TransportTCP, FamilyIPv4, SubsystemNVM
		e.Service, e.SubNQN, e.Address = "4420", sampleNQN, "192.0.2.1"
	})
}

func sampleStatus(extended bool) *ReservationStatus {
	return with(filled[ReservationStatus](), func(s *ReservationStatus) {
		s.Extended, s.Total = extended, 2
		s.Registrants = []Registrant{*filled[Registrant](), {CNTLID: 7, HostID: [16]byte{1}, Key: 8}}
		if !extended {
			clear(s.Registrants[0].HostID[8:])
		}
	})
}

// structures are the samples of what commands carry.
func structures() []sample {
	return []sample{
		{"IdentifyController", sampleController()},
		{"IdentifyNVMController", filled[IdentifyNVMController]()},
		{"IdentifyNamespace", filled[IdentifyNamespace]()},
		{"IdentifyNVMNamespace", filled[IdentifyNVMNamespace]()},
		{"IdentifyIndependent", filled[IdentifyIndependent]()},
		{"Descriptors", filled[Descriptors]()},
		{"CommandSetTable", &CommandSetTable{Sets: [512]uint64{0: 1, 511: 0x1122334455667788}}},
		{"ErrorEntry", filled[ErrorEntry]()},
		{"SMART", filled[SMART]()},
		{"Effects", &Effects{Admin: [256]Effect{0: EffectSupported, 255: EffectExclusive},
			IO: [256]Effect{0: EffectSupported | EffectContent, 255: 0xf1f2f3f4}}},
		{"SupportedLogs", &SupportedLogs{Pages: [256]uint32{0: 1, 255: 3}}},
		{"ANAHeader", filled[ANAHeader]()},
		{"ANAGroup", with(filled[ANAGroup](), func(g *ANAGroup) {
			g.State, g.NSIDs = ANAChange, NSIDList{1, 0, 0, 0, 2, 1, 0, 0}
		})},
		{"DiscoveryHeader", with(filled[DiscoveryHeader](), func(h *DiscoveryHeader) { h.Format = 0 })},
		{"DiscoveryEntry", sampleEntry()},
		{"Timestamp", &Timestamp{Millis: 0x112233445566, Origin: 1}},
		{"ReservationKeys", filled[ReservationKeys]()},
		{"ReservationStatus", sampleStatus(false)},
		{"ReservationStatusExtended", sampleStatus(true)},
		{"ReservationNotice", filled[ReservationNotice]()},
	}
}

// authSamples are one of each message, in each of its forms.
func authSamples() []sample {
	bytes := func(first byte, n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = first + byte(i)
		}
		return out
	}
	out := []sample{}
	for name, m := range map[string]*AuthMessage{
		"Negotiate": {ID: AuthNegotiate, Secure: 1, Hashes: []byte{1, 2, 3}, Groups: []byte{0, 1, 5}},
		"Challenge": {ID: AuthChallenge, Hash: AuthSHA256, Group: AuthGroup2048, Seq: 0x11223344, Challenge: bytes(1, 32),
			DHValue: bytes(2, 256)},
		"ChallengeNull":  {ID: AuthChallenge, Hash: AuthSHA512, Seq: 1, Challenge: bytes(3, 64)},
		"Reply":          {ID: AuthReply, Seq: 0x55667788, Response: bytes(4, 48), Challenge: bytes(5, 48), DHValue: bytes(6, 1024)},
		"ReplyOneWay":    {ID: AuthReply, Response: bytes(7, 32)},
		"Success1":       {ID: AuthSuccess1, Hash: AuthSHA512, Response: bytes(8, 64)},
		"Success1OneWay": {ID: AuthSuccess1, Hash: AuthSHA256},
		"Success2":       {ID: AuthSuccess2},
		"Failure1":       {ID: AuthFailure1, Reason: AuthReasonFailed, Explain: AuthHashUnusable},
		"Failure2":       {ID: AuthFailure2, Reason: AuthReasonFailed, Explain: AuthIncorrectMessage},
	} {
		m.TID = 0x99aa
		out = append(out, sample{"Auth" + name, m})
	}
	slices.SortFunc(out, func(a, b sample) int { return strings.Compare(a.name, b.name) })
	return out
}

func samples() []sample {
	out := append(commandSamples(), []sample{
		{"Completion", &Completion{Result: 0x1122334455667788, SQHead: 0x99aa, SQID: 0xbbcc, CID: 0xddee,
			Status: StatusLBARange | DNR | More}},
		{"ICReq", &ICReq{HPDA: 1, HeaderDigest: true, MaxR2T: 0x11223344}},
		{"ICResp", &ICResp{CPDA: 31, DataDigest: true, MaxH2CData: 0x20000}},
		{"ConnectData", &ConnectData{HostID: [16]byte{0: 0xaa, 15: 0xbb}, CNTLID: CNTLIDDynamic, SubNQN: sampleNQN,
			HostNQN: "nqn.2026-01.org.example:host"}},
	}...)
	return slices.Concat(out, structures(), authSamples())
}

// pdu is a PDU with a data part, as it is sent in a format.
type pdu struct {
	name  string
	role  Role // of the receiver
	bytes []byte
}

func formatName(f Format) string {
	return fmt.Sprintf("hdr=%v,data=%v,align=%d", f.HeaderDigest, f.DataDigest, f.Align)
}

var formats = []Format{{}, {HeaderDigest: true}, {DataDigest: true}, {HeaderDigest: true, DataDigest: true},
	{HeaderDigest: true, DataDigest: true, Align: 31}}

var payload = []byte("sixteen bytes ..")

// withData appends the payload and its digest behind a header.
func withData(f Format, head []byte) []byte {
	head = append(head, payload...)
	if f.DataDigest {
		head = AppendDigest(head, Digest(0, payload))
	}
	return head
}

func pdus(f Format) []pdu {
	c := commandSamples()[0].value.(*Command)
	d := Data{CID: 0x1122, TTag: 0x3344, Offset: 0x55667788, Length: uint32(len(payload))}
	term := TermReq{Status: FatalHeaderDigest, Info: 0x11223344, PDU: []byte{4, 1, 72, 0, 76, 0, 0, 0}}
	return []pdu{
		{"CapsuleCmd", Controller, withData(f, f.AppendCommand(nil, c, uint32(len(payload))))},
		{"CapsuleCmd,alone", Controller, f.AppendCommand(nil, c, 0)},
		{"CapsuleResp", Host, f.AppendCompletion(nil, &Completion{CID: 0x1122, Status: StatusInvalidField})},
		{"R2T", Host, f.AppendR2T(nil, &R2T{CID: 0x1122, TTag: 0x3344, Offset: 0x55667788, Length: 0x99aabb})},
		{"H2CData", Controller, withData(f, f.AppendH2C(nil, &d, FlagLast))},
		{"C2HData", Host, withData(f, f.AppendC2H(nil, &d, FlagLast|FlagSuccess))},
		{"H2CTermReq", Controller, term.Append(nil, Host)},
		{"C2HTermReq", Host, term.Append(nil, Controller)},
	}
}
