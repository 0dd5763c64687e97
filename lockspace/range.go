package lockspace

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify/wire"
)

// RangeRule says which part of a name is its range key. All names with the
// same key lie in one shard and have the same directory node, which can hand
// the whole range to another node (see delegate.go). It is fixed for a
// lockspace, the same on all nodes; as a number it travels in OPEN_SPACE and
// LINK_SPACE. The zero RangeRule is none: each name is its own key, and there
// are no ranges.
type RangeRule uint32

const (
	rulePrefix RangeRule = 1 << 8 // low byte: length of the key
	ruleFirst  RangeRule = 2 << 8 // low byte: separator
	ruleLast   RangeRule = 3 << 8
	ruleArg    RangeRule = 0xff
)

// RangePrefix makes the first n bytes of a name its key, 1 to 63; a name that
// is not longer is its own key.
func RangePrefix(n int) RangeRule {
	if n < 1 || n >= wire.MaxName {
		return badRule
	}
	return rulePrefix | RangeRule(n)
}

// RangeFirst makes a name's key what stands up to the first separator, that
// one included; a name without it is its own key.
func RangeFirst(separator byte) RangeRule { return ruleFirst | RangeRule(separator) }

// RangeLast is RangeFirst with the last separator.
func RangeLast(separator byte) RangeRule { return ruleLast | RangeRule(separator) }

// badRule is not Valid.
const badRule = rulePrefix

// Valid says that r is a rule, or none.
func (r RangeRule) Valid() bool {
	switch r &^ ruleArg {
	case rulePrefix:
		return r&ruleArg >= 1 && r&ruleArg < wire.MaxName
	case ruleFirst, ruleLast:
		return true
	}
	return r == 0
}

// String gives r in the form that ParseRangeRule reads.
func (r RangeRule) String() string {
	kind := "last"
	switch r &^ ruleArg {
	case rulePrefix:
		return fmt.Sprintf("prefix:%d", r&ruleArg)
	case ruleFirst:
		kind = "first"
	case ruleLast:
	default:
		return "none"
	}
	if c := byte(r); c > ' ' && c < 0x7f {
		return kind + ":" + string(rune(c))
	}
	return fmt.Sprintf("%s:%#02x", kind, byte(r))
}

// ParseRangeRule reads "none", "prefix:8" (RangePrefix), "first:/" (RangeFirst)
// or "last:/" (RangeLast). A separator is one byte, or its number: "last:0x00".
func ParseRangeRule(text string) (RangeRule, error) {
	kind, arg, _ := strings.Cut(text, ":")
	r := badRule
	switch kind {
	case "none":
		if arg == "" {
			r = 0
		}
	case "prefix":
		if n, err := strconv.Atoi(arg); err == nil {
			r = RangePrefix(n)
		}
	case "first", "last":
		c, err := strconv.ParseUint(arg, 0, 8)
		if len(arg) == 1 {
			c, err = uint64(arg[0]), nil
		}
		if r = RangeFirst(byte(c)); kind == "last" {
			r = RangeLast(byte(c))
		}
		if err != nil {
			r = badRule
		}
	}
	if !r.Valid() {
		return 0, fmt.Errorf("lockspace: range rule %q, want none, prefix:N with N from 1 to %d, first:C or last:C with a byte C", text, wire.MaxName-1)
	}
	return r, nil
}

// Key gives the key of a name: a part of it, at least one byte long. The key of
// a key is itself.
func (r RangeRule) Key(name []byte) []byte {
	end := len(name)
	switch r &^ ruleArg {
	case rulePrefix:
		end = min(end, int(r&ruleArg))
	case ruleFirst:
		if i := bytes.IndexByte(name, byte(r)); i >= 0 {
			end = i + 1
		}
	case ruleLast:
		if i := bytes.LastIndexByte(name, byte(r)); i >= 0 {
			end = i + 1
		}
	}
	return name[:end]
}

// IsKey says that key is the key of some name longer than itself.
func (r RangeRule) IsKey(key []byte) bool {
	if len(key) == 0 || len(key) >= wire.MaxName {
		return false
	}
	switch r &^ ruleArg {
	case rulePrefix:
		return len(key) == int(r&ruleArg)
	case ruleFirst:
		return bytes.IndexByte(key, byte(r)) == len(key)-1
	case ruleLast:
		return key[len(key)-1] == byte(r)
	}
	return false
}

// Route gives the hash that chooses the directory node and the shard of a name
// with this hash: that of its key.
func (r RangeRule) Route(name []byte, hash uint64) uint64 {
	if r == 0 {
		return hash
	}
	return Hash(r.Key(name))
}
