package wire

// Type numbers a message. ONLY ADD TO THIS LIST: a number is never re-used.
type Type uint8

// Messages between nodes (KindNode); the table in doc.go gives their fields.
const (
	Lookup    Type = 1  // requester -> directory: who masters this name? carries the request
	You       Type = 2  // directory -> requester: nobody did; you do, with the life you proposed
	Fwd       Type = 3  // directory -> master: this request is for you; answer its requester
	Notify    Type = 4  // claimant -> directory: I have made myself master
	Confirm   Type = 5  // directory -> claimant: recorded
	Reject    Type = 6  // directory -> claimant: somebody else is master
	Adopt     Type = 7  // claimant -> master: take over my locks on this name
	Adopted   Type = 8  // master -> claimant: taken, and how long I had been idle
	Conflict  Type = 9  // master -> claimant: not taken, incompatible locks exist
	Remove    Type = 10 // master -> directory: this life of the name has ended
	NotMaster Type = 11 // -> requester: not (any more) the master named in the message
	Request   Type = 12 // requester -> master: new lock
	Convert   Type = 13 // requester -> master: other mode, maybe with a value
	Unlock    Type = 14 // requester -> master: gone, maybe with a value
	Cancel    Type = 15 // requester -> master: withdraw the waiting operation
	Queued    Type = 16 // master -> requester: your request waits here
	Denied    Type = 17 // master -> requester: not granted: would block, cancelled, deadlock
	Grant     Type = 18 // master -> requester: granted
	Bast      Type = 19 // master -> holder: you block somebody
	Reg       Type = 20 // recovery: a master registers with a new directory node
	Done      Type = 21 // recovery: all registrations of this view sent
	Return    Type = 22 // delegation: a range and its entries go back to the directory
	Stale     Type = 23 // -> sender: your message is of a view before mine
	NotDir    Type = 24 // -> sender: I am not the directory of this name
	Delegate  Type = 25 // delegation: the directory hands out a range
	Retire    Type = 26 // master -> directory: this life has ended, tell its deleter; deleter -> master: end it
	Retired   Type = 27 // -> deleter: how it ended
	Open      Type = 32 // recovery: I have all registrations of this view
	Sent      Type = 33 // recovery: all reports of orphans of this view sent
	AskRange  Type = 36 // delegation: a node asks for a range
	NoRange   Type = 37 // delegation: it does not get it
	Relay     Type = 38 // delegation: a message for the directory, passed on to the range's owner or back
	Purge     Type = 40 // -> node: unlock your orphans

	Probe  Type = 28 // requester -> master: does what my request waits for wait for me?
	Chase  Type = 29 // master -> node of a blocker: the same, of all that its owner waits for
	Verify Type = 30 // -> master: does edge num of this cycle still stand?

	RangeOp     Type = 45 // owner -> master: lock, unlock or test a byte range
	RangeCancel Type = 46 // owner -> master: withdraw the waiting request Req
	RangeDone   Type = 47 // master -> owner: outcome of request Req
	RangeReg    Type = 48 // recovery: the byte ranges of a handle whose lock a REG has brought

	Trace Type = 49 // in front of a message about a lock: the span that has brought it
)

// Messages of a link between nodes (KindLink).
const (
	LinkHello   Type = 64 // the dialling node: versions, features, identity, last frame received
	LinkWelcome Type = 65 // the answer: versions, identity, last frame received
	LinkRefuse  Type = 66 // the other answer: why not
	LinkAck     Type = 67 // nothing but the header's Ack
	LinkPing    Type = 68
	LinkPong    Type = 69
	LinkSpace   Type = 70 // a lockspace exists: its name and properties (id in the header)
	LinkClose   Type = 71 // orderly end
)

// Messages between a client and its node (KindClient).
const (
	Hello       Type = 128 // client: versions and features
	Welcome     Type = 129 // node: version chosen, features, session
	Refused     Type = 130 // node: why not
	OpenSpace   Type = 131 // client: open a lockspace
	SpaceOpened Type = 132
	CloseSpace  Type = 133 // client: release all in a lockspace
	SpaceClosed Type = 134
	LockReq     Type = 135 // client: new lock
	ConvertReq  Type = 136
	UnlockReq   Type = 137
	CancelReq   Type = 138 // client: withdraw operation Req
	Ast         Type = 139 // node: operation Req has completed
	BlockingAst Type = 140 // node: your lock blocks somebody
	Confirmed   Type = 141 // node: the claim under this lock is closed
	Lost        Type = 142 // node: this lock is lost
	BarrierReq  Type = 143 // client: answer when all claims open now are closed
	SessionLost Type = 144 // node: the session and all its locks are gone
	Ping        Type = 145
	Pong        Type = 146
	LeaseReq    Type = 147 // client: how long does the node's lease last?
	Lease       Type = 148 // node: so long
	PurgeReq    Type = 150 // client: unlock a node's orphans

	DeadlockAst Type = 155 // node: operation Req has ended in a deadlock, and which

	RangeReq       Type = 158 // client: lock, unlock or test a byte range
	RangeAst       Type = 159 // node: outcome of a RangeReq
	RangeCancelReq Type = 160 // client: withdraw the RangeReq Req
	DelegateReq    Type = 163 // client: have a range handed to the node
	ReturnReq      Type = 164 // client: give it back
	ConflictAst    Type = 165 // node: it has taken a name for new that was not
	Identity       Type = 166 // node: which start of it this is
	Ring           Type = 167 // node: memory for rings; both: all that follows is there
	TraceReq       Type = 168 // client: the span that the request behind it belongs to
)

