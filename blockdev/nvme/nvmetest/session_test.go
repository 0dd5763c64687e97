package nvmetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// session plays both ends of a connection, with nothing behind them: it shows
// how the bytes look, not what an end does.
type session struct {
	*Conn
	t      testing.TB
	format nvme.Format
	cid    uint16
}

// openSession exchanges ICReq and ICResp. The queue is made by the caller.
func openSession(t testing.TB, c *Capture, f nvme.Format) *session {
	s := &session{Conn: c.Conn(), t: t, format: f}
	s.Send(nvme.Host, (&nvme.ICReq{HPDA: f.Align, HeaderDigest: f.HeaderDigest, DataDigest: f.DataDigest}).Append(nil))
	s.Send(nvme.Controller, (&nvme.ICResp{CPDA: f.Align, HeaderDigest: f.HeaderDigest, DataDigest: f.DataDigest,
		MaxH2CData: nvme.MinMaxH2CData}).Append(nil))
	return s
}

// data sends what follows a header, and the digest.
func (s *session) data(from nvme.Role, head, data []byte) {
	b := append(head, data...)
	if s.format.DataDigest && len(data) > 0 {
		b = nvme.AppendDigest(b, nvme.Digest(0, data))
	}
	s.Send(from, b)
}

// command sends a command, with its data in the capsule.
func (s *session) command(set func(c *nvme.Command), data []byte) nvme.Command {
	s.cid++
	c := nvme.Command{CID: s.cid}
	set(&c)
	s.data(nvme.Host, s.format.AppendCommand(nil, &c, uint32(len(data))), data)
	return c
}

func (s *session) complete(c *nvme.Command, result uint64, status nvme.Status) {
	s.Send(nvme.Controller, s.format.AppendCompletion(nil, &nvme.Completion{Result: result, SQHead: c.CID, CID: c.CID, Status: status}))
}

// do is a command and its completion.
func (s *session) do(set func(c *nvme.Command), data []byte, result uint64) {
	c := s.command(set, data)
	s.complete(&c, result, nvme.StatusSuccess)
}

// read is a command and the data that it gives, in pieces of 16 KiB at most.
// With success the last one stands for the completion, too.
func (s *session) read(set func(c *nvme.Command), data []byte, success bool) {
	const piece = 16 << 10
	c := s.command(set, nil)
	if int(c.SGL.Length) != len(data) {
		s.t.Fatalf("%s asks for %d bytes, there are %d", c.Name(true), c.SGL.Length, len(data))
	}
	for at := 0; at < len(data); at += piece {
		part := data[at:min(at+piece, len(data))]
		flags := nvme.PDUFlags(0)
		if at+len(part) == len(data) {
			flags = nvme.FlagLast
			if success {
				flags |= nvme.FlagSuccess
			}
		}
		d := nvme.Data{CID: c.CID, Offset: uint32(at), Length: uint32(len(part))}
		s.data(nvme.Controller, s.format.AppendC2H(nil, &d, flags), part)
	}
	if !success {
		s.complete(&c, 0, nvme.StatusSuccess)
	}
}

// write is a command whose data an R2T asks for.
func (s *session) write(set func(c *nvme.Command), data []byte) {
	c := s.command(set, nil)
	s.Send(nvme.Controller, s.format.AppendR2T(nil, &nvme.R2T{CID: c.CID, TTag: 0x7000, Length: uint32(len(data))}))
	for at := 0; at < len(data); at += nvme.MinMaxH2CData {
		part := data[at:min(at+nvme.MinMaxH2CData, len(data))]
		flags := nvme.PDUFlags(0)
		if at+len(part) == len(data) {
			flags = nvme.FlagLast
		}
		d := nvme.Data{CID: c.CID, TTag: 0x7000, Offset: uint32(at), Length: uint32(len(part))}
		s.data(nvme.Host, s.format.AppendH2C(nil, &d, flags), part)
	}
	s.complete(&c, 0, nvme.StatusSuccess)
}

