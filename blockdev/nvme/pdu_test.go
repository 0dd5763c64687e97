package nvme

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
)

// TestPDUByHand does not trust any code for the layout: the specification's
// figures written out.
func TestPDUByHand(t *testing.T) {
	zeros := func(n int) string { return hex.EncodeToString(make([]byte, n)) }
	dig := Format{HeaderDigest: true, DataDigest: true}
	cmd := Command{CID: 0x0201}
	cmd.SetIO(OpRead, &IO{NSID: 0x14131211, LBA: 0x2827262524232221, Blocks: 0x3132})
	cmd.SetData(0x44434241, false)
	read := "02400102" + "11121314" + zeros(8) + zeros(8) + zeros(8) + "41424344" + "0000005a" +
		"21222324" + "25262728" + "31310000" + zeros(12)
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"ICReq": {(&ICReq{HPDA: 3, HeaderDigest: true, DataDigest: true, MaxR2T: 0x14131211}).Append(nil),
			"00008000" + "80000000" + "0000" + "03" + "03" + "11121314" + zeros(112)},
		"ICResp": {(&ICResp{CPDA: 4, DataDigest: true, MaxH2CData: 0x14131210}).Append(nil),
			"01008000" + "80000000" + "0000" + "04" + "02" + "10121314" + zeros(112)},
		"H2CTermReq": {(&TermReq{Status: 1, Info: 0x14131211, PDU: []byte{0xee}}).Append(nil, Host),
			"02001800" + "19000000" + "0100" + "11121314" + zeros(10) + "ee"},
		"CapsuleCmd": {Format{}.AppendCommand(nil, &cmd, 0), "04004800" + "48000000" + read},
		"CapsuleCmd with 4 bytes": {Format{Align: 4}.AppendCommand(nil, &cmd, 4),
			"04004850" + "54000000" + read + zeros(8)}, // 5*4 bytes: the data begins at 80
		"CapsuleResp": {Format{}.AppendCompletion(nil, &Completion{Result: 0x1817161514131211, SQHead: 0x2221, CID: 0x3231,
			Status: DNR | StatusReservation}), "05001800" + "18000000" + "1112131415161718" + "2122" + "0000" + "3132" + "0681"},
		"R2T": {Format{}.AppendR2T(nil, &R2T{CID: 0x1211, TTag: 0x2221, Offset: 0x34333231, Length: 0x44434241}),
			"09001800" + "18000000" + "1112" + "2122" + "31323334" + "41424344" + zeros(4)},
		"H2CData": {Format{}.AppendH2C(nil, &Data{CID: 0x1211, TTag: 0x2221, Offset: 0x34333231, Length: 0x41}, FlagLast),
			"06041818" + "59000000" + "1112" + "2122" + "31323334" + "41000000" + zeros(4)},
		"C2HData, digests": {dig.AppendC2H(nil, &Data{CID: 0x1211, Offset: 0x34333231, Length: 0x41}, FlagLast|FlagSuccess)[:24],
			"070f181c" + "61000000" + "1112" + "0000" + "31323334" + "41000000" + zeros(4)},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is\n%s, want\n%s", name, got, c.want)
		}
	}
}

// TestDigest: the check value of CRC32C, and RFC 3720's 32 zeros.
func TestDigest(t *testing.T) {
	if got := Digest(0, []byte("123456789")); got != 0xe3069283 {
		t.Errorf("digest is %#08x", got)
	}
	if got := AppendDigest(nil, Digest(Digest(0, zeros[:11]), zeros[:21])); hex.EncodeToString(got) != "aa36918a" {
		t.Errorf("digest of 32 zeros, in two pieces, is %x", got)
	}
	if !DataDigestOK(0x8a9136aa, []byte{0xaa, 0x36, 0x91, 0x8a}) || DataDigestOK(0x8a9136ab, []byte{0xaa, 0x36, 0x91, 0x8a}) ||
		DataDigestOK(0, []byte{0, 0, 0}) {
		t.Error("DataDigestOK")
	}
}

// receive takes a PDU apart as doc.go says, and gives its data.
func receive(f Format, role Role, b []byte) (h Header, data []byte, err error) {
	r := Receiver{Role: role, Format: f, MaxData: 1 << 20}
	if err := r.ParseHeader(b, &h); err != nil {
		return h, nil, err
	}
	if err := CheckHeaderDigest(&h, b); err != nil {
		return h, nil, err
	}
	rest := b[h.HeaderLen()+h.Padding():]
	data, trailer := rest[:h.DataLen()], rest[h.DataLen():]
	if h.Flags&FlagDataDigest != 0 {
		if !DataDigestOK(Digest(0, data), trailer) {
			return h, nil, StatusTransientTransport
		}
		trailer = trailer[DigestSize:]
	}
	if len(trailer) != 0 {
		return h, nil, errors.New("bytes are left over")
	}
	return h, data, nil
}

