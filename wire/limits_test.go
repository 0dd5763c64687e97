package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// largest gives a message of type t with all its lists at their limits.
func largest(t Type) Msg {
	m := Msg{Name: pattern(1, MaxName), Value: pattern(1, MaxValue), Text: pattern(1, MaxText)}
	for range MaxLocks {
		m.Locks = m.Locks.Append(LockRec{Lock: 7, Granted: 5, Wanted: NoMode})
	}
	for range MaxEdges {
		m.Path = m.Path.Append(&Edge{Name: pattern(1, MaxName), Waiter: Party{Mode: 5}, Bytes: true})
	}
	for range MaxRanges {
		m.Ranges = m.Ranges.Append(RangeRec{Owner: 7, End: 1<<63 - 1, Type: 2})
	}
	for range MaxEntries / (1 + MaxName + lifeSize) {
		m.Entries = m.Entries.Append(pattern(1, MaxName), Life{1, 2})
	}
	return pruned(m, t, fields[t])
}

func TestLimitsReached(t *testing.T) {
	for _, typ := range allTypes() {
		m := largest(typ)
		enc := m.Append(nil)
		if len(enc) > 1<<16-1 {
			t.Errorf("%v can have %d bytes, more than its length field holds", typ, len(enc))
		}
		var got Msg
		if _, err := got.Decode(enc); err != nil {
			t.Errorf("%v at all limits: %v", typ, err)
		}
	}
}

func TestAppendOverLimit(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Msg
		text string // of the panic
	}{
		{"name", Msg{Type: Notify, Name: make([]byte, MaxName+1)}, "name of 65"},
		{"value", Msg{Type: Grant, Value: make([]byte, MaxValue+1)}, "value of 257"},
		{"text", Msg{Type: Hello, Text: make([]byte, MaxText+1)}, "text of 1025"},
		{"locks", Msg{Type: Adopt, Locks: make([]byte, (MaxLocks+1)*LockRecSize)}, "lock list of 513"},
		{"half lock", Msg{Type: Adopt, Locks: make([]byte, LockRecSize+1)}, "piece of a lock record of 1"},
		{"ranges", Msg{Type: RangeOp, Ranges: make([]byte, (MaxRanges+1)*RangeRecSize)}, "range list of 1025"},
		{"path", Msg{Type: Chase, Path: make([]byte, maxPathBytes+1)}, "path of 5505"},
		{"half range", Msg{Type: RangeOp, Ranges: make([]byte, RangeRecSize+1)}, "piece of a range record of 1"},
		{"entries", Msg{Type: Return, Entries: make([]byte, MaxEntries+1)}, "list of entries of 16385"},
		{"type", Msg{Type: 63}, "no message type 63"},
		{"type 0", Msg{}, "no message type 0"},
	} {
		wantPanic(t, c.name, c.text, func() { c.m.Append(nil) })
	}
	payload := make([]byte, HeaderSize+MaxPayload+1)
	wantPanic(t, "seal", "payload of 1048577", func() { SealFrame(payload, &Header{}) })
	wantPanic(t, "compress", "payload of 1048577", func() { Compress(payload, &Header{}, nil) })
	wantPanic(t, "count", "message count of 16385", func() { SealFrame(payload[:HeaderSize], &Header{Count: MaxMessages + 1}) })
	SealFrame(payload[:HeaderSize+MaxPayload], &Header{Count: MaxMessages}) // at the limits
}

func wantPanic(t *testing.T, name, text string, f func()) {
	t.Helper()
	defer func() {
		if got, _ := recover().(string); !strings.Contains(got, text) {
			t.Errorf("%s: panic %q, want %q", name, got, text)
		}
	}()
	f()
}

// patched gives the message with the bytes from at on replaced.
func patched(m Msg, at int, with ...byte) []byte {
	enc := m.Append(nil)
	copy(enc[at:], with)
	return enc
}

// withLength sets the length field to the real length.
func withLength(enc []byte) []byte {
	binary.LittleEndian.PutUint16(enc[2:], uint16(len(enc)))
	return enc
}

