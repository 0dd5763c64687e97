package nvme

import "testing"

func wantNoAlloc(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

// TestNoAllocations: what a read and a write need on either side.
func TestNoAllocations(t *testing.T) {
	buf := make([]byte, 0, 4096)
	f := Format{HeaderDigest: true, DataDigest: true}
	r := Receiver{Format: f, MaxData: 1 << 20}
	var (
		h    Header
		c    Command
		done Completion
		d    Data
		r2t  R2T
	)
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantNoAlloc(t, "CapsuleCmd", func() {
		c.SetIO(OpWrite, &IO{NSID: 1, LBA: 2, Blocks: 3})
		c.SetData(16, true)
		buf = withData(f, f.AppendCommand(buf[:0], &c, 16))
		r.Role = Controller
		check(r.ParseHeader(buf, &h))
		check(CheckHeaderDigest(&h, buf))
		check(c.Decode(buf[HeaderSize:]))
		if c.CheckSGL(uint32(h.DataLen())) != StatusSuccess || c.IO().Blocks != 3 {
			t.Fatal("bad command")
		}
	})
	wantNoAlloc(t, "data, R2T, completion", func() {
		buf = withData(f, f.AppendC2H(buf[:0], &Data{Length: 16}, FlagLast))
		r.Role = Host
		check(r.ParseHeader(buf, &h))
		check(d.Decode(&h, buf))
		buf = f.AppendR2T(buf[:0], &R2T{Length: 1})
		check(r.ParseHeader(buf, &h))
		check(r2t.Decode(buf))
		buf = f.AppendCompletion(buf[:0], &done)
		check(r.ParseHeader(buf, &h))
		check(done.Decode(buf[HeaderSize:]))
		buf = withData(f, f.AppendH2C(buf[:0], &d, 0))
	})
	ranges := (&Range{Blocks: 1}).Append(nil)
	wantNoAlloc(t, "ranges", func() {
		l, err := Ranges(ranges, 1)
		check(err)
		_ = l.At(0)
	})
}

func BenchmarkCommand(b *testing.B) {
	buf := make([]byte, 0, 128)
	f := Format{}
	r := Receiver{Role: Controller}
	var c Command
	var h Header
	for b.Loop() {
		c.SetIO(OpRead, &IO{NSID: 1, LBA: 2, Blocks: 8})
		c.SetData(4096, false)
		buf = f.AppendCommand(buf[:0], &c, 0)
		if r.ParseHeader(buf, &h) != nil || c.Decode(buf[HeaderSize:]) != nil || c.IO().Blocks != 8 {
			b.Fatal("bad command")
		}
	}
}

func BenchmarkDigest128KiB(b *testing.B) {
	data := make([]byte, 128<<10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Digest(0, data)
	}
}