func TestReceive(t *testing.T) {
	for _, f := range formats {
		for _, p := range pdus(f) {
			h, data, err := receive(f, p.role, p.bytes)
			if err != nil {
				t.Errorf("%s, %s: %v", p.name, formatName(f), err)
				continue
			}
			switch h.Type {
			case TypeCapsuleCmd, TypeH2CData, TypeC2HData:
				if p.name != "CapsuleCmd,alone" && !bytes.Equal(data, payload) || p.name == "CapsuleCmd,alone" && len(data) != 0 {
					t.Errorf("%s, %s: data is %q", p.name, formatName(f), data)
				}
			case TypeH2CTermReq, TypeC2HTermReq:
				var r TermReq
				if err := r.Decode(p.bytes); err != nil || r.Status != FatalHeaderDigest || r.Info != 0x11223344 || len(r.PDU) != 8 {
					t.Errorf("%s is %+v, %v", p.name, r, err)
				}
			default:
				if len(data) != 0 {
					t.Errorf("%s, %s: data is %q", p.name, formatName(f), data)
				}
			}
			// Each bit of the digested parts counts.
			if f.HeaderDigest && h.Type.hasDigests() {
				for i := HeaderSize; i < h.HeaderLen(); i++ {
					bad := bytes.Clone(p.bytes)
					bad[i] ^= 0x10
					wantFatal(t, p.name, FatalHeaderDigest, func() error { _, _, err := receive(f, p.role, bad); return err })
				}
			}
			if h.Flags&FlagDataDigest != 0 {
				bad := bytes.Clone(p.bytes)
				bad[len(bad)-1] ^= 1
				if _, _, err := receive(f, p.role, bad); !errors.Is(err, StatusTransientTransport) {
					t.Errorf("%s with a bad data digest: %v", p.name, err)
				}
			}
		}
	}
}

func wantFatal(t *testing.T, what string, want FatalStatus, f func() error) {
	t.Helper()
	var fatal *FatalError
	if err := f(); !errors.As(err, &fatal) || fatal.Status != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestDataBody: what Data and R2T judge beyond the common header.
func TestDataBody(t *testing.T) {
	f := Format{}
	good := withData(f, f.AppendH2C(nil, &Data{CID: 1, TTag: 2, Offset: 1<<32 - 16, Length: 16}, 0))
	h, _, err := receive(f, Controller, good)
	var d Data
	if err != nil || d.Decode(&h, good) != nil || d != (Data{CID: 1, TTag: 2, Offset: 1<<32 - 16, Length: 16}) {
		t.Fatalf("%+v, %v", d, err)
	}
	at := func(offset int, v uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[offset:], v)
		return b
	}
	wantFatal(t, "length", FatalHeaderField, func() error { return d.Decode(&h, at(16, 17)) })
	wantFatal(t, "range", FatalDataRange, func() error { return d.Decode(&h, at(12, 1<<32-15)) })
	var r R2T
	b := f.AppendR2T(nil, &R2T{Offset: 1<<32 - 16, Length: 17})
	wantFatal(t, "R2T range", FatalDataRange, func() error { return r.Decode(b) })
	b = f.AppendR2T(nil, &R2T{Offset: 1})
	wantFatal(t, "R2T of nothing", FatalHeaderField, func() error { return r.Decode(b) })
	for _, n := range []int{0, DataSize - 1} {
		wantFatal(t, "short", FatalHeaderField, func() error { return d.Decode(&h, good[:n:n]) })
		wantFatal(t, "short", FatalHeaderField, func() error { return r.Decode(good[:n:n]) })
	}
}

