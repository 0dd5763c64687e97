// Package chaos runs a cluster of real daemons, each in a network namespace of its
// own, does to it what happens to clusters, and checks what its clients saw.
//
//	                       Run (this process)
//	      clients: Unix sockets |          | faults: kill -9, SIGSTOP, nftables
//	   +-----------+-----------++----------+----------+
//	lockifyd 1  lockifyd 2  lockifyd 3  lockifyd 4  lockifyd 5    a process and
//	   | veth      | veth      | veth      | veth      | veth     a namespace each
//	   +-----------+---- bridge, in a namespace -------+
//
//	history of each name ---> porcupine with the model of a name ---> Report
//
// # What is checked
//
// All clients run on one clock, that of this process. Each lock, conversion and unlock
// is noted with the time before and after the call, and the history of each name must
// be one that a name could have had, one thing after the other (model.go): modes that
// are held go together; tokens of exclusive grants rise; a value that is read is the
// last one written, or not valid where nobody may know it.
//
// A lock that is lost ends at a time that nobody knows, between the last moment at
// which its holder knew it to be valid and the one at which it heard the contrary.
// Holders look every few milliseconds. So a client that believes in its lock for too
// long, while another has it already, is a violation.
//
// What is withdrawn, refused or lost before its claim was confirmed never was: it
// may only make a value not valid.
//
// On each node a client visits a second lockspace now and then, which nobody else there has
// open: the node leaves that lockspace, and comes back to it, among the faults.
//
// On each node a cache keeps locks of some further names (recipes.Cache), and what a disk has under
// them. Nobody may have a name beside somebody who has it still and excludes him, and what a
// reader has is what the disk has.
//
// # Faults
//
// Plan makes them from a seed: what is done to whom, for how long. The times at which
// they take effect are the machine's, so that a seed repeats the faults and not the run.
//
// # What is left behind
//
// Nothing, but for a directory of temporary files should this process be killed.
// Namespaces have no names and live as long as processes in them; daemons are killed by
// the kernel when this process ends, in whatever way.
package chaos
