package host

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// session is a conn whose controller is the test.
type session struct {
	t *testing.T
	*conn
	format nvme.Format
}

func newSession(t *testing.T, digests bool) *session {
	t.Helper()
	return sessionOf(t, connConfig{Commands: 4, Spare: 2, HeaderDigest: digests, DataDigest: digests})
}

func sessionOf(t *testing.T, cfg connConfig) *session {
	t.Helper()
	c, err := newConn(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, conn: c, format: nvme.Format{HeaderDigest: cfg.HeaderDigest, DataDigest: cfg.DataDigest}}
	var h nvme.Header
	if out := s.out(); len(out) != nvme.ICSize || (&nvme.Receiver{Role: nvme.Controller}).ParseHeader(out, &h) != nil || h.Type != nvme.TypeICReq {
		t.Fatalf("the first output is %x", out)
	}
	resp := nvme.ICResp{HeaderDigest: cfg.HeaderDigest, DataDigest: cfg.DataDigest, MaxH2CData: 4096}
	if err := s.in(resp.Append(nil)); err != nil {
		t.Fatal(err)
	}
	return s
}

// out takes all output.
func (s *session) out() []byte {
	var all []byte
	for pieces := s.Output(); len(pieces) > 0; pieces = s.Output() {
		b := pieces[0][:(len(pieces[0])+1)/2] // never a whole piece, if it has two bytes
		all = append(all, b...)
		s.Sent(len(b))
	}
	return all
}

