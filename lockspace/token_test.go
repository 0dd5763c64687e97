package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the end of an epoch's tokens, and clocks that cannot be true.

// What waits for a token is granted in the next view, with one above all.
func TestTokensOut(t *testing.T) {
	withAndWithout(t, WrapTokens, func(c *cluster) string {
		x, y := c.name("x", 1, 0), c.name("y", 3, 0)
		for _, n := range c.nodes[:2] {
			n.shards[0].Note(2<<tokenCounterBits - 2)
		}
		last := c.hold(1, x, EX, 0)
		last.convert(PR, 0, nil)
		c.settle()
		up := last.convert(EX, 0, nil)
		claim := c.node(1).lock(y, EX, NewName)
		other := c.node(2).lock(x, EX, 0)
		shared := c.node(2).lock(c.name("z", 1, 0), PR, 0)
		c.settle()
		for _, l := range []*tlock{last, up, claim, other} {
			if l.mode != NoMode && l.last.Token>>tokenCounterBits != 1 {
				return "a token of an epoch that is not there yet"
			}
		}
		if up.holds(EX) || claim.mode != NoMode || other.mode != NoMode || !shared.holds(PR) || shared.last.Token == 0 {
			t.Fatalf("up %v, claim %v, other %v, shared %v", up.mode, claim.mode, other.mode, shared.mode)
		}
		if st := c.node(1).shards[0].Stats(); st.TokensLeft != 0 || st.ClaimsRefused != 1 {
			t.Errorf("%d tokens are left, %d claims refused", st.TokensLeft, st.ClaimsRefused)
		}
		before := last.last.Token
		c.node(4).crash(false)
		c.change()
		c.settle()
		if !up.holds(EX) || !claim.holds(EX) || up.last.Token <= before || up.last.Token>>tokenCounterBits != 2 {
			t.Fatalf("in the next view: up %v with token %#x after %#x, claim %v", up.mode, up.last.Token, before, claim.mode)
		}
		up.unlock(0, nil)
		c.settle()
		if !other.holds(EX) || other.last.Token <= up.last.Token {
			t.Errorf("the next one has %v with token %#x", other.mode, other.last.Token)
		}
		return ""
	})
}

// A clock of a view far ahead would end all exclusive grants for long.
func TestBadClock(t *testing.T) {
	withAndWithout(t, TrustClocks, func(c *cluster) string {
		x := c.name("x", 1, 0)
		s := c.node(1).shards[0]
		s.Deliver(c.now, Origin{c.node(2).instance, 1, 3 << tokenCounterBits}, Hash([]byte(x)),
			&wire.Msg{Type: wire.Remove, Name: []byte(x), Life: wire.Life{Instance: c.node(2).instance, Counter: 1}})
		if l := c.node(1).lock(x, EX, 0); !l.holds(EX) {
			return "nothing exclusive is granted any more"
		}
		if s.Stats().BadClocks != 1 {
			t.Error("nobody has counted it")
		}
		return ""
	})
}

// A token in a message cannot be above the clock in its header.
func TestBadToken(t *testing.T) {
	withAndWithout(t, TrustClocks, func(c *cluster) string {
		x := c.oldMaster("x", 1, 1)
		s, r := c.node(1).shards[0], c.node(1).resource(x)
		s.Deliver(c.now, Origin{c.node(2).instance, 1, 0}, r.hash, &wire.Msg{
			Type: wire.Adopt, Name: []byte(x), Claim: 1, Life: r.life, Since: 1 << NL, Token: 1 << 62,
		})
		if r.lastToken > s.clock {
			return "a token from nowhere"
		}
		return ""
	})
}
