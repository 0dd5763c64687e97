package nvme

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// wantKnown fails if an error is of no kind that doc.go promises.
func wantKnown(t *testing.T, err error) {
	t.Helper()
	var fatal *FatalError
	if errors.As(err, &fatal) {
		if fatal.Status < FatalHeaderField || fatal.Status > FatalUnsupported || fatal.Reason == "" {
			t.Fatalf("bad fatal error: %+v", fatal)
		}
		return
	}
	for _, known := range []error{ErrTruncated, ErrField, ErrTooLarge, ErrNQN} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("error of no known kind: %v", err)
}

// FuzzPDU treats its input as received bytes. Its first byte says by whom, and
// what was agreed. A wrong header digest is put right, or nothing behind it would
// ever be reached.
func FuzzPDU(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		mode, b := data[0], bytes.Clone(data[1:])
		r := Receiver{Role: Host + Role(mode&1), MaxData: 1 << 16,
			Format: Format{HeaderDigest: mode&2 != 0, DataDigest: mode&4 != 0, Align: mode >> 3}}
		var h Header
		if err := r.ParseHeader(b, &h); err != nil {
			wantKnown(t, err)
			return
		}
		tail := 0
		if h.Flags&FlagDataDigest != 0 {
			tail = DigestSize
		}
		if h.HeaderLen() < HeaderSize || h.HeaderLen() > MaxHeaderLen || h.Padding() < 0 || h.DataLen() < 0 || h.DataLen() > r.MaxData ||
			h.HeaderLen()+h.Padding()+h.DataLen()+tail != int(h.PLen) {
			t.Fatalf("%+v: %d, %d, %d bytes", h, h.HeaderLen(), h.Padding(), h.DataLen())
		}
		if len(b) < h.HeaderLen() {
			return // the rest has not arrived
		}
		if err := CheckHeaderDigest(&h, b); err != nil {
			wantKnown(t, err)
			copy(b[h.HLen:], AppendDigest(nil, Digest(0, b[:h.HLen])))
			if err := CheckHeaderDigest(&h, b); err != nil {
				t.Fatal(err)
			}
		}
		fuzzBody(t, r.Format, &h, b)
	})
}

// fuzzBody decodes what is behind a common header. What is accepted comes back
// when it is encoded, but for reserved fields.
func fuzzBody(t *testing.T, f Format, h *Header, b []byte) {
	var again []byte
	switch h.Type {
	case TypeICReq, TypeICResp:
		var v decoder = &ICReq{}
		if h.Type == TypeICResp {
			v = &ICResp{}
		}
		fuzzStructure(t, v, b)
		return
	case TypeH2CTermReq, TypeC2HTermReq:
		var v, back TermReq
		if len(b) < int(h.PLen) || v.Decode(b[:h.PLen]) != nil {
			return
		}
		if again := v.Append(nil, Host); back.Decode(again) != nil || !reflect.DeepEqual(v, back) {
			t.Fatalf("%+v comes back as %+v", v, back)
		}
		return
	case TypeCapsuleCmd:
		var c Command
		if err := c.Decode(b[HeaderSize:]); err != nil {
			t.Fatal(err)
		}
		fuzzCommand(t, &c)
		again = f.AppendCommand(nil, &c, uint32(h.DataLen()))
	case TypeCapsuleResp:
		var c Completion
		if err := c.Decode(b[HeaderSize:]); err != nil {
			t.Fatal(err)
		}
		_ = c.Status.String()
		again = f.AppendCompletion(nil, &c)
	case TypeR2T:
		var r R2T
		if err := r.Decode(b); err != nil {
			wantKnown(t, err)
			return
		}
		again = f.AppendR2T(nil, &r)
	default:
		var d Data
		if err := d.Decode(h, b); err != nil {
			wantKnown(t, err)
			return
		}
		if again = f.AppendH2C(nil, &d, h.Flags&FlagLast); h.Type == TypeC2HData {
			again = f.AppendC2H(nil, &d, h.Flags&(FlagLast|FlagSuccess))
		}
	}
	// A sender may pad more than it must, and PDO means nothing without data.
	if !bytes.Equal(again[:3], b[:3]) || h.Padding() == len(again)-h.HeaderLen() && !bytes.Equal(again[4:8], b[4:8]) {
		t.Fatalf("%x comes back as %x", b[:HeaderSize], again[:HeaderSize])
	}
}

