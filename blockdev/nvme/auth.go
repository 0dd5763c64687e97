package nvme

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// AuthID is a message of in-band authentication (base specification, "NVMe
// In-band Authentication").
type AuthID uint8

const (
	AuthNegotiate AuthID = 0x00 // host: what it can do
	AuthChallenge AuthID = 0x01 // controller
	AuthReply     AuthID = 0x02 // host: its response, perhaps a challenge of its own
	AuthSuccess1  AuthID = 0x03 // controller: the host is who it says; its response to the host's challenge
	AuthSuccess2  AuthID = 0x04 // host: so is the controller
	AuthFailure2  AuthID = 0xf0 // host
	AuthFailure1  AuthID = 0xf1 // controller
)

var authNames = map[AuthID]string{
	AuthNegotiate: "AUTH_Negotiate", AuthChallenge: "DH-HMAC-CHAP_Challenge", AuthReply: "DH-HMAC-CHAP_Reply",
	AuthSuccess1: "DH-HMAC-CHAP_Success1", AuthSuccess2: "DH-HMAC-CHAP_Success2", AuthFailure1: "AUTH_Failure1",
	AuthFailure2: "AUTH_Failure2",
}

func (id AuthID) String() string {
	if name, ok := authNames[id]; ok {
		return name
	}
	return fmt.Sprintf("authentication message %#02x", uint8(id))
}

// AuthHash is a hash function of DH-HMAC-CHAP.
type AuthHash uint8

const (
	AuthSHA256 AuthHash = 1
	AuthSHA384 AuthHash = 2
	AuthSHA512 AuthHash = 3
)

// Size is the bytes of the hash; 0: unknown.
func (h AuthHash) Size() int {
	if h >= AuthSHA256 && h <= AuthSHA512 {
		return 16 + 16*int(h)
	}
	return 0
}

var hashNames = [...]string{AuthSHA256: "sha256", AuthSHA384: "sha384", AuthSHA512: "sha512"}

func (h AuthHash) String() string {
	if h.Size() == 0 {
		return fmt.Sprintf("hash %d", uint8(h))
	}
	return hashNames[h]
}

// ParseAuthHash gives the hash of a name such as sha256; false: there is none.
func ParseAuthHash(name string) (AuthHash, bool) {
	i := slices.Index(hashNames[AuthSHA256:], name)
	return AuthSHA256 + AuthHash(i), i >= 0
}

// AuthGroup is a Diffie-Hellman group of DH-HMAC-CHAP.
type AuthGroup uint8

const (
	AuthGroupNull AuthGroup = 0 // no Diffie-Hellman exchange
	AuthGroup2048 AuthGroup = 1 // ffdhe2048, RFC 7919
	AuthGroup3072 AuthGroup = 2
	AuthGroup4096 AuthGroup = 3
	AuthGroup6144 AuthGroup = 4
	AuthGroup8192 AuthGroup = 5
)

// Size is the bytes of a public value of the group; 0: none, or unknown.
func (g AuthGroup) Size() int {
	if int(g) >= len(groupSizes) {
		return 0
	}
	return groupSizes[g]
}

var (
	groupSizes = [...]int{0, 256, 384, 512, 768, 1024}
	groupNames = [...]string{"null", "ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"}
)

func (g AuthGroup) String() string {
	if int(g) >= len(groupNames) {
		return fmt.Sprintf("group %d", uint8(g))
	}
	return groupNames[g]
}

// ParseAuthGroup gives the group of a name such as ffdhe2048 or null; false: there is
// none.
func ParseAuthGroup(name string) (AuthGroup, bool) {
	i := slices.Index(groupNames[:], name)
	return AuthGroup(i), i >= 0
}

// AuthReason is why an authentication has failed: field RESCODE, then RESCODE_EXP.
type AuthReason uint8

const (
	AuthReasonFailed AuthReason = 1 // the only RESCODE

	AuthFailed           AuthReason = 1 // RESCODE_EXP: a response is wrong
	AuthProtocolUnusable AuthReason = 2
	AuthConcatMismatch   AuthReason = 3
	AuthHashUnusable     AuthReason = 4
	AuthGroupUnusable    AuthReason = 5
	AuthIncorrectPayload AuthReason = 6
	AuthIncorrectMessage AuthReason = 7
)

var authReasons = [...]string{
	"", "authentication failed", "protocol not usable", "secure channel concatenation mismatch", "hash function not usable",
	"DH group not usable", "incorrect payload", "incorrect protocol message",
}

