// Package sharedisk keeps nodes that the cluster goes on without from the disks that the
// nodes share: by persistent reservations of NVMe namespaces.
//
//	node 1          node 2          node 3, cut off from the others
//	  | Register      | Register      | Register: key = instance, host = HostID(instance)
//	  v               v               v
//	+-----------------------------------------+
//	| namespace: registrants 1 2 3            |  reservation: Write Exclusive,
//	|  node 1: Bar(instance of 3)             |  All Registrants
//	|  registrants 1 2                        |
//	+-----------------------------------------+
//	  ^ write: done                   ^ write: Reservation Conflict
//
// # Contract
//
// Each start of a node registers, before it joins the cluster, as a host of its own
// (cluster.HostID) with its instance as the key; programs that hold locks through it come
// to the disk as the same host. Bar preempts that key, with abort: when it returns, no
// write of such a program can begin, and those that had begun are done. Registrations are
// never renewed for an instance that has lost its own, so that Bar is for ever. A node that
// joins anew does so with another instance, and as another host: what its programs had
// opened before stays barred.
//
// The type of the reservation is Write Exclusive, All Registrants. Every registrant holds
// it, so that it lasts when one of them goes: with Registrants Only it would end with its
// holder, and whoever was barred could write until another node has taken it. Reading stays
// free for all: it does no harm to the disk, and whoever opens it has to read.
//
// A start of a node also bars what earlier starts of the same node have left there.
//
// A node that finds its registration gone is told (Set.Gone): either the others have barred
// it, or the target has forgotten, which Register warns of where it may happen (the target
// keeps no reservations through its restart).
//
// Bar does not say that a node does nothing more: until the end of its lease its programs
// may use what locks protect elsewhere. cluster.ServerConfig.Bars waits for both.
package sharedisk
