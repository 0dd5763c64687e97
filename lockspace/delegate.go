package lockspace

import (
	"maps"
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is delegated name ranges: the directory node of a range key hands
// the range to another node, its owner, which is then the directory of all
// names with that key. What the owner creates there needs no message and no
// claim. All others go on asking the directory node of the key, which passes
// on to the owner (relay.go). How a range and its entries move is in
// handover.go.

// rangeState is what this node is to a range of which it knows something.
type rangeState uint8

const (
	asking    rangeState = iota // the directory node has been asked for the range
	owned                       // this node is the directory of its names
	returning                   // the same, until it has gone back
	lending                     // on the directory node: the same, until it has gone to the owner
	lent                        // on the directory node: the owner is the directory of its names
)

var rangeStates = [...]string{"asking", "owned", "returning", "lending", "lent"}

// keyRange is one range. A range that stays with its directory node, unless
// delegated to it expressly, has none.
type keyRange struct {
	key      string
	owner    uint64 // instance that has it, or is to get it
	gen      uint64 // tells two delegations of the range apart
	fence    uint64 // returning, lending: claims up to this one must be closed first
	lookups  []wire.Msg
	callers  []caller
	state    rangeState
	unwanted bool // asking: Return was called meanwhile
}

// caller waits for the end of a Delegate or Return.
type caller struct {
	user any
	tag  uint64
}

const (
	maxRanges  = 4096 // of one shard, own and lent
	maxCallers = 64   // of one range
)

// leaving says that the range is about to move away from this node.
func (k *keyRange) leaving() bool { return k.state == returning || k.state == lending }

// rangeOf gives what is known of the range that a name is in, nil if nothing.
func (s *Shard) rangeOf(name []byte) *keyRange {
	if len(s.ranges) == 0 {
		return nil
	}
	return s.ranges[string(s.cfg.Range.Key(name))]
}

// dirOf gives the directory node of a name, as far as this node knows: the
// owner of its range, or the directory node of its key.
func (s *Shard) dirOf(r *resource) uint16 {
	if s.cfg.Range == 0 {
		return s.view.Directory(r.hash)
	}
	return s.dirOfName(r.hash, r.name())
}

func (s *Shard) dirOfName(hash uint64, name []byte) uint16 {
	if k := s.rangeOf(name); k != nil {
		switch {
		case k.state == lent && !s.off(NoRelay):
			return wire.NodeOf(k.owner)
		case k.state != asking:
			return s.self
		}
	}
	return s.view.Directory(s.cfg.Range.Route(name, hash))
}

func (s *Shard) newRange(key []byte, st rangeState, owner uint64) *keyRange {
	k := &keyRange{key: string(key), state: st, owner: owner}
	if s.ranges == nil {
		s.ranges = map[string]*keyRange{}
	}
	s.ranges[k.key] = k
	return k
}

// Delegate asks that the range with this key be handed to this node, which is
// then the directory of all names in it. The completion goes to Host.Complete
// with lock id 0 unless a status other than OK is returned: BadKey (the
// lockspace has no rule, or the key is none of its), Busy (a Return is under
// way), Limit. It says OK, RangeTaken (Token is the owner's node id), Limit, or
// Cancelled (by Return). The range stays with this node until Return.
func (s *Shard) Delegate(now int64, key []byte, user any, tag uint64) Status {
	s.now = now
	if !s.cfg.Range.IsKey(key) {
		return wire.BadKey
	}
	if s.fenced || s.view.Epoch == 0 {
		return wire.ShuttingDown
	}
	k := s.ranges[string(key)]
	switch {
	case k == nil && len(s.ranges) >= maxRanges:
		return wire.Limit
	case k == nil:
		k = s.newRange(key, asking, s.cfg.Self)
		k.callers = append(k.callers, caller{user, tag})
		s.askFor(k)
	case k.state == owned:
		s.answerCaller(caller{user, tag}, wire.OK, 0)
	case k.state == asking:
		if len(k.callers) >= maxCallers {
			return wire.Limit
		}
		k.unwanted = false
		k.callers = append(k.callers, caller{user, tag})
	case k.state == returning:
		return wire.Busy
	default:
		s.answerCaller(caller{user, tag}, wire.RangeTaken, k.owner)
	}
	s.finish()
	return wire.OK
}

// Return gives a range back to the directory node of its key. It completes
// when the range has left, which waits for the claims that this node has open.
// If the range has not come yet, it goes back when it comes, and those who
// wait for it are cancelled. Returned at once: NoSuchRange (this node does not
// have it), Limit.
func (s *Shard) Return(now int64, key []byte, user any, tag uint64) Status {
	s.now = now
	k := s.ranges[string(key)]
	if k == nil || k.owner != s.cfg.Self {
		return wire.NoSuchRange
	}
	c := caller{user, tag}
	switch {
	case k.state == asking:
		k.unwanted = true
		s.answerCallers(k, wire.Cancelled, 0)
		s.answerCaller(c, wire.OK, 0)
	case s.view.Directory(Hash(key)) == s.self:
		delete(s.ranges, k.key)
		s.answerCaller(c, wire.OK, 0)
	case len(k.callers) >= maxCallers:
		return wire.Limit
	default:
		k.callers = append(k.callers, c)
		if k.state == owned {
			s.startHandover(k, returning)
		}
	}
	s.finish()
	return wire.OK
}

func (s *Shard) newGeneration() uint64 {
	s.generations++
	return s.generations
}

func (s *Shard) answerCallers(k *keyRange, st Status, owner uint64) {
	list := k.callers
	k.callers = nil
	for _, c := range list {
		s.answerCaller(c, st, owner)
	}
}

func (s *Shard) answerCaller(c caller, st Status, owner uint64) {
	s.ast = Completion{Status: st, Mode: NoMode, Token: uint64(wire.NodeOf(owner))}
	s.host.Complete(c.user, 0, c.tag, &s.ast)
}

// deliverRange takes the messages that are about ranges.
func (s *Shard) deliverRange(from uint64, m *wire.Msg) {
	switch m.Type {
	case wire.AskRange:
		s.onAskRange(from, m)
	case wire.NoRange:
		s.onNoRange(m)
	case wire.Delegate:
		s.onDelegate(m)
	case wire.Return:
		s.onReturn(from, m)
	case wire.Relay:
		s.onRelay(m)
	default: // recovery
		s.stats.Ignored++
	}
}

// onAskRange is the directory node's answer to Delegate.
func (s *Shard) onAskRange(from uint64, m *wire.Msg) {
	k := s.ranges[string(m.Name)]
	answer := wire.Msg{Type: wire.NoRange, Name: m.Name}
	switch {
	case !s.cfg.Range.IsKey(m.Name) || s.view.Directory(Hash(m.Name)) != s.self:
		answer.Status = wire.Invalid
	case k != nil:
		answer.Status, answer.Instance = wire.RangeTaken, k.owner
	case len(s.ranges) >= maxRanges:
		answer.Status = wire.Limit
	default:
		k = s.newRange(m.Name, lending, from)
		k.gen = s.newGeneration()
		s.startHandover(k, lending)
		return
	}
	s.sendBare(wire.NodeOf(from), &answer)
}

func (s *Shard) onNoRange(m *wire.Msg) {
	k := s.ranges[string(m.Name)]
	if k == nil || k.state != asking {
		s.stats.Ignored++
		return
	}
	delete(s.ranges, k.key)
	s.answerCallers(k, m.Status, m.Instance)
}

// onDelegate: the range is ours, as soon as the last of its entries is here.
// What else was sent to the directory node about its names comes back from
// there.
func (s *Shard) onDelegate(m *wire.Msg) {
	k := s.ranges[string(m.Name)]
	if k == nil || k.state != asking {
		s.stats.Ignored++
		return
	}
	s.takeEntries(m)
	if m.Num != 0 {
		return
	}
	k.state, k.gen = owned, m.Seq
	if k.unwanted {
		s.startHandover(k, returning)
		return
	}
	s.answerCallers(k, wire.OK, 0)
}

// onReturn: the range is the directory node's again. What was passed on to the
// owner and arrived there too late comes back behind it.
func (s *Shard) onReturn(from uint64, m *wire.Msg) {
	k := s.ranges[string(m.Name)]
	if k == nil || k.state != lent || k.owner != from || k.gen != m.Seq {
		s.stats.Ignored++
		return
	}
	s.takeEntries(m)
	if m.Num == 0 {
		delete(s.ranges, k.key)
	}
}

// RangeInfo describes a range that is delegated, or about to be, as its owner
// or the directory node of its key sees it.
type RangeInfo struct {
	Key        []byte `json:"key"`
	State      string `json:"state"` // asking, owned, returning; on the directory node of the key: lending, lent
	Owner      uint16 `json:"owner"` // node id
	Directory  uint16 `json:"directory"`
	Generation uint64 `json:"generation,omitempty"`
}

// Ranges calls f for each range, in the order of their keys, until f returns
// false. The shard must not be entered meanwhile.
func (s *Shard) Ranges(f func(RangeInfo) bool) {
	for _, key := range slices.Sorted(maps.Keys(s.ranges)) {
		k := s.ranges[key]
		if !f(RangeInfo{
			Key: []byte(key), State: rangeStates[k.state], Owner: wire.NodeOf(k.owner),
			Directory: s.view.Directory(Hash([]byte(key))), Generation: k.gen,
		}) {
			return
		}
	}
}
