package blockdev

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// wantHugePages asks for large pages for b, where they are for those who ask: to copy
// large requests from and to memory far larger than the caches costs a fifth less with
// them. A system that has none does without.
func wantHugePages(b []byte) {
	if len(b) < hugePage {
		return
	}
	page := os.Getpagesize()
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (page - 1)
	_ = unix.Madvise(b[skip:skip+(len(b)-skip)&^(page-1)], unix.MADV_HUGEPAGE)
}
