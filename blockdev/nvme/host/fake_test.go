package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

const fakeNQN = "nqn.2025-01.test.fake:one"

// fakeTarget is a small target for tests: simple, blocking, one goroutine for each
// connection. It does what the switches say, also what a target should not do.
type fakeTarget struct {
	t        *testing.T
	listener net.Listener
	wg       sync.WaitGroup

	success   bool   // C2HData with SUCCESS
	piece     uint32 // most bytes of a C2HData
	maxR2T    uint32 // most bytes of an R2T
	maxH2C    uint32
	cpda      uint8
	reads     atomic.Int64 // of I/O queues
	writes    atomic.Int64
	cutAfter  atomic.Int64 // I/O commands after which each I/O connection is cut; 0: never
	mute      atomic.Bool  // nothing is answered
	badDigest atomic.Int64 // so many C2HData get a wrong digest
	unheard   atomic.Bool  // log pages and Aborts are not answered
	answer    atomic.Int64 // to what comes on I/O queues, if it is not 0: nothing is done
	answers   atomic.Int64 // so many of them; 0: all
	careless  atomic.Bool  // writes and compares succeed without their data
	damaged   atomic.Bool  // the second of two fused commands comes with a wrong digest
	events    chan nvme.AsyncEvent
	late      bool               // that a queue has ended is noticed when its ID is asked for again, which is refused
	onConnect func() nvme.Status // called before a Connect of an I/O queue is answered, with this; may be nil

	mu     sync.Mutex
	disk   []byte
	conns  map[net.Conn]bool
	queues map[uint16]*fakeConn // by queue ID, of the latest controller
	id     nvme.IdentifyController
	ns     nvme.IdentifyNamespace
	shift  uint                        // blocks of 1<<shift bytes
	nvm    *nvme.IdentifyNVMController // nil: it is not given
	report []byte                      // of reservations
	anaLog []byte
	log    []nvme.Opcode // admin commands
}

func newFake(t *testing.T) *fakeTarget {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTarget{
		t: t, listener: l, piece: 1 << 30, maxR2T: 1 << 30, maxH2C: 8192,
		disk: make([]byte, 4<<20), shift: 9, conns: map[net.Conn]bool{}, queues: map[uint16]*fakeConn{}, events: make(chan nvme.AsyncEvent, 4),
	}
	f.id = nvme.IdentifyController{
		CNTLID: 5, Version: nvme.Version14, Type: nvme.TypeIO, KAS: 10, NN: 1, SGLS: 1, SubNQN: fakeNQN, Model: "fake",
		IOCCSZ: 4 + 4096/16, IORCSZ: 1, MDTS: 8, AERL: 3, OAES: nvme.EventsNamespace, FUSES: nvme.FuseCompareWrite,
		ONCS: nvme.CommandCompare | nvme.CommandWriteZeroes | nvme.CommandDSM | nvme.CommandVerify,
	}
	blocks := uint64(len(f.disk) / 512)
	f.ns = nvme.IdentifyNamespace{NSZE: blocks, NCAP: blocks}
	f.ns.Formats[0].Shift = 9
	t.Cleanup(f.close)
	return f
}

// become changes what the controller says of itself, and ends all connections.
func (f *fakeTarget) become(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	f.cut()
}

// capsule is the bytes of data that an I/O command may bring with it.
func (f *fakeTarget) capsule() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.id.CapsuleData()
}

func (f *fakeTarget) start() string {
	f.wg.Go(func() {
		for {
			c, err := f.listener.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[c] = true
			f.mu.Unlock()
			f.wg.Go(func() { f.serve(c) })
		}
	})
	return f.listener.Addr().String()
}

// cut ends all connections.
func (f *fakeTarget) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.Close()
	}
}

// cutAdmin ends the connection of the admin queue.
func (f *fakeTarget) cutAdmin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queues[0].c.Close()
}

func (f *fakeTarget) close() {
	f.listener.Close()
	f.cut()
	f.wg.Wait()
}

// has gives what the disk has.
func (f *fakeTarget) has(at, n int) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.disk[at:][:n])
}

// fakeConn is one connection of it.
type fakeConn struct {
	*fakeTarget
	c         net.Conn
	r         *bufio.Reader
	peer      nvme.Receiver
	format    nvme.Format
	admin     bool
	qid       uint16
	ready     bool
	count     int64
	fused     nvme.Command // the first of two, and its data
	fusedData []byte
	later     []capsule // came while H2CData was awaited
	hasty     bool      // a hastyOp has been completed: what comes of its data is not looked at
}

