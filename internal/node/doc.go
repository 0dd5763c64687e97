// Package node assembles a node: it runs the shards of the lockspaces, links
// them with the other nodes, and serves clients.
//
//	clients (sockets)      embedded program       other nodes
//	     |                       |                     |
//	  session                  Space                linkSide
//	     |  batch                |                     |  batch
//	     +----------- runner: one per shard -----------+
//	                 inbox -> lockspace.Shard -> host
//	                               |               |
//	                           open frame      Owner (completions)
//	                            per peer
//	                               |
//	                         engine.Links
//
// A runner has no goroutine: whoever brings work runs the shard (runner.go).
// What a shard says is collected in one open frame per peer and leaves when
// there is no more input, or, for NOTIFYs that nobody waits for, when the
// flusher comes round (flusher.go). The release fence and the token clock are
// shared by all shards of the node, lock-free (common.go).
//
// A view of the cluster is installed in steps (view.go): what shards have said in
// the old one leaves with its number, links end and begin, and only then do the
// shards go on in the new one. A lockspace that no program uses any more is left in the
// same way (close.go). Between views a lease lets the node act (lease.go).
//
// Spans of traced operations are made here as well, of what passes by (trace.go).
//
// This is the only package that knows all others.
package node
