package blockdev_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
)

// BenchmarkMemory is the floor of everything above: a ring whose device only copies.
func BenchmarkMemory(b *testing.B) {
	for _, op := range []blockdev.Op{blockdev.Nop, blockdev.Read, blockdev.Write} {
		for _, depth := range []int{1, 32, 128} {
			b.Run(fmt.Sprintf("%v/%d", op, depth), func(b *testing.B) {
				r := newRing(b, newMemory(b, benchSize), blockdev.RingConfig{Depth: depth})
				bench(b, r, op, 4096)
			})
		}
	}
	b.Run("copy", func(b *testing.B) { // what reads and writes cannot do without
		mem, buf := bytes.Repeat([]byte{1}, benchSize), make([]byte, 4096)
		b.SetBytes(4096)
		for i := 0; b.Loop(); i++ {
			copy(buf, mem[uint64(i)*0x9E3779B97F4A7C15>>20%(benchSize/4096)*4096:])
		}
	})
}

// benchSize is little, so that the memory's own speed does not matter much.
const benchSize = 4 << 20

// bench keeps the ring full; the requests are spread over the device.
func bench(b *testing.B, r *blockdev.Ring, op blockdev.Op, size int) {
	ctx := context.Background()
	bufs := make([][]byte, r.Depth())
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	blocks := uint64(r.Info().Size) / uint64(size)
	if op != blockdev.Nop {
		b.SetBytes(int64(size))
	}
	touch := blockdev.SQE{Op: blockdev.WriteZeroes, Length: r.Info().Size}
	*r.GetSQE() = touch
	reap(b, r)
	b.ReportAllocs()
	b.ResetTimer()
	sent := 0
	for done := 0; done < b.N; {
		for ; sent < b.N; sent++ {
			s := r.GetSQE()
			if s == nil {
				break
			}
			s.Op = op
			if op != blockdev.Nop {
				s.Buf = bufs[sent%len(bufs)]
				s.Offset = int64(uint64(sent)*0x9E3779B97F4A7C15>>20%blocks) * int64(size)
			}
		}
		if _, err := r.Submit(); err != nil {
			b.Fatal(err)
		}
		if err := r.Wait(ctx, 1); err != nil {
			b.Fatal(err)
		}
		for c, ok := r.Peek(); ok; c, ok = r.Peek() {
			if c.Status != blockdev.OK {
				b.Fatal(c.Status)
			}
			done++
		}
	}
}
