// Package byterange is POSIX byte-range locks on one resource: a table of
// which owner has read or write locked which bytes, and of who waits.
//
//	          Set  Unlock of parts                     Withdraw
//	               |                                      |
//	+--------------v------------- Table ------------------v-----+
//	|  owner -> disjoint sorted ranges, each read or write      |
//	|  requests that wait, in the order in which they came      |
//	+-----------------------------------------------------------+
//	     Conflict: who is in the way        Next: who can go on
//
// # Semantics
//
// They are those of fcntl(2) and POSIX.1-2017 (F_SETLK, F_SETLKW, F_GETLK), as
// Linux has them in fs/locks.c posix_lock_inode, and dlm_controld in plock.c:
//
//   - A range is read locked by any number of owners, or write locked by one.
//   - An owner has one lock on each byte: what it sets replaces what it had,
//     so that it can upgrade, downgrade and unlock parts. Neighbouring ranges
//     of one type are one.
//   - A request is granted if no other owner's lock is in its way; it need not
//     wait behind requests that wait. Those that wait are granted in the order
//     in which they came, each as soon as no lock is in its way.
//   - A request that would wait for itself, over any number of owners, is not
//     queued (EDEADLK). An owner that waits for anything counts as blocked: it
//     is one thread of control.
//
// Nothing here is safe for use by several goroutines on one Table. It knows
// nothing of nodes and messages, and imports nothing but the standard library.
package byterange