// Status is the outcome of an operation. Numbers are part of the format.
type Status uint8

const (
	OK           Status = 0
	WouldBlock   Status = 1  // NOQUEUE and not grantable now (kernel: -EAGAIN)
	Deadlock     Status = 2  // conversion deadlock (kernel: -EDEADLK)
	Cancelled    Status = 3  // withdrawn (kernel: -DLM_ECANCEL)
	Unlocked     Status = 4  // unlock done (kernel: -DLM_EUNLOCK)
	LostLock     Status = 5  // a claim met an older master's lock
	Invalid      Status = 6  // the request itself is wrong
	Busy         Status = 7  // another operation on this lock is under way
	NoLock       Status = 8  // no such lock
	NoSpace      Status = 9  // no such lockspace
	Limit        Status = 10 // a limit of the node was reached
	ShuttingDown Status = 11
	BadVersion   Status = 12
	Mismatch     Status = 13 // properties differ from what the cluster uses
	TimedOut     Status = 14 // not granted in the time that the request gave, and withdrawn (kernel: -ETIMEDOUT)
	BadName      Status = 15 // a name has 1 to 64 bytes
	BadMode      Status = 16 // no such mode
	BadFlags     Status = 17 // an unknown flag, or flags that do not go together, or not with the operation
	BadValue     Status = 18 // a lock value block longer than those of the lockspace
	NotOwner     Status = 19 // the lock is another session's
	NoOrphan     Status = 20 // ORPHAN: this node has no orphan of the name (kernel: -ENOENT)
	OrphanMode   Status = 21 // ORPHAN: there is one, in another mode (kernel: -EAGAIN)
	NoNode       Status = 22 // no such node in the cluster
	InUse        Status = 23 // the name is in use
	RangeTaken   Status = 24 // the range belongs to another node
	NoSuchRange  Status = 25 // the range does not belong to this node
	BadBytes     Status = 26 // a byte range that starts before byte 0 or ends before it starts
	BadOwner     Status = 27 // an owner that is 0 where there must be one, or too large
	BadKey       Status = 28 // no range key of the lockspace
	NoQuorum     Status = 29 // the node is no member, or cannot be sure to be one: the text says since when
	NotAllowed   Status = 30 // the client has no right to do this there: the text says which it lacks

	lastStatus = NotAllowed
	// Statuses is one more than the highest number.
	Statuses = lastStatus + 1
)

// Bits that travel with a lock value block or a completion.
const (
	BitValue      uint8 = 1 << 0 // Value is present and valid
	BitNotValid   uint8 = 1 << 1 // the resource's value is not valid (kernel: SBF_VALNOTVALID)
	BitDemoted    uint8 = 1 << 2 // the granted mode was lower meanwhile: NL in a conversion deadlock (SBF_DEMOTED), or perhaps, in recovery
	BitOpenClaim  uint8 = 1 << 3 // granted under a claim that is not confirmed yet
	BitWritten    uint8 = 1 << 4 // ADOPT: the value was written since the claim
	BitInvalidate uint8 = 1 << 5 // the value becomes not valid
	BitNoReply    uint8 = 1 << 6 // CONVERT: the requester has completed it already
	BitAltMode    uint8 = 1 << 7 // granted in the alternate mode, not the one asked for (SBF_ALTMODE)
)

// Life tells two lives of one resource name apart, and names the master:
// Instance is the master's node instance, Counter is unique within it. The
// zero Life means none.
type Life struct {
	Instance uint64
	Counter  uint64
}

// NodeOf gives the node id inside an instance: the low 16 bits, 1 to 65535.
func NodeOf(instance uint64) uint16 { return uint16(instance) }

// Node gives the master's node id.
func (l Life) Node() uint16 { return NodeOf(l.Instance) }

// IsZero says that there is no life.
func (l Life) IsZero() bool { return l == Life{} }
