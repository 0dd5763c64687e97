package nvme

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Names of hosts and subsystems (base specification, "NVMe Qualified Names").
const (
	MaxNQN       = 223 // bytes
	nqnField     = 256 // bytes of a field that holds one, ended by a zero byte
	DiscoveryNQN = "nqn.2014-08.org.nvmexpress.discovery"
	uuidPrefix   = "nqn.2014-08.org.nvmexpress:uuid:"
)

// CheckNQN says what is wrong with a name: it is nqn.YYYY-MM.reversed.domain,
// with a colon and any text behind it or without (as the discovery subsystem's),
// or uuidPrefix and a UUID; UTF-8, 223 bytes at most.
func CheckNQN(s string) error {
	switch {
	case len(s) > MaxNQN:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrNQN, len(s), MaxNQN)
	case !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("%w: %q is not UTF-8 without zero bytes", ErrNQN, s)
	case strings.HasPrefix(s, uuidPrefix):
		if !isUUID(s[len(uuidPrefix):]) {
			return fmt.Errorf("%w: %q does not end with a UUID", ErrNQN, s)
		}
		return nil
	}
	rest, ok := strings.CutPrefix(s, "nqn.")
	if !ok || len(rest) < 9 || !isMonth(rest[:7]) || rest[7] != '.' {
		return fmt.Errorf("%w: %q is not nqn.YYYY-MM and a domain", ErrNQN, s)
	}
	domain, _, _ := strings.Cut(rest[8:], ":")
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 {
			return fmt.Errorf("%w: %q has no valid domain behind the date", ErrNQN, s)
		}
	}
	return nil
}

func isMonth(s string) bool {
	for i := range s {
		if i != 4 && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s[4] == '-' && s[5:] >= "01" && s[5:] <= "12"
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])) {
			return false
		}
	}
	return true
}

func putNQN(b []byte, s string) { copy(b[:nqnField-1], s) }

// getNQN reads a field of nqnField bytes.
func getNQN(b []byte) (string, error) {
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return "", fmt.Errorf("%w: no zero byte ends it", ErrNQN)
	}
	s := string(b[:end])
	return s, CheckNQN(s)
}

// FormatUUID gives a UUID, such as a host's ID, as text.
func FormatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// ParseUUID reads a UUID in the form of FormatUUID. Errors: ErrNQN.
func ParseUUID(s string) (u [16]byte, err error) {
	if !isUUID(s) {
		return u, fmt.Errorf("%w: %q is no UUID of the form 01234567-89ab-cdef-0123-456789abcdef", ErrNQN, s)
	}
	_, err = hex.Decode(u[:], []byte(strings.ReplaceAll(s, "-", "")))
	return u, err
}

// UUIDName gives the NQN of a host that has no other name than its ID.
func UUIDName(id [16]byte) string { return uuidPrefix + FormatUUID(id) }

// UUIDOfName gives the ID in an NQN that UUIDName makes; false: it is of another form.
func UUIDOfName(nqn string) (id [16]byte, ok bool) {
	rest, ok := strings.CutPrefix(nqn, uuidPrefix)
	if !ok {
		return id, false
	}
	id, err := ParseUUID(rest)
	return id, err == nil
}
