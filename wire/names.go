package wire

import "strconv"

// The names by which the documents call the messages.
var typeNames = [256]string{
	Lookup: "LOOKUP", You: "YOU", Fwd: "FWD", Notify: "NOTIFY", Confirm: "CONFIRM",
	Reject: "REJECT", Adopt: "ADOPT", Adopted: "ADOPTED", Conflict: "CONFLICT",
	Remove: "REMOVE", NotMaster: "NOTMASTER", Request: "REQUEST", Convert: "CONVERT",
	Unlock: "UNLOCK", Cancel: "CANCEL", Queued: "QUEUED", Denied: "DENIED",
	Grant: "GRANT", Bast: "BAST", Reg: "REG", Done: "DONE", Return: "RETURN",
	Stale: "STALE", NotDir: "NOTDIR", Delegate: "DELEGATE", Retire: "RETIRE", Retired: "RETIRED", Open: "OPEN", Sent: "SENT",
	AskRange: "ASK_RANGE", NoRange: "NO_RANGE", Relay: "RELAY", Purge: "PURGE",

	Probe: "PROBE", Chase: "CHASE", Verify: "VERIFY",

	RangeOp: "RANGE", RangeCancel: "RANGE_CANCEL", RangeDone: "RANGE_DONE", RangeReg: "RANGE_REG", Trace: "TRACE",

	LinkHello: "LINK_HELLO", LinkWelcome: "LINK_WELCOME", LinkRefuse: "LINK_REFUSE",
	LinkAck: "LINK_ACK", LinkPing: "LINK_PING", LinkPong: "LINK_PONG",
	LinkSpace: "LINK_SPACE", LinkClose: "LINK_CLOSE",

	Hello: "HELLO", Welcome: "WELCOME", Refused: "REFUSED", OpenSpace: "OPEN_SPACE",
	SpaceOpened: "SPACE_OPENED", CloseSpace: "CLOSE_SPACE", SpaceClosed: "SPACE_CLOSED",
	LockReq: "LOCK_REQ", ConvertReq: "CONVERT_REQ", UnlockReq: "UNLOCK_REQ",
	CancelReq: "CANCEL_REQ", Ast: "AST", BlockingAst: "BLOCKING_AST",
	Confirmed: "CONFIRMED", Lost: "LOST", BarrierReq: "BARRIER_REQ",
	SessionLost: "SESSION_LOST", Ping: "PING", Pong: "PONG", LeaseReq: "LEASE_REQ", Lease: "LEASE", PurgeReq: "PURGE_REQ",

	DeadlockAst: "DEADLOCK_AST",

	RangeReq: "RANGE_REQ", RangeAst: "RANGE_AST", RangeCancelReq: "RANGE_CANCEL_REQ",
	DelegateReq: "DELEGATE_REQ", ReturnReq: "RETURN_REQ", ConflictAst: "CONFLICT_AST", Identity: "IDENTITY", Ring: "RING", TraceReq: "TRACE_REQ",
}

var statusNames = [...]string{
	OK: "OK", WouldBlock: "would block", Deadlock: "deadlock", Cancelled: "cancelled",
	Unlocked: "unlocked", LostLock: "lost", Invalid: "invalid", Busy: "busy",
	NoLock: "no such lock", NoSpace: "no such lockspace", Limit: "limit reached",
	ShuttingDown: "shutting down", BadVersion: "no common version", Mismatch: "mismatch",
	TimedOut: "timed out", BadName: "bad name", BadMode: "bad mode", BadFlags: "bad flags",
	BadValue: "bad value", NotOwner: "another session's lock", NoOrphan: "no orphan",
	OrphanMode: "orphan in another mode", NoNode: "no such node", InUse: "in use",
	RangeTaken: "range of another node", NoSuchRange: "not this node's range",
	BadBytes: "bad byte range", BadOwner: "bad owner", BadKey: "bad range key", NoQuorum: "no quorum", NotAllowed: "not allowed",
}

// String gives the message's name in the documents, or TYPE_n for an unknown n.
func (t Type) String() string {
	if s := typeNames[t]; s != "" {
		return s
	}
	return "TYPE_" + strconv.Itoa(int(t))
}

// String gives the outcome in words, or "status n" for an unknown n.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "status " + strconv.Itoa(int(s))
}

// Kind gives the kind of frame that a message of this type travels in: the two
// high bits of the number tell.
func (t Type) Kind() Kind {
	switch {
	case t < LinkHello:
		return KindNode
	case t < Hello:
		return KindLink
	default:
		return KindClient
	}
}
