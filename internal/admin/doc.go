// Package admin is the HTTP interface for people and scripts that look at a
// node: the server that lockifyd runs, and the client that lockctl uses.
//
//	lockctl, curl           lockifyd
//	  Client  --- GET --->  Server --- Stats, Inspect ---> node.Node
//	                           \------ net/http/pprof
//
// All of it only reads, but for a POST of a Change to /v1/members. The addresses and their answers:
//
//	/v1/status                        Status
//	/v1/members                       Members
//	/v1/lockspaces                    []Lockspace
//	/                                 the page for people, see web.go
//	/v1/counters                      Counters
//	/v1/times                         Times
//	/v1/top?lockspace=NAME            Top, with what is waited for there; also without a lockspace
//	/v1/ranges?lockspace=NAME         []Range
//	/v1/locks?lockspace=NAME&limit=N  one Resource a line, then one Trailer
//	/metrics                          for Prometheus, see docs/metrics.md
//	/debug/pprof/                     the profiles of net/http/pprof
//
// Errors are {"error": "..."} with a status of 400 and above.
//
// The locks are what this node knows: all of a resource on its master, this
// node's own locks elsewhere. To see a whole cluster, ask each node. A shard
// of the lockspace stands still while its resources are copied, so the number
// of resources in one answer is bounded (MaxLimit).
//
// There are no passwords: who can connect can look, take profiles, and change
// who is a member. So the
// address must be of the loopback interface, unless the operator says
// otherwise (CheckAddr).
//
// Names in lockify are any bytes. In the documents a name is an object with
// the bytes in hex and a printable text.
package admin
