package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// TestQueueModel drives an outQueue at random beside a model of it: a plain
// list of all frames ever pushed.
func TestQueueModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		q := outQueue{base: 1}
		var pushed, taken, written, acked uint64 // numbers of the last ones
		for range 3000 {
			switch rng.IntN(6) {
			case 0, 1:
				if pushed++; q.next() != pushed {
					t.Fatalf("next is %d, want %d", q.next(), pushed)
				}
				q.push(frameFor(pushed, 8), 0)
			case 2:
				for _, b := range q.take(nil, rng.IntN(500), 0) {
					if taken++; b[wire.HeaderSize] != byte(taken) {
						t.Fatalf("took another frame than %d", taken)
					}
				}
			case 3:
				written = taken
				q.written = taken
				q.trim()
			case 4:
				n := rng.Uint64N(pushed + 3)
				if err := q.ack(n); (err != nil) != (n > taken) {
					t.Fatalf("ack of %d with %d taken: %v", n, taken, err)
				}
				if n <= taken {
					acked = max(acked, n)
				}
				q.trim()
			case 5:
				n := rng.Uint64N(pushed + 3)
				freed := min(acked, written)
				if can := n <= taken && n >= freed; q.canResume(n) != can {
					t.Fatalf("canResume(%d) with %d taken, %d freed: %v", n, taken, freed, !can)
				} else if !can || rng.IntN(3) > 0 {
					continue
				}
				if again := q.resume(n); again != taken-n {
					t.Fatalf("%d frames again, want %d", again, taken-n)
				}
				taken, written, acked = n, n, max(acked, n)
			}
			if want := int(pushed-min(acked, written)) * (wire.HeaderSize + 8); q.bytes != want {
				t.Fatalf("seed %d: %d bytes, want %d (pushed %d taken %d written %d acked %d)", seed, q.bytes, want, pushed, taken, written, acked)
			}
		}
	}
}
