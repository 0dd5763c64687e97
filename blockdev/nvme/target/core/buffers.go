package core

import (
	"math/bits"

	"github.com/lockify-dlm/lockify/blockdev"
)

// buffers are the memory of a queue's data, kept for reuse in sizes of powers of two.
type buffers struct {
	free [bufferClasses][][]byte
	used int // bytes given out
}

const (
	minBuffer     = 4096
	bufferClasses = 7 // 4 KiB to MaxTransfer
)

func bufferClass(n int) int { return bits.Len(uint(max(n, minBuffer)-1)) - 12 }

// get gives n bytes, up to MaxTransfer, aligned so that any device can take them. What
// they hold is left of other commands of the same host.
func (p *buffers) get(n int) []byte {
	c := bufferClass(n)
	p.used += minBuffer << c
	if list := p.free[c]; len(list) > 0 {
		b := list[len(list)-1]
		p.free[c] = list[:len(list)-1]
		return b[:n]
	}
	return blockdev.Alloc(minBuffer<<c, minBuffer)[:n]
}

// put takes a buffer back.
func (p *buffers) put(b []byte) {
	if cap(b) == 0 {
		return
	}
	c := bufferClass(cap(b))
	p.used -= minBuffer << c
	p.free[c] = append(p.free[c], b[:cap(b)])
}

// fits says whether a command may have n more bytes now.
func (p *buffers) fits(n int) bool {
	return p.used+minBuffer<<bufferClass(n) <= MaxBuffered
}
