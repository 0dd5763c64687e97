// Lockbench measures lockify.
//
//	lockbench replay   recorded lock traffic of real file systems on a real
//	                   cluster of processes, both protocols (perf/replay)
//	lockbench demo     a short tour of the same, for newcomers
//	lockbench sim      whole clusters from seeds, every invariant checked at
//	                   every step, and deliberate bugs that must be found (sim)
//	lockbench chaos    real daemons in network namespaces under faults; what clients
//	                   saw is checked with porcupine (perf/chaos)
//
// It starts itself again for each node, as "lockbench replay-worker".
package main
