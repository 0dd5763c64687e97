package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file is what a node that is not the master knows of a name's value, for
// the case that the master is lost with it. It is known for sure as long as a
// lock of this node, granted before the value was seen, excludes writers; the
// kernel, too, takes the value of such a holder alone (recover_lvb).

// excludesWriters says that a granted lock of this node on r excludes PW and EX
// of others: it is above CR, and the master cannot have demoted it.
func (s *Shard) excludesWriters(r *resource) bool {
	if s.off(TrustOldValue) {
		return true
	}
	for _, q := range []*queue{&r.granted, &r.convert} {
		for l := q.head; l != nil; l = l.next {
			if l.granted > CR && l.granted != NoMode && !l.mayLapse() {
				return true
			}
		}
	}
	return false
}

// mayLapse says that the master may have taken l's mode away, of which its owner hears
// when the operation that is running ends: demoted it, or granted a middle conversion,
// or an alternate mode.
func (l *Lock) mayLapse() bool {
	switch {
	case l.wanted == NoMode || l.granted == NL || l.granted == NoMode:
		return false
	case middle(l.granted, l.wanted):
		return true
	case l.wanted <= l.granted: // granted at once
		return false
	}
	return l.flags&ConvDeadlk != 0 || l.flags&alternates != 0 && l.granted > CR
}

// doubtValue is called when a lock of r has given something up.
func (s *Shard) doubtValue(r *resource) {
	if r.valueOK && !s.excludesWriters(r) {
		r.valueOK = false
	}
}

// sawValue notes the value that has come with a grant, if it may be relied on:
// with a lock that excludes writers. When that was granted, no lock of this node
// could write either. What comes with a weaker one is no news to a node that has
// another lock which excludes writers; it may even be older than what that one
// has written, or made not valid, before it was converted down to such a mode.
func (s *Shard) sawValue(r *resource, m *wire.Msg) {
	if m.Bits&(wire.BitValue|wire.BitNotValid) == 0 || Mode(m.Mode) <= CR && !s.off(TrustAnyGrant|TrustOldValue) {
		return
	}
	r.valueOK = m.Bits&wire.BitValue != 0 && s.excludesWriters(r)
	if r.valueOK {
		s.valued(r)
		r.value, r.valueSeq = append(r.value[:0], m.Value...), m.Seq
	}
}

// wrote notes what m, a conversion that gives up or writes, has made of the
// value.
func (s *Shard) wrote(r *resource, m *wire.Msg) {
	switch {
	case m.Bits&wire.BitInvalidate != 0:
		r.valueOK = false
	case m.Bits&wire.BitValue != 0:
		if r.valueOK = s.excludesWriters(r); r.valueOK {
			s.setKnown(r, m.Value)
		}
	default:
		s.doubtValue(r)
	}
}

// setKnown notes a value as the master will.
func (s *Shard) setKnown(r *resource, value []byte) {
	s.valued(r)
	r.value = append(r.value[:0], value...)
	for len(r.value) < s.cfg.ValueLen {
		r.value = append(r.value, 0)
	}
	r.valueSeq++
}
