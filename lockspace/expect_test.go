package lockspace

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// manyNames gives a shard that has heard of n names which node 2 has made.
func manyNames(t testing.TB, n int) (h *hot, names [][]byte) {
	h = newHot(t, 1, 2)
	for range n {
		h.next(1)
		names = append(names, append([]byte(nil), h.name...))
		h.told(names, len(names)-1)
	}
	return h, names
}

// told says again who has made a name: an answer is due, and no more.
func (h *hot) told(names [][]byte, i int) {
	m := wire.Msg{
		Type: wire.Notify, Name: names[i], Claim: uint64(i + 1), Life: wire.Life{Instance: instanceOf(2), Counter: uint64(i+1) << 8},
	}
	h.s.Deliver(1, Origin{Instance: instanceOf(2), Epoch: 1}, Hash(m.Name), &m)
}

// Names may be expected that are there, that are not, or that are in a table that
// has just doubled.
func TestExpect(t *testing.T) {
	h, names := manyNames(t, 0)
	step := make([]uint64, 0, ExpectMax)
	for range 4 * tableSparse {
		h.next(1)
		names = append(names, append([]byte(nil), h.name...))
		for i := range ExpectMax {
			step = append(step, Hash(fmt.Appendf(nil, "nobody %d", i)), Hash(names[(len(names)*i)/ExpectMax]))
		}
		for i := range 2 {
			h.s.Expect(step[i*ExpectMax : (i+1)*ExpectMax])
		}
		h.told(names, len(names)-1)
		step = step[:0]
	}
	if h.s.fetched == 0 {
		t.Error("no name was looked for")
	}
	for _, name := range names {
		if h.s.find(Hash(name), name) == nil {
			t.Fatalf("%q has gone", name)
		}
	}
	if n := testing.AllocsPerRun(100, func() { h.s.Expect([]uint64{1, 2, 3}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a message costs the directory node of many names, ExpectMax of them in a frame.
func BenchmarkDirectory(b *testing.B) {
	for _, size := range []int{1 << 14, 1 << 18, 1 << 22} {
		h, names := manyNames(b, size)
		for _, how := range []string{"unexpected", "expected"} {
			b.Run(fmt.Sprintf("names=%d/%s", size, how), func(b *testing.B) {
				var at [ExpectMax]int
				var hashes [ExpectMax]uint64
				x := uint64(1)
				for range b.N / ExpectMax {
					for i := range at {
						x = x*6364136223846793005 + 1442695040888963407 // Knuth, MMIX
						at[i] = int(x>>33) % size
						hashes[i] = Hash(names[at[i]])
					}
					if how == "expected" {
						h.s.Expect(hashes[:])
					}
					for _, i := range at {
						h.told(names, i)
					}
				}
			})
		}
	}
}
