package lockspace

import (
	"fmt"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the programs of the simulation, and its end.

// program lets a program on node k do something.
func (s *sim) program(k int) {
	n := s.c.nodes[k]
	if n.out() {
		return
	}
	keep := s.live[:0]
	var mine []*tlock
	for _, l := range s.live {
		if l.gone {
			continue
		}
		keep = append(keep, l)
		if l.n == n {
			mine = append(mine, l)
		}
	}
	s.live = keep
	if len(mine) == 0 || len(mine) < simMaxLocks && s.rng.IntN(3) == 0 {
		i := s.rng.IntN(len(s.known[k]))
		if s.rng.IntN(2) == 0 {
			i = len(s.known[k]) - 1 // new names are those worth fighting for
		}
		s.newLock(k, s.known[k][i])
		return
	}
	l := mine[s.rng.IntN(len(mine))]
	for range 3 {
		if l.wanted == NoMode {
			break
		}
		l = mine[s.rng.IntN(len(mine))]
	}
	switch p := s.rng.IntN(10); {
	case l.wanted != NoMode:
		if p < 2 && !l.dying {
			s.withdraw(l)
		}
	case p < 5:
		s.readOrCreate(k, l)
	case p < 7:
		s.convert(l)
	default:
		s.unlock(l)
	}
}

// readOrCreate uses l as the lock of a directory: what is published below its
// name may be read under a lock that excludes the writer's, and written under
// EX.
func (s *sim) readOrCreate(k int, l *tlock) {
	parent := s.model(l.name)
	if l.open && s.reuse || l.effective() < PR {
		return // a provisional lock under a wrong claim protects nothing
	}
	for _, name := range parent.children {
		if s.learn(k, name) && s.rng.IntN(2) == 0 {
			s.newLock(k, name)
		}
	}
	if old := len(s.known[k]) - 8; old > 0 { // so that nodes meet
		s.known[k] = append(s.known[k][:3], s.known[k][3+old:]...)
	}
	if l.effective() != EX {
		return
	}
	s.children++
	name := fmt.Sprintf("c%d", s.children)
	if s.keys != nil {
		name = s.keys[s.rng.IntN(len(s.keys))] + name
	}
	s.learn(k, name)
	parent.children = append(parent.children, name)
	if len(parent.children) > 4 {
		parent.children = parent.children[1:]
	}
	s.take(k, name, []Mode{EX, EX, PW, PR, CR}[s.rng.IntN(5)], NewName|s.flags(ValBlk|WantBast))
	if l.wanted == NoMode && s.rng.IntN(2) == 0 {
		s.unlock(l)
	}
}

// learn says whether the name was new to node k.
func (s *sim) learn(k int, name string) bool {
	for _, have := range s.known[k] {
		if have == name {
			return false
		}
	}
	s.known[k] = append(s.known[k], name)
	return true
}

// flags gives a random subset.
func (s *sim) flags(of uint32) (f uint32) {
	for bit := uint32(1); bit != 0; bit <<= 1 {
		if of&bit != 0 && s.rng.IntN(3) == 0 {
			f |= bit
		}
	}
	return f
}

func (s *sim) newLock(k int, name string) {
	f := s.flags(NoQueue | ValBlk | NoDlckWt | NoQueueBast | WantBast)
	if s.reuse && s.rng.IntN(2) == 0 {
		f |= NewName
	}
	s.take(k, name, s.mode(), f)
}

// mode gives a random mode, more often those that protect something.
func (s *sim) mode() Mode {
	return []Mode{NL, CR, CW, PR, PR, PR, PW, EX, EX, EX}[s.rng.IntN(10)]
}

func (s *sim) take(k int, name string, mode Mode, flags uint32) {
	m := s.model(name)
	s.logf("node %d lock %q %v flags %#x", k+1, name, mode, flags)
	l := s.c.nodes[k].lock(name, mode, flags)
	s.live = append(s.live, l)
	m.locks = append(m.locks, l)
	s.check(m)
}

// nextWrite prepares a write, or an invalidation, of the value.
func (s *sim) nextWrite(m *model, l *tlock, flags uint32) []byte {
	l.write = writeRec{mode: l.mode, invalid: flags&IvValBlk != 0, claimed: s.reuse && l.open}
	return value(uint64(len(m.writes) + 1))
}

func (s *sim) convert(l *tlock) {
	m := s.model(l.name)
	mode := s.mode()
	f := s.flags(ValBlk | NoQueueBast | WantBast)
	switch s.rng.IntN(8) {
	case 0:
		f |= NoQueue
	case 1, 2:
		f |= ConvDeadlk
	case 3:
		f |= NoDlckWt
	case 4:
		f |= IvValBlk
	}
	if quecvtAllowed[l.mode]>>mode&1 == 1 {
		f |= s.flags(QueCvt)
	}
	v := s.nextWrite(m, l, f)
	s.logf("node %d convert %q %#x %v to %v flags %#x", l.n.id, l.name, l.id, l.mode, mode, f)
	l.convert(mode, f, v)
	s.check(m)
}

func (s *sim) unlock(l *tlock) {
	m := s.model(l.name)
	f := s.flags(ValBlk)
	if s.rng.IntN(8) == 0 {
		f |= IvValBlk
	}
	v := s.nextWrite(m, l, f)
	if f != 0 && exclusive(l.mode) {
		m.writes = append(m.writes, l.write)
	}
	s.logf("node %d unlock %q %#x %v flags %#x", l.n.id, l.name, l.id, l.mode, f)
	l.unlock(f, v)
	s.check(m)
}

func (s *sim) withdraw(l *tlock) {
	if s.rng.IntN(2) == 0 {
		s.logf("node %d cancel %q %#x", l.n.id, l.name, l.id)
		l.cancel()
	} else {
		s.logf("node %d force unlock %q %#x", l.n.id, l.name, l.id)
		l.unlock(ForceUnlock, nil)
	}
	s.check(s.model(l.name))
}

// rest delivers everything and checks invariant 7.
func (s *sim) rest() {
	s.resting = true
	defer func() { s.resting = false }()
	s.installAll()
	for range 100_000 {
		if len(s.c.busy) == 0 || s.failed != "" {
			break
		}
		s.deliver()
	}
	if s.failed == "" {
		s.agreement()
	}
}

// agreement is invariant 7, and that masters and owners see the same locks.
func (s *sim) agreement() {
	for _, name := range s.order {
		masters := 0
		dir := s.c.directory(name).resource(name)
		for _, n := range s.c.nodes {
			if n.down {
				continue
			}
			r := n.resource(name)
			if r == nil {
				continue
			}
			if n != s.c.directory(name) && !r.dirLife.IsZero() {
				s.fail("%q at rest: node %d has an entry, and is not its directory", name, n.id)
			}
			if r.held != nil || len(r.early) != 0 || len(r.deferred) != 0 {
				s.fail("%q at rest: node %d keeps something back", name, n.id)
			}
			switch r.state {
			case lookup, claimed, adopting, rebuilding:
				s.fail("%q at rest: node %d is in state %v", name, n.id, r.state)
			case master:
				masters++
				if dir == nil || dir.dirLife != r.life {
					s.fail("%q at rest: node %d is master, and the directory does not say so", name, n.id)
				}
			case remote:
				s.sameLocks(name, n, r)
			}
		}
		if masters > 1 || masters == 0 && dir != nil && !dir.dirLife.IsZero() {
			s.fail("%q at rest: %d masters", name, masters)
		}
	}
}

// sameLocks compares the locks of a node with their copies at the master.
func (s *sim) sameLocks(name string, n *node, r *resource) {
	if r.noLocks() {
		return // perhaps an old copy
	}
	m := s.c.node(int(r.life.Node()))
	mr := m.resource(name)
	if mr == nil || mr.state != master || mr.life != r.life {
		s.fail("%q at rest: node %d has locks, and node %d is not their master", name, n.id, m.id)
		return
	}
	copies := 0
	for _, q := range []*queue{&mr.granted, &mr.convert, &mr.waiting} {
		for l := q.head; l != nil; l = l.next {
			if wire.NodeOf(l.owner) == n.id {
				copies++
			}
		}
	}
	if copies != r.granted.n+r.convert.n+r.waiting.n {
		s.fail("%q at rest: the master has %d copies for node %d", name, copies, n.id)
	}
	for _, q := range []*queue{&r.granted, &r.convert, &r.waiting} {
		for l := q.head; l != nil; l = l.next {
			copied := m.shardOf(name).locks.find(l.owner, l.id)
			if copied == nil || copied.wanted != l.wanted ||
				copied.granted != l.granted && !(copied.demoted && copied.wanted != NoMode) {
				s.fail("%q at rest: lock %#x of node %d differs from its copy", name, l.id, n.id)
			}
		}
	}
}

// windDown gives everything up and checks that nothing is left (invariants 2
// and 6).
func (s *sim) windDown() {
	for range 50 {
		s.rest()
		pending, released := 0, 0
		for _, l := range s.live {
			switch {
			case l.gone:
			case l.wanted == NoMode:
				s.unlock(l)
				released++
			default:
				pending++
			}
		}
		if s.failed != "" {
			return
		}
		if pending == 0 && released == 0 {
			break
		}
		if released == 0 {
			s.unblock()
		}
	}
	s.endRanges()
	for _, l := range s.c.locks {
		if want := int(l.tag); !l.crashed && !l.gone || !l.crashed && l.ends != want && !(l.lost && l.ends == want) {
			s.fail("%q %#x: %d completions of %d operations, gone %v", l.name, l.id, l.ends, want, l.gone)
		}
	}
	for _, name := range s.order {
		if m := s.names[name]; m.overlap != 0 {
			s.fail("%q: two held it, and nobody was told", name)
		}
	}
	if s.failed != "" {
		return
	}
	s.c.idle()
	if left := s.c.empty(); left != "" {
		s.fail("%s", left)
	}
	for _, n := range s.c.nodes {
		for _, sh := range n.shards {
			st := sh.Stats()
			if st.TwoMasters != 0 || st.Overrun != 0 || st.Recovering && !n.down {
				s.fail("node %d: %+v", n.id, st)
			}
			if n.down {
				continue
			}
			s.stats.relayed += st.Relayed
			s.stats.claims += st.ClaimsMade
			s.stats.adopted += st.ClaimsAdopted
			s.stats.lost += st.ClaimsLost
			s.stats.resent += st.NotifyResent
			s.stats.held += st.HeldTotal
			if st.ClaimsMade != st.ClaimsConfirmed+st.ClaimsAdopted+st.ClaimsLost {
				s.fail("node %d: of %d claims %d, %d and %d were closed", n.id, st.ClaimsMade,
					st.ClaimsConfirmed, st.ClaimsAdopted, st.ClaimsLost)
			}
		}
	}
}

// unblock ends a conversion deadlock that is nobody's fault: with NODLCKWT,
// or noticed only by those that wait. Plain requests alone cannot block.
func (s *sim) unblock() {
	for _, l := range s.live {
		if !l.gone && l.wanted != NoMode && l.mode != NoMode {
			s.logf("node %d cancel %q %#x: deadlock", l.n.id, l.name, l.id)
			l.cancel()
			s.check(s.model(l.name))
			return
		}
	}
	s.fail("only plain requests wait, and nothing is granted")
}

// rangeOp delegates a range to some node, or has it given back.
func (s *sim) rangeOp() {
	n, key := s.c.nodes[s.rng.IntN(len(s.c.nodes))], s.keys[s.rng.IntN(len(s.keys))]
	if n.out() {
		return
	}
	if s.rng.IntN(2) == 0 {
		s.logf("node %d delegate %q", n.id, key)
		s.calls = append(s.calls, n.delegate(key))
		return
	}
	s.logf("node %d return %q", n.id, key)
	s.calls = append(s.calls, n.giveBack(key))
}

// endRanges gives all ranges back and checks that each call has had its one
// outcome.
func (s *sim) endRanges() {
	s.rest()
	if s.failed != "" {
		return
	}
	for _, n := range s.c.nodes {
		if n.out() {
			continue
		}
		for _, key := range s.keys {
			if k := n.shardOf(key).ranges[key]; k != nil && (k.leaving() || k.state == asking) {
				s.fail("range %q at rest: %s on node %d", key, rangeStates[k.state], n.id)
			}
			n.giveBack(key)
		}
	}
	s.rest()
	for _, r := range s.calls {
		switch {
		case r.n.instance != r.instance || r.n.down:
		case r.ends != 1:
			s.fail("range %q: %d outcomes of an operation of node %d", r.key, r.ends, r.n.id)
		case r.st == wire.OK:
			s.stats.delegated++
		default:
			s.stats.refused++
		}
	}
	s.stats.returned += uint64(s.c.sent[wire.Return])
}
