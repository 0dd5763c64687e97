package wire

import (
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"testing"
)

var update = flag.Bool("update", false, "write testdata from the code's output")

// fieldInfo is the test's own list of the fields, in order: doc.go's field
// table and every per-field test are checked against it.
var fieldInfo = []struct {
	bit  field
	name string
	size string
}{
	{fName, "name", "1+n"}, {fLife, "life", "16"}, {fOther, "other", "16"}, {fClaim, "claim", "8"},
	{fInstance, "instance", "8"}, {fLock, "lock", "8"}, {fOp, "op", "4"}, {fMode, "mode", "1"},
	{fFlags, "flags", "4"}, {fStatus, "status", "1"}, {fBits, "bits", "1"}, {fHops, "hops", "1"},
	{fSince, "since", "1"}, {fNum, "num", "4"}, {fReq, "req", "8"}, {fToken, "token", "8"},
	{fSeq, "seq", "8"}, {fIdle, "idle", "8"}, {fWait, "wait", "8"}, {fFeatures, "features", "8"}, {fOwner, "owner", "8"}, {fValue, "value", "2+n"},
	{fText, "text", "2+n"}, {fLocks, "locks", "2+26*n"}, {fRanges, "ranges", "2+25*n"}, {fEntries, "entries", "2+n"},
	{fPath, "path", "2+n"},
}

// allTypes lists the known types in rising order.
func allTypes() []Type {
	var ts []Type
	for i := range fields {
		if fields[i] != 0 {
			ts = append(ts, Type(i))
		}
	}
	return ts
}

// pattern gives n bytes that all differ from their neighbours.
func pattern(first byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = first + byte(i)
	}
	return p
}

// pruned gives a message of type t with the fields f of m.
func pruned(m Msg, t Type, f field) Msg {
	out := Msg{Type: t}
	set := map[field]func(){
		fName: func() { out.Name = m.Name }, fLife: func() { out.Life = m.Life },
		fOther: func() { out.Other = m.Other }, fClaim: func() { out.Claim = m.Claim },
		fInstance: func() { out.Instance = m.Instance }, fLock: func() { out.Lock = m.Lock },
		fOp: func() { out.Op = m.Op }, fMode: func() { out.Mode = m.Mode },
		fFlags: func() { out.Flags = m.Flags }, fStatus: func() { out.Status = m.Status },
		fBits: func() { out.Bits = m.Bits }, fHops: func() { out.Hops = m.Hops },
		fSince: func() { out.Since = m.Since }, fNum: func() { out.Num = m.Num },
		fReq: func() { out.Req = m.Req }, fToken: func() { out.Token = m.Token },
		fSeq: func() { out.Seq = m.Seq }, fIdle: func() { out.Idle = m.Idle }, fWait: func() { out.Wait = m.Wait },
		fFeatures: func() { out.Features = m.Features }, fOwner: func() { out.Owner = m.Owner }, fValue: func() { out.Value = m.Value },
		fText: func() { out.Text = m.Text }, fLocks: func() { out.Locks = m.Locks },
		fRanges:  func() { out.Ranges = m.Ranges },
		fEntries: func() { out.Entries = m.Entries },
		fPath:    func() { out.Path = m.Path },
	}
	for bit, copyField := range set {
		if f&bit != 0 {
			copyField()
		}
	}
	return out
}

// sample gives a message of type t with all its fields filled, each with a
// value that no other field has.
func sample(t Type) Msg {
	locks := LockList(nil).
		Append(LockRec{Lock: 0xe1e2e3e4e5e6e7e8, Op: 0xf1f2f3f4, Flags: 0xd1d2d3d4, Owner: 0xd5d6d7d8d9dadbdc, Granted: 5, Wanted: NoMode}).
		Append(LockRec{Lock: 0xc1c2c3c4c5c6c7c8, Op: 0xb1b2b3b4, Flags: 0xa1a2a3a4, Owner: 0xa5a6a7a8a9aaabac, Granted: NoMode, Wanted: 1})
	ranges := RangeList(nil).
		Append(RangeRec{Owner: 0x2223242526272829, Start: 0x3233343536373839, End: 0x4243444546474849, Type: 2}).
		Append(RangeRec{Owner: 0x5253545556575859, Start: 0x6263646566676869, End: 1<<63 - 1, Type: 1})
	return pruned(Msg{
		Status: 12, Mode: 3, Bits: 0x15, Hops: 0x16, Since: 0x2a,
		Flags: 0x21222324, Op: 0x31323334, Num: 0x41424344, Claim: 0x5152535455565758,
		Life: Life{0x6162636465666768, 0x7172737475767778}, Other: Life{0x8182838485868788, 0x9192939495969798},
		Instance: 0x0102030405060708, Lock: 0x1112131415161718, Req: 0x191a1b1c1d1e1f20,
		Token: 0x292a2b2c2d2e2f30, Seq: 0x393a3b3c3d3e3f40, Idle: 0x494a4b4c4d4e4f50,
		Wait: 0x9a9b9c9d9e9fa0a1, Features: 0x595a5b5c5d5e5f60, Owner: 0x696a6b6c6d6e6f70, Name: []byte("a/name"), Value: pattern(0xf0, 8),
		Text: []byte("some text"), Locks: locks, Ranges: ranges, Path: samplePath(),
		Entries: EntryList(nil).Append([]byte("an/entry"), Life{0xa5a6a7a8, 0xb5b6b7b8}).Append([]byte("b"), Life{1, 2}),
	}, t, fields[t])
}

