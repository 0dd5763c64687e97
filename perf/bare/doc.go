// Package bare is the least that a message can cost between two processes: raw system
// calls on one buffer, epoll, no protocol, no scheduler of Go's.
//
//	Listen, Accept  ---  Unix socket, loopback TCP  ---  Connect
//	Echo                                                 Ping: one message at a time
//	Read                                                 Write
//
// A process that uses it does nothing else: its threads sleep in system calls that Go
// does not know of. Solo prepares one.
package bare
