package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// ErrSecret says that a text is no secret.
var ErrSecret = errors.New("nvme: this is no DH-HMAC-CHAP secret")

// Secret is what a host, or a controller, proves to know. The zero Secret is none.
// fmt does not print it.
type Secret struct {
	hash nvme.AuthHash // how it is transformed; 0: it is not
	key  []byte
}

const secretPrefix = "DHHC-1:"

// NewSecret makes a random secret of as many bytes as the hash has, or 32 for hash 0,
// which stands for no transformation.
func NewSecret(hash nvme.AuthHash) (Secret, error) {
	n := nvme.AuthSHA256.Size()
	if hash != 0 {
		n = hash.Size()
	}
	if n == 0 {
		return Secret{}, fmt.Errorf("nvme: a secret for hash %d: want 0 to %d", hash, nvme.AuthSHA512)
	}
	s := Secret{hash: hash, key: make([]byte, n)}
	_, _ = rand.Read(s.key) // it never fails
	return s, nil
}

// ParseSecret reads a secret as Text, nvme-cli and the Linux kernel write it. The last
// colon may be missing. Any hash goes with any length.
func ParseSecret(text string) (Secret, error) {
	bad := func(format string, args ...any) (Secret, error) {
		return Secret{}, fmt.Errorf("%w: "+format, append([]any{ErrSecret}, args...)...)
	}
	rest, ok := strings.CutPrefix(text, secretPrefix)
	kind, rest, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		return bad("want %sHH:BASE64:, with HH 00 to 03", secretPrefix)
	}
	if len(kind) != 2 || kind[0] != '0' || kind[1] < '0' || kind[1] > '3' {
		return bad("hash %q, want 00 (none), 01 (SHA-256), 02 (SHA-384) or 03 (SHA-512)", kind)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(rest, ":"))
	if err != nil {
		return bad("what stands behind %s%s: is not base64", secretPrefix, kind)
	}
	n := len(b) - crc32.Size
	if n != 32 && n != 48 && n != 64 {
		return bad("a key of %d bytes, want 32, 48 or 64, and 4 of a checksum", max(0, n))
	}
	if crc32.ChecksumIEEE(b[:n]) != binary.LittleEndian.Uint32(b[n:]) {
		return bad("the checksum is wrong: a character was lost or changed")
	}
	return Secret{hash: nvme.AuthHash(kind[1] - '0'), key: b[:n:n]}, nil
}

// Text is the secret for a file: DHHC-1:HH:BASE64:, where HH is the hash and BASE64 the
// key and its CRC-32.
func (s Secret) Text() string {
	b := binary.LittleEndian.AppendUint32(bytes.Clone(s.key), crc32.ChecksumIEEE(s.key))
	return fmt.Sprintf("%s%02x:%s:", secretPrefix, uint8(s.hash), base64.StdEncoding.EncodeToString(b))
}

// IsZero says whether there is none.
func (s Secret) IsZero() bool { return len(s.key) == 0 }

// Format keeps the secret out of whatever is printed.
func (s Secret) Format(f fmt.State, _ rune) {
	if s.IsZero() {
		fmt.Fprint(f, "no secret")
		return
	}
	fmt.Fprintf(f, "secret of %d bytes", len(s.key))
}

// transformed is the key that responses are made with, of the one with that NQN.
func (s Secret) transformed(nqn string) []byte {
	if s.hash == 0 {
		return s.key
	}
	h := hmac.New(hasher(s.hash), s.key)
	h.Write([]byte(nqn))
	h.Write([]byte("NVMe-over-Fabrics"))
	return h.Sum(nil)
}