type capsule struct {
	h          nvme.Header
	head, data []byte
}

func (f *fakeTarget) serve(c net.Conn) {
	k := &fakeConn{fakeTarget: f, c: c, r: bufio.NewReader(c), peer: nvme.Receiver{Role: nvme.Controller, MaxData: 1 << 20}, admin: true}
	for k.pdu() {
	}
	f.mu.Lock()
	delete(f.conns, c)
	if !f.late && f.queues[k.qid] == k {
		delete(f.queues, k.qid)
	}
	f.mu.Unlock()
	c.Close()
}

// read reads a PDU's header and data.
func (k *fakeConn) read() (h nvme.Header, head, data []byte, ok bool) {
	var b [nvme.HeaderSize]byte
	if _, err := io.ReadFull(k.r, b[:]); err != nil {
		return h, nil, nil, false
	}
	if err := k.peer.ParseHeader(b[:], &h); err != nil {
		k.t.Errorf("the host sends a bad header: %v", err)
		return h, nil, nil, false
	}
	all := append(b[:], make([]byte, int(h.PLen)-len(b))...)
	if _, err := io.ReadFull(k.r, all[len(b):]); err != nil {
		return h, nil, nil, false
	}
	if h.Type == nvme.TypeH2CTermReq {
		return h, all, nil, false
	}
	if err := nvme.CheckHeaderDigest(&h, all); err != nil {
		k.t.Error(err)
	}
	at := h.HeaderLen() + h.Padding()
	data = all[at : at+h.DataLen()]
	if h.Flags&nvme.FlagDataDigest != 0 && !nvme.DataDigestOK(nvme.Digest(0, data), all[at+len(data):]) {
		k.t.Error("the host sends a wrong data digest")
	}
	return h, all, data, true
}

func (k *fakeConn) pdu() bool {
	var h nvme.Header
	var head, data []byte
	ok := true
	if len(k.later) > 0 {
		h, head, data = k.later[0].h, k.later[0].head, k.later[0].data
		k.later = k.later[1:]
	} else if h, head, data, ok = k.read(); !ok || k.mute.Load() || k.hasty && h.Type == nvme.TypeH2CData {
		return ok
	}
	if h.Type == nvme.TypeICReq {
		var req nvme.ICReq
		if err := req.Decode(head); err != nil {
			k.t.Error(err)
		}
		k.format = nvme.Format{HeaderDigest: req.HeaderDigest, DataDigest: req.DataDigest, Align: req.HPDA}
		k.peer.Format = nvme.Format{HeaderDigest: req.HeaderDigest, DataDigest: req.DataDigest, Align: k.cpda}
		resp := nvme.ICResp{CPDA: k.cpda, HeaderDigest: req.HeaderDigest, DataDigest: req.DataDigest, MaxH2CData: k.maxH2C}
		_, err := k.c.Write(resp.Append(nil))
		return err == nil
	}
	var cmd nvme.Command
	if err := cmd.Decode(head[nvme.HeaderSize:]); err != nil || h.Type != nvme.TypeCapsuleCmd {
		k.t.Errorf("the host sends %v: %v", h.Type, err)
		return false
	}
	if st := cmd.CheckSGL(uint32(len(data))); !st.OK() {
		k.t.Errorf("the SGL of %s: %v", cmd.Name(k.admin), st)
	}
	if !k.admin {
		if n := k.capsule(); len(data) > n && cmd.Opcode != nvme.OpFabrics {
			k.t.Errorf("%d bytes of data in a capsule, at most %d", len(data), n)
		}
		if k.count++; k.cutAfter.Load() > 0 && k.count > k.cutAfter.Load() {
			return false
		}
	}
	if k.careless.Load() && !k.admin && cmd.SGL.Type == nvme.SGLTransport && cmd.Direction() == nvme.ToController {
		return k.complete(&cmd, nvme.StatusSuccess, 0)
	}
	if cmd.Opcode == hastyOp {
		return k.haste(&cmd)
	}
	if cmd.SGL.Type == nvme.SGLTransport && cmd.Direction() == nvme.ToController && cmd.SGL.Length > 0 {
		if data, ok = k.ask(&cmd); !ok {
			return false
		}
	}
	return k.do(&cmd, data)
}

// hastyOp is an admin command with data for the controller, which completes it before all of that
// has come.
const hastyOp nvme.Opcode = 0xc1

// hangOp is a command with which the target falls silent.
const hangOp nvme.Opcode = 0xc0

