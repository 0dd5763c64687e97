package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

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
// is the name's directory. There are very many of them, so what few have, or most have
// for a moment only, is elsewhere.
type resource struct {
	claim       *claim // claimed, adopting
	granted     queue
	convert     queue
	waiting     queue
	*rare              // Shard.noRare: none of it; to be written: Shard.rarely
	*valueBlock        // Shard.noValue: never written; to be written: Shard.valued
	at          uint32 // in its slab
	idle        uint32 // its place in the list of those that nobody uses, 0: it is in use
	nameState
}

// nameState is what a resource has besides pointers, and what must not be forgotten when it is
// released; see lockState.
type nameState struct {
	hash      uint64
	life      wire.Life // lookup: proposed; remote: the master's; master, claimed, adopting: ours
	dirLife   wire.Life // directory entry: master and life; zero: absent
	lastToken uint64
	busyUntil int64 // when a mode above NL was last given up here, or mastership began
	valueOK   bool  // remote: it is known here, and no other node can have written since
	state     state
	turn      uint8 // Shard.turn when it was last carried over
	traits    traits
	nameLen   uint8
	owners    ownerSet        // of other nodes that have, or had, locks here
	ack       uint16          // mastered: the directory node that knows it
	nameBuf   [shortName]byte // names up to this length; the others are in rare
}

// traits are what may be said of a name, as a set.
type traits uint8

const (
	unordered traits = 1 << iota // some request in waiting may be granted past others
	ackDue                       // the REG for ack has been sent; OPEN tells when it is known there
	counted                      // modes is kept
	ending                       // a retirement waits for the claim, and nobody has used the name since
	told                         // who in granted wants to hear of EX has heard that somebody waits for it
	toldPW                       // the same of PW, where nobody waits for CW
)

func (m traits) has(x traits) bool { return m&x != 0 }

func (m *traits) set(x traits, on bool) {
	if *m &^= x; on {
		*m |= x
	}
}

// shortName is the length of names that need no memory besides: those of file systems.
const shortName = 24

// rare is what a name has when something is going on with it.
type rare struct {
	other    wire.Life  // adopting: the master's life; master: of the claimant that may yet vouch for a value
	carrier  *Lock      // lookup: the request that the LOOKUP carries
	deferred []*Lock    // adopting, or claimed with very many locks: operations begun meanwhile, in order
	early    []earlyMsg // messages about a life we proposed ourselves, see notYet
	held     *held      // first message of this name in the outbox
	removal  *held      // the held REMOVE, if any
	rec      *recovery  // what the directory node waits for before it answers
	bytes    *byteLocks // byte ranges; nil: none
	long     []byte     // the name, if it is long
	modes    modeCounts // of many locks
	nextFree *rare
}

// valueBlock is the lock value block.
type valueBlock struct {
	value    []byte
	valueSeq uint64
	nextFree *valueBlock
}

// rarely gives r's rare state, to be written.
func (s *Shard) rarely(r *resource) *rare {
	if r.rare == &s.noRare {
		if f := s.freeRare; f != nil {
			s.freeRare, r.rare = f.nextFree, f
			f.nextFree = nil
		} else {
			r.rare = takeFresh(&s.freshRare)
		}
	}
	return r.rare
}

// freshBatch is how many are made in one go of what a recovery needs very many of.
const freshBatch = 32

// takeFresh gives the next of a batch, or makes another batch.
func takeFresh[T any](batch *[]T) *T {
	if len(*batch) == 0 {
		*batch = make([]T, freshBatch)
	}
	x := &(*batch)[0]
	*batch = (*batch)[1:]
	return x
}

// shed takes r's rare state away, if there is nothing in it.
func (s *Shard) shed(r *resource) {
	x := r.rare
	if x == &s.noRare || !x.other.IsZero() || x.carrier != nil || len(x.deferred)+len(x.early)+len(x.long) != 0 ||
		x.held != nil || x.removal != nil || x.rec != nil || x.bytes != nil || r.traits.has(counted) {
		return
	}
	*x = rare{nextFree: s.freeRare}
	s.freeRare, r.rare = x, &s.noRare
}

// valued gives r's value, to be written.
func (s *Shard) valued(r *resource) *valueBlock {
	if r.valueBlock == &s.noValue {
		if f := s.freeValue; f != nil {
			s.freeValue, r.valueBlock = f.nextFree, f
			f.nextFree = nil
		} else {
			r.valueBlock = &valueBlock{}
		}
	}
	return r.valueBlock
}

// forgetValue takes it away.
func (s *Shard) forgetValue(r *resource) {
	if v := r.valueBlock; v != &s.noValue {
		*v = valueBlock{value: v.value[:0], nextFree: s.freeValue}
		s.freeValue, r.valueBlock = v, &s.noValue
	}
}

func (r *resource) name() []byte {
	if r.nameLen > shortName {
		return r.long
	}
	return r.nameBuf[:r.nameLen]
}

func (s *Shard) setName(r *resource, name []byte) {
	if r.nameLen = uint8(len(name)); r.nameLen > shortName {
		s.rarely(r).long = slices.Clone(name)
		return
	}
	copy(r.nameBuf[:], name)
}

// mastered says that this node serves requests on r from its queues.
func (r *resource) mastered() bool { return r.state == master || r.state == claimed }

// noLocks says that nobody holds or wants anything through this node.
func (r *resource) noLocks() bool {
	return r.unqueued() && len(r.deferred) == 0
}

// unqueued says that no lock is in a queue.
func (r *resource) unqueued() bool {
	return r.granted.head == nil && r.convert.head == nil && r.waiting.head == nil
}

// earlyMsg is a message kept until a LOOKUP is answered.
type earlyMsg struct {
	from uint64 // instance of the sender
	msg  wire.Msg
}
