// Package uring makes a blockdev.Device of a local file or block device, through the
// kernel's io_uring; where that is refused, through calls of pread and pwrite on a
// bounded number of goroutines.
//
//	 blockdev.Ring
//	   | Submit                      ^ Poll, Wait
//	+--v-----------------------------|------+      +------------------+
//	| kernelRing                     |      |      | pool, one for    |
//	|  read, write, flush --> SQEs   | CQEs |      | the device       |
//	|      one io_uring_enter        |      | jobs |  pread, pwrite   |
//	|  the rest, and what came -----------------> |  fallocate       |
//	|  back incomplete               |      |      |  compare         |
//	|  eventfd: Wake, ends of jobs --+      | ends |                  |
//	|                             sink <---------- |                  |
//	+---------------------------------------+      +------------------+
//	  poolRing: the same without the kernel's ring: all requests are jobs
//
// # Durability
//
// What is written lies in the page cache until a Flush (fdatasync) has succeeded, so
// Info says VolatileCache; also with Direct, since disks have caches, too.
//
// # Direct
//
// With Config.Direct the page cache is bypassed; buffers must then begin at a multiple of
// the block size (blockdev.Alloc), else the request ends with StatusMisaligned.
//
// # Threads
//
// Submit does what the page cache has while it is at it: a call of io_uring_enter copies.
// It is a raw system call if the batch is small, so that Go's scheduler does not take
// notice; see engine/rawread.go. Do not use a ring from a goroutine that is locked to its
// thread and ends: the kernel takes back what an ended thread had submitted. (The ring
// would do it again, with pread and pwrite, and be slow.)
//
// # Why no library
//
// By their documentation: iceber/iouring-go (last version of April 2023) gives results
// through channels; ii64/gouring has had none since September 2022;
// pawelgaczynski/giouring calls its own test coverage low. What is needed here of the
// kernel's interface are 200 lines, in which it matters how each system call is made and
// that nothing is allocated.
//
// # Caveats
//
// CompareWrite is one step with regard to other CompareWrites of the same Device only. A
// file's size is that when it was opened, without a last incomplete block.
package uring
