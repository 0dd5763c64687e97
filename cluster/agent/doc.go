// Package agent runs package cluster in a process: with a clock, a disk and sockets.
//
//	node's program, lockctl                          other nodes
//	   | Open, Do, Leave      Handler                  | mail     ^
//	   v                        ^ Agreed, Ended        v          |
//	membership ------------> teller            Agent.Receive   Mailer
//	   |                        ^ Lease                |          ^
//	   +-------> loop: one goroutine, which alone calls |          |
//	             cluster.Server (a voter, with a store) and cluster.Member
//
// An Agent lives as long as the process and runs the voter, if the node has a store.
// A membership is one start of the node: when its lease has ended, Join begins the
// next one, with another instance, while the voter goes on.
//
// # Mail
//
// What goes to another node is in an envelope: a version, the sender's id, the name of
// the cluster, the address at which the sender is reached, and a payload of package
// cluster or, in a refusal, a text. A name that differs is refused, so that a node that
// was sent to the wrong cluster says so. So is mail of another node that has the same id.
package agent