func (k *fakeConn) haste(cmd *nvme.Command) bool {
	r := nvme.R2T{CID: cmd.CID, TTag: 7, Length: cmd.SGL.Length}
	if _, err := k.c.Write(k.format.AppendR2T(nil, &r)); err != nil {
		return false
	}
	if _, _, _, ok := k.read(); !ok {
		return false
	}
	k.hasty = true
	return k.complete(cmd, nvme.StatusSuccess, 0)
}

// ask fetches the data of a command with R2Ts.
func (k *fakeConn) ask(cmd *nvme.Command) ([]byte, bool) {
	var all []byte
	for total := cmd.SGL.Length; uint32(len(all)) < total; {
		r := nvme.R2T{CID: cmd.CID, TTag: 7, Offset: uint32(len(all)), Length: min(k.maxR2T, total-uint32(len(all)))}
		if _, err := k.c.Write(k.format.AppendR2T(nil, &r)); err != nil {
			return nil, false
		}
		for end := r.Offset + r.Length; uint32(len(all)) < end; {
			h, head, data, ok := k.read()
			if !ok {
				return nil, false
			}
			var d nvme.Data
			if h.Type != nvme.TypeH2CData {
				k.later = append(k.later, capsule{h, head, data})
				continue
			}
			if err := d.Decode(&h, head); err != nil || d.CID != cmd.CID || d.TTag != 7 || d.Offset != uint32(len(all)) || d.Length > k.maxH2C {
				k.t.Errorf("H2CData %+v at %d: %v", d, len(all), err)
				return nil, false
			}
			all = append(all, data...)
			if last := h.Flags&nvme.FlagLast != 0; last != (uint32(len(all)) == end) {
				k.t.Errorf("LAST_PDU: %v at %d of %d", last, len(all), end)
			}
		}
	}
	return all, true
}

func (k *fakeConn) complete(cmd *nvme.Command, st nvme.Status, result uint64) bool {
	_, err := k.c.Write(k.format.AppendCompletion(nil, &nvme.Completion{CID: cmd.CID, Status: st, Result: result}))
	return err == nil
}

// give sends data to the host and completes.
func (k *fakeConn) give(cmd *nvme.Command, data []byte) bool {
	var out []byte
	for off := uint32(0); off < uint32(len(data)); {
		n := min(k.piece, uint32(len(data))-off)
		flags := nvme.PDUFlags(0)
		if off+n == uint32(len(data)) {
			if flags = nvme.FlagLast; k.success {
				flags |= nvme.FlagSuccess
			}
		}
		part := data[off:][:n]
		out = k.format.AppendC2H(out, &nvme.Data{CID: cmd.CID, Offset: off, Length: n}, flags)
		out = append(out, part...)
		if k.format.DataDigest {
			sum := nvme.Digest(0, part)
			if !k.admin && k.badDigest.Add(-1) >= 0 {
				sum++
			}
			out = nvme.AppendDigest(out, sum)
		}
		off += n
	}
	if !k.success {
		out = k.format.AppendCompletion(out, &nvme.Completion{CID: cmd.CID})
	}
	_, err := k.c.Write(out)
	return err == nil
}

