package lockspace

import (
	"bytes"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

func TestRangeRule(t *testing.T) {
	long := strings.Repeat("n", wire.MaxName)
	for _, c := range []struct {
		rule      RangeRule
		name, key string
		isKey     bool // the key names a range
	}{
		{0, "a/b/c", "a/b/c", false},
		{RangePrefix(3), "a/b/c", "a/b", true},
		{RangePrefix(3), "a/b", "a/b", true},
		{RangePrefix(3), "a/", "a/", false},
		{RangePrefix(63), long, long[:63], true},
		{RangeFirst('/'), "a/b/c", "a/", true},
		{RangeFirst('/'), "/b", "/", true},
		{RangeFirst('/'), "abc", "abc", false},
		{RangeLast('/'), "a/b/c", "a/b/", true},
		{RangeLast('/'), "a/b/", "a/b/", true},
		{RangeLast('/'), "abc", "abc", false},
		{RangeLast('n'), long, long, false}, // nothing is longer
		{RangeLast(0), "a\x00b", "a\x00", true},
	} {
		key := c.rule.Key([]byte(c.name))
		if string(key) != c.key || !bytes.Equal(c.rule.Key(key), key) || c.rule.IsKey(key) != c.isKey {
			t.Errorf("%v: key of %q is %q, its own %q, names a range %v", c.rule, c.name, key, c.rule.Key(key), c.rule.IsKey(key))
		}
		hash := Hash([]byte(c.name))
		if got := c.rule.Route([]byte(c.name), hash); got != Hash([]byte(c.key)) {
			t.Errorf("%v: %q is routed by %#x", c.rule, c.name, got)
		}
		if !c.rule.Valid() {
			t.Errorf("%v is not valid", c.rule)
		}
	}
	for _, r := range []RangeRule{RangePrefix(0), RangePrefix(-1), RangePrefix(wire.MaxName), 1, 4 << 8, 1<<16 | 2<<8} {
		if r.Valid() {
			t.Errorf("%#x is valid: %v", uint32(r), r)
		}
	}
	if RangeFirst('/').IsKey([]byte("a/b/")) || RangeLast('/').IsKey(nil) {
		t.Error("not keys of the rule")
	}
	for r, want := range map[RangeRule]string{
		0: "none", RangePrefix(3): "prefix:3", RangeFirst('/'): "first:/", RangeLast(0): "last:0x00",
		RangeLast('1'): "last:1", RangeFirst(' '): "first:0x20", RangeFirst(':'): "first::",
	} {
		if r.String() != want {
			t.Errorf("%q, want %q", r, want)
		}
		if back, err := ParseRangeRule(want); back != r || err != nil {
			t.Errorf("%q is read as %v, %v", want, back, err)
		}
	}
	for _, bad := range []string{"", "all", "none:1", "prefix", "prefix:0", "prefix:64", "prefix:x", "first", "last:ab", "last:0x100", "last:-1"} {
		if r, err := ParseRangeRule(bad); err == nil {
			t.Errorf("%q is read as %v", bad, r)
		}
	}
}

// Names of one range have one directory node and one shard.
func TestRangeRoute(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	rule := RangeLast('/')
	at := func(name string) (uint16, int) {
		h := rule.Route([]byte(name), Hash([]byte(name)))
		return c.view.Directory(h), ShardOf(h, 8)
	}
	for _, key := range []string{"a/", "b/", "c/d/", "/"} {
		dir, shard := at(key)
		for _, name := range []string{"x", "y", "a longer name"} {
			if d, s := at(key + name); d != dir || s != shard {
				t.Errorf("%s%s: directory %d, shard %d; the key's are %d and %d", key, name, d, s, dir, shard)
			}
		}
	}
}
