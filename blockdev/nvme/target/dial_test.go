package target_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

const (
	subNQN  = "nqn.2026-01.example.lockify:disk"
	hostNQN = "nqn.2026-01.example.host:a"
)

// serve starts a server with one namespace of dev.
func serve(t testing.TB, cfg target.Config, dev blockdev.Device) (*target.Server, string) {
	t.Helper()
	s, err := target.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	err = s.AddSubsystem(target.Subsystem{
		SubsystemConfig: core.SubsystemConfig{NQN: subNQN, AnyHost: true},
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: dev}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, addr, err := s.Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	return s, addr.String()
}

func memory(t testing.TB) *blockdev.Memory {
	t.Helper()
	m, err := blockdev.NewMemory(64<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// initiator is a blocking host of one queue.
type initiator struct {
	t  testing.TB
	nc net.Conn
	b  []byte
}

func dial(t testing.TB, addr string) *initiator {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	// A target that does not answer fails the test; it is not waited for otherwise.
	if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	i := &initiator{t: t, nc: nc, b: make([]byte, 1<<20)}
	i.write((&nvme.ICReq{}).Append(nil))
	i.pdu()
	return i
}

func (i *initiator) write(b []byte) {
	i.t.Helper()
	if _, err := i.nc.Write(b); err != nil {
		i.t.Fatal(err)
	}
}

// pdu receives one PDU; its bytes are good until the next one.
func (i *initiator) pdu() (nvme.Header, []byte) {
	i.t.Helper()
	recv := nvme.Receiver{Role: nvme.Host, MaxData: core.MaxTransfer}
	var h nvme.Header
	_, err := io.ReadFull(i.nc, i.b[:nvme.HeaderSize])
	if err == nil {
		err = recv.ParseHeader(i.b, &h)
	}
	if err == nil {
		_, err = io.ReadFull(i.nc, i.b[nvme.HeaderSize:h.PLen])
	}
	if err != nil {
		i.t.Fatal(err)
	}
	return h, i.b[:h.PLen]
}

// do does a command; data goes in the capsule or when it is asked for. It gives what was
// read.
func (i *initiator) do(c *nvme.Command, data []byte) (nvme.Completion, []byte) {
	i.t.Helper()
	if c.SGL.Type == nvme.SGLInCapsule {
		i.write(append(nvme.Format{}.AppendCommand(nil, c, uint32(len(data))), data...))
	} else {
		i.write(nvme.Format{}.AppendCommand(nil, c, 0))
	}
	var got []byte
	for {
		h, b := i.pdu()
		switch h.Type {
		case nvme.TypeR2T:
			var r nvme.R2T
			if err := r.Decode(b); err != nil {
				i.t.Fatal(err)
			}
			d := nvme.Data(r)
			i.write(append(nvme.Format{}.AppendH2C(nil, &d, nvme.FlagLast), data[r.Offset:][:r.Length]...))
		case nvme.TypeC2HData:
			got = append(got, b[h.PDO:]...)
		case nvme.TypeCapsuleResp:
			var e nvme.Completion
			if err := e.Decode(b[nvme.HeaderSize:]); err != nil {
				i.t.Fatal(err)
			}
			return e, got
		default:
			i.t.Fatalf("a %v", h.Type)
		}
	}
}

func (i *initiator) ok(c *nvme.Command, data []byte) (uint64, []byte) {
	i.t.Helper()
	e, got := i.do(c, data)
	if !e.Status.OK() {
		i.t.Fatalf("command %v ends with %v", c.Opcode, e.Status)
	}
	return e.Result, got
}

func (i *initiator) connect(qid, cntlid uint16) uint16 {
	i.t.Helper()
	var c nvme.Command
	c.SetConnect(&nvme.Connect{QID: qid, SQSize: 127})
	d := nvme.ConnectData{CNTLID: cntlid, SubNQN: subNQN, HostNQN: hostNQN, HostID: [16]byte{1}}
	r, _ := i.ok(&c, d.Append(nil))
	return nvme.ParseConnectResult(r).CNTLID
}

// pair connects an admin queue and an I/O queue.
func pair(t testing.TB, addr string) (admin, io *initiator) {
	t.Helper()
	admin = dial(t, addr)
	id := admin.connect(0, nvme.CNTLIDDynamic)
	var c nvme.Command
	cc := nvme.Config{Enable: true, SQESize: nvme.DefaultSQESize, CQESize: nvme.DefaultCQESize}
	c.SetPropertySet(nvme.Property{Offset: nvme.PropCC, Value: uint64(cc.Value())})
	admin.ok(&c, nil)
	io = dial(t, addr)
	io.connect(1, id)
	return admin, io
}

func write(lba uint64, data []byte, inCapsule bool) *nvme.Command {
	var c nvme.Command
	c.SetIO(nvme.OpWrite, &nvme.IO{NSID: 1, LBA: lba, Blocks: uint32(len(data) / 512)})
	c.SetData(uint32(len(data)), inCapsule)
	return &c
}

func read(lba uint64, n int) *nvme.Command {
	var c nvme.Command
	c.SetIO(nvme.OpRead, &nvme.IO{NSID: 1, LBA: lba, Blocks: uint32(n / 512)})
	c.SetData(uint32(n), false)
	return &c
}

// devtestFile makes a file of zeroes, as large as devtest wants.
func devtestFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err == nil {
		err = errors.Join(f.Truncate(devtest.MinSize), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}