// fuzzCommand reads a command as if it were any of them.
func fuzzCommand(t *testing.T, c *Command) {
	var v, back [8]any
	read := func(c *Command) (v [8]any) {
		p, _ := c.Property()
		log, _ := c.LogPage()
		report, _ := c.Report()
		return [8]any{c.Connect(), c.IO(), c.DSM(), c.Identify(), p, log, report, c.Reservation()}
	}
	v = read(c)
	_, _ = c.AuthLength()
	_ = c.Name(true) + c.Name(false) + c.CheckSGL(c.SGL.Length).String()
	var again Command
	if err := again.Decode(c.Append(nil)); err != nil || again != *c {
		t.Fatalf("%+v comes back as %+v, %v", c, again, err)
	}
	back = read(&again)
	if v != back {
		t.Fatalf("%+v comes back as %+v", v, back)
	}
	connect, io := v[0].(Connect), v[1].(IO)
	again.SetConnect(&connect)
	if again.Connect() != connect {
		t.Fatalf("%+v comes back as %+v", connect, again.Connect())
	}
	again.SetIO(c.Opcode, &io)
	if again.IO() != io {
		t.Fatalf("%+v comes back as %+v", io, again.IO())
	}
}

// fuzzStructure decodes b. What is accepted is the same when it is encoded and
// decoded again.
func fuzzStructure(t *testing.T, v decoder, b []byte) {
	if err := v.Decode(b); err != nil {
		wantKnown(t, err)
		return
	}
	back := reflect.New(reflect.TypeOf(v).Elem()).Interface().(decoder)
	want := v
	if s, ok := v.(*ReservationStatus); ok {
		back.(*ReservationStatus).Extended = s.Extended
		s.Total = len(s.Registrants)
	}
	enc := v.(appender).Append(nil)
	if err := back.Decode(enc); err != nil || !reflect.DeepEqual(back, want) {
		t.Fatalf("%+v comes back as %+v, %v", want, back, err)
	}
}

// lists are decoded like structures, and encoded by functions.
var lists = map[string]func(t *testing.T, b []byte){
	"NSIDList": func(t *testing.T, b []byte) {
		var l NSIDList
		if err := l.Decode(b); err != nil {
			wantKnown(t, err)
			return
		}
		var ids []uint32
		for i := range l.Len() {
			ids = append(ids, l.At(i))
		}
		var back NSIDList
		if err := back.Decode(AppendNSIDs(nil, ids)); err != nil || !bytes.Equal(back, l) {
			t.Fatalf("%x comes back as %x, %v", l, back, err)
		}
	},
	"ControllerList": func(t *testing.T, b []byte) {
		var l ControllerList
		if err := l.Decode(b); err != nil {
			wantKnown(t, err)
			return
		}
		var ids []uint16
		for i := range l.Len() {
			ids = append(ids, l.At(i))
		}
		var back ControllerList
		if err := back.Decode(AppendControllers(nil, ids)); err != nil || !bytes.Equal(back, l) {
			t.Fatalf("%x comes back as %x, %v", l, back, err)
		}
	},
	"ANALog": func(t *testing.T, b []byte) {
		var h ANAHeader
		if err := h.Decode(b); err != nil {
			wantKnown(t, err)
			return
		}
		b = b[ANAHeaderSize:]
		for range h.Groups {
			var g ANAGroup
			if err := g.Decode(b); err != nil {
				wantKnown(t, err)
				return
			}
			if len(g.Append(nil)) != g.Size() || g.Size() > len(b) {
				t.Fatalf("%+v has %d bytes", g, g.Size())
			}
			b = b[g.Size():]
		}
	},
	"Ranges": func(t *testing.T, b []byte) {
		l, err := Ranges(b, uint32(len(b)+1))
		if err == nil {
			t.Fatalf("%d bytes hold %d ranges", len(b), l.Len())
		}
		if l, err = Ranges(b, uint32(len(b)/RangeSize)); err != nil {
			t.Fatal(err)
		}
		var again []byte
		for i := range l.Len() {
			r := l.At(i)
			again = r.Append(again)
		}
		if !bytes.Equal(again, l) {
			t.Fatalf("%x comes back as %x", l, again)
		}
	},
}

