package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/klauspost/compress/s2"
)

func TestSpaceID(t *testing.T) {
	// CRC32C check values: of "123456789", and of a name whose CRC32C is zero.
	if got := SpaceID("123456789"); got != 0xe3069283 {
		t.Errorf("SpaceID is %#x", got)
	}
	if got := SpaceID(""); got != 1 {
		t.Errorf("SpaceID of a name with CRC zero is %d, want 1", got)
	}
	if SpaceID("a") == SpaceID("b") {
		t.Error("SpaceID does not look at the name")
	}
}

func TestFrameRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 2, 30, 300} {
		for _, packed := range []bool{false, true} {
			var msgs []Msg
			for range n {
				msgs = append(msgs, random(r, Type(1+r.IntN(25))))
			}
			checkFrame(t, buildFrame(Header{Kind: KindNode}, packed, msgs...), msgs)
		}
	}
	msgs := manyNotifies(200)
	frame := buildFrame(Header{Kind: KindNode}, true, msgs...)
	checkFrame(t, frame, msgs)
	plain := buildFrame(Header{Kind: KindNode}, false, msgs...)
	if len(frame) > len(plain)/2 {
		t.Errorf("200 like NOTIFYs take %d bytes packed, %d plain", len(frame), len(plain))
	}
}

// checkFrame reads a frame as a receiver does and compares the messages.
func checkFrame(t *testing.T, frame []byte, want []Msg) {
	t.Helper()
	var h Header
	if err := ParseHeader(frame, &h); err != nil {
		t.Fatal(err)
	}
	payload := frame[HeaderSize:]
	if int(h.Length) != len(payload) {
		t.Fatalf("length %d, payload %d", h.Length, len(payload))
	}
	if err := CheckCRC(frame[:HeaderSize], payload); err != nil {
		t.Fatal(err)
	}
	plain, err := Decompress(&h, payload, nil)
	if err != nil {
		t.Fatal(err)
	}
	var it Messages
	var m Msg
	it.Reset(&h, plain)
	for i := range want {
		if more, err := it.Next(&m); !more || err != nil {
			t.Fatalf("message %d of %d: %v, %v", i, len(want), more, err)
		}
		if !reflect.DeepEqual(m, want[i]) {
			t.Fatalf("message %d is %+v, want %+v", i, m, want[i])
		}
	}
	for range 2 {
		if more, err := it.Next(&m); more || err != nil {
			t.Fatalf("behind the last message: %v, %v", more, err)
		}
	}
}

func TestCheckCRC(t *testing.T) {
	frame := buildFrame(Header{Kind: KindNode}, false, sample(Notify))
	if want := checksumByHand(frame); binary.LittleEndian.Uint32(frame[20:]) != want {
		t.Errorf("checksum is %#x, want %#x", frame[20:24], want)
	}
	for bit := range len(frame) * 8 {
		frame[bit/8] ^= 1 << (bit % 8)
		if err := CheckCRC(frame[:HeaderSize], frame[HeaderSize:]); !errors.Is(err, ErrChecksum) {
			t.Fatalf("bit %d turned: %v", bit, err)
		}
		frame[bit/8] ^= 1 << (bit % 8)
	}
	if err := CheckCRC(frame[:HeaderSize], frame[HeaderSize:]); err != nil {
		t.Error(err)
	}
}

func checksumByHand(frame []byte) uint32 {
	c := bytes.Clone(frame)
	copy(c[20:24], []byte{0, 0, 0, 0})
	return crc32.Checksum(c, crc32.MakeTable(crc32.Castagnoli))
}

func TestCompress(t *testing.T) {
	noise := make([]byte, HeaderSize+CompressAbove+1)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	zeros := make([]byte, HeaderSize+CompressAbove+1)
	for _, c := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"empty", zeros[:HeaderSize], false},
		{"at the threshold", zeros[:HeaderSize+CompressAbove], false},
		{"above", zeros, true},
		{"does not get smaller", noise, false},
		{"largest", make([]byte, HeaderSize+MaxPayload), true},
	} {
		for _, flags := range []uint16{0, FlagCompressed} { // a header used before
			h := Header{Flags: flags}
			before := bytes.Clone(c.frame)
			scratch := make([]byte, CompressScratch(len(c.frame)))
			out := Compress(c.frame, &h, scratch[:0])
			if got := h.Flags&FlagCompressed != 0; got != c.want {
				t.Errorf("%s: compressed %v, want %v", c.name, got, c.want)
			}
			if !c.want && &out[0] != &c.frame[0] || c.want && len(out) >= len(c.frame) {
				t.Errorf("%s: out has %d bytes", c.name, len(out))
			}
			if c.want && &out[0] != &scratch[0] {
				t.Errorf("%s: scratch of the documented size was not used", c.name)
			}
			if !bytes.Equal(c.frame, before) {
				t.Errorf("%s: the frame was changed", c.name)
			}
			plain, err := Decompress(&h, out[HeaderSize:], nil)
			if err != nil || !bytes.Equal(plain, c.frame[HeaderSize:]) {
				t.Errorf("%s: comes back as %d bytes, %v", c.name, len(plain), err)
			}
		}
	}
}

// bomb is a small block that claims n bytes of zeros, and would be right.
func bomb(n int) []byte { return s2.Encode(nil, make([]byte, n)) }

