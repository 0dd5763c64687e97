package nvme

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
)

// reject fails if v accepts b, or gives an error of another kind, or is changed.
func reject[T any, P interface {
	*T
	decoder
}](t *testing.T, what string, kind error, b []byte) {
	t.Helper()
	before := filled[T]()
	v := filled[T]()
	if err := P(v).Decode(b); !errors.Is(err, kind) {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
	want(t, v, before)
}

// TestStructuresByHand: some offsets that tshark does not show.
func TestStructuresByHand(t *testing.T) {
	at := func(b []byte, offset int, digits string) {
		t.Helper()
		if got := hex.EncodeToString(b[offset : offset+len(digits)/2]); got != digits {
			t.Errorf("at %d: %s, want %s", offset, got, digits)
		}
	}
	c := (&IdentifyController{IOCCSZ: 0x11121314, IORCSZ: 0x21222324, ICDOFF: 0x3132, FCATT: 0x41, MSDBD: 0x51, OFCS: 0x6162}).Append(nil)
	at(c, 1792, "14131211"+"24232221"+"3231"+"41"+"51"+"6261")
	at((&IdentifyNVMController{VSL: 1, WZSL: 2, WUSL: 3, DMRL: 4, DMRSL: 5, DMSL: 6}).Append(nil), 0, "0102030405000000"+"0600000000000000")
	n := (&IdentifyNamespace{RESCAP: 0xff, FPI: 1, DLFEAT: 9, NAWUN: 2, NOWS: 3, ANAGRPID: 4, NSATTR: 1, ENDGID: 5}).Append(nil)
	at(n, 31, "ff01090200")
	at(n, 72, "0300")
	at(n, 92, "04000000"+"000000"+"01"+"0000"+"0500")
	at((&IdentifyIndependent{RESCAP: 0xff, ANAGRPID: 4, NSATTR: 1, ENDGID: 5, NSTAT: NSReady}).Append(nil), 0,
		"0000ff00"+"04000000"+"0100"+"0000"+"0500"+"01")
	at((&Descriptors{EUI64: [8]byte{1}, NGUID: [16]byte{2}, UUID: [16]byte{3}, WithCSI: true}).Append(nil), 0,
		"01080000"+"0100000000000000"+"02100000"+"02000000000000000000000000000000"+"03100000"+
			"03000000000000000000000000000000"+"04010000"+"00"+"00000000")
	at((&ReservationNotice{Count: 1, Type: ReservationReleased, More: 3, NSID: 4}).Append(nil), 0, "0100000000000000"+"02030000"+"04000000")
	r := ReservationStatus{Generation: 0x11121314, Type: ExclusiveAccess, Persist: true,
		Registrants: []Registrant{{CNTLID: 0x2122, Holder: true, HostID: [16]byte{0x31, 7: 0x38}, Key: 0x4142434445464748}}}
	at(r.Append(nil), 0, "14131211"+"02"+"0100"+"0000"+"01"+"0000000000000000000000000000"+
		"2221"+"01"+"0000000000"+"3100000000000038"+"4847464544434241")
	r.Extended = true
	at(r.Append(nil), 64, "2221"+"01"+"0000000000"+"4847464544434241"+"31000000000000380000000000000000")
	cmd := Command{}
	cmd.SetReservation(OpReservationRegister, &Reservation{Action: ReplaceKey, IgnoreKey: true, Persist: PersistOn, Type: 6}, true)
	want(t, cmd.CDW10, 0xc000000a)
	cmd.SetReservation(OpReservationAcquire, &Reservation{Action: Preempt, Type: ExclusiveAccessAllRegistrants, Persist: PersistOn}, true)
	want(t, cmd.CDW10, 0x601)
	cmd.SetReservation(OpReservationRelease, &Reservation{Action: Clear, Type: WriteExclusive}, true)
	want(t, cmd.CDW10, 0x101)
	want(t, cmd.SGL.Length, 8)
}

func TestReservationCommands(t *testing.T) {
	for _, op := range []Opcode{OpReservationRegister, OpReservationAcquire, OpReservationRelease} {
		r := Reservation{NSID: 0x11121314, Action: PreemptAndAbort, IgnoreKey: true}
		if op == OpReservationRegister {
			r.Persist = PersistOff
		} else {
			r.Type = ExclusiveAccessAllRegistrants
		}
		want(t, travel(t, func(c *Command) { c.SetReservation(op, &r, true) }).Reservation(), r)
	}
	c := travel(t, func(c *Command) { c.SetReport(Report{NSID: 1, Extended: true, Length: 1 << 20}) })
	r, s := c.Report()
	want(t, r, Report{NSID: 1, Extended: true, Length: 1 << 20})
	want(t, s, StatusSuccess)
	c.SGL.Length--
	_, s = c.Report()
	want(t, s, StatusInvalidField|DNR)
	key, err := ReleaseKey(AppendReleaseKey(nil, 0x1122334455667788))
	want(t, key, 0x1122334455667788)
	want(t, err, nil)
	if _, err := ReleaseKey(make([]byte, 7)); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if NoReservation.Valid() || !WriteExclusive.Valid() || !ExclusiveAccessAllRegistrants.Valid() || ReservationType(7).Valid() {
		t.Error("Valid")
	}
}

// TestReservationStatusCut: a host that has asked for less than there is.
func TestReservationStatusCut(t *testing.T) {
	for _, extended := range []bool{false, true} {
		full := sampleStatus(extended)
		b := full.Append(nil)
		if len(b) != full.Size() {
			t.Errorf("%d bytes, Size says %d", len(b), full.Size())
		}
		got := ReservationStatus{Extended: extended}
		if err := got.Decode(b[:len(b)-4]); err != nil || got.Total != 2 || len(got.Registrants) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestNamespaceFormat(t *testing.T) {
	n := sampleNamespace()
	f, err := n.Format()
	if err != nil || f != (LBAFormat{Metadata: 8, Shift: 12, RP: 2}) {
		t.Fatal(f, err)
	}
	for what, change := range map[string]func(n *IdentifyNamespace){
		"format 2":      func(n *IdentifyNamespace) { n.FLBAS = 2 },
		"format 16":     func(n *IdentifyNamespace) { n.FLBAS = 1 << 5 },
		"small blocks":  func(n *IdentifyNamespace) { n.Formats[1].Shift = 8 },
		"no format":     func(n *IdentifyNamespace) { n.Formats[1].Shift = 0 },
		"large blocks":  func(n *IdentifyNamespace) { n.Formats[1].Shift = 32 },
		"too many":      func(n *IdentifyNamespace) { n.NSZE = 1 << 51 },
		"far too many":  func(n *IdentifyNamespace) { n.NSZE = 1<<64 - 1 },
		"format 63 > 1": func(n *IdentifyNamespace) { n.FLBAS = 0xff },
	} {
		bad := *n
		change(&bad)
		if _, err := bad.Format(); !errors.Is(err, ErrField) {
			t.Errorf("%s: %v", what, err)
		}
	}
	n.NSZE = 1<<51 - 1 // the last byte is below 2^63
	n.FLBAS, n.NLBAF, n.Formats[17] = 1<<5|1, 63, n.Formats[1]
	if _, err := n.Format(); err != nil {
		t.Error(err)
	}
	if !n.Active() || (&IdentifyNamespace{}).Active() {
		t.Error("Active")
	}
}

func sampleNamespace() *IdentifyNamespace {
	return &IdentifyNamespace{NSZE: 100, NLBAF: 1, FLBAS: 1 | 1<<4, Formats: [64]LBAFormat{{Shift: 9}, {Metadata: 8, Shift: 12, RP: 2}}}
}

func TestLimits(t *testing.T) {
	for ioccsz, n := range map[uint32]int{0: 0, 3: 0, 4: 0, 5: 16, 260: 4096, 1<<32 - 1: 1<<24 - 64} {
		want(t, (&IdentifyController{IOCCSZ: ioccsz}).CapsuleData(), n)
	}
	for exponent, n := range map[uint8]uint64{0: 0, 5: 128 << 10, 50: 1 << 62, 51: 0, 255: 0} {
		want(t, PagesLimit(exponent, 0), n)
	}
	want(t, PagesLimit(1, 4), 1<<17)
}

func TestBadStructures(t *testing.T) {
	c := sampleController().Append(nil)
	c[768] = 'N'
	reject[IdentifyController](t, "SUBNQN", ErrNQN, c)
	e := sampleEntry().Append(nil)
	clear(e[256:512])
	reject[DiscoveryEntry](t, "empty SUBNQN", ErrNQN, e)
	reject[DiscoveryHeader](t, "RECFMT", ErrField, (&DiscoveryHeader{Format: 1}).Append(nil))

	d := func(head ...byte) []byte { return append(head, make([]byte, IdentifySize-len(head))...) }
	reject[Descriptors](t, "short UUID", ErrField, d(3, 15))
	reject[Descriptors](t, "long CSI", ErrField, d(4, 2))
	end := d(9, 255)
	for i := range 15 {
		copy(end[259*i:], []byte{9, 255}) // 259 bytes each; the next one, at 3885, is past the end
	}
	copy(end[3885:], []byte{9, 255})
	reject[Descriptors](t, "past the end", ErrField, end)
	var got Descriptors
	if err := got.Decode(d(9, 2, 0, 0, 1, 2, 4, 1, 0, 0, 7)); err != nil || got != (Descriptors{CSI: 7, WithCSI: true}) {
		t.Errorf("an unknown descriptor in front: %+v, %v", got, err)
	}

	for what, b := range map[string][]byte{"twice": {5, 0, 0, 0, 5, 0, 0, 0}, "descending": {5, 0, 0, 0, 4, 0, 0, 0}} {
		if err := new(NSIDList).Decode(append(b, make([]byte, IdentifySize)...)); !errors.Is(err, ErrField) {
			t.Errorf("%s: %v", what, err)
		}
	}
	full := make([]uint32, MaxNSIDs+1)
	for i := range full {
		full[i] = uint32(i + 1)
	}
	var l NSIDList
	if err := l.Decode(AppendNSIDs(nil, full)); err != nil || l.Len() != MaxNSIDs || l.At(MaxNSIDs-1) != MaxNSIDs {
		t.Errorf("a full list: %d, %v", l.Len(), err)
	}
	var cl ControllerList
	if err := cl.Decode(AppendControllers(nil, make([]uint16, MaxControllers+1))); err != nil || cl.Len() != MaxControllers {
		t.Errorf("a full list: %d, %v", cl.Len(), err)
	}
	if err := cl.Decode(binary.LittleEndian.AppendUint16(nil, 1)); !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if err := cl.Decode(append([]byte{0, 8}, make([]byte, IdentifySize)...)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	g := (&ANAGroup{ID: 1, NSIDs: NSIDList{1, 0, 0, 0}}).Append(nil)
	for _, n := range []uint32{2, 1 << 30, 1<<32 - 1} {
		binary.LittleEndian.PutUint32(g[4:], n)
		if err := new(ANAGroup).Decode(g); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d namespaces in one: %v", n, err)
		}
	}
}

// TestBadAuth: each way in which a message of authentication can be wrong.
func TestBadAuth(t *testing.T) {
	messages := map[string][]byte{}
	for _, s := range authSamples() {
		messages[s.name] = s.value.Append(nil)
	}
	for what, c := range map[string]struct {
		of     string
		change func(b []byte) []byte
		kind   error
	}{
		"unknown message":      {"AuthSuccess2", func(b []byte) []byte { b[1] = 5; return b }, ErrField},
		"type":                 {"AuthSuccess2", func(b []byte) []byte { b[0] = 0; return b }, ErrField},
		"type of failure":      {"AuthFailure1", func(b []byte) []byte { b[0] = 1; return b }, ErrField},
		"33 protocols":         {"AuthNegotiate", func(b []byte) []byte { b[7] = 33; return b }, ErrTooLarge},
		"2 protocols in 1":     {"AuthNegotiate", func(b []byte) []byte { b[7] = 2; return b }, ErrTruncated},
		"31 hashes":            {"AuthNegotiate", func(b []byte) []byte { b[10] = 31; return b }, ErrField},
		"31 groups":            {"AuthNegotiate", func(b []byte) []byte { b[11] = 31; return b }, ErrField},
		"hash of 31 bytes":     {"AuthChallenge", func(b []byte) []byte { b[6] = 31; return b }, ErrField},
		"another hash":         {"AuthChallenge", func(b []byte) []byte { b[8] = 2; return b }, ErrField},
		"hash 4":               {"AuthChallenge", func(b []byte) []byte { b[8] = 4; return b }, ErrField},
		"another group":        {"AuthChallenge", func(b []byte) []byte { b[9] = 2; return b }, ErrField},
		"group 6":              {"AuthChallenge", func(b []byte) []byte { b[9] = 6; return b }, ErrField},
		"DH value cut":         {"AuthChallenge", func(b []byte) []byte { return b[:len(b)-1] }, ErrTruncated},
		"DH value of 64 KiB":   {"AuthReply", func(b []byte) []byte { b[10], b[11] = 0xff, 0xff; return b }, ErrField},
		"DH value of 257":      {"AuthReply", func(b []byte) []byte { b[10], b[11] = 1, 1; return b }, ErrField},
		"CVALID 2":             {"AuthReply", func(b []byte) []byte { b[8] = 2; return b }, ErrField},
		"hash of 255 bytes":    {"AuthReply", func(b []byte) []byte { b[6] = 255; return b }, ErrField},
		"reply without value":  {"AuthReplyOneWay", func(b []byte) []byte { return b[:16+63] }, ErrTruncated},
		"success of 0 bytes":   {"AuthSuccess1", func(b []byte) []byte { b[6] = 0; return b }, ErrField},
		"success cut":          {"AuthSuccess1", func(b []byte) []byte { return b[:len(b)-1] }, ErrTruncated},
		"success2 of 15 bytes": {"AuthSuccess2", func(b []byte) []byte { return b[:15] }, ErrTruncated},
	} {
		b := c.change(bytes.Clone(messages[c.of]))
		before := AuthMessage{TID: 7}
		m := before
		if err := m.Decode(b); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", what, err, c.kind)
		}
		want(t, m, before)
	}
	// Another protocol in front is passed over.
	other := append(bytes.Clone(messages["AuthNegotiate"]), messages["AuthNegotiate"][8:]...)
	other[7], other[8], other[10] = 2, 0x77, 99
	var m AuthMessage
	if err := m.Decode(other); err != nil || !bytes.Equal(m.Hashes, []byte{1, 2, 3}) {
		t.Errorf("%+v, %v", m, err)
	}
	for h, n := range map[AuthHash]int{0: 0, AuthSHA256: 32, AuthSHA384: 48, AuthSHA512: 64, 4: 0} {
		want(t, h.Size(), n)
	}
	for g, n := range map[AuthGroup]int{AuthGroupNull: 0, AuthGroup2048: 256, AuthGroup8192: 1024, 6: 0} {
		want(t, g.Size(), n)
	}
}
