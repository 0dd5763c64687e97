package lockify

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// testValueSizes: values have the size that the lockspace was opened with, 0 to
// 256 bytes, on all nodes; who opens it with another size is told which it has.
func testValueSizes(t *testing.T, e *env) {
	for _, size := range []int{0, 1, 7, 32, 64, 255, 256} {
		space := fmt.Sprintf("size-%d", size)
		a, b := e.open(t, 0, space, ValueSize(size)), e.open(t, 1, space, ValueSize(size))
		if a.ValueSize() != size || b.ValueSize() != size {
			t.Fatalf("sizes %d and %d, want %d", a.ValueSize(), b.ValueSize(), size)
		}
		for range 3 { // names with either node for their directory
			name := e.name()
			keep := e.must(t, a, name, NL)
			writer := e.must(t, b, name, EX)
			expect(t, "a value that is too long", writer.Convert(e.ctx, EX, WithValue(make([]byte, size+1))), ErrValue)
			want := bytes.Repeat([]byte{0xfe}, size)
			e.unlock(t, writer, WithValue(want))
			for _, s := range []*Lockspace{a, b} {
				l := e.must(t, s, name, PR, ReadValue())
				if v, ok := l.Value(); !ok || !bytes.Equal(v, want) {
					t.Fatalf("size %d: value %x, valid %v", size, v, ok)
				}
				e.unlock(t, l)
			}
			e.unlock(t, keep)
		}
		other := (size + 1) % 257
		for node := range e.nodes {
			open := e.nodes[node].Open
			if e.dial != nil {
				open = e.dial(t, node).Open
			}
			_, err := open(e.ctx, space, ValueSize(other))
			says := fmt.Sprintf("%q has values of %d bytes, asked for %d", space, size, other)
			if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), says) {
				t.Errorf("node %d: %v, want %s", node+1, err, says)
			}
		}
	}
}