// admin connects the admin queue and brings the controller up.
func (s *session) admin() {
	hostNQN := "nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
	data := nvme.ConnectData{HostID: [16]byte{15: 1}, CNTLID: nvme.CNTLIDDynamic, SubNQN: "nqn.2026-01.org.example:disk", HostNQN: hostNQN}
	s.do(func(c *nvme.Command) { c.SetConnect(&nvme.Connect{SQSize: 31, KATO: 15000}) }, data.Append(nil),
		nvme.ConnectResult{CNTLID: 5, AuthRequired: true}.Value())
	s.do(func(c *nvme.Command) { c.SetPropertyGet(nvme.Property{Offset: nvme.PropCAP, Wide: true}) }, nil,
		nvme.Capabilities{MaxQueue: 127, Contiguous: true, Timeout: 15, NVM: true}.Value())
	s.do(func(c *nvme.Command) { c.SetPropertyGet(nvme.Property{Offset: nvme.PropVS}) }, nil, uint64(nvme.Version14))
	s.do(func(c *nvme.Command) {
		cc := nvme.Config{Enable: true, SQESize: nvme.DefaultSQESize, CQESize: nvme.DefaultCQESize}
		c.SetPropertySet(nvme.Property{Offset: nvme.PropCC, Value: uint64(cc.Value())})
	}, nil, 0)
	s.do(func(c *nvme.Command) { c.SetPropertyGet(nvme.Property{Offset: nvme.PropCSTS}) }, nil, uint64(nvme.StatusReady))
}

// io connects an I/O queue.
func (s *session) io() {
	data := nvme.ConnectData{HostID: [16]byte{15: 1}, CNTLID: 5, SubNQN: "nqn.2026-01.org.example:disk", HostNQN: "nqn.2026-01.org.example:host"}
	s.do(func(c *nvme.Command) {
		c.SetConnect(&nvme.Connect{QID: 1, SQSize: 127, Attrs: nvme.ConnectNoFlowControl})
	}, data.Append(nil), 5)
}

// authenticate is an exchange in both directions.
func (s *session) authenticate() {
	nonce, public := make([]byte, 32), make([]byte, 256)
	messages := []nvme.AuthMessage{
		{ID: nvme.AuthNegotiate, TID: 1, Hashes: []byte{1}, Groups: []byte{1}},
		{ID: nvme.AuthChallenge, TID: 1, Hash: nvme.AuthSHA256, Group: nvme.AuthGroup2048, Seq: 1, Challenge: nonce, DHValue: public},
		{ID: nvme.AuthReply, TID: 1, Seq: 2, Response: nonce, Challenge: nonce, DHValue: public},
		{ID: nvme.AuthSuccess1, TID: 1, Hash: nvme.AuthSHA256, Response: nonce},
		{ID: nvme.AuthSuccess2, TID: 1},
	}
	for i := range messages {
		b := messages[i].Append(nil)
		if i%2 == 0 {
			s.do(func(c *nvme.Command) { c.SetAuthSend(uint32(len(b)), true) }, b, 0)
		} else {
			s.read(func(c *nvme.Command) { c.SetAuthReceive(uint32(len(b))) }, b, false)
		}
	}
}

func identify(cns nvme.CNS) func(c *nvme.Command) {
	return func(c *nvme.Command) { c.SetIdentify(nvme.Identify{CNS: cns, NSID: 1}) }
}

func logPage(id nvme.LogID, n int) func(c *nvme.Command) {
	return func(c *nvme.Command) { c.SetLogPage(&nvme.LogPage{ID: id, NSID: nvme.NSIDAll, Length: uint64(n)}) }
}

func rw(op nvme.Opcode, bytes int, capsule bool, flags nvme.CommandFlags) func(c *nvme.Command) {
	return func(c *nvme.Command) {
		c.SetIO(op, &nvme.IO{NSID: 1, LBA: 0x1122334455667788, Blocks: 8})
		c.SetData(uint32(bytes), capsule)
		c.Flags |= flags
	}
}