func (r AuthReason) String() string {
	if r == 0 || int(r) >= len(authReasons) {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return authReasons[r]
}

// AuthMessage is any of the messages. A decoded one points into the bytes it was
// read from.
type AuthMessage struct {
	ID  AuthID
	TID uint16 // transaction, picked by the host

	Secure uint8  // Negotiate: SC_C, 0: no secure channel
	Hashes []byte // Negotiate: AuthHash, 30 at most; preferred ones first
	Groups []byte // Negotiate: AuthGroup, 30 at most; preferred ones first

	Hash      AuthHash  // Challenge, Success1
	Group     AuthGroup // Challenge
	Seq       uint32    // Challenge, Reply: SEQNUM; 0 in a Reply: no challenge
	Challenge []byte    // Challenge, Reply: CVAL, the hash's bytes; nil in a Reply: none
	Response  []byte    // Reply: RVAL; Success1: its answer to the Reply's challenge, nil: there was none
	DHValue   []byte    // Challenge, Reply: DHVAL, a public value

	Reason  AuthReason // Failure1, Failure2
	Explain AuthReason // Failure1, Failure2
}

// Sizes and marks of the messages.
const (
	authTypeCommon = 0 // Negotiate and failures
	authTypeDHCHAP = 1
	authProtocol   = 1 // DH-HMAC-CHAP in a Negotiate

	authHead       = 8 // Negotiate and failures
	authHeadDHCHAP = 16
	authDescriptor = 64
	authListSize   = 30
	authGroupsAt   = 4 + authListSize // in the descriptor

	// MaxAuthDescriptors is how many protocols a Negotiate may offer here.
	MaxAuthDescriptors = 32
	// MaxAuthMessage is the bytes of the largest message.
	MaxAuthMessage = 4096
)

// authType is the first byte of each message.
func (id AuthID) authType() uint8 {
	if id >= AuthChallenge && id <= AuthSuccess2 {
		return authTypeDHCHAP
	}
	return authTypeCommon
}

// Append appends the message. Values must have the sizes that their hash and
// group have.
func (m *AuthMessage) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(dst, m.ID.authType(), byte(m.ID), 0, 0)
	dst = le.AppendUint16(dst, m.TID)
	switch m.ID {
	case AuthNegotiate:
		dst = append(dst, m.Secure, 1)
		return m.appendDescriptor(dst)
	case AuthChallenge:
		dst = append(dst, byte(len(m.Challenge)), 0, byte(m.Hash), byte(m.Group))
		dst = le.AppendUint16(dst, uint16(len(m.DHValue)))
		dst = le.AppendUint32(dst, m.Seq)
		return append(append(dst, m.Challenge...), m.DHValue...)
	case AuthReply:
		n := len(dst) + 10 + 2*len(m.Response)
		dst = append(dst, byte(len(m.Response)), 0, bit(m.Challenge != nil, 0), 0)
		dst = le.AppendUint16(dst, uint16(len(m.DHValue)))
		dst = le.AppendUint32(dst, m.Seq)
		dst = append(append(dst, m.Response...), m.Challenge...)
		dst = append(dst, zeros[:n-len(dst)]...) // CVAL has its place also without a challenge
		return append(dst, m.DHValue...)
	case AuthSuccess1:
		// Hosts look at HL also if there is no response.
		dst = append(dst, byte(m.Hash.Size()), 0, bit(m.Response != nil, 0), 0, 0, 0, 0, 0, 0, 0)
		return append(dst, m.Response...)
	case AuthSuccess2:
		return append(dst, zeros[:authHeadDHCHAP-6]...)
	default:
		return append(dst, byte(m.Reason), byte(m.Explain))
	}
}

func (m *AuthMessage) appendDescriptor(dst []byte) []byte {
	hashes, groups := m.Hashes[:min(len(m.Hashes), authListSize)], m.Groups[:min(len(m.Groups), authListSize)]
	n := len(dst)
	dst = append(dst, zeros[:authDescriptor]...)
	b := dst[n:]
	b[0], b[2], b[3] = authProtocol, byte(len(hashes)), byte(len(groups))
	copy(b[4:], hashes)
	copy(b[authGroupsAt:], groups)
	return dst
}

