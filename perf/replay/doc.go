// Package replay runs a recorded lock trace (perf/trace) against a real
// cluster of processes and measures it.
//
//	coordinator (Run)                        worker process, one per node (Work)
//	  makes the cluster's addresses            embedded: a node in this process
//	  starts the processes        --stdin-->   socket: a client of a lockifyd
//	  forwards what a node's program           runs the node's program:
//	  waits for at another one    <-stdout--   lock, convert, unlock, in order
//	  snapshots counters around phases
//	  merges results -> Report
//
// The two talk in lines of JSON (control.go). A worker ends when its standard
// input does, so nothing is left behind when the coordinator dies.
//
// What is measured, and how it is counted, is said at the fields of Report.
package replay
