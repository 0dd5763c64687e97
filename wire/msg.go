package wire

import (
	"encoding/binary"
	"fmt"
)

// Msg is any message: the union of all fields. Which of them travel is fixed
// by Type (see fields). A decoded Msg points into the buffer it was read
// from: Name, Value, Text, Locks, Ranges, Entries and Path live as long as that
// buffer.
type Msg struct {
	Type   Type
	Status Status
	Mode   uint8 // mode requested, granted or wanted
	Bits   uint8 // Bit...
	Hops   uint8 // one-way messages between nodes that this request has waited for
	Since  uint8 // ADOPT: set of modes granted since the claim, 1<<mode

	Flags    uint32 // request flags (kernel: LKF_...); OPEN_SPACE, LINK_SPACE: the range rule
	Op       uint32 // counts the operations of a lock, so that answers find theirs
	Num      uint32 // a small number: lockspace id, value length, version
	Claim    uint64 // node-wide number of a claim
	Life     Life   // life of the name that the message is about; LOOKUP: the one proposed
	Other    Life   // LOOKUP, NOTIFY: life that is gone; REJECT: the present master's; ADOPT: the claimant's; TRACE: the trace ID
	Instance uint64 // FWD: the requester; hello: the sender; WELCOME: the session
	Lock     uint64 // the requester's lock id
	Req      uint64 // client: correlates an answer with its request
	Token    uint64 // fencing token
	Seq      uint64 // version of the value; hello: last frame received; TRACE: the span ID
	Idle     uint64 // ADOPTED: ns since an incompatible mode was held here
	Wait     uint64 // client: ns after which a request that still waits is withdrawn; 0: never
	Features uint64 // feature bits
	Owner    uint64 // who waits as a whole, for deadlock detection; 0: none
	Name     []byte
	Value    []byte
	Text     []byte
	Locks    LockList
	Ranges   RangeList
	Entries  EntryList
	Path     Path
}

// msgHeaderSize is the bytes in front of a message's fields.
const msgHeaderSize = 4

type field uint32

const (
	fName field = 1 << iota
	fLife
	fOther
	fClaim
	fInstance
	fLock
	fOp
	fMode
	fFlags
	fStatus
	fBits
	fHops
	fSince
	fNum
	fReq
	fToken
	fSeq
	fIdle
	fWait
	fFeatures
	fOwner
	fValue
	fText
	fLocks
	fRanges
	fEntries
	fPath

	fNoMode // no field: Mode may also be NoMode

	fBehindFlags = fStatus | fBits | fHops | fSince | fNum | fReq | fToken | fSeq | fIdle | fWait | fFeatures | fOwner
	fTail        = fValue | fText | fLocks | fRanges | fEntries | fPath // own length in front, behind all others
)

