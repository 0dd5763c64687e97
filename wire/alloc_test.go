package wire

import (
	"bytes"
	"testing"
)

func wantNoAlloc(t *testing.T, what string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", what, n)
	}
}

func TestNoAllocations(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	var m Msg
	for _, typ := range allTypes() {
		for _, s := range []Msg{sample(typ), largest(typ)} {
			enc := s.Append(nil)
			wantNoAlloc(t, "Append "+typ.String(), func() { buf = s.Append(buf[:0]) })
			wantNoAlloc(t, "Decode "+typ.String(), func() {
				if _, err := m.Decode(enc); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestNoAllocationsFrame(t *testing.T) {
	frame := buildFrame(Header{Kind: KindNode}, false, manyNotifies(100)...)
	packed := buildFrame(Header{Kind: KindNode}, true, manyNotifies(100)...)
	scratch := make([]byte, len(frame))
	var h Header
	var it Messages
	var m Msg
	receive := func(f []byte) {
		if err := ParseHeader(f, &h); err != nil {
			t.Fatal(err)
		}
		if err := CheckCRC(f[:HeaderSize], f[HeaderSize:]); err != nil {
			t.Fatal(err)
		}
		plain, err := Decompress(&h, f[HeaderSize:], scratch)
		if err != nil {
			t.Fatal(err)
		}
		it.Reset(&h, plain)
		n := 0
		for more := true; more; n++ {
			if more, err = it.Next(&m); err != nil {
				t.Fatal(err)
			}
		}
		if n != 101 {
			t.Fatalf("%d messages", n-1)
		}
	}
	wantNoAlloc(t, "receiving a frame", func() { receive(frame) })
	wantNoAlloc(t, "receiving a compressed frame", func() { receive(packed) })
	seal := bytes.Clone(frame)
	wantNoAlloc(t, "SealFrame", func() { SealFrame(seal, &h) })
	room := make([]byte, 0, HeaderSize)
	wantNoAlloc(t, "ReserveHeader", func() { room = ReserveHeader(room[:0]) })
}

// benchMsgs are the two messages of the fast path, with a name of 24 bytes; the
// GRANT also with a value.
func benchMsgs() map[string]Msg {
	name := []byte("inode/0000000000012345ab")
	life, other := Life{0x10001, 77}, Life{0x20002, 78}
	return map[string]Msg{
		"NOTIFY": {Type: Notify, Name: name, Life: life, Other: other, Claim: 5},
		"GRANT":  {Type: Grant, Name: name, Life: life, Lock: 9, Op: 1, Mode: 5, Token: 10, Seq: 3},
		"GRANT+value32": {
			Type: Grant, Name: name, Life: life, Lock: 9, Op: 1, Mode: 5, Token: 10, Seq: 3,
			Bits: BitValue, Value: make([]byte, 32),
		},
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, m := range benchMsgs() {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				buf = m.Append(buf[:0])
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, m := range benchMsgs() {
		b.Run(name, func(b *testing.B) {
			enc := m.Append(nil)
			var got Msg
			b.ReportAllocs()
			for b.Loop() {
				if _, err := got.Decode(enc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One operation is the receipt of a frame of 100 NOTIFYs, checksum included.
func BenchmarkReceive100(b *testing.B) {
	for _, packed := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "compressed"}[packed]
		b.Run(name, func(b *testing.B) {
			frame := buildFrame(Header{Kind: KindNode}, packed, manyNotifies(100)...)
			scratch := make([]byte, MaxPayload)
			var h Header
			var it Messages
			var m Msg
			b.ReportAllocs()
			for b.Loop() {
				err := ParseHeader(frame, &h)
				if err == nil {
					err = CheckCRC(frame[:HeaderSize], frame[HeaderSize:])
				}
				plain, err2 := Decompress(&h, frame[HeaderSize:], scratch)
				it.Reset(&h, plain)
				more, err3 := it.Next(&m)
				for more {
					more, err3 = it.Next(&m)
				}
				if err != nil || err2 != nil || err3 != nil {
					b.Fatal(err, err2, err3)
				}
			}
		})
	}
}

func BenchmarkCompress100(b *testing.B) {
	frame := buildFrame(Header{Kind: KindNode}, false, manyNotifies(100)...)
	scratch := make([]byte, CompressScratch(len(frame)))
	var h Header
	b.SetBytes(int64(len(frame)))
	var out []byte
	for b.Loop() {
		out = Compress(frame, &h, scratch)
	}
	b.ReportMetric(float64(len(out))/float64(len(frame)), "size-ratio")
}
