// Package sim runs a whole cluster in one process, from one number: real
// shards of package lockspace, several on each node, real servers and members of
// package cluster, a simulated network, clocks that differ, and clients with random
// programs. After every step it
// checks what must be true then, and at rest the rest (the invariants of
// docs/protocol.md and the kernel's semantics).
//
//	seed, profile --> run: one event after the other, by simulated time
//	                    |         |           |
//	                 network    clocks     programs       what happens
//	                    |         |           |
//	                 lockspace.Shard, wire encoding       what is tested
//	                    |         |           |
//	                 Host: sends, completions, ...
//	                    |
//	                 checkers, oracle                     what must be true
//
// All of a run follows from its seed, its profile and the number of steps: the
// same three give the same run, event by event (Result.Hash). A step is one
// delivery, one tick of a node, one fault or one operation of a program, with
// its checks.
//
// # Files
//
//	run.go        a run: events, steps, rest, end
//	council.go    nodes that agree on views and leases themselves (package cluster)
//	council_*.go  their faults and kinds of runs
//	parcel.go     their messages
//	ghost.go      what clients of dead nodes believe
//	heap.go       events by time
//	network.go    lanes, delays, cuts
//	node.go       a node: shards, clock; the shards' Host
//	common.go     a node's claim sequence and token clock
//	lock.go       a lock as a program sees it
//	name.go       what is known of a name
//	program.go    the random programs
//	owners.go     those whose locks have owners
//	ops.go        what programs do: one entry for each operation
//	ranges.go     delegated ranges of names
//	bytes.go      byte ranges
//	profile.go    kinds of runs
//	check*.go     the invariants, one file each
//	oracle.go     one resource without a cluster: what the kernel would do
//	mutant.go     deliberate bugs that the checkers must find
//	campaign.go   many runs
//	shrink.go trace.go  a failure, made short enough to read
//
// # Contract
//
// No I/O, no goroutine, no clock: the caller says when a campaign is to end, and may
// run several at the same time.
//
// # Where to add things
//
// An operation: a kind and an entry in ops.go. An invariant: a checker in a
// file of its own, and in newCheckers. A deliberate bug: a bit in
// lockspace/rules.go and an entry in mutant.go.
package sim
