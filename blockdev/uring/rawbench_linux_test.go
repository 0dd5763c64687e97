package uring

import (
	"testing"
	"unsafe"

	"github.com/lockify-dlm/lockify/blockdev"
)

// benchKernel keeps depth requests in flight; a quarter of them is waited for at a time.
func benchKernel(b *testing.B, d *Device, op blockdev.Op, depth int) {
	k, err := newKernel(depth)
	if err != nil {
		b.Skip(err)
	}
	memory := blockdev.Alloc(depth*benchBlock, benchBlock)
	b.SetBytes(benchBlock)
	used := cpu(b)
	sent, flying := 0, 0
	for done := 0; done < b.N; {
		n := 0
		for ; sent < b.N && flying < depth; sent, flying, n = sent+1, flying+1, n+1 {
			s := k.next()
			s.opcode, s.fd, s.off = opRead, int32(d.fd), uint64(benchOffset(sent))
			if op == blockdev.Write {
				s.opcode = opWrite
			}
			s.addr, s.len = uint64(uintptr(unsafe.Pointer(&memory[sent%depth*benchBlock]))), benchBlock
		}
		k.submit(n*benchBlock <= quickBytes)
		if k.peek() == nil {
			k.wait(min(flying, max(1, depth/4)), -1)
		}
		for c := k.peek(); c != nil; c = k.peek() {
			if c.res != benchBlock {
				b.Fatal(c.res)
			}
			k.seen()
			done++
			flying--
		}
	}
	used()
	if err := k.close(); err != nil {
		b.Fatal(err)
	}
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}
