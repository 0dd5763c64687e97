package lockspace

// This file is the fencing tokens: 24 bits of epoch, 40 bits of counter. The
// counter never runs over into the epoch. When it is used up, nothing exclusive
// is granted before a view with a new epoch is installed: requests wait, those
// with NOQUEUE would block, and claims become lookups.

// tokenCounterBits splits a token: epoch above, counter below.
const tokenCounterBits = 40

// lastOfEpoch gives the highest token of the present view.
func (s *Shard) lastOfEpoch() uint64 { return (s.view.Epoch+1)<<tokenCounterBits - 1 }

// needsToken says that the running operation of l starts a new link of the
// name's token chain: an exclusive grant, also by up-conversion, or
// to a program that takes over an orphan.
func (l *Lock) needsToken() bool {
	return exclusive(l.wanted) && (l.granted == NoMode || l.granted < l.wanted || l.flags&Orphan != 0)
}

// tokensOut says that there is no token for another exclusive grant. It is so
// too, for a moment, when a node has heard the clock of a later view than its
// own: a token of the present one would not stand above all that were given.
func (s *Shard) tokensOut() bool { return s.clock >= s.lastOfEpoch() && !s.off(WrapTokens) }

// starves says that l, which may be granted otherwise, must wait for a token.
func (s *Shard) starves(l *Lock) bool {
	if !l.needsToken() || !s.tokensOut() {
		return false
	}
	s.starved = true
	return true
}

// nextToken starts a new link of a name's token chain: a token above
// everything this node has seen for the name and in this shard. The caller has
// asked tokensOut.
func (s *Shard) nextToken(r *resource) uint64 {
	t := max(s.clock, r.lastToken)
	if floor := s.view.Epoch << tokenCounterBits; t < floor {
		t = floor
	}
	t++
	s.clock, r.lastToken = t, t
	s.common.Advance(t)
	return t
}

// Note merges a token clock that another node has sent. One that is beyond the
// view after this one cannot be true: shards of a node install a view one after
// the other, but none of them is two views ahead. It is not taken over.
func (s *Shard) Note(clock uint64) {
	switch {
	case clock <= s.clock:
	case clock>>tokenCounterBits > s.view.Epoch+1 && !s.off(TrustClocks):
		s.stats.BadClocks++
	default:
		s.clock = clock
		s.common.Advance(clock)
	}
}

// heard gives a token that a message carries as the last one of a name. It
// cannot be above the sender's clock, which has been noted before.
func (s *Shard) heard(token uint64) uint64 {
	if s.off(TrustClocks) {
		return token
	}
	return min(token, s.clock)
}

// feed grants what has waited for a token, once a new view has brought some.
func (s *Shard) feed() {
	if !s.starved || s.tokensOut() {
		return
	}
	s.starved = false
	s.names.each(func(r *resource) bool {
		if r.mastered() {
			s.grantPending(r)
		}
		return true
	})
}
