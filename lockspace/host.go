package lockspace

import "github.com/lockify-dlm/lockify/wire"

// Host is what a shard talks to. Its methods are called from inside the
// shard's entry points, so they must not block and must not call the shard.
type Host interface {
	// Send hands over a message for another node. m and all it points to are
	// valid only during the call. Messages to one node that concern one name
	// must arrive in the order of the calls, and exactly once. A message of a
	// type without a name goes to every shard of the lockspace on that node,
	// behind all that this shard has sent there before; it may also be for
	// this node itself, whose shards then get it after the call. m.Wait, which
	// does not travel, is how long the release fence has held it back, in ns. Nor does
	// m.Seq of a RANGE, the tag of its request.
	Send(to uint16, m *wire.Msg)
	// Complete reports the end of an operation of a local lock (AST). It may
	// be called before the entry point that began the operation has returned.
	Complete(user any, id, tag uint64, c *Completion)
	// Blocking reports that a local lock blocks a request for mode (BAST).
	Blocking(user any, id uint64, mode Mode)
	// Confirmed reports that a lock granted under a claim is now ordinary.
	Confirmed(user any, id uint64)
	// Lost reports that a granted lock is gone: a claim was wrong. The lock
	// id is not valid any more.
	Lost(user any, id uint64)
	// Bytes reports the end of a request for a byte range of a local lock.
	// o is valid during the call.
	Bytes(user any, id, tag uint64, o *ByteOutcome)
	// Conflict reports that a wrong claim of name was found: the master was
	// not idle since the claim, whether or not anybody still holds anything.
	Conflict(name []byte, master wire.Life)
	// MayClaim says whether this node may make itself master towards a
	// directory node now: its lease is valid, the directory node is not
	// suspected, and understands claims.
	MayClaim(directory uint16) bool
}

// Common is what all shards of all lockspaces of one node share: the claim
// sequence behind the release fence, and the token clock.
type Common interface {
	// OpenClaim issues the next claim number. false: too many are open.
	OpenClaim() (n uint64, ok bool)
	// CloseClaim closes claim n, once.
	CloseClaim(n uint64)
	// LastClaim gives the last number issued.
	LastClaim() uint64
	// ClosedTo gives the highest n such that all claims up to n are closed.
	ClosedTo() uint64
	// Clock gives the highest token this node knows of.
	Clock() uint64
	// Advance makes Clock at least token.
	Advance(token uint64)
}

// Grant is a grant without a value; the fields are those of Completion.
type Grant struct {
	Token   uint64
	Mode    Mode
	Bits    uint8
	Hops    uint8
	Pending bool // it has not come yet: who asks sets it
}

// Completion is the outcome of an operation.
type Completion struct {
	Status Status
	Mode   Mode      // granted mode after the operation, NoMode if none
	Bits   uint8     // wire.Bit...
	Hops   uint8     // one-way messages between nodes that the operation waited for
	Token  uint64    // fencing token of the grant
	Seq    uint64    // version of Value
	Cycle  wire.Path // status Deadlock: who waits for whom, valid during the call; nil: not known
	Value  []byte    // the lock value block, valid during the call; nil unless ValBlk was given and it is valid
	Text   string    // what was wrong and which, where Status does not say all
}

// Status is the outcome of an operation.
type Status = wire.Status