func TestDecompressRefuses(t *testing.T) {
	for name, c := range badBlocks() {
		h := Header{Flags: FlagCompressed}
		out, err := Decompress(&h, c.enc, nil)
		if !errors.Is(err, c.want) || out != nil {
			t.Errorf("%s: %d bytes, %v; want %v", name, len(out), err, c.want)
		}
	}
	h := Header{Flags: FlagCompressed}
	if out, err := Decompress(&h, bomb(MaxPayload), nil); err != nil || len(out) != MaxPayload {
		t.Errorf("block at the limit: %d bytes, %v", len(out), err)
	}
}

// badBlocks is one block for each thing that Decompress refuses.
func badBlocks() map[string]badBytes {
	good := s2.Encode(nil, bytes.Repeat([]byte("lockify "), 300))
	return map[string]badBytes{
		"empty":         {nil, ErrCompress},
		"size_cut":      {[]byte{0x80}, ErrCompress},
		"size_too_long": {[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, ErrCompress},
		"bomb":          {bomb(MaxPayload + 1), ErrTooLarge},
		"bomb_16m":      {bomb(16 << 20), ErrTooLarge},
		"bomb_lie_4g":   {[]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0}, ErrTooLarge},
		"cut":           {good[:len(good)-1], ErrCompress},
		"longer":        {append(bytes.Clone(good), 0, 'x'), ErrCompress},
		"no_data":       {good[:2], ErrCompress},
		"offset_before": {[]byte{8, 0x11, 9}, ErrCompress}, // copies from before the start
	}
}

func TestDecompressBombAllocatesNothing(t *testing.T) {
	block := bomb(16 << 20)
	if len(block) > MaxPayload/64 {
		t.Fatalf("the bomb has %d bytes", len(block))
	}
	h := Header{Flags: FlagCompressed}
	const runs = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if _, err := Decompress(&h, block, nil); err == nil {
			t.Fatal("bomb taken")
		}
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > runs*4096 {
		t.Errorf("refusing %d bombs takes %d bytes of memory", runs, got)
	}
}

func TestDecompressScratch(t *testing.T) {
	payload := bytes.Repeat([]byte("lockify "), 300)
	block := s2.Encode(nil, payload)
	h := Header{Flags: FlagCompressed}
	scratch := make([]byte, len(payload)+1)
	out, err := Decompress(&h, block, scratch[:0])
	if err != nil || !bytes.Equal(out, payload) || &out[0] != &scratch[0] {
		t.Errorf("scratch not used: %d bytes, %v", len(out), err)
	}
	h.Flags = 0
	if out, err := Decompress(&h, block, scratch); err != nil || &out[0] != &block[0] || len(out) != len(block) {
		t.Errorf("plain payload does not come back as it is: %v", err)
	}
}

func TestMessagesRefuses(t *testing.T) {
	for name, c := range badFrames() {
		var h Header
		if err := ParseHeader(c.enc, &h); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plain, err := Decompress(&h, c.enc[HeaderSize:], nil)
		if err != nil {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: Decompress gives %v, want %v", name, err, c.want)
			}
			continue
		}
		var it Messages
		var m Msg
		it.Reset(&h, plain)
		for more := true; err == nil && more; {
			more, err = it.Next(&m)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if more, again := it.Next(&m); more || again != err {
			t.Errorf("%s: the error does not stick: %v, %v", name, more, again)
		}
	}
}

// badFrames is one frame with a good header for each thing wrong behind it.
func badFrames() map[string]badBytes {
	frame := func(count uint16, kind Kind, payload ...byte) []byte {
		buf := append(ReserveHeader(nil), payload...)
		SealFrame(buf, &Header{Version: VersionMax, Kind: kind, Count: count})
		return buf
	}
	m, ping := sample(Notify), sample(Ping)
	one, client := m.Append(nil), ping.Append(nil)
	two := m.Append(bytes.Clone(one))
	packed := buildFrame(Header{Kind: KindNode}, true, manyNotifies(100)...)
	corrupt := append(bytes.Clone(packed), 0)
	SealFrame(corrupt, &Header{Version: VersionMax, Kind: KindNode, Count: 100, Flags: FlagCompressed})
	fewer := bytes.Clone(packed)
	SealFrame(fewer, &Header{Version: VersionMax, Kind: KindNode, Count: 99, Flags: FlagCompressed})
	return map[string]badBytes{
		"count_0_payload":  {frame(0, KindNode, one...), ErrTrailing},
		"one_too_many":     {frame(1, KindNode, two...), ErrTrailing},
		"trailing_byte":    {frame(2, KindNode, append(bytes.Clone(two), 0)...), ErrTrailing},
		"one_too_few":      {frame(3, KindNode, two...), ErrTruncated},
		"empty":            {frame(1, KindNode), ErrTruncated},
		"second_cut":       {frame(2, KindNode, two[:len(two)-1]...), ErrTruncated},
		"client_to_node":   {frame(1, KindNode, client...), ErrType},
		"node_from_client": {frame(1, KindClient, one...), ErrType},
		"link_from_client": {frame(1, KindClient, byte(LinkPing), 0, 8, 0, 0, 0, 0, 0), ErrType},
		"packed_corrupt":   {corrupt, ErrCompress},
		"packed_fewer":     {fewer, ErrTrailing},
	}
}
