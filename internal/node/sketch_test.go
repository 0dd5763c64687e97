package node

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace"
)

// A name that is asked for often is found among very many others, about as often as it is
// asked for; noting it allocates nothing.
func TestSketch(t *testing.T) {
	const second = int64(1e9)
	var h sketch
	names := make([][]byte, 5000)
	hashes := make([]uint64, len(names))
	for i := range names {
		names[i] = fmt.Appendf(nil, "name %d", i)
		hashes[i] = lockspace.Hash(names[i])
	}
	now := second
	round := func(i int) {
		now += second / 20000
		k := i % len(names)
		if i%4 == 0 {
			k = 7
		}
		h.request(now, hashes[k], names[k])
	}
	for i := range 160000 { // 8 s, 20000 requests a second
		round(i)
	}
	list, perS := h.read(now)
	found := false
	for _, n := range list {
		if string(n.Name) == "name 7" {
			found = n.PerS > 4000 && n.PerS < 6500
		} else if n.PerS > 1500 {
			t.Errorf("%s: %.0f requests a second", n.Name, n.PerS)
		}
	}
	if !found || perS < 17000 || perS > 23000 || len(list) > 2*sketchNames {
		t.Errorf("%.0f requests a second: %d names", perS, len(list))
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() { round(i); i++ }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
	if _, perS := h.read(now + 3600*second); perS > 100 {
		t.Errorf("after an hour of nothing: %.0f requests a second", perS)
	}
}
