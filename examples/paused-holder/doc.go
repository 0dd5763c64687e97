// Paused-holder shows why a lock alone does not guard what is behind it, and what does.
//
//	writer A                      storage                  writer B
//	   | Lock, token 7               |                        |
//	   X stopped (SIGSTOP)           |                        |
//	   X ... for longer than a lease |                        |
//	   X                             |      Lock, token 8     |
//	   X                             | <--- write, token 8 -- |
//	   | goes on (SIGCONT)           |                        |
//	   | --- write, token 7 -------> | refused: 8 was here    |
//
// A is stopped between the grant and its write. No lock manager can keep it from
// writing when it wakes; the storage can, because the writers send the tokens of their
// locks, and it remembers the highest one (package fence).
//
// Without arguments it plays all parts, each in a process of its own, with one node of
// lockify. The parts are there by themselves, too:
//
//	paused-holder storage
//	paused-holder writer LOCKIFY-ADDRESS STORAGE-URL TEXT
package main
