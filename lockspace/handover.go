package lockspace

import (
	"bytes"
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file moves a range and its directory entries from one node to another:
// DELEGATE from the directory node to the owner, RETURN the other way. The
// node that has the range stays its directory until the message leaves; so
// what it sends afterwards stands behind it, and nobody is without a
// directory.
//
// The message waits for the claims that the node had open when the handover
// began. An entry that is missing in it lets a name go, as REMOVE does: the
// other node can answer YOU at once. Meanwhile
//
//   - a name that this node masters itself is not removed from the range;
//   - a LOOKUP that would be answered with YOU is kept and sent behind the
//     range: a YOU that is still held when the entry leaves could not be taken
//     back any more for a claim (finding 6);
//   - NOTIFY and REMOVE are served: claims must not wait for claims.

// maxLookups bounds the LOOKUPs kept for one range.
const maxLookups = 4096

func (s *Shard) startHandover(k *keyRange, st rangeState) {
	k.state, k.fence = st, s.common.LastClaim()
	s.leaving = append(s.leaving, k)
}

// handOver moves the ranges whose claims have closed. What went into the
// outbox before them leaves first.
func (s *Shard) handOver() {
	if len(s.leaving) == 0 || s.recovering { // it does not know all masters yet
		return
	}
	s.releaseHeld()
	closed := s.common.ClosedTo()
	s.leaving = slices.DeleteFunc(s.leaving, func(k *keyRange) bool {
		if k.fence > closed && !s.off(NoGateRange) {
			return false
		}
		s.move(k)
		return true
	})
}

// move sends a range away.
func (s *Shard) move(k *keyRange) {
	names := s.namesOf(k)
	to, m := wire.NodeOf(k.owner), wire.Msg{Type: wire.Delegate, Name: []byte(k.key), Seq: k.gen}
	if k.state == lending {
		k.state = lent
	} else {
		to, m.Type = s.view.Directory(Hash(m.Name)), wire.Return
		delete(s.ranges, k.key)
	}
	lists := s.giveEntries(names)
	for i, list := range lists {
		m.Num, m.Entries = uint32(len(lists)-1-i), list
		s.sendBare(to, &m)
	}
	s.sendLookups(k, to)
	s.answerCallers(k, wire.OK, 0)
	for _, r := range names {
		s.maybeIdle(r)
		s.release(r)
	}
}

// namesOf gives what this node has of the names in a range. It walks the whole
// table: delegations are rare.
func (s *Shard) namesOf(k *keyRange) []*resource {
	var names []*resource
	s.names.each(func(r *resource) bool {
		if string(s.cfg.Range.Key(r.name())) == k.key {
			names = append(names, r)
		}
		return true
	})
	slices.SortFunc(names, func(a, b *resource) int { return bytes.Compare(a.name(), b.name()) })
	return names
}

// giveEntries takes the entries out of this node's directory: one list for
// each message, at least one.
func (s *Shard) giveEntries(names []*resource) []wire.EntryList {
	var lists []wire.EntryList
	var list wire.EntryList
	for _, r := range names {
		if r.dirLife.IsZero() {
			continue
		}
		if !list.Fits(r.name()) {
			lists, list = append(lists, list), nil
		}
		list = list.Append(r.name(), r.dirLife)
		r.dirLife = wire.Life{}
	}
	if s.off(NoEntries) {
		list = nil
	}
	return append(lists, list)
}

// takeEntries enters what has come with a range.
func (s *Shard) takeEntries(m *wire.Msg) {
	for list := m.Entries; len(list) > 0; {
		var name []byte
		var life wire.Life
		name, life, list = list.Next()
		if !bytes.Equal(s.cfg.Range.Key(name), m.Name) || life.IsZero() {
			s.stats.Ignored++
			continue
		}
		s.resource(Hash(name), name).dirLife = life
	}
}

// keepLookup keeps a LOOKUP that would make its sender master of a name in a
// range that is about to leave.
func (s *Shard) keepLookup(from uint64, hash uint64, m *wire.Msg) bool {
	k := s.rangeOf(m.Name)
	if k == nil || !k.leaving() || s.off(AnswerLeaving) {
		return false
	}
	if r := s.find(hash, m.Name); r != nil {
		if e := r.dirLife; !e.IsZero() && e.Instance != from && !s.sameLife(e, m.Other) {
			return false
		}
	}
	if len(k.lookups) >= maxLookups {
		s.abandon(k)
		return false
	}
	c := relayOf(from, m)
	c.Name = bytes.Clone(m.Name)
	k.lookups = append(k.lookups, c)
	return true
}

func (s *Shard) sendLookups(k *keyRange, to uint16) {
	list := k.lookups
	k.lookups = nil
	for i := range list {
		s.stats.Relayed++
		s.sendBare(to, &list[i])
	}
}

// abandon ends a handover that would keep too many waiting: the range stays.
func (s *Shard) abandon(k *keyRange) {
	s.leaving = slices.DeleteFunc(s.leaving, func(o *keyRange) bool { return o == k })
	if k.state == lending {
		delete(s.ranges, k.key)
		s.sendBare(wire.NodeOf(k.owner), &wire.Msg{Type: wire.NoRange, Name: []byte(k.key), Status: wire.Limit})
	} else {
		k.state = owned
		s.answerCallers(k, wire.Limit, 0)
	}
	s.sendLookups(k, s.self)
	for _, r := range s.namesOf(k) {
		s.maybeIdle(r)
	}
}
