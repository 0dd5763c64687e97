package core_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

const (
	subNQN  = "nqn.2026-01.example.lockify:disk"
	hostNQN = "nqn.2026-01.example.host:a"
)

// host is a scripted initiator: it has a session of its own, without a connection.
type host struct {
	t      *testing.T
	ses    *core.Session
	rings  map[*core.Namespace]*blockdev.Ring
	hold   bool // requests stay with the device
	held   []core.Request
	format nvme.Format // of both directions
	in     []byte      // what the target has sent
	cid    uint16
	done   map[uint16]nvme.Completion
	data   map[uint16][]byte
	r2t    []nvme.R2T
	writes map[uint16][]byte // data of commands that wait for R2T
	term   *nvme.TermReq
	woken  int
	loose  bool // what the target sends is not looked at
}

func newHost(t *testing.T, tg *core.Target, p *core.Port) *host {
	h := &host{
		t: t, rings: map[*core.Namespace]*blockdev.Ring{}, done: map[uint16]nvme.Completion{},
		data: map[uint16][]byte{}, writes: map[uint16][]byte{},
	}
	h.ses = tg.NewSession(p, func() { h.woken++ })
	return h
}

// bytes gives b to the target, in pieces of at most n bytes.
func (h *host) bytes(b []byte, n int) {
	for len(b) > 0 && h.ses.Err() == nil {
		first, second := h.ses.Room()
		k := copy(first, b[:min(n, len(b))])
		k += copy(second, b[k:min(n, len(b))])
		b = b[k:]
		h.pump(k)
	}
}

// pump has the target go on, and takes all that it sends.
func (h *host) pump(n int) {
	h.ses.Received(n)
	for {
		for q, ok := h.ses.Next(); ok; q, ok = h.ses.Next() {
			if h.hold {
				h.held = append(h.held, q)
				continue
			}
			h.device(q)
		}
		sent := 0
		for _, b := range h.ses.Output() {
			h.in = append(h.in, b...)
			sent += len(b)
		}
		if sent > 0 {
			h.ses.Sent(sent)
		}
		if sent == 0 && !h.ses.Work() && !h.ses.Again() {
			break
		}
		h.ses.Received(0)
	}
	for !h.loose && h.pdu() {
	}
}

// device does a request.
func (h *host) device(q core.Request) {
	r := h.rings[q.Namespace]
	if r == nil {
		var err error
		if r, err = q.Namespace.Device.NewRing(context.Background(), blockdev.RingConfig{}); err != nil {
			h.t.Fatal(err)
		}
		h.rings[q.Namespace] = r
	}
	e := r.GetSQE()
	e.Op, e.Offset, e.Length, e.Buf, e.With = q.Op, q.Offset, q.Length, q.Buf, q.With
	if _, err := r.Submit(); err != nil {
		h.t.Fatal(err)
	}
	c, ok := r.Peek()
	if !ok {
		h.t.Fatal("the memory device has not done a request at once")
	}
	h.ses.Done(q.Tag, c.Status)
}

// letGo does the requests that were held.
func (h *host) letGo() {
	h.hold = false
	for _, q := range h.held {
		h.device(q)
	}
	h.held = nil
	h.pump(0)
}

// pdu takes one PDU of the target.
func (h *host) pdu() bool {
	if len(h.in) < nvme.HeaderSize {
		return false
	}
	recv := nvme.Receiver{Role: nvme.Host, Format: h.format, MaxData: core.MaxTransfer}
	var hd nvme.Header
	if err := recv.ParseHeader(h.in, &hd); err != nil {
		h.t.Fatalf("the target sends: %v", err)
	}
	if len(h.in) < int(hd.PLen) {
		return false
	}
	b := h.in[:hd.PLen]
	h.in = h.in[hd.PLen:]
	if err := nvme.CheckHeaderDigest(&hd, b); err != nil {
		h.t.Fatal(err)
	}
	switch hd.Type {
	case nvme.TypeICResp:
		var r nvme.ICResp
		h.must(r.Decode(b))
	case nvme.TypeC2HTermReq:
		h.term = &nvme.TermReq{}
		h.must(h.term.Decode(b))
	case nvme.TypeR2T:
		var r nvme.R2T
		h.must(r.Decode(b))
		h.r2t = append(h.r2t, r)
	case nvme.TypeCapsuleResp:
		var c nvme.Completion
		h.must(c.Decode(b[nvme.HeaderSize:]))
		if _, twice := h.done[c.CID]; twice {
			h.t.Fatalf("command %d ends twice", c.CID)
		}
		h.done[c.CID] = c
	case nvme.TypeC2HData:
		h.onData(&hd, b)
	}
	return true
}

