package lockspace

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The table of names holds what a map would, whatever collides.
func TestResTable(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		var table resTable
		want := map[string]*resource{}
		for step := range 3000 {
			name := fmt.Sprint(r.IntN(400))
			hash := Hash([]byte(name)) & 0x3f // many fall on one slot, some on one hash
			if x := want[name]; x != nil && r.IntN(2) == 0 {
				table.remove(x)
				delete(want, name)
			} else if x == nil {
				x = &resource{hash: hash}
				x.setName([]byte(name))
				table.insert(x)
				want[name] = x
			}
			if table.n != len(want) {
				t.Fatalf("seed %d, step %d: %d entries, want %d", seed, step, table.n, len(want))
			}
			probe := fmt.Sprint(r.IntN(400))
			if got := table.find(Hash([]byte(probe))&0x3f, []byte(probe)); got != want[probe] {
				t.Fatalf("seed %d, step %d: %q: found %p, want %p", seed, step, probe, got, want[probe])
			}
		}
		for name, x := range want {
			if got := table.find(x.hash, []byte(name)); got != x {
				t.Fatalf("seed %d: %q is lost", seed, name)
			}
		}
	}
}
