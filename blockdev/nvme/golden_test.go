package nvme

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

const goldenFile = "testdata/golden.txt"

// sparse writes bytes as their number and OFFSET:HEX for what is between runs of
// zeros.
func sparse(b []byte) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d", len(b))
	for i := 0; i < len(b); {
		if b[i] == 0 {
			i++
			continue
		}
		end := i + 1 // behind the last byte that is not zero before a run of 8 zeros
		for j := end; j < len(b) && j < end+8; j++ {
			if b[j] != 0 {
				end = j + 1
			}
		}
		fmt.Fprintf(&out, " %x:%x", i, b[i:end])
		i = end
	}
	return out.String()
}

// unsparse is the way back.
func unsparse(t testing.TB, text string) []byte {
	t.Helper()
	parts := strings.Fields(text)
	n, err := strconv.Atoi(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, n)
	for _, p := range parts[1:] {
		at, digits, _ := strings.Cut(p, ":")
		offset, err := strconv.ParseUint(at, 16, 31)
		if err != nil {
			t.Fatal(err)
		}
		chunk, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		copy(out[offset:], chunk)
	}
	return out
}

// encodings gives all that golden.txt has, in its order.
func encodings() (names []string, bytes map[string][]byte) {
	bytes = map[string][]byte{}
	add := func(name string, b []byte) {
		names = append(names, name)
		bytes[name] = b
	}
	for _, s := range samples() {
		add(strings.ReplaceAll(s.name, " ", ""), s.value.Append(nil))
	}
	for _, f := range formats {
		for _, p := range pdus(f) {
			if !strings.HasSuffix(p.name, "TermReq") || f == (Format{}) {
				add(p.name+"/"+formatName(f), p.bytes)
			}
		}
	}
	return names, bytes
}

func TestGolden(t *testing.T) {
	names, enc := encodings()
	if *update {
		var out bytes.Buffer
		out.WriteString("# NAME LENGTH OFFSET:BYTES...: the bytes on the wire of each sample (sample_test.go);\n" +
			"# what is not given is zero. They are fixed by the specifications. go test -run Golden -update writes it.\n")
		for _, name := range names {
			fmt.Fprintf(&out, "%s %s\n", name, sparse(enc[name]))
		}
		if err := os.WriteFile(goldenFile, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "#" {
			continue
		}
		seen++
		if want := unsparse(t, rest); !bytes.Equal(enc[name], want) {
			t.Errorf("%s is\n%s, want\n%s", name, sparse(enc[name]), rest)
		}
	}
	if seen != len(names) {
		t.Errorf("%s has %d entries, want %d", goldenFile, seen, len(names))
	}
}

// TestRoundTrip: each sample has all fields set, so a field that gets lost, or
// is read from elsewhere, shows.
func TestRoundTrip(t *testing.T) {
	for _, s := range samples() {
		enc := s.value.Append([]byte("before"))
		got, err := s.decode(append(enc, "behind"...)[len("before"):])
		if err != nil || !reflect.DeepEqual(got, s.value) {
			t.Errorf("%s comes back as\n%+v, %v, want\n%+v", s.name, got, err, s.value)
		}
		enc = enc[len("before"):]
		least := map[string]int{ // what is of use if it ends early
			"DiscoveryHeader": 18, "ReservationStatus": reservationHeader, "ReservationStatusExtended": reservationHeaderExtended,
		}[s.name]
		if least == 0 {
			least = len(enc)
		}
		for _, n := range []int{0, 1, least / 2, least - 1} {
			if _, err := s.decode(enc[:n:n]); err == nil {
				t.Errorf("%s: %d of %d bytes are accepted", s.name, n, len(enc))
			}
		}
	}
}
