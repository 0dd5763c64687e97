package lockspace

import "github.com/lockify-dlm/lockify/wire"

// state is what this node is to a resource, apart from being its directory.
type state uint8

const (
	unused     state = iota // nothing here but perhaps a directory entry
	lookup                  // a LOOKUP is out; requests wait
	remote                  // another node is master
	master                  // this node is
	claimed                 // this node says so, the directory has not confirmed yet
	adopting                // the directory rejected the claim; the master is asked to take the locks over
	rebuilding              // this node is the directory and waits for the others' DONE; requests wait
	freed                   // in no table, kept for the next name
)

var stateNames = [...]string{"unused", "lookup", "remote", "master", "claimed", "adopting", "rebuilding"}

func (s state) String() string { return stateNames[s] }

// resource is one name: its queues, and its directory entry where this node
// is the name's directory.
type resource struct {
	hash uint64
	next *resource // in the list of free ones

	life     wire.Life // lookup: proposed; remote: the master's; master, claimed, adopting: ours
	dirLife  wire.Life // directory entry: master and life; zero: absent
	other    wire.Life // adopting: the master's life; master: of the claimant that may yet vouch for a value
	carrier  *Lock     // lookup: the request that the LOOKUP carries
	claim    *claim    // claimed, adopting
	granted  queue
	convert  queue
	waiting  queue
	deferred []*Lock    // adopting, or claimed with very many locks: operations begun meanwhile, in order
	early    []earlyMsg // messages about a life we proposed ourselves, see notYet
	held     *held      // first message of this name in the outbox
	removal  *held      // the held REMOVE, if any
	rec      *recovery  // what the directory node waits for before it answers
	bytes    *byteLocks // byte ranges; nil: none

	value      []byte // lock value block; nil: never written
	valueSeq   uint64
	lastToken  uint64
	busyUntil  int64 // when a mode above NL was last given up here, or mastership began
	idlePrev   *resource
	idleNext   *resource
	idleSince  int64
	onIdleList bool
	valueOK    bool // remote: it is known here, and no other node can have written since
	unordered  bool // some request in waiting may be granted past others
	state      state
	turn       uint8  // Shard.turn when it was last carried over
	ackDue     bool   // the REG for ack has been sent; OPEN tells when it is known there
	ack        uint16 // mastered: the directory node that knows it
	nameLen    uint8
	nameBuf    [wire.MaxName]byte
}

func (r *resource) name() []byte { return r.nameBuf[:r.nameLen] }

func (r *resource) setName(name []byte) { r.nameLen = uint8(copy(r.nameBuf[:], name)) }

// mastered says that this node serves requests on r from its queues.
func (r *resource) mastered() bool { return r.state == master || r.state == claimed }

// noLocks says that nobody holds or wants anything through this node.
func (r *resource) noLocks() bool {
	return r.granted.n+r.convert.n+r.waiting.n+len(r.deferred) == 0
}

// earlyMsg is a message kept until a LOOKUP is answered.
type earlyMsg struct {
	from uint64 // instance of the sender
	msg  wire.Msg
}