func (k *fakeConn) do(cmd *nvme.Command, data []byte) bool {
	switch {
	case cmd.Opcode == hangOp:
		k.mute.Store(true)
		return true
	case k.answer.Load() != 0 && cmd.Opcode != nvme.OpFabrics && !k.admin:
		st := nvme.Status(k.answer.Load())
		if k.answers.Add(-1) == 0 {
			k.answer.Store(0)
		}
		return k.complete(cmd, st, 0)
	case cmd.Opcode == nvme.OpFabrics:
		return k.fabrics(cmd)
	case k.admin:
		return k.adminCommand(cmd)
	}
	io := cmd.IO()
	at, n := io.LBA<<k.shift, uint64(io.Blocks)<<k.shift
	if cmd.Flags&nvme.FuseMask == nvme.FuseFirst {
		k.fused, k.fusedData = *cmd, data
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if cmd.Flags&nvme.FuseMask == nvme.FuseSecond {
		if k.damaged.Load() {
			return k.complete(&k.fused, nvme.StatusFusedMissing, 0) && k.complete(cmd, nvme.StatusTransientTransport, 0)
		}
		if string(k.disk[at:at+n]) != string(k.fusedData) {
			return k.complete(&k.fused, nvme.StatusCompareFailed, 0) && k.complete(cmd, nvme.StatusFusedFailed, 0)
		}
		k.complete(&k.fused, nvme.StatusSuccess, 0)
	}
	switch cmd.Opcode {
	case nvme.OpRead:
		k.reads.Add(1)
		return k.give(cmd, k.disk[at:at+n])
	case nvme.OpWrite:
		k.writes.Add(1)
		copy(k.disk[at:at+n], data)
	case nvme.OpReservationReport:
		return k.give(cmd, k.report)
	case nvme.OpWriteZeroes:
		clear(k.disk[at : at+n])
	case nvme.OpCompare:
		if string(k.disk[at:at+n]) != string(data) {
			return k.complete(cmd, nvme.StatusCompareFailed, 0)
		}
	case nvme.OpDatasetManagement:
		l, err := nvme.Ranges(data, cmd.DSM().Ranges)
		if err != nil {
			k.t.Error(err)
			return false
		}
		r := l.At(0)
		clear(k.disk[r.LBA*512:][:r.Blocks*512])
	}
	return k.complete(cmd, nvme.StatusSuccess, 0)
}

func (k *fakeConn) fabrics(cmd *nvme.Command) bool {
	switch cmd.Fabrics() {
	case nvme.FabricsConnect:
		return k.complete(cmd, k.connect(cmd.Connect().QID), nvme.ConnectResult{CNTLID: 5}.Value())
	case nvme.FabricsPropertyGet:
		v := uint64(0)
		switch p, _ := cmd.Property(); p.Offset {
		case nvme.PropCAP:
			v = nvme.Capabilities{MaxQueue: 127, Timeout: 10, NVM: true}.Value()
		case nvme.PropVS:
			v = uint64(nvme.Version14)
		case nvme.PropCSTS:
			if k.ready {
				v = uint64(nvme.StatusReady)
			}
			k.ready = true // the second time
		}
		return k.complete(cmd, nvme.StatusSuccess, v)
	}
	return k.complete(cmd, nvme.StatusSuccess, 0)
}

// connect makes a queue of the connection; with an admin queue a new controller begins.
func (k *fakeConn) connect(qid uint16) nvme.Status {
	k.mu.Lock()
	if qid == 0 {
		clear(k.queues)
	}
	taken := k.queues[qid] != nil
	if !taken {
		k.qid, k.admin, k.queues[qid] = qid, qid == 0, k
	} else if k.late {
		delete(k.queues, qid)
	}
	k.mu.Unlock()
	switch {
	case taken:
		return nvme.StatusSequence | nvme.DNR
	case qid > 0 && k.onConnect != nil:
		return k.onConnect()
	}
	return nvme.StatusSuccess
}

// count counts the admin commands of a kind that have come.
func (f *fakeTarget) count(op nvme.Opcode) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.log {
		if o == op {
			n++
		}
	}
	return n
}

func (k *fakeConn) adminCommand(cmd *nvme.Command) bool {
	k.mu.Lock()
	k.log = append(k.log, cmd.Opcode)
	k.mu.Unlock()
	switch cmd.Opcode {
	case nvme.OpIdentify:
		return k.identify(cmd)
	case nvme.OpAsyncEvent:
		select {
		case e := <-k.events:
			return k.complete(cmd, nvme.StatusSuccess, e.Value())
		default:
			return true
		}
	case nvme.OpAbort:
		if k.unheard.Load() {
			return true
		}
	case nvme.OpGetLogPage:
		if k.unheard.Load() {
			return true
		}
		p, _ := cmd.LogPage()
		if p.ID == nvme.LogANA {
			return k.give(cmd, k.anaLog)
		}
		log := make([]byte, p.Length)
		binary.LittleEndian.PutUint64(log, 77)
		return k.give(cmd, log)
	case nvme.OpSetFeatures:
		return k.complete(cmd, nvme.StatusSuccess, uint64(cmd.Feature().Value))
	}
	return k.complete(cmd, nvme.StatusSuccess, 0)
}

func (k *fakeConn) identify(cmd *nvme.Command) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch p := cmd.Identify(); p.CNS {
	case nvme.CNSController:
		return k.give(cmd, k.id.Append(nil))
	case nvme.CNSSetController:
		if k.nvm != nil {
			return k.give(cmd, k.nvm.Append(nil))
		}
	case nvme.CNSActiveList:
		return k.give(cmd, nvme.AppendNSIDs(nil, []uint32{1}))
	case nvme.CNSNamespace:
		return k.give(cmd, k.ns.Append(nil))
	}
	return k.complete(cmd, nvme.StatusInvalidField|nvme.DNR, 0)
}
