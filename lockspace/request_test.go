package lockspace

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is what a request costs, and what is wrong with one.

// Each operation that is refused at once changes nothing.
func TestBadInput(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		s.do("H lock PR")
		s.do("A lock PR")
		s.do("W lock EX")
		n := s.c.node(s.user)
		sh, now, a, w := n.shards[0], n.now(), s.lock["A"].id, s.lock["W"].id
		lock := func(name string, mode Mode, flags uint32) Status {
			_, st := sh.Lock(now, &Request{Name: []byte(name), Hash: Hash([]byte(name)), Mode: mode, Flags: flags})
			return st
		}
		long := make([]byte, testValueLen+1)
		before, sent := inspect(s.c), s.c.sent
		for i, c := range []struct{ got, want Status }{
			{lock("", EX, 0), wire.BadName},
			{lock(strings.Repeat("n", wire.MaxName+1), EX, 0), wire.BadName},
			{lock(s.name, NoMode, 0), wire.BadMode},
			{lock(s.name, EX+1, 0), wire.BadMode},
			{lock(s.name, EX, QueCvt), wire.BadFlags},
			{lock(s.name, EX, 1<<31), wire.BadFlags},
			{lock(s.name, EX, ForceUnlock), wire.BadFlags},
			{lock(s.name, EX, Orphan), wire.NoOrphan},
			{lock("another", EX, Orphan), wire.NoOrphan},
			{sh.Convert(now, 99<<8, EX, 0, nil, 1), wire.NoLock},
			{sh.Convert(now, w, EX, 0, nil, 1), wire.Busy},
			{sh.Convert(now, a, NoMode, 0, nil, 1), wire.BadMode},
			{sh.Convert(now, a, EX, NewName, nil, 1), wire.BadFlags},
			{sh.Convert(now, a, EX, ForceUnlock, nil, 1), wire.BadFlags},
			{sh.Convert(now, a, EX, 0, long, 1), wire.BadValue},
			{sh.Convert(now, a, PR, QueCvt, nil, 1), wire.BadFlags},
			{sh.Convert(now, a, EX, ConvDeadlk|NoQueue, nil, 1), wire.BadFlags},
			{sh.Unlock(now, 99<<8, 0, nil), wire.NoLock},
			{sh.Unlock(now, w, 0, nil), wire.Busy},
			{sh.Unlock(now, a, NoQueue, nil), wire.BadFlags},
			{sh.Unlock(now, a, ValBlk, long), wire.BadValue},
			{sh.Cancel(now, 99<<8, 0), wire.NoLock},
			{sh.Cancel(now, a, 0), wire.Invalid},
			{sh.Cancel(now, w, 99), wire.Invalid},
			{sh.Deadline(now, 99<<8, 1, 1), wire.NoLock},
			{sh.Deadline(now, a, 1, 1), wire.Invalid},
			{sh.Deadline(now, w, 99, 1), wire.Invalid},
			{sh.Abandon(now, 99<<8, 1), wire.NoLock},
			{sh.SendPurge(now, 9, 0), wire.NoNode},
		} {
			if c.got != c.want {
				t.Errorf("case %d: %v, want %v", i, c.got, c.want)
			}
		}
		if after := inspect(s.c); after != before || sent != s.c.sent {
			t.Errorf("before: %s\nafter: %s", before, after)
		}
		s.do("W cancel")
	})
}

// inspect prints all resources of all nodes.
func inspect(c *cluster) string {
	var b bytes.Buffer
	for _, n := range c.nodes {
		n.shards[0].Inspect(func(i ResourceInfo) bool {
			fmt.Fprintf(&b, "%d %+v\n", n.id, i)
			return true
		})
	}
	return b.String()
}

func TestHops(t *testing.T) {
	for _, tc := range []struct {
		name    string
		dir     int // of the name; requester is node 1
		master  int // 0: none
		flags   uint32
		cached  bool
		hops    uint8
		convert uint8 // of an up-conversion
	}{
		{"new name, remote directory", 3, 0, 0, false, 2, 0},
		{"new name, own directory", 1, 0, 0, false, 0, 0},
		{"New", 3, 0, NewName, false, 0, 0},
		{"third node is master", 3, 2, 0, false, 3, 2},
		{"directory is master", 3, 3, 0, false, 2, 2},
		{"requester is directory", 1, 2, 0, false, 2, 2},
		{"cached", 3, 2, 0, true, 2, 2},
		{"cached, New", 3, 2, NewName, true, 2, 2},
		{"local master", 3, 1, 0, false, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCluster(t, 3, 1, 0)
			x := c.name("x", tc.dir, 0)
			if tc.master != 0 {
				c.hold(tc.master, x, NL, 0)
			}
			if tc.cached {
				c.hold(1, x, NL, 0).unlock(0, nil)
				c.settle()
			}
			l := c.hold(1, x, NL, tc.flags)
			if l.last.Hops != tc.hops {
				t.Errorf("%d messages, want %d", l.last.Hops, tc.hops)
			}
			l.convert(EX, 0, nil)
			c.settle()
			if l.last.Hops != tc.convert {
				t.Errorf("conversion: %d messages, want %d", l.last.Hops, tc.convert)
			}
			if l.convert(CR, 0, nil); !l.holds(CR) || l.last.Hops != 0 {
				t.Errorf("down-conversion: %v after %d messages", l.mode, l.last.Hops)
			}
			c.windDown()
		})
	}
}

// A value shorter than the lockspace's is filled up with zeros.
func TestShortValue(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		s.do("A lock EX")
		for _, v := range []string{"12345678", "ab", ""} {
			s.lock["A"].convert(EX, ValBlk, []byte(v))
			s.c.settle()
			s.do("R lock NL valblk")
			want := append([]byte(v), make([]byte, testValueLen-len(v))...)
			if got := s.lock["R"].last.Value; !bytes.Equal(got, want) {
				t.Errorf("written %q, read %q", v, got)
			}
			s.do("R unlock")
		}
	})
}