// random gives a valid message of type t.
func random(r *rand.Rand, t Type) Msg {
	block := func(low, high int) []byte {
		n := low + r.IntN(high-low+1)
		if n == 0 {
			return nil
		}
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		return p
	}
	mode := func() uint8 {
		if m := uint8(r.IntN(maxMode + 2)); m <= maxMode {
			return m
		}
		return NoMode
	}
	m := Msg{
		Status: Status(r.IntN(int(lastStatus) + 1)), Mode: uint8(r.IntN(maxMode + 1)), Bits: uint8(r.Uint32()),
		Hops: uint8(r.Uint32()), Since: uint8(r.IntN(1 << 6)), Flags: r.Uint32(), Op: r.Uint32(), Num: r.Uint32(),
		Claim: r.Uint64(), Life: Life{r.Uint64(), r.Uint64()}, Other: Life{r.Uint64(), r.Uint64()},
		Instance: r.Uint64(), Lock: r.Uint64(), Req: r.Uint64(), Token: r.Uint64(), Seq: r.Uint64(),
		Idle: r.Uint64(), Wait: r.Uint64(), Features: r.Uint64(), Owner: r.Uint64(),
		Name: block(1, MaxName), Value: block(0, MaxValue), Text: block(0, MaxText),
	}
	if fields[t]&fNoMode != 0 {
		m.Mode = mode()
	}
	for range r.IntN(20) {
		m.Locks = m.Locks.Append(LockRec{r.Uint64(), r.Uint32(), r.Uint32(), r.Uint64(), mode(), mode()})
	}
	for range r.IntN(20) {
		start := r.Int64()
		m.Path = appendRandomEdge(r, m.Path)
		m.Ranges = m.Ranges.Append(RangeRec{r.Uint64(), start, start | r.Int64(), uint8(r.IntN(maxRangeType + 1))})
	}
	for range r.IntN(4) {
		m.Entries = m.Entries.Append(block(1, MaxName), Life{r.Uint64(), r.Uint64()})
	}
	return pruned(m, t, fields[t])
}

func samplePath() Path {
	return Path(nil).Append(&Edge{
		Name: []byte("one"), Life: Life{0x0f0e0d0c0b0a0908, 0x1f1e1d1c1b1a1918},
		Waiter:  Party{0x2f2e2d2c2b2a2928, 0x3f3e3d3c3b3a3938, 0x43424140, 0x4f4e4d4c4b4a4948, 5, 0, 0},
		Blocker: Party{0x5f5e5d5c5b5a5958, 0x6f6e6d6c6b6a6968, 0x73727170, 0x7f7e7d7c7b7a7978, 3, 0, 0}, Ahead: true,
	}).Append(&Edge{
		Name: []byte("the other"), Life: Life{0x8f8e8d8c8b8a8988, 0x9f9e9d9c9b9a9998},
		Waiter: Party{1, 2, 3, 4, 0, 0, 0}, Blocker: Party{5, 6, 7, 8, 1, 0, 0},
	}).Append(&Edge{
		Name: []byte("bytes"), Life: Life{2, 3}, Bytes: true,
		Waiter: Party{1, 2, 3, 4, 3, 0, math.MaxInt64}, Blocker: Party{5, 6, 7, 8, 5, 0x102030405, 0x102030406},
	})
}

func appendRandomEdge(r *rand.Rand, p Path) Path {
	kind := r.IntN(3)
	party := func() Party {
		p := Party{r.Uint64(), r.Uint64(), r.Uint32(), r.Uint64(), uint8(r.IntN(maxMode + 1)), 0, 0}
		if kind == edgeBytes {
			p.Start = r.Int64()
			p.End = p.Start | r.Int64()
		}
		return p
	}
	name := make([]byte, 1+r.IntN(MaxName))
	for i := range name {
		name[i] = byte(r.Uint32())
	}
	return p.Append(&Edge{
		Name: name, Life: Life{r.Uint64(), r.Uint64()}, Waiter: party(), Blocker: party(),
		Ahead: kind == edgeAhead, Bytes: kind == edgeBytes,
	})
}

// sampleHeader has a distinct value in each field.
func sampleHeader() Header {
	return Header{
		Version: 1, Kind: KindClient, Flags: FlagCompressed, Length: 0x0a0b0c, Count: 0x1112, Shard: 0x2122,
		Lockspace: 0x31323334, CRC: 0x41424344, Epoch: 0x5152535455565758, Instance: 0x6162636465666768,
		Clock: 0x7172737475767778, Seq: 0x8182838485868788, Ack: 0x9192939495969798,
	}
}

// buildFrame makes a sealed frame of the messages, compressed if packed.
func buildFrame(h Header, packed bool, msgs ...Msg) []byte {
	buf := ReserveHeader(nil)
	for i := range msgs {
		buf = msgs[i].Append(buf)
	}
	h.Version, h.Count = VersionMax, uint16(len(msgs))
	if packed {
		buf = Compress(buf, &h, nil)
	}
	SealFrame(buf, &h)
	return buf
}

// manyNotifies gives n messages that differ a little and compress well.
func manyNotifies(n int) []Msg {
	msgs := make([]Msg, n)
	for i := range msgs {
		msgs[i] = Msg{Type: Notify, Name: []byte("inode/0000000000012345ab"), Life: Life{0x10001, uint64(i)}, Claim: uint64(i)}
	}
	return msgs
}

func TestSampleFieldsDiffer(t *testing.T) {
	// A field left out or mixed up by sample would weaken all golden tests.
	for _, typ := range allTypes() {
		m := sample(typ)
		enc := m.Append(nil)
		for _, info := range fieldInfo {
			if fields[typ]&info.bit == 0 {
				continue
			}
			without := pruned(m, typ, fields[typ]&^info.bit)
			if bytes.Equal(without.Append(nil), enc) {
				t.Errorf("%v: field %s makes no difference", typ, info.name)
			}
		}
	}
}
