// Package etcd keeps a cluster's membership in an etcd cluster that a site has anyway,
// instead of in voters of its own.
//
//	node's program, lockctl            etcd, below <prefix>/<cluster>/
//	   | Open, Do, Leave                  state       all that is agreed: a cluster.State
//	   |        ^ Handler                 nodes/<id>  instance of a start, while it is heard of
//	   v        |                             ^  |
//	membership -+-- command: read, apply, ----+  | watch: each version, in order
//	   |        |   write if unchanged        |  |
//	   |        +-- loop <--------------------|--+
//	   |             ^  Agreed, Lease, Ended  |
//	   +-- renewals -+-- reads of its own key +
//
// A command is carried out by whoever asks for it: it reads the State, applies the
// command as every voter would, and writes what comes of it in a transaction that
// compares the revision. Where another one was faster, it begins again. A command that
// was written although the answer got lost is known by its number (cluster.Node.Req).
//
// Everybody watches, and sees each version. The views of a version are those of the
// lockspaces that it has changed. etcd keeps old revisions for a time (its
// auto-compaction); a node that comes so late that some are gone ends its membership.
//
// What of etcd the leases rest on, and the argument, is in lease.go: on linearizable
// reads and transactions alone. etcd's own leases only tell that a node is silent.
//
// # What it asks of etcd
//
// Version 3.4 or later, and read and write rights below the prefix. Each command writes
// the State (50 bytes for each node, and more for each lockspace) and sends it to every
// node: this is for tens of nodes, thousands are for package agent. An etcd that was
// restored from a backup has forgotten what was agreed: stop all nodes first.
package etcd
