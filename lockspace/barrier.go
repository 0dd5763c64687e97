package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file counts who has told what in a view: SENT, DONE and OPEN of all
// shards of all members. Other nodes may have another number of shards, and each of
// theirs can have something for each of ours.

// member is another node of the view.
type member struct {
	instance uint64
	came     uint64 // epoch of the view with which it came, or this node did: what it has said before is not for this shard
	since    uint64 // epoch from which on it owes reports
	sent     marks
	done     marks
	open     marks
}

// marks holds the last epoch that each shard of a member has reported.
type marks struct {
	epochs []uint64
	got    int // shards that have reported anything
}

// set notes a report. num is the shard, and shards<<16.
func (k *marks) set(num uint32, epoch uint64) bool {
	shard, shards := int(num&0xffff), int(num>>16)
	if shards < 1 || shards > 256 || shard >= shards || k.epochs != nil && len(k.epochs) != shards {
		return false
	}
	if k.epochs == nil {
		k.epochs = make([]uint64, shards)
	}
	if k.epochs[shard] == 0 {
		k.got++
	}
	k.epochs[shard] = max(k.epochs[shard], epoch)
	return true
}

// reached gives the epoch that all shards have reported, or a later one; 0: not
// all have reported anything.
func (k *marks) reached() uint64 {
	if k.got == 0 || k.got < len(k.epochs) {
		return 0
	}
	low := k.epochs[0]
	for _, e := range k.epochs[1:] {
		low = min(low, e)
	}
	return low
}

// admitMembers makes the list of the other members of the view, keeping what
// the present ones have reported.
func (s *Shard) admitMembers(came, since uint64) {
	var list []member
	for _, m := range s.view.Members {
		if m.ID == s.self {
			continue
		}
		next := member{instance: m.Instance, came: came, since: since}
		if old := s.member(m.Instance); old != nil {
			next = *old
		}
		list = append(list, next)
	}
	s.members = list
}

func (s *Shard) member(instance uint64) *member {
	for i := range s.members {
		if s.members[i].instance == instance {
			return &s.members[i]
		}
	}
	return nil
}

// heardAll says whether all members have reported epoch or a later one.
func (s *Shard) heardAll(epoch uint64, of func(*member) *marks) bool {
	if s.off(NoBarrier) {
		return true
	}
	for i := range s.members {
		if m := &s.members[i]; max(of(m).reached(), m.since-1) < epoch {
			return false
		}
	}
	return true
}

func sentOf(m *member) *marks { return &m.sent }
func doneOf(m *member) *marks { return &m.done }

// openTo gives the latest epoch in which all shards of a node had what was
// owed to them: what was registered there up to then is recorded.
func (s *Shard) openTo(node uint16) uint64 {
	if m := s.member(s.view.Instance(node)); m != nil {
		return m.open.reached()
	}
	return 0
}

// onReported is SENT or DONE; DONE says what SENT does, too.
func (s *Shard) onReported(from uint64, m *wire.Msg) {
	k := s.member(from)
	if k == nil || !k.sent.set(m.Num, m.Seq) || m.Type == wire.Done && !k.done.set(m.Num, m.Seq) {
		s.stats.Ignored++
		return
	}
	s.progress()
}

func (s *Shard) onOpen(from uint64, m *wire.Msg) {
	if k := s.member(from); k == nil || !k.open.set(m.Num, m.Seq) {
		s.stats.Ignored++
	}
}

// tellAll sends a message that is about no name to each other member.
func (s *Shard) tellAll(t wire.Type) {
	num := uint32(s.cfg.Shard) | uint32(s.cfg.Shards)<<16
	for i := range s.members {
		s.sendBare(wire.NodeOf(s.members[i].instance), &wire.Msg{Type: t, Num: num, Seq: s.view.Epoch})
	}
}

// progress goes on with the recovery as far as the others' DONE allow.
//
// DONE of this view says that this shard has registered all that it masters.
// That includes the orphans that were entrusted to it in the view before, if
// that was still under way: so DONE waits for the SENT of that view, or a later
// one, of all members of both. SENT waits for nothing, so that there is no
// circle.
//
// When all have said DONE, this node can answer for all names of which it is the
// directory.
func (s *Shard) progress() {
	epoch := s.view.Epoch
	switch {
	case !s.recovering || s.Working():
	case s.told < epoch && s.heardAll(s.prev, sentOf):
		if s.rebuilt >= s.prev {
			s.done()
			return
		}
		s.rebuilt = s.prev
		s.begin(rebuildingOld)
	case s.told == epoch && s.heardAll(epoch, doneOf):
		s.rebuilt = epoch
		s.begin(rebuildingNew)
	}
}

// done says DONE.
func (s *Shard) done() {
	s.told = s.view.Epoch
	s.tellAll(wire.Done)
	s.progress()
}

// trustAll notes the slots that this node is the directory of.
func (s *Shard) trustAll() {
	for slot, id := range s.view.slots {
		if id == s.self {
			s.trusted[slot/64] |= 1 << (slot % 64)
		} else {
			s.trusted[slot/64] &^= 1 << (slot % 64)
		}
	}
}

// keepTrust drops the slots that the present view takes from this node.
func (s *Shard) keepTrust() {
	for slot, id := range s.view.slots {
		if id != s.self {
			s.trusted[slot/64] &^= 1 << (slot % 64)
		}
	}
}

// trusts says, during a recovery, whether this node has been the directory of r
// ever since one that it has completed: it knows of its master then.
func (s *Shard) trusts(r *resource) bool {
	if s.inRange(r.name()) {
		return false
	}
	slot := slotOf(s.cfg.Range.Route(r.name(), r.hash))
	return s.trusted[slot/64]>>(slot%64)&1 == 1
}
