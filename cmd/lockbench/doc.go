// Lockbench measures lockify.
//
//	lockbench replay   recorded lock traffic of real file systems on a real
//	                   cluster of processes, both protocols (perf/replay)
//	lockbench demo     a short tour of the same, for newcomers
//	lockbench sim      whole clusters from seeds, every invariant checked at
//	                   every step, and deliberate bugs that must be found (sim)
//	lockbench chaos    real daemons in network namespaces under faults; what clients
//	                   saw is checked with porcupine (perf/chaos)
//	lockbench local | client | cluster | contend
//	                   load on an embedded node, on a daemon, on one of several
//	                   nodes, on names that many want (perf/load, perf/rig)
//	lockbench peers    lockify against Redis, etcd, NATS, ZooKeeper, and against what
//	                   the machine can do (perf/peers)
//	lockbench growth   what a lock costs as names, clients, nodes become more, as
//	                   charts (perf/growth)
//	lockbench flame    a processor profile as a flame graph (perf/flame)
//
// It starts itself again for each node, as "lockbench replay-worker",
// and for each client, as "lockbench client-worker".
package main