// play is a session with a PDU of each type and each command there is.
func play(t testing.TB, f nvme.Format) *Capture {
	c := &Capture{}
	s := openSession(t, c, f)
	s.admin()
	s.authenticate()
	s.read(identify(nvme.CNSController), controller.Append(nil), false)
	s.read(identify(nvme.CNSNamespace), namespace.Append(nil), true)
	s.read(identify(nvme.CNSActiveList), nvme.AppendNSIDs(nil, []uint32{1, 2, 0x11223344}), false)
	s.read(identify(nvme.CNSDescriptors), (&nvme.Descriptors{UUID: [16]byte{1}, WithCSI: true}).Append(nil), false)
	// Two entries, of which the second is empty: tshark 4.0 reads two bytes behind
	// the last one.
	s.read(logPage(nvme.LogError, 2*nvme.ErrorEntrySize), append(errorEntry.Append(nil), make([]byte, nvme.ErrorEntrySize)...), false)
	s.read(logPage(nvme.LogSMART, nvme.SMARTSize), smart.Append(nil), false)
	s.read(logPage(nvme.LogEffects, nvme.EffectsSize), (&nvme.Effects{}).Append(nil), false)
	group := nvme.ANAGroup{ID: 0x1112, Changes: 0x1314, State: nvme.ANAInaccessible, NSIDs: nvme.NSIDList{1, 0, 0, 0, 2, 1, 0, 0}}
	ana := group.Append((&nvme.ANAHeader{Changes: 0x1516, Groups: 1}).Append(nil))
	s.read(logPage(nvme.LogANA, len(ana)), ana, false)
	discovery := entry.Append((&nvme.DiscoveryHeader{Generation: 0x2122, Records: 1}).Append(nil))
	s.read(logPage(nvme.LogDiscovery, len(discovery)), discovery, true)
	queues := nvme.QueueCount{Submission: 4, Completion: 6}
	s.do(func(c *nvme.Command) {
		c.SetSetFeatures(nvme.Feature{ID: nvme.FeatureQueues, Value: queues.Value()}, 0)
	}, nil, uint64(queues.Value()))
	s.do(func(c *nvme.Command) { c.SetGetFeatures(nvme.Feature{ID: nvme.FeatureKeepAlive}, 0) }, nil, 15000)
	s.do(func(c *nvme.Command) { c.SetAsyncEvent() }, nil,
		nvme.AsyncEvent{Type: nvme.EventNotice, Info: nvme.NoticeANA, Log: nvme.LogANA}.Value())
	s.do(func(c *nvme.Command) { c.SetKeepAlive() }, nil, 0)
	s.do(func(c *nvme.Command) { c.SetAbort(1, 2) }, nil, 1)
	s.Send(nvme.Host, (&nvme.TermReq{Status: nvme.FatalHeaderField, Info: 2, PDU: make([]byte, 24)}).Append(nil, nvme.Host))

	s = openSession(t, c, f)
	s.io()
	block, large := make([]byte, 4096), make([]byte, 100_000)
	for i := range large {
		large[i] = byte(i >> 8)
	}
	s.do(rw(nvme.OpWrite, len(block), true, 0), block, 0)
	s.write(rw(nvme.OpWrite, len(large), false, 0), large)
	s.read(rw(nvme.OpRead, len(large), false, 0), large, true)
	s.read(rw(nvme.OpRead, len(block), false, 0), block, false)
	s.do(rw(nvme.OpCompare, len(block), true, nvme.FuseFirst), block, 0)
	s.do(rw(nvme.OpWrite, len(block), true, nvme.FuseSecond), block, 0)
	s.do(rw(nvme.OpWriteZeroes, 0, false, 0), nil, 0)
	s.do(rw(nvme.OpVerify, 0, false, 0), nil, 0)
	s.do(func(c *nvme.Command) { c.SetFlush(1) }, nil, 0)
	s.do(func(c *nvme.Command) { c.SetDSM(nvme.DSM{NSID: 1, Ranges: 1, Deallocate: true}, true) },
		(&nvme.Range{Blocks: 8}).Append(nil), 0)
	keys := (&nvme.ReservationKeys{Current: 1, Other: 2}).Append(nil)
	for _, op := range []nvme.Opcode{nvme.OpReservationRegister, nvme.OpReservationAcquire, nvme.OpReservationRelease} {
		if op == nvme.OpReservationRelease {
			keys = keys[:nvme.ReservationReleaseSize]
		}
		s.do(func(c *nvme.Command) {
			c.SetReservation(op, &nvme.Reservation{NSID: 1, Type: nvme.WriteExclusive}, true)
		}, keys, 0)
	}
	status := nvme.ReservationStatus{Extended: true, Registrants: []nvme.Registrant{{CNTLID: 5, Holder: true, Key: 1}}}
	s.read(func(c *nvme.Command) {
		c.SetReport(nvme.Report{NSID: 1, Extended: true, Length: uint64(status.Size())})
	}, status.Append(nil), false)
	s.Send(nvme.Controller, (&nvme.TermReq{Status: nvme.FatalHeaderDigest, Info: 0x11223344, PDU: make([]byte, 72)}).Append(nil, nvme.Controller))
	return c
}