// badMessages is one message for each thing that Decode refuses.
func badMessages() map[string]badBytes {
	notify, grant, denied, hello := sample(Notify), sample(Grant), sample(Denied), sample(Hello)
	adopt := sample(Adopt)
	ping := sample(Ping)
	nameEnd := msgHeaderSize + 1 + len(grant.Name)
	modeAt := nameEnd + 16 + 8 + 4                        // life, lock, op
	sinceAt := nameEnd + 16 + 16 + 8 + 1                  // life, other, claim, bits
	locksAt := sinceAt + 1 + 8 + 8 + 2 + len(adopt.Value) // since, token, seq, value
	valueAt := len(grant.Append(nil)) - len(grant.Value) - 2
	longName := append([]byte{byte(Notify), 0, 0, 0, MaxName + 1}, make([]byte, MaxName+1+40)...)
	longValue := append(grant.Append(nil)[:valueAt], make([]byte, 2+MaxValue+1)...)
	binary.LittleEndian.PutUint16(longValue[valueAt:], MaxValue+1)
	textAt := msgHeaderSize + 4 + 8
	longText := append(hello.Append(nil)[:textAt], make([]byte, 2+MaxText+1)...)
	binary.LittleEndian.PutUint16(longText[textAt:], MaxText+1)
	longLocks := append(adopt.Append(nil)[:locksAt], make([]byte, 2+(MaxLocks+1)*LockRecSize)...)
	binary.LittleEndian.PutUint16(longLocks[locksAt:], MaxLocks+1)
	rangeReq := sample(RangeReq)
	rangesAt := msgHeaderSize + 8 + 4 + 8  // lock, flags, req
	rangeAt := rangesAt + 2 + RangeRecSize // the second of two
	longRanges := append(rangeReq.Append(nil)[:rangesAt], make([]byte, 2+(MaxRanges+1)*RangeRecSize)...)
	binary.LittleEndian.PutUint16(longRanges[rangesAt:], MaxRanges+1)
	ret := Msg{Type: Return, Name: []byte("k"), Entries: EntryList(nil).Append([]byte("k1"), Life{1, 2})}
	entryAt := msgHeaderSize + 2 + 4 + 8 + 2 // name, num, seq, length
	longEntries := append(ret.Append(nil)[:entryAt-2], make([]byte, 2+MaxEntries+1)...)
	binary.LittleEndian.PutUint16(longEntries[entryAt-2:], MaxEntries+1)
	lastLock := locksAt + 2 + LockRecSize // adopt has two

	chase := Msg{Type: Chase, Path: samplePath()[:edgeSize+3]}
	pathAt := msgHeaderSize + 4 + 2
	shortPath := append(chase.Append(nil), make([]byte, edgeSize-1)...)
	binary.LittleEndian.PutUint16(shortPath[pathAt-2:], uint16(2*edgeSize+2))
	longPath := chase.Append(nil)
	for range MaxEdges {
		longPath = append(longPath, chase.Path...)
	}
	binary.LittleEndian.PutUint16(longPath[pathAt-2:], uint16((MaxEdges+1)*len(chase.Path)))
	hugePath := append(chase.Append(nil)[:pathAt], make([]byte, maxPathBytes+1)...)
	binary.LittleEndian.PutUint16(hugePath[pathAt-2:], maxPathBytes+1)

	bytes := Msg{Type: Chase, Path: Path(nil).Append(&Edge{Name: []byte("b"), Bytes: true, Waiter: Party{Start: 4, End: 5}})}
	startAt := pathAt + edgeSize + 1
	shortRanges := bytes.Append(nil)
	shortRanges = shortRanges[:len(shortRanges)-1]
	binary.LittleEndian.PutUint16(shortRanges[pathAt-2:], uint16(edgeSize+edgeRanges))

	return map[string]badBytes{
		"nothing":          {nil, ErrTruncated},
		"half_header":      {[]byte{4, 0, 4}, ErrTruncated},
		"type_0":           {[]byte{0, 0, 4, 0}, ErrType},
		"type_unknown":     {patched(notify, 0, 63), ErrType},
		"reserved":         {patched(notify, 1, 1), ErrField},
		"length_3":         {patched(notify, 2, 3, 0), ErrTruncated},
		"length_over":      {patched(ping, 2, 9, 0), ErrTruncated},
		"length_short":     {patched(ping, 2, 7, 0), ErrTruncated},
		"trailing":         {withLength(append(ping.Append(nil), 0)), ErrTrailing},
		"name_empty":       {withLength(append([]byte{byte(Notify), 0, 0, 0, 0}, make([]byte, 40)...)), ErrField},
		"name_absent":      {[]byte{byte(Notify), 0, 4, 0}, ErrTruncated},
		"name_65":          {withLength(longName), ErrTooLarge},
		"name_255":         {patched(notify, 4, 255), ErrTooLarge},
		"value_257":        {withLength(longValue), ErrTooLarge},
		"value_over":       {patched(grant, valueAt, 255, 0), ErrTruncated},
		"text_1025":        {withLength(longText), ErrTooLarge},
		"locks_513":        {withLength(longLocks), ErrTooLarge},
		"locks_over":       {patched(adopt, locksAt, 3, 0), ErrTruncated},
		"entries_16385":    {withLength(longEntries), ErrTooLarge},
		"entry_name_empty": {patched(ret, entryAt, 0), ErrField},
		"entry_name_65":    {patched(ret, entryAt, 65), ErrField},
		"entry_short":      {patched(ret, entryAt, 3), ErrTruncated},
		"mode_6":           {patched(grant, modeAt, 6), ErrField},
		"mode_none":        {patched(grant, modeAt, NoMode), ErrField},
		"denied_mode_6":    {patched(denied, modeAt, 6), ErrField},
		"denied_mode_254":  {patched(denied, modeAt, 254), ErrField},
		"status_over":      {patched(denied, modeAt+1, byte(lastStatus)+1), ErrField},
		"status_255":       {patched(denied, modeAt+1, 255), ErrField},
		"since_bit_6":      {patched(adopt, sinceAt, 1<<6), ErrField},
		"since_bit_7":      {patched(adopt, sinceAt, 1<<7), ErrField},
		"lock_granted_6":   {patched(adopt, locksAt+2+24, 6), ErrField},
		"lock_wanted_254":  {patched(adopt, locksAt+2+25, 254), ErrField},
		"lock2_granted_64": {patched(adopt, lastLock+24, 64), ErrField},
		"lock2_wanted_6":   {patched(adopt, lastLock+25, 6), ErrField},
		"path_name_65":     {patched(chase, pathAt+edgeSize-1, 65), ErrTooLarge},
		"path_name_empty":  {patched(chase, pathAt+edgeSize-1, 0), ErrField},
		"path_name_over":   {patched(chase, pathAt+edgeSize-1, 64, 0), ErrTruncated},
		"path_kind_3":      {patched(chase, pathAt, 3), ErrField},
		"path_wanted_6":    {patched(chase, pathAt+16+partySize, 6), ErrField},
		"path_blocker_255": {patched(chase, pathAt+16+2*partySize, 255), ErrField},
		"path_half_edge":   {withLength(shortPath), ErrTruncated},
		"path_33":          {withLength(longPath), ErrTooLarge},
		"path_over":        {patched(chase, pathAt-2, 255, 0), ErrTruncated},
		"path_start_neg":   {patched(bytes, startAt+7, 0x80), ErrField},
		"path_end_before":  {patched(bytes, startAt+8, 3), ErrField},
		"path_end_neg":     {patched(bytes, startAt+31, 0x80), ErrField},
		"path_half_ranges": {withLength(shortRanges), ErrTruncated},
		"path_5505":        {withLength(hugePath), ErrTooLarge},
		"ranges_1025":      {withLength(longRanges), ErrTooLarge},
		"ranges_over":      {patched(rangeReq, rangesAt, 3, 0), ErrTruncated},
		"range_start_neg":  {patched(rangeReq, rangeAt+15, 0x80), ErrField},
		"range_end_neg":    {patched(rangeReq, rangeAt+23, 0x80), ErrField},
		"range_end_before": {patched(rangeReq, rangeAt+23, 0x00), ErrField},
		"range_type_3":     {patched(rangeReq, rangeAt+24, 3), ErrField},
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range badMessages() {
		var m Msg
		if n, err := m.Decode(c.enc); !errors.Is(err, c.want) || n != 0 {
			t.Errorf("%s: %d, %v; want %v", name, n, err, c.want)
		}
	}
}

func TestNoModeWhereLegal(t *testing.T) {
	for _, typ := range allTypes() {
		if fields[typ]&fMode == 0 {
			continue
		}
		legal := typ == Denied || typ == Ast || typ == DeadlockAst
		m := sample(typ)
		m.Mode = NoMode
		var got Msg
		if _, err := got.Decode(m.Append(nil)); (err == nil) != legal {
			t.Errorf("%v with no mode: %v, legal is %v", typ, err, legal)
		}
	}
}

// All values of each checked field of each type.
func TestCheckedFieldsAllValues(t *testing.T) {
	for _, typ := range allTypes() {
		for v := range 256 {
			for _, c := range []struct {
				bit field
				set func(m *Msg)
				ok  bool
			}{
				{fMode, func(m *Msg) { m.Mode = uint8(v) }, v <= 5 || v == 255 && (typ == Denied || typ == Ast || typ == DeadlockAst)},
				{fStatus, func(m *Msg) { m.Status = Status(v) }, v <= int(lastStatus)},
				{fSince, func(m *Msg) { m.Since = uint8(v) }, v < 64},
				{fBits, func(m *Msg) { m.Bits = uint8(v) }, true},
			} {
				if fields[typ]&c.bit == 0 {
					continue
				}
				m := sample(typ)
				c.set(&m)
				var got Msg
				if _, err := got.Decode(m.Append(nil)); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrField) {
					t.Fatalf("%v, field %#x = %d: %v, want ok %v", typ, c.bit, v, err, c.ok)
				}
			}
		}
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	for _, typ := range allTypes() {
		m := sample(typ)
		enc := m.Append(nil)
		for n := range len(enc) {
			var got Msg
			// As if the rest were still under way: the length field is too long.
			if _, err := got.Decode(enc[:n:n]); !errors.Is(err, ErrTruncated) {
				t.Fatalf("%v cut to %d of %d bytes: %v", typ, n, len(enc), err)
			}
			// As if the sender had meant it so: the length field agrees.
			if n >= msgHeaderSize {
				if _, err := got.Decode(withLength(bytes.Clone(enc[:n]))); !errors.Is(err, ErrTruncated) {
					t.Fatalf("%v of %d bytes, should have %d: %v", typ, n, len(enc), err)
				}
			}
		}
	}
}

func TestParseHeaderRefuses(t *testing.T) {
	good := sampleHeader()
	for name, c := range badHeaders() {
		var h Header
		if err := ParseHeader(c.enc, &h); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	good.Length, good.Count = MaxPayload, MaxMessages
	var enc [HeaderSize]byte
	PutHeader(enc[:], &good)
	var h Header
	if err := ParseHeader(enc[:], &h); err != nil || h != good {
		t.Errorf("header at its limits: %+v, %v", h, err)
	}
	for n := range HeaderSize {
		if err := ParseHeader(enc[:n:n], &h); !errors.Is(err, ErrTruncated) {
			t.Errorf("header of %d bytes: %v", n, err)
		}
	}
}

type badBytes struct {
	enc  []byte
	want error
}

// badHeaders is one header for each thing that ParseHeader refuses.
func badHeaders() map[string]badBytes {
	make1 := func(change func(h *Header)) []byte {
		h := sampleHeader()
		change(&h)
		enc := make([]byte, HeaderSize)
		PutHeader(enc, &h)
		return enc
	}
	magic := make1(func(*Header) {})
	magic[3] ^= 0x20
	return map[string]badBytes{
		"short":        {magic[:HeaderSize-1], ErrTruncated},
		"magic":        {magic, ErrMagic},
		"version_0":    {make1(func(h *Header) { h.Version = VersionMin - 1 }), ErrVersion},
		"version_next": {make1(func(h *Header) { h.Version = VersionMax + 1 }), ErrVersion},
		"kind_0":       {make1(func(h *Header) { h.Kind = 0 }), ErrKind},
		"kind_6":       {make1(func(h *Header) { h.Kind = 6 }), ErrKind},
		"flag_1":       {make1(func(h *Header) { h.Flags = 1 << 1 }), ErrFlags},
		"flag_15":      {make1(func(h *Header) { h.Flags |= 1 << 15 }), ErrFlags},
		"payload_over": {make1(func(h *Header) { h.Length = MaxPayload + 1 }), ErrTooLarge},
		"payload_4g":   {make1(func(h *Header) { h.Length = 1<<32 - 1 }), ErrTooLarge},
		"count_over":   {make1(func(h *Header) { h.Count = MaxMessages + 1 }), ErrTooLarge},
	}
}
