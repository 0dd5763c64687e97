// Package shm moves bytes between two processes of one machine through memory that
// both have mapped. It knows nothing of frames; package engine does.
//
//	node                                               client
//	Write --->  ring of bytes, node to client   ---> Read
//	Read  <---  ring of bytes, client to node   <--- Write
//
//	line of the node:    end, sleep | head | wants     written by the node only
//	line of the client:  end, sleep | head | wants     written by the client only
//
// # The lines
//
// Each end writes a cache line of its own and reads the other's:
//
//	end    how many bytes it has written, modulo 1<<32
//	sleep  even: it watches the other line. Odd: it sleeps, wake it. Each sleep
//	       has another number, so that it is woken once
//	head   how many bytes it has read; not more often than each quarter of a ring
//	wants  a number that changes when it begins to wait for room
//
// end and sleep are one word, so that a request costs one transfer of a line between
// two processors, apart from its bytes. Head and end of a ring are in two lines, as
// always: they have different writers.
//
// # Sleeping
//
// Who is about to sleep says so and then looks once more for bytes; who has written
// looks whether the other one sleeps behind that. Both are sequentially consistent, so
// one of the two sees the other: nobody sleeps beside bytes. The same goes for room:
// who waits for it says so and tries once more, and who has shown a new head looks for
// that. How the other end is woken is the caller's matter.
//
// # Who is trusted
//
// Neither the other end nor what is in the memory. An End keeps its own positions
// outside of it. It reads each number of the other one once, and checks it against the
// size of the ring (ErrCorrupt). Bytes are copied out before anybody looks at them. The
// memory cannot shrink, which would make a read a fault: its size is sealed by who
// makes it, and who is given it looks for the seals. What a hostile end can do is to
// write nonsense, which is what it could send through a socket as well, and to have
// itself woken without need.
package shm
