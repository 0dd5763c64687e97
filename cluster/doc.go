// Package cluster says who is a member, and of which lockspaces: agreed views,
// leases, and when those of a node that is gone have surely ended.
//
//	node's program: Open, Close, Leave, ...      lockctl: Remove, Promote
//	        |                                        |
//	     Member  --- join, commands, renewals --->  Server ---+ Raft messages
//	     (each node) <--- answers, what was ------  (voters)  | (other voters)
//	        |              decided                     |  ^---+
//	        v                                          v
//	  views of lockspaces,                    Raft log ---> State, at each voter
//	  lease deadline                             |
//	                                          Storage: package cluster/store
//
// Three to seven nodes with a store are voters: they run a Server, which orders
// commands by Raft (go.etcd.io/raft, RawNode). Each command that changes
// something gives the State the next version. Every node runs a Member, which
// keeps a copy of the State: it gets the same commands in the same order, and so
// the same views, none skipped. One voter alone is a cluster.
//
// A member holds a lease, which it renews with the leader. When it cannot, it
// fences itself (Ended); when the leader has not heard of it for long enough that
// this has surely happened, it proposes Expire, and the members' next views are
// without it. A view is in force when its command is committed: by then the
// lease of whoever is not in it has ended, or a fence agent has confirmed that
// it does nothing, or it has left. Terms has the arithmetic and the argument.
//
// # Contract
//
// All here but Storage is pure: no I/O, no goroutine, no clock, no chance but
// from ServerConfig.Seed. A Server and a Member are each used by one goroutine at
// a time. They are given messages and readings of the clock (CLOCK_BOOTTIME, ns,
// made after the message was in hand), and give out messages, which may be lost,
// come twice or overtake each other. Whoever runs them
//
//  1. makes a store (Found, for the first voter) and a Server on it, if the node
//     has one, and a Member with a new instance;
//  2. calls Tick of both in time, and gives messages that arrive to Server.Deliver
//     if ForServer says so and there is one (Member.Refer if there is none), else
//     to Member.Deliver; sends what comes out, also to the node itself;
//  3. takes Member.Views after each call and installs them in order;
//  4. asks Member.Valid with a fresh reading before anything is granted or what
//     was held back is sent, and gives Member.Lease to clients with each grant;
//  5. at Ended fences all shards, tells clients LOST, and begins anew with
//     another instance.
//
// A start of a node that follows an earlier one has to wait for the earlier
// one's lease: the process may be dead, but its clients count for themselves.
// Only Leave, when nothing is held any more, spares that wait.
//
// # Epochs
//
// A lockspace gets a view when its own members change, and with each its epoch
// rises by one. A lockspace that is opened anew begins above all epochs that there
// were, so that tokens grow also across its end.
//
// # Limits
//
// 2048 nodes, 7 voters, 1024 lockspaces; a State is below MaxPayload. Members that
// miss 512 commands or 64 KiB of them must begin anew. A leader keeps 8192
// renewals and 8192 commands under way.
//
// # Providers
//
// Provider is what a node takes its views from, running: cluster/agent runs what is
// here with a clock, sockets and a disk; cluster/etcd keeps the same State in an etcd
// cluster. Static is for nodes that are given on the command line, for ever.
//
// Package cluster must not import engine, wire or internal/node.
package cluster
