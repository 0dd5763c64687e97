// Lockbench measures lockify.
//
//	lockbench replay   recorded lock traffic of real file systems on a real
//	                   cluster of processes, both protocols (perf/replay)
//	lockbench demo     a short tour of the same, for newcomers
//
// It starts itself again for each node, as "lockbench replay-worker".
package main
