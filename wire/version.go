package wire

import "fmt"

// HelloVersion is the version in the header of every frame that is sent before
// both ends have agreed on one: HELLO, LINK_HELLO and their answers. These
// messages and the frame header keep their layout in all versions, so that two
// builds without a common version can still tell each other so.
const HelloVersion uint8 = 1

// Feature bits of HELLO, LINK_HELLO and their answers. A feature is used on a
// connection when both ends have offered it; unknown bits are ignored.
const (
	FeatureCompress uint64 = 1 << 0 // reads frames with FlagCompressed
	FeatureClaims   uint64 = 1 << 1 // understands NOTIFY; without it nobody grants itself new names towards this peer

	FeatureLease uint64 = 1 << 2 // of a client and its node: LEASE_REQ, LEASE, and the status NoQuorum

	FeatureIdentity uint64 = 1 << 3 // of a client and its node: IDENTITY

	FeatureRing uint64 = 1 << 4 // of a client and its node, on a Unix socket: RING

	FeatureLook uint64 = 1 << 5 // of two nodes: frames of KindLook

	FeatureAccess uint64 = 1 << 6 // of a client and its node: the status NotAllowed

	FeatureTrace uint64 = 1 << 7 // TRACE of two nodes, TRACE_REQ of a client and its node; offered by who makes spans

	// FeatureClose is that what a member of a lockspace has said before it left, and came back, is
	// known to be old; without it at all members nobody closes a lockspace.
	FeatureClose uint64 = 1 << 8

	Features = FeatureCompress | FeatureClaims | FeatureLease | FeatureIdentity | FeatureRing | FeatureLook | FeatureAccess | FeatureTrace | FeatureClose // all that this build has
)

// VersionRange packs the versions min to max into the Num of a HELLO or
// LINK_HELLO: min in the low 16 bits, max in the high ones.
func VersionRange(min, max uint16) uint32 { return uint32(min) | uint32(max)<<16 }

// splitVersionRange is the reverse of VersionRange.
func splitVersionRange(num uint32) (min, max uint16) { return uint16(num), uint16(num >> 16) }

// Negotiate chooses the highest version that is in the peer's offer, a packed
// range, and in VersionMin to VersionMax. If there is none, or the offer's min
// is above its max, it returns ErrVersion; the error's text is fit for the
// answer's Text.
func Negotiate(offer uint32) (version uint8, err error) {
	low, high := splitVersionRange(offer)
	best := min(high, VersionMax)
	if best < max(low, VersionMin) { // also where low > high
		return 0, fmt.Errorf("%w: offered %d to %d, this build speaks %d to %d", ErrVersion, low, high, VersionMin, VersionMax)
	}
	return uint8(best), nil
}