// fields gives each message its content. Fields travel in the order of the
// constants above.
var fields = [256]field{
	Lookup:    fName | fLife | fOther | fLock | fOp | fMode | fFlags | fHops | fOwner,
	You:       fName | fLife | fLock | fOp | fHops,
	Fwd:       fName | fLife | fInstance | fLock | fOp | fMode | fFlags | fHops | fOwner,
	Notify:    fName | fLife | fOther | fClaim,
	Confirm:   fName | fLife | fClaim,
	Reject:    fName | fLife | fOther | fClaim,
	Adopt:     fName | fLife | fOther | fClaim | fToken | fSince | fBits | fSeq | fValue | fLocks,
	Adopted:   fName | fLife | fOther | fClaim | fToken | fIdle | fBits | fSeq | fValue,
	Conflict:  fName | fLife | fOther | fClaim | fToken | fIdle,
	Remove:    fName | fLife,
	NotMaster: fName | fLife | fLock | fOp | fHops,
	Request:   fName | fLife | fLock | fOp | fMode | fFlags | fHops | fOwner,
	Convert:   fName | fLife | fLock | fOp | fMode | fFlags | fBits | fHops | fSeq | fValue,
	Unlock:    fName | fLife | fLock | fOp | fFlags | fBits | fSeq | fValue,
	Cancel:    fName | fLife | fLock | fOp,
	Queued:    fName | fLife | fLock | fOp | fHops,
	Denied:    fName | fLife | fLock | fOp | fMode | fStatus | fBits | fHops | fPath | fNoMode,
	Grant:     fName | fLife | fLock | fOp | fMode | fToken | fBits | fHops | fSeq | fValue,
	Bast:      fName | fLife | fLock | fMode,
	Reg:       fName | fLife | fToken | fBits | fSeq | fValue | fLocks,
	Done:      fNum | fSeq,
	Return:    fName | fNum | fSeq | fEntries,
	Stale:     fName | fLife | fClaim | fNum,
	NotDir:    fName | fLife | fClaim | fNum,
	Delegate:  fName | fNum | fSeq | fEntries,
	Retire:    fName | fLife | fInstance | fLock,
	Retired:   fName | fLife | fLock | fStatus,
	Open:      fNum | fSeq,
	Sent:      fNum | fSeq,
	AskRange:  fName,
	NoRange:   fName | fInstance | fStatus,
	Relay: fName | fLife | fOther | fClaim | fInstance | fLock | fOp | fMode | fFlags | fHops | fNum |
		fOwner, // all that LOOKUP, NOTIFY, REMOVE and RETIRE carry
	Purge: fInstance,

	Probe:  fName | fLife | fLock | fOp | fNum | fReq | fPath,
	Chase:  fNum | fPath,
	Verify: fNum | fPath,

	RangeOp:     fName | fLife | fLock | fFlags | fBits | fHops | fReq | fRanges,
	RangeCancel: fName | fLife | fLock | fReq,
	RangeDone:   fName | fLife | fInstance | fLock | fStatus | fHops | fReq | fText | fRanges | fPath,
	RangeReg:    fName | fLife | fLock | fRanges,

	Trace: fName | fOther | fInstance | fLock | fNum | fSeq,

	LinkHello:   fInstance | fNum | fSeq | fFeatures | fText,
	LinkWelcome: fInstance | fNum | fSeq | fFeatures | fText,
	LinkRefuse:  fStatus | fNum | fText,
	LinkAck:     fNum,
	LinkPing:    fNum,
	LinkPong:    fNum,
	LinkSpace:   fFlags | fNum | fText,
	LinkClose:   fText,

	Hello:       fNum | fFeatures | fText,
	Welcome:     fInstance | fNum | fFeatures | fText,
	Refused:     fStatus | fNum | fText,
	OpenSpace:   fFlags | fNum | fReq | fText,
	SpaceOpened: fStatus | fNum | fReq | fText,
	CloseSpace:  fReq,
	SpaceClosed: fStatus | fReq | fText,
	LockReq:     fName | fMode | fFlags | fReq | fWait | fOwner,
	ConvertReq:  fLock | fMode | fFlags | fBits | fReq | fWait | fValue,
	UnlockReq:   fLock | fFlags | fBits | fReq | fValue,
	CancelReq:   fLock | fReq,
	Ast:         fLock | fMode | fStatus | fBits | fHops | fReq | fToken | fSeq | fValue | fText | fNoMode,
	BlockingAst: fLock | fMode,
	Confirmed:   fLock,
	Lost:        fLock | fStatus | fText,
	BarrierReq:  fReq,
	SessionLost: fStatus | fText,
	Ping:        fNum,
	Pong:        fNum,
	LeaseReq:    fReq,
	Lease:       fReq | fWait,
	PurgeReq:    fInstance | fNum | fReq,

	DeadlockAst: fLock | fMode | fStatus | fBits | fHops | fReq | fPath | fNoMode,

	RangeReq:       fLock | fFlags | fReq | fRanges,
	RangeAst:       fInstance | fLock | fStatus | fHops | fReq | fText | fRanges | fPath,
	RangeCancelReq: fLock | fReq,

	DelegateReq: fName | fReq,
	ConflictAst: fName | fNum,
	ReturnReq:   fName | fReq,
	Identity:    fInstance,
	Ring:        fNum,
	TraceReq:    fOther | fNum | fReq | fSeq,
}

// fixedSizes gives for each type the bytes of its fields of fixed size: all but
// Name, Value, Text and the lists. Decode checks their presence at once.
var fixedSizes = func() (sizes [256]uint8) {
	for t, f := range fields {
		for bit := fLife; bit < fValue; bit <<= 1 {
			if f&bit != 0 {
				sizes[t] += bit.size()
			}
		}
	}
	return sizes
}()

// size gives the bytes of a field of fixed size.
func (f field) size() uint8 {
	switch f {
	case fLife, fOther:
		return 16
	case fOp, fFlags, fNum:
		return 4
	case fMode, fStatus, fBits, fHops, fSince:
		return 1
	default:
		return 8
	}
}

// Named says that messages of type t are about a name. Those between nodes that
// are not go to all shards of their lockspace.
func (t Type) Named() bool { return fields[t]&fName != 0 }