// TestBadHeader: each way in which a common header can be wrong, with the offset
// that the TermReq names.
func TestBadHeader(t *testing.T) {
	none, both := Format{}, Format{HeaderDigest: true, DataDigest: true}
	for name, c := range map[string]struct {
		role Role
		f    Format
		h    Header
		want FatalStatus
		info uint32
	}{
		"type 8":                   {Host, none, Header{8, 0, 24, 0, 24}, FatalHeaderField, 0},
		"type 10":                  {Host, none, Header{10, 0, 24, 0, 24}, FatalHeaderField, 0},
		"type 255":                 {Host, none, Header{255, 0, 24, 0, 24}, FatalHeaderField, 0},
		"for the other":            {Controller, none, Header{TypeR2T, 0, 24, 0, 24}, FatalHeaderField, 0},
		"hlen":                     {Controller, none, Header{TypeCapsuleCmd, 0, 71, 0, 72}, FatalHeaderField, 2},
		"icreq plen":               {Controller, none, Header{TypeICReq, 0, 128, 0, 129}, FatalHeaderField, 4},
		"termreq short":            {Controller, none, Header{TypeH2CTermReq, 0, 24, 0, 23}, FatalHeaderField, 4},
		"termreq long":             {Controller, none, Header{TypeH2CTermReq, 0, 24, 0, 24 + 129}, FatalHeaderField, 4},
		"digest not agreed":        {Controller, none, Header{TypeCapsuleCmd, 1, 72, 0, 76}, FatalHeaderField, 1},
		"digest missing":           {Controller, both, Header{TypeCapsuleCmd, 0, 72, 0, 72}, FatalHeaderField, 1},
		"data digest not agreed":   {Controller, none, Header{TypeCapsuleCmd, 2, 72, 72, 80}, FatalHeaderField, 1},
		"data digest missing":      {Controller, both, Header{TypeCapsuleCmd, 1, 72, 76, 84}, FatalHeaderField, 1},
		"data digest without data": {Controller, both, Header{TypeCapsuleCmd, 3, 72, 0, 76}, FatalHeaderField, 1},
		"last on a command":        {Controller, none, Header{TypeCapsuleCmd, 4, 72, 0, 72}, FatalHeaderField, 1},
		"reserved flag":            {Host, none, Header{TypeC2HData, 0x10, 24, 24, 28}, FatalHeaderField, 1},
		"success without last":     {Host, none, Header{TypeC2HData, 8, 24, 24, 28}, FatalHeaderField, 1},
		"plen below header":        {Controller, none, Header{TypeCapsuleCmd, 0, 72, 0, 71}, FatalHeaderField, 4},
		"plen without digest":      {Host, both, Header{TypeCapsuleResp, 1, 24, 0, 24}, FatalHeaderField, 4},
		"data behind a completion": {Host, none, Header{TypeCapsuleResp, 0, 24, 24, 28}, FatalHeaderField, 4},
		"pdo in the header":        {Host, none, Header{TypeC2HData, 4, 24, 20, 28}, FatalHeaderField, 3},
		"pdo 0":                    {Host, none, Header{TypeC2HData, 4, 24, 0, 28}, FatalHeaderField, 3},
		"pdo unaligned":            {Host, none, Header{TypeC2HData, 4, 24, 26, 32}, FatalHeaderField, 3},
		"pdo not aligned as asked": {Host, Format{Align: 1}, Header{TypeC2HData, 4, 24, 28, 32}, FatalHeaderField, 3},
		"data digest alone":        {Host, Format{DataDigest: true}, Header{TypeC2HData, 6, 24, 24, 28}, FatalHeaderField, 4},
		"pdo behind the end":       {Host, none, Header{TypeC2HData, 4, 24, 252, 28}, FatalHeaderField, 4},
		"too much data":            {Host, none, Header{TypeC2HData, 4, 24, 24, 24 + 1<<20 + 1}, FatalTransferLimit, 0},
		"4 GiB":                    {Host, none, Header{TypeC2HData, 4, 24, 24, 1<<32 - 1}, FatalTransferLimit, 0},
	} {
		r := Receiver{Role: c.role, Format: c.f, MaxData: 1 << 20}
		var h Header
		err := r.ParseHeader(c.h.Append(nil), &h)
		var fatal *FatalError
		if !errors.As(err, &fatal) || fatal.Status != c.want || fatal.Info != c.info {
			t.Errorf("%s: %v (%+v), want %v at %d", name, err, fatal, c.want, c.info)
		}
	}
}

// TestBadIC: what ICReq and ICResp must say.
func TestBadIC(t *testing.T) {
	req := func(r ICReq) func() error { return func() error { return new(ICReq).Decode(r.Append(nil)) } }
	resp := func(r ICResp) func() error { return func() error { return new(ICResp).Decode(r.Append(nil)) } }
	wantFatal(t, "PFV", FatalUnsupported, req(ICReq{PFV: 1}))
	wantFatal(t, "HPDA", FatalHeaderField, req(ICReq{HPDA: 32}))
	wantFatal(t, "PFV", FatalUnsupported, resp(ICResp{PFV: 1, MaxH2CData: 4096}))
	wantFatal(t, "CPDA", FatalHeaderField, resp(ICResp{CPDA: 32, MaxH2CData: 4096}))
	wantFatal(t, "MAXH2CDATA", FatalHeaderField, resp(ICResp{MaxH2CData: 4092}))
	wantFatal(t, "MAXH2CDATA", FatalHeaderField, resp(ICResp{MaxH2CData: 4098}))
}