// FuzzStructure decodes what commands carry. The first byte of its input picks
// the structure; what lacks at the end is zero, for the fuzzer knows no sizes.
func FuzzStructure(f *testing.F) {
	types := append(structures(), sample{"ConnectData", &ConnectData{}})
	names := slices.Sorted(maps.Keys(lists))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		pick, b := int(data[0]), data[1:]
		exact := pick&0x80 != 0
		if pick &= 0x7f; !exact {
			b = append(bytes.Clone(b), make([]byte, max(0, IdentifySize-len(b)))...)
		}
		if pick < len(types) {
			v := reflect.New(reflect.TypeOf(types[pick].value).Elem()).Interface().(decoder)
			if s, ok := v.(*ReservationStatus); ok {
				s.Extended = types[pick].name == "ReservationStatusExtended"
			}
			fuzzStructure(t, v, b)
		} else if pick -= len(types); pick < len(names) && (exact || len(b) > 0) {
			lists[names[pick]](t, b)
		}
	})
}

// FuzzAuth decodes messages of in-band authentication.
func FuzzAuth(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var m AuthMessage
		if err := m.Decode(data); err != nil {
			wantKnown(t, err)
			return
		}
		for _, part := range [][]byte{m.Hashes, m.Groups, m.Challenge, m.Response, m.DHValue} {
			if cap(part) != len(part) {
				t.Fatalf("append to a part of %+v would overwrite the message", m)
			}
		}
		if m.ID == AuthChallenge && (len(m.Challenge) != m.Hash.Size() || len(m.DHValue) != m.Group.Size()) {
			t.Fatalf("sizes of %+v", m)
		}
		fuzzStructure(t, &m, data)
	})
}

// seeds gives the committed corpus of each fuzz target by file name.
func seeds() map[string]map[string][]byte {
	pdu, structure, auth := map[string][]byte{}, map[string][]byte{}, map[string][]byte{}
	for i, f := range formats {
		for _, p := range pdus(f) {
			mode := byte(p.role-Host) | bit(f.HeaderDigest, 1) | bit(f.DataDigest, 2) | f.Align<<3
			pdu[fmt.Sprintf("%s_%d", p.name, i)] = append([]byte{mode}, p.bytes...)
		}
	}
	for _, s := range commandSamples() {
		name := "command_" + strings.ReplaceAll(strings.TrimPrefix(s.name, "Command/"), " ", "")
		pdu[name] = append([]byte{byte(Controller - Host)}, Format{}.AppendCommand(nil, s.value.(*Command), 0)...)
	}
	pdu["icreq"] = append([]byte{byte(Controller - Host)}, (&ICReq{HPDA: 1, HeaderDigest: true}).Append(nil)...)
	pdu["icresp"] = append([]byte{0}, (&ICResp{DataDigest: true, MaxH2CData: 4096}).Append(nil)...)

	types := append(structures(), sample{"ConnectData", &ConnectData{SubNQN: DiscoveryNQN, HostNQN: sampleNQN}})
	for i, s := range types {
		structure[s.name] = append([]byte{byte(i)}, bytes.TrimRight(s.value.Append(nil), "\x00")...)
		structure[s.name+"_cut"] = append([]byte{byte(i) | 0x80}, s.value.Append(nil)[:7]...)
	}
	group := filled[ANAGroup]()
	group.NSIDs = NSIDList{1, 0, 0, 0}
	values := map[string][]byte{
		"NSIDList": {1, 0, 0, 0, 2, 0, 0, 0}, "ControllerList": {2, 0, 1, 0, 2, 0}, "Ranges": (&Range{Blocks: 1}).Append(nil),
		"ANALog": group.Append(group.Append((&ANAHeader{Groups: 2}).Append(nil))),
	}
	for i, name := range slices.Sorted(maps.Keys(lists)) {
		structure[name] = append([]byte{byte(len(types) + i)}, values[name]...)
	}
	for _, s := range authSamples() {
		auth[s.name] = s.value.Append(nil)
	}
	return map[string]map[string][]byte{"FuzzPDU": pdu, "FuzzStructure": structure, "FuzzAuth": auth}
}

// TestSeeds keeps the files under testdata/fuzz equal to what seeds gives;
// -update writes them. Files with other names, which are findings of the fuzzer,
// stay.
func TestSeeds(t *testing.T) {
	for target, files := range seeds() {
		dir := filepath.Join("testdata", "fuzz", target)
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, b := range files {
			content := fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", b)
			path := filepath.Join(dir, strings.ReplaceAll(name, ",", "_"))
			if *update {
				if err := os.WriteFile(path, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s is not up to date (%v); run go test -run Seeds -update", path, err)
			}
		}
	}
}