// Append encodes m behind dst and returns the extended buffer; it allocates
// only if dst is too small. An unknown type, or a name, value, text or lock list
// over its limit, is a programming error and panics: callers check what comes
// from outside before they build messages. The other rules that Decode enforces
// (name not empty, modes, status) are the caller's to keep.
func (m *Msg) Append(dst []byte) []byte {
	f := fields[m.Type]
	if f == 0 {
		panic(fmt.Sprintf("wire: no message type %d", uint8(m.Type)))
	}
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, byte(m.Type), 0, 0, 0)
	if f&fName != 0 {
		mustFit("name", len(m.Name), MaxName)
		dst = append(append(dst, byte(len(m.Name))), m.Name...)
	}
	if f&fLife != 0 {
		dst = le.AppendUint64(le.AppendUint64(dst, m.Life.Instance), m.Life.Counter)
	}
	if f&fOther != 0 {
		dst = le.AppendUint64(le.AppendUint64(dst, m.Other.Instance), m.Other.Counter)
	}
	if f&fClaim != 0 {
		dst = le.AppendUint64(dst, m.Claim)
	}
	if f&fInstance != 0 {
		dst = le.AppendUint64(dst, m.Instance)
	}
	if f&fLock != 0 {
		dst = le.AppendUint64(dst, m.Lock)
	}
	if f&fOp != 0 {
		dst = le.AppendUint32(dst, m.Op)
	}
	if f&fMode != 0 {
		dst = append(dst, m.Mode)
	}
	if f&fFlags != 0 {
		dst = le.AppendUint32(dst, m.Flags)
	}
	dst = m.appendRest(dst, f)
	le.PutUint16(dst[start+2:], uint16(len(dst)-start))
	return dst
}

// appendRest encodes the fields behind Flags; apart only to keep functions short.
func (m *Msg) appendRest(dst []byte, f field) []byte {
	le := binary.LittleEndian
	if f&fStatus != 0 {
		dst = append(dst, byte(m.Status))
	}
	if f&fBits != 0 {
		dst = append(dst, m.Bits)
	}
	if f&fHops != 0 {
		dst = append(dst, m.Hops)
	}
	if f&fSince != 0 {
		dst = append(dst, m.Since)
	}
	if f&fNum != 0 {
		dst = le.AppendUint32(dst, m.Num)
	}
	if f&fReq != 0 {
		dst = le.AppendUint64(dst, m.Req)
	}
	if f&fToken != 0 {
		dst = le.AppendUint64(dst, m.Token)
	}
	if f&fSeq != 0 {
		dst = le.AppendUint64(dst, m.Seq)
	}
	if f&fIdle != 0 {
		dst = le.AppendUint64(dst, m.Idle)
	}
	if f&fWait != 0 {
		dst = le.AppendUint64(dst, m.Wait)
	}
	if f&fFeatures != 0 {
		dst = le.AppendUint64(dst, m.Features)
	}
	if f&fOwner != 0 {
		dst = le.AppendUint64(dst, m.Owner)
	}
	if f&fValue != 0 {
		mustFit("value", len(m.Value), MaxValue)
		dst = append(le.AppendUint16(dst, uint16(len(m.Value))), m.Value...)
	}
	if f&fText != 0 {
		mustFit("text", len(m.Text), MaxText)
		dst = append(le.AppendUint16(dst, uint16(len(m.Text))), m.Text...)
	}
	if f&fLocks != 0 {
		mustFit("lock list", m.Locks.Len(), MaxLocks)
		mustFit("piece of a lock record", len(m.Locks)%LockRecSize, 0)
		dst = append(le.AppendUint16(dst, uint16(m.Locks.Len())), m.Locks...)
	}
	if f&fRanges != 0 {
		mustFit("range list", m.Ranges.Len(), MaxRanges)
		mustFit("piece of a range record", len(m.Ranges)%RangeRecSize, 0)
		dst = append(le.AppendUint16(dst, uint16(m.Ranges.Len())), m.Ranges...)
	}
	if f&fEntries != 0 {
		mustFit("list of entries", len(m.Entries), MaxEntries)
		dst = append(le.AppendUint16(dst, uint16(len(m.Entries))), m.Entries...)
	}
	if f&fPath != 0 {
		mustFit("path", len(m.Path), maxPathBytes)
		dst = append(le.AppendUint16(dst, uint16(len(m.Path))), m.Path...)
	}
	return dst
}

func mustFit(what string, n, limit int) {
	if n > limit {
		panic(fmt.Sprintf("wire: %s of %d, at most %d", what, n, limit))
	}
}
