package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
)

const goldenFile = "testdata/golden.txt"

// readGolden gives the hex lines "NAME bytes" by name.
func readGolden(t *testing.T) map[string][]byte {
	t.Helper()
	f, err := os.Open(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	golden := map[string][]byte{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, text, ok := strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(name, "#") {
			continue
		}
		enc, err := hex.DecodeString(text)
		if err != nil || !ok || golden[name] != nil {
			t.Fatalf("bad or double line %q: %v", lines.Text(), err)
		}
		golden[name] = enc
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return golden
}

func writeGolden(t *testing.T) {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("# The bytes on the wire of sampleHeader and of each sample (sample_test.go). A\n")
	out.WriteString("# change here is a change of the format. go test -run Golden -update writes it.\n")
	h := sampleHeader()
	var hb [HeaderSize]byte
	PutHeader(hb[:], &h)
	fmt.Fprintf(&out, "HEADER %x\n", hb)
	for _, typ := range allTypes() {
		m := sample(typ)
		fmt.Fprintf(&out, "%v %x\n", typ, m.Append(nil))
	}
	if err := os.WriteFile(goldenFile, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t)
	}
	golden := readGolden(t)
	if got, want := len(golden), 1+len(allTypes()); got != want {
		t.Errorf("%s has %d entries, want %d", goldenFile, got, want)
	}

	h := sampleHeader()
	var hb [HeaderSize]byte
	PutHeader(hb[:], &h)
	if !bytes.Equal(hb[:], golden["HEADER"]) {
		t.Errorf("header encodes to %x, want %x", hb, golden["HEADER"])
	}
	var back Header
	if err := ParseHeader(golden["HEADER"], &back); err != nil || back != h {
		t.Errorf("header parses to %+v, %v; want %+v", back, err, h)
	}

	for _, typ := range allTypes() {
		enc, m := golden[typ.String()], sample(typ)
		if got := m.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), enc...)) {
			t.Errorf("%v encodes to %x, want %x", typ, got[len("before"):], enc)
		}
		var got Msg
		if n, err := got.Decode(append(bytes.Clone(enc), "behind"...)); err != nil || n != len(enc) {
			t.Errorf("%v: Decode gives %d, %v; want %d", typ, n, err, len(enc))
		} else if !reflect.DeepEqual(got, m) {
			t.Errorf("%v decodes to %+v, want %+v", typ, got, m)
		}
	}
}

// TestHeaderByHand does not trust any code for the layout: doc.go's table
// written out.
func TestHeaderByHand(t *testing.T) {
	want := "4c4b4659" + "01" + "03" + "0100" + "0c0b0a00" + "1211" + "2221" + "34333231" + "44434241" +
		"5857565554535251" + "6867666564636261" + "7877767574737271" + "8887868584838281" + "9897969594939291"
	h := sampleHeader()
	var hb [HeaderSize]byte
	PutHeader(hb[:], &h)
	if got := hex.EncodeToString(hb[:]); got != want {
		t.Errorf("header is\n%s, want\n%s", got, want)
	}
}

func TestRoundTripRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var got Msg // re-used: old content must not shine through
	var enc []byte
	for range 300 {
		for _, typ := range allTypes() {
			m := random(r, typ)
			enc = m.Append(enc[:0])
			n, err := got.Decode(enc)
			if err != nil || n != len(enc) {
				t.Fatalf("%+v: Decode gives %d of %d bytes, %v", m, n, len(enc), err)
			}
			if !reflect.DeepEqual(got, m) {
				t.Fatalf("got  %+v\nwant %+v", got, m)
			}
		}
	}
}

func TestDecodePointsIntoBuffer(t *testing.T) {
	m := sample(Adopt)
	enc := m.Append(nil)
	var got Msg
	if _, err := got.Decode(enc); err != nil {
		t.Fatal(err)
	}
	for i := range enc {
		enc[i] = 0xcc
	}
	for name, p := range map[string][]byte{"name": got.Name, "value": got.Value, "locks": got.Locks} {
		if len(p) == 0 || p[0] != 0xcc {
			t.Errorf("%s is a copy", name)
		}
		if cap(p) != len(p) {
			t.Errorf("append to %s would overwrite the buffer", name)
		}
	}
}
