// Package growth measures what a lock costs as things grow, and draws it.
//
//	Resources   names held on one node, 10^3 to 10^7       real: an embedded node
//	Clients     connections of one daemon, 1 to 10,000     real: lockifyd
//	Zipf        names from evenly to hardly shared         real: three daemons
//	Nodes       nodes of a cluster, 1 to 1,000             simulated: real shards of package
//	   |                                                   lockspace, messages that take half a
//	   v                                                   round trip, nodes that take a given
//	Chart ---> JSON, SVG                                   time for each
//
// # The simulation
//
// It counts messages and shows where they queue. A node is one server with one queue:
// each request of its programs and each message from another node takes it the same
// time. Creations come to each node at random (Poisson). Messages travel alone, so that
// it sees none of the savings of frames, and names are not forgotten while it runs.
//
// # Where to add things
//
// A study: a function that gives a Chart, and its name in Studies.
package growth
