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

// The only node forgets unused names before their time when there are many, unless they
// have a value. Where others have a part it does not: they count on the time.
func TestTrimIdle(t *testing.T) {
	const many = idleMost + 100
	for _, x := range []struct {
		what    string
		members []uint16
		flags   uint32
		value   []byte
		want    int
	}{
		{"alone", []uint16{1}, 0, nil, idleMost},
		{"alone, with values", []uint16{1}, ValBlk, []byte("value"), many},
		{"with another node", []uint16{1, 2}, 0, nil, many},
	} {
		h := newHot(t, x.members...)
		lockMany(t, h, many, x.flags, x.value)
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