// Decode reads the message at the start of src. Of a Negotiate it gives the
// first offer of DH-HMAC-CHAP; Hashes and Groups are empty without one. Whether
// the message may come now, and a hash or group is acceptable, is for the caller
// to say; sizes that do not fit them are ErrField, so AuthIncorrectPayload.
func (m *AuthMessage) Decode(src []byte) error {
	if err := need("an authentication message", src, authHead); err != nil {
		return err
	}
	v := AuthMessage{ID: AuthID(src[1]), TID: binary.LittleEndian.Uint16(src[4:])}
	if authNames[v.ID] == "" || src[0] != v.ID.authType() {
		return fmt.Errorf("%w: %v of type %d", ErrField, v.ID, src[0])
	}
	if v.ID.authType() == authTypeDHCHAP {
		if err := need(v.ID.String(), src, authHeadDHCHAP); err != nil {
			return err
		}
	}
	var err error
	switch v.ID {
	case AuthNegotiate:
		err = v.decodeNegotiate(src)
	case AuthChallenge:
		err = v.decodeChallenge(src)
	case AuthReply:
		err = v.decodeReply(src)
	case AuthSuccess1:
		err = v.decodeSuccess1(src)
	case AuthFailure1, AuthFailure2:
		v.Reason, v.Explain = AuthReason(src[6]), AuthReason(src[7])
	}
	if err == nil {
		*m = v
	}
	return err
}

func (m *AuthMessage) decodeNegotiate(src []byte) error {
	m.Secure = src[6]
	n := int(src[7])
	if n > MaxAuthDescriptors {
		return fmt.Errorf("%w: %v offers %d protocols, at most %d", ErrTooLarge, m.ID, n, MaxAuthDescriptors)
	}
	if err := need(m.ID.String(), src, authHead+n*authDescriptor); err != nil {
		return err
	}
	for i := range n {
		b := src[authHead+i*authDescriptor:][:authDescriptor:authDescriptor]
		if b[0] != authProtocol {
			continue
		}
		if b[2] > authListSize || b[3] > authListSize {
			return fmt.Errorf("%w: %v lists %d hashes and %d groups, at most %d", ErrField, m.ID, b[2], b[3], authListSize)
		}
		m.Hashes, _ = take(b[4:], int(b[2]))
		m.Groups, _ = take(b[authGroupsAt:], int(b[3]))
		return nil
	}
	return nil
}

// take cuts n bytes off b; of none, v is nil.
func take(b []byte, n int) (v, rest []byte) {
	if n == 0 {
		return nil, b
	}
	return b[:n:n], b[n:]
}

func (m *AuthMessage) decodeChallenge(src []byte) error {
	hl, dhl := int(src[6]), int(binary.LittleEndian.Uint16(src[10:]))
	m.Hash, m.Group, m.Seq = AuthHash(src[8]), AuthGroup(src[9]), binary.LittleEndian.Uint32(src[12:])
	if err := m.checkSizes(src, hl, dhl, authHeadDHCHAP+hl+dhl); err != nil {
		return err
	}
	if hl != m.Hash.Size() || dhl != m.Group.Size() {
		return fmt.Errorf("%w: %v with %v of %d bytes, %v of %d bytes", ErrField, m.ID, m.Hash, hl, m.Group, dhl)
	}
	m.Challenge, src = take(src[authHeadDHCHAP:], hl)
	m.DHValue, _ = take(src, dhl)
	return nil
}

func (m *AuthMessage) decodeReply(src []byte) error {
	hl, dhl := int(src[6]), int(binary.LittleEndian.Uint16(src[10:]))
	m.Seq = binary.LittleEndian.Uint32(src[12:])
	if err := m.checkSizes(src, hl, dhl, authHeadDHCHAP+2*hl+dhl); err != nil {
		return err
	}
	if src[8] > 1 {
		return fmt.Errorf("%w: CVALID of %v is %d", ErrField, m.ID, src[8])
	}
	challenge := src[8] == 1
	m.Response, src = take(src[authHeadDHCHAP:], hl)
	value, src := take(src, hl)
	if challenge {
		m.Challenge = value
	}
	m.DHValue, _ = take(src, dhl)
	return nil
}

func (m *AuthMessage) decodeSuccess1(src []byte) error {
	hl := int(src[6])
	for h := AuthSHA256; h <= AuthSHA512; h++ {
		if h.Size() == hl {
			m.Hash = h
		}
	}
	if src[8]&1 == 0 {
		return nil
	}
	if err := m.checkSizes(src, hl, 0, authHeadDHCHAP+hl); err != nil {
		return err
	}
	m.Response, _ = take(src[authHeadDHCHAP:], hl)
	return nil
}

// checkSizes judges a hash's and a group's size before anything is cut out of
// src, of which the message takes total bytes.
func (m *AuthMessage) checkSizes(src []byte, hl, dhl, total int) error {
	if hl != 32 && hl != 48 && hl != 64 || dhl > groupSizes[len(groupSizes)-1] || dhl%4 != 0 {
		return fmt.Errorf("%w: %v has a hash of %d bytes, and a DH value of %d", ErrField, m.ID, hl, dhl)
	}
	return need(m.ID.String(), src, total)
}
