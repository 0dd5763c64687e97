// Package recipes has what programs build of locks most often: a mutex, a
// readers-writer mutex, a semaphore, a barrier, the election of a leader, locks that are
// kept behind their use, and a context that ends with a lock.
//
//	Mutex  RWMutex      EX, PR on the name
//	Semaphore           EX on one of n names: NAME/0 ... NAME/n-1
//	Barrier             EX holds up PR
//	Election            PW: the leader; CR: whoever wants to know it, from the value block
//	Cache               EX, PR: kept until somebody else wants them
//	Hold                any mode, with a context that is canceled when the lock is lost
//	   |
//	   v
//	lockify.Lockspace, of a client or of an embedded node
//
// All of them work among the goroutines of a program as among programs on many
// nodes. Other programs may use the same names without this package.
//
// # A lock can be lost
//
// Unlike a mutex of package sync, a lock of a cluster ends without being unlocked when
// the node's lease or the client's session does (lockify.Lock.Lost). Whoever does
// something long under it must look: at Lost, or at the context that Hold gives. Between
// the look and the deed there is always a gap, which only the thing that is protected
// can close, by looking at the token (Token, package fence) or, if it is a disk, at
// reservations (lockify.Guard).
//
// # Names
//
// Names are those of lockify, 1 to 64 bytes. A Semaphore needs up to five more.
package recipes
