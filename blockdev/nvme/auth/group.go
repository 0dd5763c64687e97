package auth

import (
	"fmt"
	"io"
	"math/big"
	"sync"

	"filippo.io/bigmod"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// field is a group of RFC 7919: powers of 2 modulo a safe prime.
type field struct {
	p *bigmod.Modulus
	g *bigmod.Nat
}

// exponentSize is the bytes of a private exponent: more than twice the strength of the
// largest group, as RFC 7919 wants it (section 5.2).
const exponentSize = 64

// fields are made when they are needed first.
var fields = [...]func() *field{
	nvme.AuthGroup2048: sync.OnceValue(func() *field { return newField(2048, 560316) }),
	nvme.AuthGroup3072: sync.OnceValue(func() *field { return newField(3072, 2625351) }),
	nvme.AuthGroup4096: sync.OnceValue(func() *field { return newField(4096, 5736041) }),
	nvme.AuthGroup6144: sync.OnceValue(func() *field { return newField(6144, 15705020) }),
	nvme.AuthGroup8192: sync.OnceValue(func() *field { return newField(8192, 10965728) }),
}

func newField(bits uint, x int64) *field {
	p, err := bigmod.NewModulus(prime(bits, x).Bytes())
	if err != nil {
		panic(err) // it is no input
	}
	return &field{p: p, g: bigmod.NewNat().SetUint(2).ExpandFor(p)}
}

// prime is 2^bits - 2^(bits-64) + (floor(2^(bits-130) * e) + x) * 2^64 - 1: RFC 7919,
// appendix A.
func prime(bits uint, x int64) *big.Int {
	const guard = 64 // bits, for what is lost in each term
	term, e := big.NewInt(1), new(big.Int)
	term.Lsh(term, bits-130+guard)
	for k := int64(1); term.Sign() > 0; k++ { // e is the sum of all 1/k!
		e.Add(e, term)
		term.Quo(term, big.NewInt(k))
	}
	e.Rsh(e, guard)
	power := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	p := e.Add(e, big.NewInt(x))
	p.Lsh(p, 64)
	p.Add(p, power(bits))
	p.Sub(p, power(bits-64))
	return p.Sub(p, big.NewInt(1))
}

// known says whether there is a group of that name.
func known(g nvme.AuthGroup) bool { return g <= nvme.AuthGroup8192 }

// exponent is one side of a Diffie-Hellman exchange. nil is that of the null group.
type exponent struct {
	f *field
	x [exponentSize]byte
}

// newExponent picks a private exponent.
func newExponent(g nvme.AuthGroup, random io.Reader) (*exponent, error) {
	if g == nvme.AuthGroupNull {
		return nil, nil
	}
	e := &exponent{f: fields[g]()}
	if _, err := io.ReadFull(random, e.x[:]); err != nil {
		return nil, fmt.Errorf("nvme: random numbers: %w", err)
	}
	return e, nil
}

// public is what the peer is told; nil in the null group.
func (e *exponent) public() []byte {
	if e == nil {
		return nil
	}
	return bigmod.NewNat().Exp(e.f.g, e.x[:], e.f.p).Bytes(e.f.p)
}

// shared is what only this end and the one with that public value know; nil in the null
// group. false: the value is of no use, and its sender gives everything away.
func (e *exponent) shared(public []byte) ([]byte, bool) {
	if e == nil {
		return nil, len(public) == 0
	}
	if len(public) != e.f.p.Size() {
		return nil, false
	}
	y, err := bigmod.NewNat().SetBytes(public, e.f.p) // less than p
	if err != nil || y.IsZero()|y.IsOne()|y.IsMinusOne(e.f.p) != 0 {
		return nil, false
	}
	return bigmod.NewNat().Exp(y, e.x[:], e.f.p).Bytes(e.f.p), true
}
