package lockspace

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// lockMany locks and unlocks some names, whose directory is this node.
func lockMany(t *testing.T, h *hot, from, to int, flags uint32, value []byte) {
	t.Helper()
	h.q.Mode = EX
	for i := from; i < to; i++ {
		for k := i; ; k += 1 << 20 {
			h.q.Name = fmt.Appendf(nil, "%d", k)
			if h.q.Hash = Hash(h.q.Name); h.s.view.Directory(h.q.Hash) == 1 {
				break
			}
		}
		id, st := h.s.Lock(h.now, &h.q)
		if st == wire.OK {
			st = h.s.Unlock(h.now, id, flags, value)
		}
		if st != wire.OK {
			t.Fatal(st)
		}
	}
}

// Many unused names are forgotten before their time, unless they have a value: at once by a
// node alone; where others have a part after the time on which those count.
func TestTrimIdle(t *testing.T) {
	const many, cached = cachedAlone + 100, 50 // a shard has half of the former at most
	for _, x := range []struct {
		what    string
		members []uint16
		valued  int // so many of the first ones have one
		after   int64
		want    int // and up to trimMany more
	}{
		{"alone", []uint16{1}, 0, 0, cachedAlone / 2},
		{"alone, with values", []uint16{1}, many, 0, many},
		{"alone, some with values", []uint16{1}, 100, 0, 100 + cachedAlone/2},
		{"with another node", []uint16{1, 2}, 0, hotIdle/IdleShare - 1, many},
		{"with another node, after a while", []uint16{1, 2}, 0, hotIdle / IdleShare, cached},
		{"with another node, with values", []uint16{1, 2}, many, hotIdle / IdleShare, many},
		{"with another node, some with values", []uint16{1, 2}, 100, hotIdle / IdleShare, 100 + cached},
	} {
		h := newHot(t, x.members...)
		h.s.cfg.Cached = cached
		if len(x.members) == 1 {
			h.s.cfg.Cached = many
		}
		lockMany(t, h, 0, x.valued, ValBlk, []byte("value"))
		lockMany(t, h, x.valued, many, 0, nil)
		h.now += x.after
		for range many / trimMany {
			lockMany(t, h, many-1, many, 0, nil)
		}
		if got := h.s.Stats().Resources; got < x.want || got >= x.want+trimMany {
			t.Errorf("%s: %d names, want %d", x.what, got, x.want)
		}
		h.now += hotIdle
		h.s.Tick(h.now)
		if got := h.s.Stats().Resources; got != 0 {
			t.Errorf("%s: %d names are left", x.what, got)
		}
	}
}

// Names that others may only hear of when a claim is closed are not forgotten before their time
// meanwhile: the messages would have to wait.
func TestTrimIdleClaimed(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	x, _ := c.create(0)
	use := func(name string, n int) {
		for i := range n {
			c.hold(1, c.name(fmt.Sprintf("%s%d.", name, i), 2, 0), EX, 0).unlock(0, nil)
		}
	}
	const many = testCached + 2*trimMany
	use("p", many)
	c.now += testIdle / IdleShare
	use("q", 1)
	st := c.node(1).shards[0].Stats()
	if st.HeldNow != 0 || st.Resources < many {
		t.Errorf("with a claim open %d messages are held, and %d names are left of %d", st.HeldNow, st.Resources, many)
	}
	c.about(x)
	use("q", 3)
	if n := c.node(1).shards[0].Stats().Resources; n >= many {
		t.Errorf("the claim is closed, and there are still %d names", n)
	}
	c.windDown()
}

// What was let go before a claim began can be forgotten while it is open, and says
// nothing of it; what was let go later waits.
func TestForgetBeforeClaim(t *testing.T) {
	c := newCluster(t, 4, 1, 0)
	before, after := c.name("p", 2, 0), c.name("q", 2, 0)
	last := c.hold(1, after, EX, 0)
	c.hold(1, before, EX, 0).unlock(0, nil)
	x, _ := c.create(0)
	last.unlock(0, nil)
	c.now += testIdle
	c.node(1).tick()
	if !c.on(1, 2, before, wire.Remove) || c.on(1, 2, after, wire.Remove) {
		t.Errorf("REMOVE on its way: of what was let go before the claim %t, after it %t",
			c.on(1, 2, before, wire.Remove), c.on(1, 2, after, wire.Remove))
	}
	c.about(x)
	if !c.on(1, 2, after, wire.Remove) {
		t.Error("the claim is closed, and REMOVE waits")
	}
	c.windDown()
}
