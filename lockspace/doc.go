// Package lockspace is the lock manager itself: what a node does for a part
// of the names of a lockspace, as a pure state machine.
//
//	Lock Convert Unlock Cancel Bytes    Complete Blocking Confirmed Lost Bytes
//	     |  programs on this node              ^
//	     v                                     |
//	+----------------------- Shard ------------------------------+
//	|  requester: my locks on names that others master           |
//	|  master:    grant, convert and wait queue, byte ranges     |
//	|             of a name                                      |
//	|  directory: name -> master and life                        |
//	|  outbox:    what waits for the release fence               |
//	+-------------------------------------------------------------+
//	     ^                                     |
//	     |  other nodes                        v
//	  Deliver                                 Send            Tick, Release: time
//
// A Shard does no I/O, starts no goroutine, reads no clock and takes no lock.
// It is entered by one caller at a time (Lock, Convert, Unlock, Cancel, Bytes,
// Delegate, Return, Deliver, Tick, Release, Install, Work, Leave, Inspect, Stats) and answers through
// its Host before it returns. Whoever runs it owes it:
//
//  1. one caller at a time, with a memory barrier between callers;
//  2. messages between two nodes about one name delivered in order, each
//     exactly once (engine does), each with what its frame's header says;
//  3. a clock that does not run backwards, in ns;
//  4. Tick every few ms unless Quiet, and Release when the claims of another
//     shard have closed and this one holds messages back;
//  5. Work while it is Working;
//  6. a Common that all shards of all lockspaces of the node share, because
//     the release fence and the token clock are the node's.
//
// # Files
//
//	request.go    requester's role: what programs ask for
//	master.go     master's role: operations on the queues
//	grant.go      what may be granted: the kernel's order
//	directory.go  directory's role
//	claim.go      self-owner notification: claims
//	adopt.go      a claim that meets an older master
//	outbox.go     the release fence and the order of messages
//	deliver.go    messages from other nodes
//	range.go      range keys
//	delegate.go handover.go relay.go rangeview.go  delegated ranges: who has
//	              one, how it moves, how others find its owner, new views
//	idle.go       removal of unused names, time
//	retire.go     removal of a name by the word of who deletes what it stands for
//	token.go      fencing tokens and their clock
//	install.go    a change of the view: install, purge, registration
//	work.go       how that is cut into pieces
//	entrust.go recover.go  names whose master or directory node is gone
//	barrier.go    who has told what in a view
//	epoch.go      messages of other views
//	leave.go fence.go  the end of a node's part: in order, or not
//	orphan.go     locks whose program has gone
//	bytes.go bytemaster.go byterecover.go  byte-range locks: the owner's node,
//	              the master, new views; package byterange is the table
//	deadlock.go probe.go byteprobe.go  deadlocks across names, byte ranges and nodes
//	timeout.go    deadlines of requests
//	known.go      what a node knows of a value, should the master be lost
//	mode.go flags.go explain.go  the kernel's tables and numbers; what is wrong
//	              with a request, in words
//	shard.go host.go view.go  what a Shard is given; inspect.go what it shows
//	lock.go resource.go table.go slab.go  the data
//	rules.go mistakes.go  what tests and the simulation switch off or break
//
// # Not here yet
//
// Views that the members agree on, and leases.
package lockspace
