package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// hasher gives a hash function; nil: unknown.
func hasher(h nvme.AuthHash) func() hash.Hash {
	switch h {
	case nvme.AuthSHA256:
		return sha256.New
	case nvme.AuthSHA384:
		return sha512.New384
	case nvme.AuthSHA512:
		return sha512.New
	}
	return nil
}

// Who responds, as responses say it.
const (
	hostRole       = "HostHost"
	controllerRole = "Controller"
)

// exchange is what both ends know of a transaction, and responses depend on.
type exchange struct {
	hash   nvme.AuthHash
	tid    uint16
	shared []byte // of the group; nil: no Diffie-Hellman exchange
}

// augmented is the challenge as responses have it: with what only those know who have
// taken part in the Diffie-Hellman exchange.
func (x *exchange) augmented(challenge []byte) []byte {
	if x.shared == nil {
		return challenge
	}
	h := hasher(x.hash)()
	h.Write(x.shared)
	m := hmac.New(hasher(x.hash), h.Sum(nil))
	m.Write(challenge)
	return m.Sum(nil)
}

// response is what the one with secret and NQN from answers to a challenge of to.
func (x *exchange) response(secret Secret, challenge []byte, seq uint32, role, from, to string) []byte {
	m := hmac.New(hasher(x.hash), secret.transformed(from))
	m.Write(x.augmented(challenge))
	b := binary.LittleEndian.AppendUint32(nil, seq)
	b = binary.LittleEndian.AppendUint16(b, x.tid)
	b = append(b, 0) // SC_C: no secure channel
	b = append(b, role...)
	b = append(b, from...)
	b = append(b, 0)
	b = append(b, to...)
	m.Write(b)
	return m.Sum(nil)
}