// TestTshark: a dissector written by others finds nothing wrong with a session
// with each PDU and command, in each format, and digests where they belong.
func TestTshark(t *testing.T) {
	for _, f := range []nvme.Format{{}, {HeaderDigest: true}, {DataDigest: true}, {HeaderDigest: true, DataDigest: true}} {
		t.Run(fmt.Sprintf("header=%v,data=%v", f.HeaderDigest, f.DataDigest), func(t *testing.T) {
			if testing.Short() && f.HeaderDigest != f.DataDigest {
				t.Skip("-short: tshark takes a second each time")
			}
			got := play(t, f).Check(t, "nvme-tcp.hlen")
			if n := len(got["nvme-tcp.hdgst.status"]); n > 0 != f.HeaderDigest {
				t.Errorf("%d header digests", n)
			}
			if n := len(got["nvme-tcp.ddgst.status"]); n > 0 != f.DataDigest {
				t.Errorf("%d data digests", n)
			}
			if len(got["nvme-tcp.hlen"]) < 100 {
				t.Errorf("only %d PDUs", len(got["nvme-tcp.hlen"]))
			}
		})
	}
}

// recorder is a test that notes what is wrong with it.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// TestCheckFails: Check sees wrong digests and PDUs that are none.
func TestCheckFails(t *testing.T) {
	f := nvme.Format{HeaderDigest: true, DataDigest: true}
	for name, spoil := range map[string]func(b []byte){
		"nvme-tcp.hdgst.status is": func(b []byte) { b[nvme.CapsuleCmdSize] ^= 1 },
		"nvme-tcp.ddgst.status is": func(b []byte) { b[len(b)-1] ^= 1 },
		"is malformed":             func(b []byte) { b[4], b[5] = 40, 0 },
	} {
		c := &Capture{}
		s := openSession(t, c, f)
		cmd := nvme.Command{}
		rw(nvme.OpWrite, 512, true, 0)(&cmd)
		data := make([]byte, 512)
		b := append(f.AppendCommand(nil, &cmd, 512), data...)
		b = nvme.AppendDigest(b, nvme.Digest(0, data))
		spoil(b)
		s.Send(nvme.Host, b)
		r := &recorder{TB: t}
		c.Check(r)
		if !strings.Contains(strings.Join(r.errors, "\n"), name) {
			t.Errorf("%q is missing in %q", name, r.errors)
		}
	}
}
