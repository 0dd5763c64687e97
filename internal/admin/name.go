package admin

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is the name of a lockspace or a resource: any bytes.
type Name []byte

// String gives the name as it is if it can be read that way, else quoted and
// escaped like a Go string.
func (n Name) String() string {
	s := string(n)
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == '"' || r == '\\' }
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) || strings.TrimSpace(s) != s {
		return strconv.Quote(s)
	}
	return s
}

type nameJSON struct {
	Text string `json:"text"` // String, for people
	Hex  string `json:"hex"`  // the bytes
}

// MarshalJSON writes {"text": ..., "hex": ...}.
func (n Name) MarshalJSON() ([]byte, error) {
	return json.Marshal(nameJSON{n.String(), hex.EncodeToString(n)})
}

// UnmarshalJSON reads what MarshalJSON writes; hex alone counts.
func (n *Name) UnmarshalJSON(data []byte) error {
	var j nameJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("admin: name: %w", err)
	}
	b, err := hex.DecodeString(j.Hex)
	if err != nil {
		return fmt.Errorf("admin: name %q: %w", j.Text, err)
	}
	*n = b
	return nil
}

// ID is a 64-bit number that uses all its bits. In JSON it is a string, "0x"
// and hex digits, because many readers of JSON round large numbers.
type ID uint64

// String gives the number as in JSON, without the quotes.
func (i ID) String() string { return fmt.Sprintf("%#x", uint64(i)) }

// MarshalText gives String.
func (i ID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (i *ID) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 0, 64)
	if err != nil {
		return fmt.Errorf("admin: id: %w", err)
	}
	*i = ID(v)
	return nil
}
