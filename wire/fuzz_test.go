package wire

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
)

// sentinels are all errors that received bytes may lead to.
var sentinels = []error{
	ErrTruncated, ErrMagic, ErrVersion, ErrKind, ErrFlags, ErrTooLarge,
	ErrChecksum, ErrType, ErrField, ErrTrailing, ErrCompress,
}

func wantSentinel(t *testing.T, err error) {
	t.Helper()
	if !slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) }) {
		t.Fatalf("error of no known kind: %v", err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Header
		if err := ParseHeader(data, &h); err != nil {
			wantSentinel(t, err)
			return
		}
		var enc [HeaderSize]byte
		PutHeader(enc[:], &h)
		if !bytes.Equal(enc[:], data[:HeaderSize]) {
			t.Fatalf("%x comes back as %x", data[:HeaderSize], enc)
		}
	})
}

func FuzzMsg(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Msg
		n, err := m.Decode(data)
		name, rest := NameAt(data) // of what is wrong it may say anything
		if err != nil {
			wantSentinel(t, err)
			return
		}
		if !bytes.Equal(name, m.Name) || name != nil && !bytes.Equal(rest, data[n:]) {
			t.Fatalf("%x has the name %x and %x behind it, want %x and %x", data, name, rest, m.Name, data[n:])
		}
		if enc := m.Append(nil); !bytes.Equal(enc, data[:n]) {
			t.Fatalf("%x comes back as %x", data[:n], enc)
		}
	})
}

// FuzzFrame treats its input as a received frame. A wrong checksum is put right,
// or nothing behind it would ever be reached.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var h Header
		if err := ParseHeader(data, &h); err != nil {
			wantSentinel(t, err)
			return
		}
		frame := bytes.Clone(data)
		if len(frame) < HeaderSize+int(h.Length) {
			return // the rest has not arrived
		}
		frame = frame[:HeaderSize+int(h.Length)]
		if err := CheckCRC(frame[:HeaderSize], frame[HeaderSize:]); err != nil {
			wantSentinel(t, err)
			SealFrame(frame, &h)
			if err := CheckCRC(frame[:HeaderSize], frame[HeaderSize:]); err != nil {
				t.Fatal(err)
			}
		}
		plain, err := Decompress(&h, frame[HeaderSize:], make([]byte, 256))
		if err != nil {
			wantSentinel(t, err)
			return
		}
		out := ReserveHeader(nil)
		var it Messages
		var m Msg
		it.Reset(&h, plain)
		count := 0
		for {
			more, err := it.Next(&m)
			if err != nil {
				wantSentinel(t, err)
				return
			}
			if !more {
				break
			}
			count++
			out = m.Append(out)
		}
		if count != int(h.Count) || !bytes.Equal(out[HeaderSize:], plain) {
			t.Fatalf("%d of %d messages; %x comes back as %x", count, h.Count, plain, out[HeaderSize:])
		}
		sealed := Compress(out, &h, nil)
		again, err := Decompress(&h, sealed[HeaderSize:], nil)
		if err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("compressed again, %x comes back as %x, %v", plain, again, err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	f.Fuzz(func(t *testing.T, block []byte) {
		h := Header{Flags: FlagCompressed}
		fresh, err := Decompress(&h, block, nil)
		if err != nil {
			wantSentinel(t, err)
		}
		if size, lenErr := s2.DecodedLen(block); lenErr == nil && size > MaxPayload && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("block of %d bytes: %v", size, err)
		}
		if len(fresh) > MaxPayload {
			t.Fatalf("%d bytes decoded", len(fresh))
		}
		// What lay in scratch must not show in the result.
		dirty := bytes.Repeat([]byte{0xaa}, max(len(fresh), 1<<12))
		reused, err2 := Decompress(&h, block, dirty)
		if (err == nil) != (err2 == nil) || !bytes.Equal(fresh, reused) {
			t.Fatalf("into new memory: %x, %v; into scratch: %x, %v", fresh, err, reused, err2)
		}
	})
}

// seeds gives the committed corpus of each fuzz target by file name.
func seeds() map[string]map[string][]byte {
	header, msg, frame, block := map[string][]byte{}, map[string][]byte{}, map[string][]byte{}, map[string][]byte{}

	h := sampleHeader()
	header["good"] = make([]byte, HeaderSize)
	PutHeader(header["good"], &h)
	header["with_payload"] = buildFrame(Header{Kind: KindNode}, false, sample(Notify))
	addBad(header, badHeaders())

	for _, typ := range allTypes() {
		m := sample(typ)
		msg["good_"+typ.String()] = m.Append(nil)
	}
	none := sample(Denied)
	none.Mode = NoMode
	msg["good_denied_none"] = none.Append(nil)
	addBad(msg, badMessages())

	frame["good_empty"] = buildFrame(Header{Kind: KindLink}, false)
	frame["good_one"] = buildFrame(Header{Kind: KindNode}, false, sample(Grant))
	frame["good_mixed"] = buildFrame(Header{Kind: KindNode}, false, sample(Adopt), sample(Done), sample(Reg))
	frame["good_client"] = buildFrame(Header{Kind: KindClient}, false, sample(Hello), sample(Ast))
	frame["good_packed"] = buildFrame(Header{Kind: KindNode}, true, manyNotifies(60)...)
	frame["cut"] = frame["good_one"][:len(frame["good_one"])-1]
	frame["checksum"] = bytes.Clone(frame["good_one"])
	frame["checksum"][crcOffset] ^= 1
	bombed := append(ReserveHeader(nil), bomb(MaxPayload+1)...)
	SealFrame(bombed, &Header{Version: VersionMax, Kind: KindNode, Count: 1, Flags: FlagCompressed})
	frame["bomb"] = bombed[:HeaderSize+32]
	SealFrame(frame["bomb"], &Header{Version: VersionMax, Kind: KindNode, Count: 1, Flags: FlagCompressed})
	addBad(frame, badFrames())

	block["good_zero_length"] = []byte{0}
	block["good_literal"] = s2.Encode(nil, []byte("lockify"))
	block["good_repeat"] = s2.Encode(nil, bytes.Repeat([]byte("lockify "), 300))
	block["good_snappy"] = s2.EncodeSnappy(nil, bytes.Repeat([]byte("lockify "), 300))
	block["good_notifies"] = frame["good_packed"][HeaderSize:]
	addBad(block, badBlocks())

	return map[string]map[string][]byte{"FuzzHeader": header, "FuzzMsg": msg, "FuzzFrame": frame, "FuzzDecompress": block}
}

func addBad(to map[string][]byte, cases map[string]badBytes) {
	for name, c := range cases {
		to["bad_"+name] = c.enc
	}
}

// TestSeeds keeps the files under testdata/fuzz equal to what seeds gives, so
// that they follow the format; -update writes them. Files with other names,
// which are findings of the fuzzer, stay.
func TestSeeds(t *testing.T) {
	for target, files := range seeds() {
		if len(files) < 8 {
			t.Errorf("%s has %d seeds", target, len(files))
		}
		dir := filepath.Join("testdata", "fuzz", target)
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			content := fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", files[name])
			path := filepath.Join(dir, name)
			if *update {
				if err := os.WriteFile(path, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			// What the S2 encoder gives differs between processors; such files need
			// only be there.
			madeByS2 := target == "FuzzDecompress" || strings.Contains(name, "packed") || strings.Contains(name, "bomb")
			if got, err := os.ReadFile(path); err != nil || !madeByS2 && !bytes.Equal(got, content) {
				t.Errorf("%s is not up to date (%v); run go test -run Seeds -update", path, err)
			}
		}
	}
}
