// Package perf holds what measuring the lock manager needs.
//
//	lockifyd, lockbench
//	   | StartProfile     pkg/profile: one profile of the whole run, to a file
//	   | Histogram        latencies of lock phases, in nanoseconds
//	   | Counters         messages by type, in and out; those a lock waited for
//	   v
//	Histogram text, Messages JSON     from the processes of a run to the one that reports
//	   | Merge, Sub
//	   v
//	Table, Bars           what a person reads in a terminal
//
// Recorded workloads are in the sub-package trace.
//
// Of this module it imports wire, for the names of the messages. It starts no
// goroutine of its own and handles no signal.
//
// Histogram is not safe for concurrent use: give each goroutine its own and
// merge. Counters may be used by any number of goroutines.
package perf
