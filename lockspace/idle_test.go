package lockspace

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// lockMany locks and unlocks n names, whose directory is this node.
func lockMany(t *testing.T, h *hot, n int, flags uint32, value []byte) {
	t.Helper()
	h.q.Mode = EX
	for i := range n {
		for k := i; ; k += n {
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
		flags   uint32
		value   []byte
		after   int64
		want    int
	}{
		{"alone", []uint16{1}, 0, nil, 0, cachedAlone / 2},
		{"alone, with values", []uint16{1}, ValBlk, []byte("value"), 0, many},
		{"with another node", []uint16{1, 2}, 0, nil, hotIdle/IdleShare - 1, many},
		{"with another node, after a while", []uint16{1, 2}, 0, nil, hotIdle / IdleShare, cached},
		{"with another node, with values", []uint16{1, 2}, ValBlk, []byte("value"), hotIdle / IdleShare, many},
	} {
		h := newHot(t, x.members...)
		h.s.cfg.Cached = cached
		if len(x.members) == 1 {
			h.s.cfg.Cached = many
		}
		lockMany(t, h, many, x.flags, x.value)
		if h.now += x.after; x.after != 0 {
			lockMany(t, h, 1, 0, nil)
		}
		if got := h.s.Stats().Resources; got != x.want {
			t.Errorf("%s: %d names, want %d", x.what, got, x.want)
		}
		h.now += hotIdle
		h.s.Tick(h.now)
		if got := h.s.Stats().Resources; got != 0 {
			t.Errorf("%s: %d names are left", x.what, got)
		}
	}
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
