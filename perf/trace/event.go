package trace

import "fmt"

// Kind tells what a row is about.
type Kind uint8

const (
	KindPhase   Kind = iota + 1 // a mark of the workload
	KindLock                    // first request of a lock
	KindConvert                 // request of another mode for a lock that is held
	KindUnlock                  // the lock is given back
	KindAst                     // an operation has completed
	KindBast                    // the lock blocks somebody
	KindSend                    // a DLM message leaves
	KindRecv                    // a DLM message arrives
)

var kindNames = [...]string{
	KindPhase: "phase", KindLock: "lock", KindConvert: "convert", KindUnlock: "unlock",
	KindAst: "ast", KindBast: "bast", KindSend: "send", KindRecv: "recv",
}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

func parseKind(s string) (Kind, error) {
	for k, n := range kindNames {
		if n == s && n != "" {
			return Kind(k), nil
		}
	}
	return 0, fmt.Errorf("event %q", s)
}

// MsgType is the kind of a DLM message, in the kernel's DLM_MSG_ numbers.
type MsgType uint8

const (
	MsgRequest      MsgType = 1
	MsgConvert      MsgType = 2
	MsgUnlock       MsgType = 3
	MsgCancel       MsgType = 4
	MsgRequestReply MsgType = 5
	MsgConvertReply MsgType = 6
	MsgUnlockReply  MsgType = 7
	MsgCancelReply  MsgType = 8
	MsgGrant        MsgType = 9
	MsgBast         MsgType = 10
	MsgLookup       MsgType = 11
	MsgRemove       MsgType = 12
	MsgLookupReply  MsgType = 13
	MsgPurge        MsgType = 14
)

var msgNames = [...]string{
	MsgRequest: "REQUEST", MsgConvert: "CONVERT", MsgUnlock: "UNLOCK", MsgCancel: "CANCEL",
	MsgRequestReply: "REQUEST_REPLY", MsgConvertReply: "CONVERT_REPLY",
	MsgUnlockReply: "UNLOCK_REPLY", MsgCancelReply: "CANCEL_REPLY", MsgGrant: "GRANT",
	MsgBast: "BAST", MsgLookup: "LOOKUP", MsgRemove: "REMOVE", MsgLookupReply: "LOOKUP_REPLY",
	MsgPurge: "PURGE",
}

func (t MsgType) String() string {
	if int(t) < len(msgNames) && msgNames[t] != "" {
		return msgNames[t]
	}
	return fmt.Sprintf("msg(%d)", uint8(t))
}

// MarshalText makes maps keyed by MsgType readable in JSON.
func (t MsgType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

func parseMsgType(s string) (MsgType, error) {
	for t, n := range msgNames {
		if n == s && n != "" {
			return MsgType(t), nil
		}
	}
	return 0, fmt.Errorf("message type %q", s)
}

// Mark is the kind of a phase row.
type Mark uint8

const (
	MarkBegin Mark = iota + 1 // a phase begins; Arg: how many operations it will do
	MarkEnd                   // it has ended
	MarkOp                    // operation Arg of the phase starts
)

var markNames = [...]string{MarkBegin: "PHASE_BEGIN", MarkEnd: "PHASE_END", MarkOp: "OP"}

func (m Mark) String() string {
	if int(m) < len(markNames) && markNames[m] != "" {
		return markNames[m]
	}
	return fmt.Sprintf("mark(%d)", uint8(m))
}

// Event is one row. Which fields are set depends on Kind; the others are zero
// (Mode: NoMode).
type Event struct {
	Line   int   // in the file, from 1; the header is line 1
	TimeUS int64 // microseconds of the node's own clock
	Node   int   // 1 to MaxNode
	Kind   Kind

	Lockspace uint32 // all but phase
	LockID    uint32 // all but phase; per node, re-used after unlock
	Mode      Mode   // lock, convert: requested; bast: wanted by another; send, recv: as in the message
	Name      []byte // all but phase and recv

	Flags  Flags   // lock, convert, unlock
	Sb     SbFlags // ast
	Status Status  // ast
	Msg    MsgType // send, recv
	From   int     // send, recv: the message's sender

	Mark  Mark   // phase
	Label string // phase: the phase's or operation's name
	Arg   int    // phase: MarkBegin: operations to come; MarkOp: its number, from 0
}
