package lockspace

import (
	"maps"
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the orderly end of a node: what it gives back before it goes, so
// that the others need not wait for a view without it, or find anything of it
// there.

// Leave gives back what this shard has for its node alone: orphans, delegated ranges,
// and the mastership of names that nobody uses, without waiting until they have
// been unused for IdleAfter. It says how much of that, and of its programs' locks
// and what is withdrawn for them, of open claims' names and of held messages, is left.
// The host, whose programs have unlocked everything, calls it until nothing is;
// meanwhile the shard serves the others as ever. What they hold at names that this
// node masters stays: the next view finds it a new master.
func (s *Shard) Leave(now int64) (left int) {
	s.now = now
	if s.fenced {
		return 0
	}
	for s.Working() {
		s.workOn(1 + s.names.n) // there may be none
	}
	s.purge(0)
	s.returnRanges()
	for _, head := range []uint32{s.idle.unused.head, s.idle.kept.head} {
		for n := s.idle.at(head); n != nil; {
			r, next := s.idleAt(n), s.idle.after(n)
			if !s.registering(r) {
				s.forget(r)
			}
			n = next
		}
	}
	s.finish()
	s.locks.each(func(l *Lock) {
		if s.local(l) {
			left++
		}
	})
	for _, k := range s.ranges {
		if k.owner == s.cfg.Self {
			left++
		}
	}
	return left + s.idle.len() + s.claims.n + s.outbox.n + len(s.retires)
}

// returnRanges begins to give all ranges of this node back.
func (s *Shard) returnRanges() {
	for _, key := range slices.Sorted(maps.Keys(s.ranges)) {
		switch k := s.ranges[key]; {
		case k.owner != s.cfg.Self:
		case k.state == asking:
			k.unwanted = true
			s.answerCallers(k, wire.Cancelled, 0)
		case k.state == owned && s.view.Directory(Hash([]byte(key))) == s.self:
			delete(s.ranges, key)
		case k.state == owned:
			s.startHandover(k, returning)
		}
	}
}
