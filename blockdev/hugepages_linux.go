package blockdev

import (
	"syscall"
	"unsafe"
)

const hugePage = 2 << 20

// wantHugePages asks for large pages for b, where they are for those who ask: to copy
// large requests from and to memory far larger than the caches costs a fifth less with
// them. A system that has none does without.
func wantHugePages(b []byte) {
	if len(b) < hugePage {
		return
	}
	page := syscall.Getpagesize()
	b = b[-int(uintptr(unsafe.Pointer(&b[0])))&(page-1):]
	_ = syscall.Madvise(b[:len(b)&^(page-1)], syscall.MADV_HUGEPAGE)
}