func (h *host) onData(hd *nvme.Header, b []byte) {
	var d nvme.Data
	h.must(d.Decode(hd, b))
	data := b[hd.HeaderLen()+hd.Padding():][:hd.DataLen()]
	if hd.Flags&nvme.FlagDataDigest != 0 && !nvme.DataDigestOK(nvme.Digest(0, data), b[len(b)-nvme.DigestSize:]) {
		h.t.Fatal("wrong data digest")
	}
	if int(d.Offset) != len(h.data[d.CID]) {
		h.t.Fatalf("data of command %d begins at %d, not %d", d.CID, d.Offset, len(h.data[d.CID]))
	}
	h.data[d.CID] = append(h.data[d.CID], data...)
	if hd.Flags&nvme.FlagSuccess != 0 {
		h.done[d.CID] = nvme.Completion{CID: d.CID}
	}
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// submit sends a command; data goes along in the capsule, or when R2T asks for it.
func (h *host) submit(c *nvme.Command, data []byte) uint16 {
	h.cid++
	c.CID = h.cid
	delete(h.done, c.CID)
	delete(h.data, c.CID)
	var capsule []byte
	if c.SGL.Type == nvme.SGLInCapsule {
		capsule = data
	} else if len(data) > 0 {
		h.writes[c.CID] = data
	}
	b := h.format.AppendCommand(nil, c, uint32(len(capsule)))
	b = append(b, capsule...)
	if len(capsule) > 0 && h.format.DataDigest {
		b = nvme.AppendDigest(b, nvme.Digest(0, capsule))
	}
	h.bytes(b, len(b))
	return c.CID
}

// answer sends the data that R2Ts ask for, in PDUs of at most n bytes.
func (h *host) answer(n uint32) {
	for len(h.r2t) > 0 {
		r := h.r2t[0]
		h.r2t = h.r2t[1:]
		data := h.writes[r.CID][r.Offset:][:r.Length]
		for off := uint32(0); off < r.Length; off += n {
			k, flags := min(n, r.Length-off), nvme.PDUFlags(0)
			if off+k == r.Length {
				flags = nvme.FlagLast
			}
			d := nvme.Data{CID: r.CID, TTag: r.TTag, Offset: r.Offset + off, Length: k}
			b := append(h.format.AppendH2C(nil, &d, flags), data[off:off+k]...)
			if h.format.DataDigest {
				b = nvme.AppendDigest(b, nvme.Digest(0, data[off:off+k]))
			}
			h.bytes(b, len(b))
		}
	}
}

// do does a command from end to end.
func (h *host) do(c *nvme.Command, data []byte) (nvme.Completion, []byte) {
	h.t.Helper()
	cid := h.submit(c, data)
	h.answer(64 << 10)
	d, ok := h.done[cid]
	if !ok {
		h.t.Fatalf("%s does not end; session: %v", c.Name(false), h.ses.Err())
	}
	return d, h.data[cid]
}

// want does a command that ends with st.
func (h *host) want(st nvme.Status, c *nvme.Command, data []byte) []byte {
	h.t.Helper()
	d, out := h.do(c, data)
	if d.Status.Code() != st {
		h.t.Fatalf("%s ends with %v, not %v", c.Name(false), d.Status, st)
	}
	return out
}

// greet sends ICReq.
func (h *host) greet(r nvme.ICReq) {
	b := r.Append(nil)
	h.bytes(b, len(b))
	h.format = nvme.Format{HeaderDigest: r.HeaderDigest, DataDigest: r.DataDigest}
}

// connect makes the session a queue, and gives the controller.
func (h *host) connect(sub string, qid, cntlid uint16, id byte) uint16 {
	h.t.Helper()
	var c nvme.Command
	c.SetConnect(&nvme.Connect{QID: qid, SQSize: 63, KATO: 5000})
	d := nvme.ConnectData{CNTLID: cntlid, SubNQN: sub, HostNQN: hostNQN, HostID: [16]byte{15: id}}
	r, _ := h.do(&c, d.Append(nil))
	if !r.Status.OK() {
		h.t.Fatalf("Connect: %v", r.Status)
	}
	return nvme.ParseConnectResult(r.Result).CNTLID
}

// enable enables the controller.
func (h *host) enable() {
	h.t.Helper()
	var c nvme.Command
	cc := nvme.Config{Enable: true, SQESize: nvme.DefaultSQESize, CQESize: nvme.DefaultCQESize}
	c.SetPropertySet(nvme.Property{Offset: nvme.PropCC, Value: uint64(cc.Value())})
	h.want(nvme.StatusSuccess, &c, nil)
	c.SetPropertyGet(nvme.Property{Offset: nvme.PropCSTS})
	r, _ := h.do(&c, nil)
	if nvme.ControllerStatus(r.Result)&nvme.StatusReady == 0 {
		h.t.Fatalf("CSTS is %#x: not ready", r.Result)
	}
}

// newTarget makes a target with a subsystem that has one namespace in memory.
func newTarget(t *testing.T) (*core.Target, *core.Port, *core.Subsystem) {
	t.Helper()
	tg, p := core.New(), &core.Port{ID: 1, Address: "127.0.0.1", Service: "4420"}
	if err := tg.AddPort(p); err != nil {
		t.Fatal(err)
	}
	sub, err := tg.AddSubsystem(core.SubsystemConfig{NQN: subNQN, AnyHost: true})
	if err != nil {
		t.Fatal(err)
	}
	addMemory(t, sub, 1)
	return tg, p, sub
}

func addMemory(t *testing.T, sub *core.Subsystem, nsid uint32) *core.Namespace {
	t.Helper()
	m, err := blockdev.NewMemory(4<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	n, err := sub.AddNamespace(core.NamespaceConfig{NSID: nsid, Device: m})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pair gives the admin queue and one I/O queue of a controller of host id.
func pair(t *testing.T, tg *core.Target, p *core.Port, ic nvme.ICReq, id byte) (admin, io *host) {
	t.Helper()
	admin, io = newHost(t, tg, p), newHost(t, tg, p)
	admin.greet(ic)
	cntlid := admin.connect(subNQN, 0, nvme.CNTLIDDynamic, id)
	admin.enable()
	io.greet(ic)
	io.connect(subNQN, 1, cntlid, id)
	return admin, io
}

// pattern gives n bytes that tell where they belong.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ seed
	}
	return b
}

func write(nsid uint32, lba uint64, data []byte, inCapsule bool) *nvme.Command {
	var c nvme.Command
	c.SetIO(nvme.OpWrite, &nvme.IO{NSID: nsid, LBA: lba, Blocks: uint32(len(data) / 512)})
	c.SetData(uint32(len(data)), inCapsule)
	return &c
}

func read(nsid uint32, lba uint64, n int) *nvme.Command {
	var c nvme.Command
	c.SetIO(nvme.OpRead, &nvme.IO{NSID: nsid, LBA: lba, Blocks: uint32(n / 512)})
	c.SetData(uint32(n), false)
	return &c
}

func (h *host) expect(nsid uint32, lba uint64, want []byte) {
	h.t.Helper()
	if got := h.want(nvme.StatusSuccess, read(nsid, lba, len(want)), nil); !bytes.Equal(got, want) {
		h.t.Fatalf("block %d: something else was read than had been written", lba)
	}
}
