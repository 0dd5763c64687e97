package nvme

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// travel takes a command over the wire.
func travel(t *testing.T, set func(c *Command)) *Command {
	t.Helper()
	c, got := &Command{CID: 0x1122}, &Command{}
	set(c)
	if err := got.Decode(c.Append(nil)); err != nil || *got != *c || got.CID != 0x1122 {
		t.Fatalf("%+v comes back as %+v, %v", c, got, err)
	}
	if s := c.CheckSGL(0); c.SGL.Type == SGLTransport && s != StatusSuccess {
		t.Errorf("%s: %v", c.Name(true), s)
	}
	return got
}

func want[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestParameters: what a Set method has put into a command, its reader gives.
func TestParameters(t *testing.T) {
	connect := Connect{RecFmt: 0x1112, QID: 0x2122, SQSize: 0x3132, Attrs: 0x41, KATO: 0x51525354}
	want(t, travel(t, func(c *Command) { c.SetConnect(&connect) }).Connect(), connect)

	for _, p := range []Property{{Offset: PropCC, Value: 0xffffffff}, {Offset: PropCAP, Wide: true, Value: 0x1122334455667788}} {
		got, s := travel(t, func(c *Command) { c.SetPropertySet(p) }).Property()
		want(t, got, p)
		want(t, s, StatusSuccess)
		p.Value = 0
		got, s = travel(t, func(c *Command) { c.SetPropertyGet(p) }).Property()
		want(t, got, p)
		want(t, s, StatusSuccess)
	}
	n, s := travel(t, func(c *Command) { c.SetAuthSend(72, true) }).AuthLength()
	want(t, n, 72)
	want(t, s, StatusSuccess)
	n, s = travel(t, func(c *Command) { c.SetAuthReceive(4096) }).AuthLength()
	want(t, n, 4096)
	want(t, s, StatusSuccess)

	identify := Identify{CNS: CNSSetActiveList, CSI: 0x12, NSID: 0x21222324, CNTLID: 0x3132}
	want(t, travel(t, func(c *Command) { c.SetIdentify(identify) }).Identify(), identify)
	for _, p := range []LogPage{
		{ID: LogDiscovery, NSID: NSIDAll, Specific: 0x7f, Retain: true, Length: 1<<32 - 4, Offset: 1<<63 + 4, CSI: 0x41},
		{ID: LogSMART, Length: 4},
		{ID: LogSMART, Length: 4 << 16},
	} {
		got, s := travel(t, func(c *Command) { c.SetLogPage(&p) }).LogPage()
		want(t, got, p)
		want(t, s, StatusSuccess)
	}
	set := Feature{ID: FeatureQueues, Save: true, NSID: 0x11121314, Value: 0x21222324}
	want(t, travel(t, func(c *Command) { c.SetSetFeatures(set, 8) }).Feature(), set)
	get := Feature{ID: FeatureQueues, Select: SelectSaved, NSID: 0x11121314, Value: 0x21222324}
	want(t, travel(t, func(c *Command) { c.SetGetFeatures(get, 8) }).Feature(), get)
	sqid, cid := travel(t, func(c *Command) { c.SetAbort(0x1112, 0x2122) }).Abort()
	want(t, [2]uint16{sqid, cid}, [2]uint16{0x1112, 0x2122})

	for _, p := range []IO{sampleIO, {NSID: 1, Blocks: 1}, {LBA: 1<<64 - 1, Blocks: MaxBlocks, FUA: true}} {
		want(t, travel(t, func(c *Command) { c.SetIO(OpWriteZeroes, &p) }).IO(), p)
	}
	for _, p := range []DSM{{NSID: 1, Ranges: 1}, {NSID: 1 << 31, Ranges: MaxRanges, Deallocate: true}} {
		c := travel(t, func(c *Command) { c.SetDSM(p, true) })
		want(t, c.DSM(), p)
		want(t, c.CheckSGL(p.Ranges*RangeSize), StatusSuccess)
	}
}

// TestBadParameters: what a controller refuses.
func TestBadParameters(t *testing.T) {
	c := Command{}
	c.SetPropertyGet(Property{})
	c.CDW10 = 2
	_, s := c.Property()
	want(t, s, StatusInvalidField|DNR)
	for _, change := range []func(*Command){
		func(c *Command) { c.CDW10 ^= 1 << 8 }, func(c *Command) { c.CDW10 ^= 1 << 16 }, func(c *Command) { c.CDW10 ^= 1 << 24 },
		func(c *Command) { c.CDW11++ }, func(c *Command) { c.CDW11, c.SGL.Length = 0, 0 },
	} {
		c.SetAuthSend(72, true)
		change(&c)
		_, s := c.AuthLength()
		want(t, s, StatusInvalidField|DNR)
	}
	for _, change := range []func(*Command){
		func(c *Command) { c.SGL.Length++ }, func(c *Command) { c.CDW12++ }, func(c *Command) { c.CDW14 |= 1 << 23 },
	} {
		c.SetLogPage(&LogPage{Length: 512})
		change(&c)
		_, s := c.LogPage()
		want(t, s, StatusInvalidField|DNR)
	}
	_, s = ParseQueueCount(0xffff)
	want(t, s, StatusInvalidField|DNR)
	_, s = ParseQueueCount(0xffff << 16)
	want(t, s, StatusInvalidField|DNR)
}

func TestCheckSGL(t *testing.T) {
	for _, c := range []struct {
		op      Opcode
		flags   CommandFlags
		sgl     SGL
		capsule uint32
		want    Status
	}{
		{OpWrite, UseSGL, SGL{0, 512, SGLInCapsule}, 512, StatusSuccess},
		{OpWrite, UseSGL, SGL{0, 512, SGLTransport}, 0, StatusSuccess},
		{OpRead, UseSGL, SGL{0, 512, SGLTransport}, 0, StatusSuccess},
		{OpFlush, UseSGL, SGL{9, 9, 0x77}, 0, StatusSuccess},
		{OpWrite, UseSGL | FuseSecond, SGL{0, 512, SGLTransport}, 0, StatusSuccess},
		{OpWrite, 0, SGL{0, 512, SGLTransport}, 0, StatusInvalidField | DNR},
		{OpWrite, PSDTMask, SGL{0, 512, SGLTransport}, 0, StatusInvalidField | DNR},
		{OpFlush, UseSGL, SGL{}, 4, StatusDataSGLLength | DNR},
		{OpWrite, UseSGL, SGL{0, 512, SGLTransport}, 512, StatusDataSGLLength | DNR},
		{OpWrite, UseSGL, SGL{0, 512, SGLInCapsule}, 511, StatusDataSGLLength | DNR},
		{OpWrite, UseSGL, SGL{0, 512, SGLInCapsule}, 0, StatusDataSGLLength | DNR},
		{OpWrite, UseSGL, SGL{4, 512, SGLInCapsule}, 512, StatusSGLOffset | DNR},
		{OpRead, UseSGL, SGL{0, 512, SGLInCapsule}, 512, StatusSGLType | DNR},
		{OpRead, UseSGL, SGL{0, 512, 0x00}, 0, StatusSGLType | DNR},
	} {
		cmd := Command{Opcode: c.op, Flags: c.flags, SGL: c.sgl}
		if got := cmd.CheckSGL(c.capsule); got != c.want {
			t.Errorf("%+v: %v, want %v", c, got, c.want)
		}
	}
}

// TestDirection: the direction that the opcode has is that of the command.
func TestDirection(t *testing.T) {
	for set, dir := range map[string]Direction{
		"Connect": ToController, "Property Get": NoData, "Property Set": NoData, "Authentication Send": ToController,
		"Authentication Receive": ToHost, "Identify": ToHost, "Get Log Page": ToHost, "Set Features": ToController,
		"Get Features": ToHost, "Abort": NoData, "Asynchronous Event Request": NoData, "Keep Alive": NoData,
	} {
		found := false
		for _, s := range commandSamples() {
			c := s.value.(*Command)
			if c.Name(true) == set {
				found = true
				want(t, c.Direction(), dir)
			}
		}
		if !found {
			t.Errorf("no sample is a %s", set)
		}
	}
	for op, dir := range map[Opcode]Direction{
		OpRead: ToHost, OpWrite: ToController, OpCompare: ToController, OpDatasetManagement: ToController, OpFlush: NoData,
		OpWriteZeroes: NoData, OpVerify: NoData, OpReservationRegister: ToController, OpReservationReport: ToHost,
		OpReservationAcquire: ToController, OpReservationRelease: ToController,
	} {
		want(t, (&Command{Opcode: op}).Direction(), dir)
	}
}

func TestProperties(t *testing.T) {
	capabilities := Capabilities{MaxQueue: 127, Contiguous: true, Timeout: 15, NVM: true, CommandSets: true, NoIO: true,
		MinPage: 1, MaxPage: 4, ReadyModes: 3}
	want(t, capabilities.Value(), 0x1841_1820_0f01_007f)
	want(t, ParseCapabilities(capabilities.Value()), capabilities)
	config := Config{Enable: true, CommandSet: CommandSetAll, Page: 1, Arbitrate: 2, Shutdown: ShutdownAbrupt,
		SQESize: DefaultSQESize, CQESize: DefaultCQESize, ReadyMode: true}
	want(t, config.Value(), 0x0146_90e1)
	want(t, ParseConfig(config.Value()), config)
	want(t, Config{Enable: true, SQESize: 6, CQESize: 4}.Value(), 0x460001) // as Linux and SPDK send it
	timeouts := ReadyTimeouts{WithMedia: 0x1112, Independent: 0x2122}
	want(t, ParseReadyTimeouts(timeouts.Value()), timeouts)
	want(t, ParseConnectResult(0x0006_1234), ConnectResult{CNTLID: 0x1234, AuthRequired: true, AuthSecure: true})
	want(t, ConnectResult{CNTLID: 0x1234, AuthRequired: true}.Value(), 0x0002_1234)
	want(t, Version21.String(), "2.1.0")
	event := AsyncEvent{Type: EventNotice, Info: NoticeANA, Log: LogANA}
	want(t, event.Value(), 0x000c_0302)
	want(t, ParseAsyncEvent(event.Value()), event)
	q, _ := ParseQueueCount(QueueCount{Submission: 4, Completion: 0xffff}.Value())
	want(t, q, QueueCount{Submission: 4, Completion: 0xffff})
}

func TestStatus(t *testing.T) {
	s := StatusReservation | DNR | 2<<11
	if s.OK() || !errors.Is(s.Err(), StatusReservation) || errors.Is(s.Err(), StatusLBARange) || s.RetryDelay() != 2 || s.Type() != 0 {
		t.Errorf("%#x", uint16(s))
	}
	want(t, fmt.Sprint(s), "nvme: reservation conflict, do not retry")
	want(t, Status(0x7ff).String(), "status type 7 code 0xff")
	if (StatusSuccess | DNR).Err() != nil {
		t.Error("success is an error")
	}
}

func TestCheckNQN(t *testing.T) {
	long := "nqn.2014-08.org.example:" + strings.Repeat("x", MaxNQN-24)
	for _, s := range []string{DiscoveryNQN, "nqn.2014-08.org.example:a:b", long,
		"nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00A0C91E6BF6", "nqn.2014-12.com.example:grün"} {
		if err := CheckNQN(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "nqn.", "nqn.2014-08", "nqn.2014-08.", "iqn.2014-08.org:x", "nqn.2014-13.org:x", "nqn.2014-00.org:x",
		"nqn.201x-08.org:x", "nqn.2014_08.org:x", "nqn.2014-08.org..x:y", "nqn.2014-08.:y", "nqn.2014-08.a\x00b", "nqn.2014-08.a\xff",
		long + "x", "nqn.2014-08.org.nvmexpress:uuid:f81d4fae", "nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bg6",
		"nqn.2014-08.org.nvmexpress:uuid:f81d4fae07dec-11d0-a765-00a0c91e6bf6", "nqn.ä14-08.org:x"} {
		if err := CheckNQN(s); !errors.Is(err, ErrNQN) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestConnectDataErrors(t *testing.T) {
	good := (&ConnectData{SubNQN: DiscoveryNQN, HostNQN: "nqn.2026-01.org.example:host"}).Append(nil)
	for offset, result := range map[int]uint64{256: 0x10100, 512: 0x10200} {
		bad := append([]byte(nil), good...)
		bad[offset] = 'N'
		var e *ConnectError
		if err := new(ConnectData).Decode(bad); !errors.As(err, &e) || !errors.Is(err, ErrNQN) || e.Result() != result {
			t.Errorf("bad at %d: %v", offset, err)
		}
		for i := range 256 { // no zero byte
			bad[offset+i] = 'n'
		}
		if err := new(ConnectData).Decode(bad); !errors.As(err, &e) {
			t.Errorf("endless at %d: %v", offset, err)
		}
	}
}

func TestRanges(t *testing.T) {
	a, b := Range{Attrs: 1, Blocks: 0x11121314, LBA: 0x2122232425262728}, Range{Blocks: 3}
	data := append(b.Append(a.Append(nil)), "behind"...)
	l, err := Ranges(data, 2)
	if err != nil || l.Len() != 2 {
		t.Fatal(l, err)
	}
	want(t, []Range{l.At(0), l.At(1)}, []Range{a, b})
	if _, err := Ranges(data, 3); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if _, err := Ranges(data, 1<<32-1); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
}