// in gives bytes in as many pieces as Room wants.
func (s *session) in(b []byte) error {
	for len(b) > 0 {
		n := 0
		for _, p := range s.Room(nil) {
			k := copy(p, b[n:])
			n += k
		}
		if n == 0 {
			s.t.Fatal("no room for what comes")
		}
		b = b[n:]
		if err := s.Received(n); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) read(buf []byte) uint16 {
	var c nvme.Command
	c.SetIO(nvme.OpRead, &nvme.IO{NSID: 1, Blocks: uint32(len(buf) / 512)})
	cid, ok := s.Submit(&c, buf, nil, false, 9)
	if !ok {
		s.t.Fatal("no room for a command")
	}
	s.out()
	return cid
}

func (s *session) write(buf []byte) uint16 {
	var c nvme.Command
	c.SetIO(nvme.OpWrite, &nvme.IO{NSID: 1, Blocks: uint32(len(buf) / 512)})
	cid, ok := s.Submit(&c, buf, nil, false, 9)
	if !ok {
		s.t.Fatal("no room for a command")
	}
	s.out()
	return cid
}

// Whoever breaks the rules is told which, and the connection is over.
func TestHostileController(t *testing.T) {
	f := nvme.Format{}
	c2h := func(cid uint16, off, n uint32, flags nvme.PDUFlags) []byte {
		return append(f.AppendC2H(nil, &nvme.Data{CID: cid, Offset: off, Length: n}, flags), make([]byte, n)...)
	}
	r2t := func(cid uint16, off, n uint32) []byte {
		return f.AppendR2T(nil, &nvme.R2T{CID: cid, Offset: off, Length: n})
	}
	for _, tc := range []struct {
		name   string
		status nvme.FatalStatus
		bytes  func(s *session) []byte
	}{
		{"a second ICResp", nvme.FatalSequence, func(*session) []byte { return (&nvme.ICResp{MaxH2CData: 4096}).Append(nil) }},
		{"a host's PDU", nvme.FatalHeaderField, func(*session) []byte { return f.AppendH2C(nil, &nvme.Data{Length: 8}, 0) }},
		{"a completion of nothing", nvme.FatalHeaderField, func(*session) []byte { return f.AppendCompletion(nil, &nvme.Completion{CID: 1}) }},
		{"a completion of a CID beyond all", nvme.FatalHeaderField, func(*session) []byte { return f.AppendCompletion(nil, &nvme.Completion{CID: 60000}) }},
		{"data of nothing", nvme.FatalHeaderField, func(*session) []byte { return c2h(5, 0, 512, nvme.FlagLast) }},
		{"data of a write", nvme.FatalHeaderField, func(s *session) []byte { return c2h(s.write(make([]byte, 512)), 0, 512, nvme.FlagLast) }},
		{"too much data", nvme.FatalDataRange, func(s *session) []byte { return c2h(s.read(make([]byte, 512)), 0, 1024, nvme.FlagLast) }},
		{"data with a gap", nvme.FatalDataRange, func(s *session) []byte { return c2h(s.read(make([]byte, 1024)), 512, 512, nvme.FlagLast) }},
		{"R2T for a read", nvme.FatalHeaderField, func(s *session) []byte { return r2t(s.read(make([]byte, 512)), 0, 512) }},
		{"R2T for too much", nvme.FatalDataRange, func(s *session) []byte { return r2t(s.write(make([]byte, 512)), 0, 1024) }},
		{"R2T with a gap", nvme.FatalDataRange, func(s *session) []byte { return r2t(s.write(make([]byte, 1024)), 512, 512) }},
		{"two R2Ts at a time", nvme.FatalTransferLimit, func(s *session) []byte {
			cid := s.write(make([]byte, 1024))
			return append(r2t(cid, 0, 512), r2t(cid, 512, 512)...)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSession(t, false)
			err := s.in(tc.bytes(s))
			var fatal *nvme.FatalError
			if !errors.As(err, &fatal) || fatal.Status != tc.status {
				t.Fatalf("%v, want %v", err, tc.status)
			}
			var term nvme.TermReq
			if out := s.out(); len(out) < nvme.TermReqSize || out[0] != byte(nvme.TypeH2CTermReq) || term.Decode(out) != nil || term.Status != tc.status {
				t.Fatalf("the controller is told %x", out)
			}
		})
	}
}

// A command that nobody wants any more is done with the data that it had, whatever
// becomes of the buffer.
func TestForget(t *testing.T) {
	s := newSession(t, true)
	buf := bytes.Repeat([]byte{7}, 1024)
	cid := s.write(buf)
	if !s.Forget(cid) {
		t.Fatal("not forgotten")
	}
	clear(buf)
	if err := s.in(s.format.AppendR2T(nil, &nvme.R2T{CID: cid, Length: 1024})); err != nil {
		t.Fatal(err)
	}
	if out := s.out(); !bytes.Contains(out, bytes.Repeat([]byte{7}, 1024)) {
		t.Fatal("other data is sent than the command had")
	}
	if err := s.in(s.format.AppendCompletion(nil, &nvme.Completion{CID: cid})); err != nil {
		t.Fatal(err)
	}
	if s.HasEnds() || len(s.free) != len(s.slots) {
		t.Fatal("it has not ended quietly")
	}
}

// TestForgetFused: two fused commands of which one has gone out are forgotten; data that
// others are asked for is sent all the same.
func TestForgetFused(t *testing.T) {
	data := make([]byte, 8192)
	for before := range 400 { // so many that the output is full between the two
		s := sessionOf(t, connConfig{Commands: 1024, Spare: 512})
		waits := s.write(data)
		for range before {
			s.inCapsule(nvme.OpWrite, 0)
		}
		a, b := s.inCapsule(nvme.OpCompare, nvme.FuseFirst), s.inCapsule(nvme.OpWrite, nvme.FuseSecond)
		if s.Output(); !s.Begun(a) || s.Begun(b) {
			continue
		}
		if !s.Forget(a) || !s.Forget(b) {
			t.Fatal("not forgotten")
		}
		s.out()
		if err := s.in(s.format.AppendR2T(nil, &nvme.R2T{CID: waits, Length: uint32(len(data))})); err != nil {
			t.Fatal(err)
		}
		if len(s.out()) < len(data) {
			t.Error("the data that was asked for is not sent")
		}
		return
	}
	t.Fatal("the output was never full between two fused commands")
}

// inCapsule submits a command whose data goes with it, and leaves the output alone.
func (s *session) inCapsule(op nvme.Opcode, fuse nvme.CommandFlags) uint16 {
	var c nvme.Command
	c.SetIO(op, &nvme.IO{NSID: 1, Blocks: 1})
	c.Flags |= fuse
	cid, ok := s.Submit(&c, make([]byte, 512), nil, true, 9)
	if !ok {
		s.t.Fatal("no room for a command")
	}
	return cid
}

// The peer's bytes never cause a panic, or writes outside of the buffers; and how they
// are cut into pieces makes no difference.
func FuzzSession(f *testing.F) {
	format := nvme.Format{}
	data := func(cid uint16, off, n uint32, flags nvme.PDUFlags) []byte {
		return append(format.AppendC2H(nil, &nvme.Data{CID: cid, Offset: off, Length: n}, flags), make([]byte, n)...)
	}
	f.Add(format.AppendCompletion(nil, &nvme.Completion{CID: 0}), uint8(3))
	f.Add(data(0, 0, 1024, nvme.FlagLast|nvme.FlagSuccess), uint8(1))
	f.Add(append(data(2, 0, 512, nvme.FlagLast), data(0, 0, 512, 0)...), uint8(30))
	f.Add(format.AppendR2T(nil, &nvme.R2T{CID: 1, Length: 512}), uint8(200))
	f.Add((&nvme.TermReq{Status: nvme.FatalSequence}).Append(nil, nvme.Controller), uint8(7))
	f.Fuzz(func(t *testing.T, input []byte, cut uint8) {
		run := func(piece int) (int, error) {
			s := newSession(t, false)
			reads, ends := make([]byte, 1024), 0
			s.read(reads)
			s.write(make([]byte, 1024))
			s.Forget(s.read(reads[512:]))
			for b := input; len(b) > 0; {
				n := min(piece, len(b))
				if err := s.in(b[:n]); err != nil {
					return ends, err
				}
				b = b[n:]
				s.out()
				ends += len(s.Ends())
			}
			return ends, nil
		}
		n, whole := run(len(input) + 1)
		m, part := run(int(cut) + 1)
		if (whole == nil) != (part == nil) || whole == nil && n != m {
			t.Fatalf("%v with %d ends in one piece, %v with %d in several", whole, n, part, m)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	k := keepAlive{timeout: 10 * time.Second}
	if send, dead, next := k.tick(4 * time.Second); send || dead || next != 5*time.Second {
		t.Fatal(send, dead, next)
	}
	if send, dead, next := k.tick(6 * time.Second); !send || dead || next != 16*time.Second {
		t.Fatal(send, dead, next)
	}
	if send, dead, _ := k.tick(15 * time.Second); send || dead {
		t.Fatal("too early", send, dead)
	}
	if _, dead, _ := k.tick(16 * time.Second); !dead {
		t.Fatal("it should be dead")
	}
	k.answered()
	if send, dead, next := k.tick(10 * time.Second); send || dead || next != 11*time.Second {
		t.Fatal(send, dead, next)
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	last := time.Duration(0)
	for range 20 {
		d := b.wait(1)
		if d < last || d > backoffLast || d < backoffFirst {
			t.Fatalf("%v after %v", d, last)
		}
		last = d
	}
	if d := b.wait(0); last != backoffLast || d != backoffLast/2 {
		t.Fatal(last, d)
	}
}

// TestForgottenCID: the CID of a command that was forgotten, which may still be aborted, is not used
// again at once.
func TestForgottenCID(t *testing.T) {
	s := newSession(t, false)
	cid := s.read(make([]byte, 512))
	if !s.Forget(cid) {
		t.Fatal("not forgotten")
	}
	if err := s.in(s.format.AppendCompletion(nil, &nvme.Completion{CID: cid})); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if next := s.read(make([]byte, 512)); next == cid {
			t.Error("used again")
		}
	}
}
