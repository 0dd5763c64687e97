package auth

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// ErrFailed is in all errors of an authentication that has come to an end without
// success.
var ErrFailed = errors.New("DH-HMAC-CHAP failed")

// refusal is what the peer is told.
func refusal(id nvme.AuthID, tid uint16, why nvme.AuthReason) []byte {
	m := nvme.AuthMessage{ID: id, TID: tid, Reason: nvme.AuthReasonFailed, Explain: why}
	return m.Append(nil)
}

func failed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFailed}, args...)...)
}

// Preferred ones first. SHA-256 and 2048 bits are enough for secrets that are random;
// the null group lets who listens try secrets at home.
var (
	allHashes = []nvme.AuthHash{nvme.AuthSHA256, nvme.AuthSHA384, nvme.AuthSHA512}
	allGroups = []nvme.AuthGroup{
		nvme.AuthGroup2048, nvme.AuthGroup3072, nvme.AuthGroup4096, nvme.AuthGroup6144, nvme.AuthGroup8192, nvme.AuthGroupNull,
	}
)

// Choice is which hashes and groups an end uses, preferred ones first. nil stands for all.
type Choice struct {
	Hashes []nvme.AuthHash
	Groups []nvme.AuthGroup
}

// complete puts defaults in, or says what is wrong.
func (c Choice) complete() (Choice, error) {
	if c.Hashes == nil {
		c.Hashes = allHashes
	}
	if c.Groups == nil {
		c.Groups = allGroups
	}
	if len(c.Hashes) == 0 || len(c.Groups) == 0 {
		return c, errors.New("nvme: authentication: no hash or no group to choose from")
	}
	for i, h := range c.Hashes {
		if hasher(h) == nil || slices.Contains(c.Hashes[:i], h) {
			return c, fmt.Errorf("nvme: authentication: hash %v: unknown, or there twice", h)
		}
	}
	for i, g := range c.Groups {
		if !known(g) || slices.Contains(c.Groups[:i], g) {
			return c, fmt.Errorf("nvme: authentication: group %v: unknown, or there twice", g)
		}
	}
	return c, nil
}

// Check says what is wrong with the choice.
func (c Choice) Check() error {
	_, err := c.complete()
	return err
}

// source is where random numbers come from.
type source struct{ io.Reader }

func newSource(r io.Reader) source {
	if r == nil {
		r = rand.Reader
	}
	return source{r}
}

// challenge gives n random bytes.
func (r source) challenge(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("nvme: random numbers: %w", err)
	}
	return b, nil
}

// number gives a sequence number, which is not 0.
func (r source) number() (uint32, error) {
	b, err := r.challenge(4)
	if err != nil {
		return 0, err
	}
	return max(1, binary.LittleEndian.Uint32(b)), nil
}
