// Package lockify is a distributed lock manager: programs on many nodes lock
// names in six modes, and the nodes agree among themselves, without a lock
// server.
//
//	program            program                     program
//	   | embedded         | Unix socket or TCP         |
//	   |                  |                            |
//	StartNode           Dial                         Dial
//	   |                  |                            |
//	 node 1 ----------- node 2 (lockifyd) ---------- node 3 (lockifyd)
//	             one link for each pair of nodes
//
// A name has one master at a time, the node that keeps its queues; usually the
// one that used it first. A name that is mastered here is locked without a
// message. Which node masters a name is known to its directory node, which
// every node finds by hashing the name.
//
// # Use
//
// A program runs a node itself (StartNode) or connects to one (Dial), opens a
// Lockspace and locks:
//
//	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1})
//	space, err := node.Open(ctx, "inventory")
//	lock, err := space.Lock(ctx, "item/17", lockify.EX)
//	...
//	err = lock.Unlock(ctx)
//
// The API is the same either way. The locks of a program with an embedded node
// live no longer than it, those of a Client no longer than its session (below).
//
// Names are 1 to 64 bytes of any kind; nothing is special, neither zero bytes
// nor slashes. Each Lockspace has its own names.
//
// # Modes
//
// Two locks on one name can be granted together where the table has an x:
//
//	     NL CR CW PR PW EX
//	NL    x  x  x  x  x  x   null: interest only, keeps the value block
//	CR    x  x  x  x  x      concurrent read
//	CW    x  x  x            concurrent write
//	PR    x  x     x         protected read: shared
//	PW    x  x               protected write: one writer beside careless readers
//	EX    x                  exclusive
//
// PR and EX are what a sync.RWMutex has. Requests wait in order; a conversion
// goes before new requests. The rules are those of the Linux kernel's DLM
// (fs/dlm), its tables included.
//
// A name has a lock value block, 32 bytes unless ValueSize says otherwise.
// Whoever gives up PW or EX may write it (WithValue), whoever is granted a
// lock may read it (ReadValue). It is kept while anybody has a lock on the
// name, in whatever mode, and marked not valid rather than shown when it may be
// out of date.
//
// # The kernel's flags
//
// What the kernel's DLM calls LKF_... is an Option here, or an operation:
//
//	NOQUEUE     NoQueue, TryLock     ALTPR        AlternatePR
//	NOQUEUEBAST NoQueueBlocking      ALTCW        AlternateCW
//	QUECVT      QueueConvert         VALBLK       ReadValue, WithValue
//	HEADQUE     HeadOfQueue          IVVALBLK     InvalidateValue
//	NOORDER     NoOrder              PERSISTENT   Persistent
//	EXPEDITE    Expedite             ORPHAN       AdoptOrphan
//	CONVDEADLK  DemoteOnDeadlock     FORCEUNLOCK  Force
//	NODLCKWT    WaitOnDeadlock       TIMEOUT      Timeout
//	CONVERT     Lock.Convert         CANCEL       Lock.Cancel
//
// # Creating: New
//
// A program that has just created what a name stands for says so with New.
// Then nobody else can know the name, and the lock is granted at once: no
// message is waited for. The node tells the directory node meanwhile; until that
// has answered, Lock.Confirmed is not closed, and the node lets go of nothing
// through which others could learn the name. What New requires:
//
//   - The name is new, or all that used it has let go of it.
//   - Others learn it only through something that this node releases through
//     lockify afterwards, such as the lock on the directory that holds the new
//     file, in a mode that excludes its readers. A program that tells others in
//     another way calls Lockspace.Barrier first, or waits for Lock.Confirmed.
//
// If the name was not new after all, a conflict with another holder ends the
// lock: Lock.Lost is closed, and operations on it fail with ErrLost. It is
// reported also if both have finished by then.
//
// # Guarantees
//
//   - Granted modes on one name are compatible, wherever the holders are. A
//     lock under a claim that turns out to be wrong does not count.
//   - Each request ends exactly once: granted, or with an error.
//   - Fencing tokens grow with each exclusive grant of a name (Lock.Token).
//   - A value that is read is the last one written, or it is not valid.
//
// Not guaranteed: that nothing happens between a look at a lock and the deed that it
// protects. A program that is stopped there, or whose machine is, does it when it goes
// on, whoever has the lock by then; let the resource check the token.
//
// # Membership
//
// With Config.Peers it is fixed: when a node is gone, requests that need it wait until
// the whole cluster has restarted, and tokens begin anew then. With NewCluster and Join the nodes agree on it: what a
// node held that died, hangs or is cut off is free when its lease has ended, and locks
// that it has nothing to do with go on meanwhile (Node.Lost, package cluster).
//
// # Sessions
//
// All locks of a Client belong to its Session, a connection to one node. When that
// ends (the node ends or dies, the connection breaks), the locks are Lost at once, all
// of them, and stay so: their operations fail with ErrLost, as ErrSessionLost with the
// reason where that is known. Requests that were under way fail with ErrSessionLost;
// whether they had been granted just before does not matter, as the session's end has
// released that. The node releases what the session had when it notices the end;
// persistent locks become orphans.
//
// The Client then redials by itself, for as long as it takes: all addresses that
// Dial was given, the first one first, round after round, with pauses from 10 ms to
// 1 s that are partly chance. The next session has all lockspaces open, and no lock:
// nothing is locked again behind the program's back, since what a lock protected may
// have changed meanwhile. A program that holds something for long
//
//   - watches Lock.Lost, or Session.Lost for all its locks, and stops using them;
//   - locks again, when OnSession is called or simply by Lock, which waits for the
//     next session; it then looks at the state that it protects as if for the first
//     time (ReadValue). A lock that was Persistent is taken over with AdoptOrphan, if
//     the new session is with the same node and that has not started anew.
//
// Where membership is agreed a node holds a lease, and its clients hold what is left of
// it (lease.go has the arithmetic): a client that does not hear from its node in time
// (the daemon is stopped or hangs, or the network is cut) takes its session for ended
// by itself, before the cluster can have given its locks to others. So does one that
// was stopped itself: Lock.Valid and the other methods of a Lock look at the clock, and
// a program that may be stopped asks Valid before what must not be done without the
// lock. Where membership is fixed there is no lease, as nobody goes on without a node,
// and a program that is stopped keeps its locks. What one does that wakes up behind Valid
// is refused by who checks its token: package fence, and examples/paused-holder.
//
// A node without quorum, because it is cut off from most of the others, or not yet a
// member, opens no lockspace and grants nothing. Its clients lose their sessions and
// hear ErrNoQuorum, with a text that says since when and why. The Client goes on to the
// next address, or waits until this node is a member again; Open and Lock wait with it,
// and if their context ends first the error is ErrNoQuorum as well as the context's.
// With OneSession they fail at once.
//
// Between two sessions Lock, Open and the other calls with a context wait until there
// is one, or the context ends; the error then says as well why there was none.
// LockAsync, Barrier and the like do not wait: they fail with ErrSessionLost. Barrier
// is about what was created in the present session.
//
// Users of other services will know this: it is a session of ZooKeeper or a lease of
// etcd that ends with its connection rather than later, and the client reconnects as
// that of NATS does, but never sends a request twice.
//
// # Deadlocks
//
// Two conversions of one name that exclude each other are found at once: the
// second fails with ErrDeadlock. Circles through several names, nodes and
// programs are found if the requests say for whom they are (Owner): by messages
// that follow from each waiting request who waits for whom, four times a second
// while it waits. A circle is looked at twice, edge by edge, before anything is
// done, so that none is reported that was not there. Then the request of its
// youngest owner fails with a DeadlockError, which names every lock, owner, mode
// and node of the circle; the others go on as soon as that owner gives up what
// he holds. Requests that do not wait cost nothing.
//
// # Byte ranges
//
// OpenByteRanges gives POSIX byte-range locks on a name, with the semantics of
// fcntl(2): an owner read or write locks bytes, waits for others' locks or does
// not (Lock, TryLock), asks who is in the way (Test), and gives up any part of
// what it has (Unlock). An owner that would wait for itself, over others, hears
// ErrDeadlock at once. Modes do not concern them.
//
// # Callbacks
//
// Callbacks (OnBlocking, and the done functions of asynchronous requests) of
// one Client or Node come one at a time, in the order of the events, on a
// goroutine of their own; lock operations inside are allowed, and so is
// waiting for them, though not for another callback of the same Client. A
// panic in a callback ends the program. A done function whose outcome is known
// at once is called by the asynchronous method itself, before it returns.
//
// # Contexts
//
// When the context of a waiting request ends, the request is withdrawn in the
// cluster, and those behind it go on. If the grant has crossed the withdrawal,
// it is given back. An Unlock is not withdrawn.
//
// # Errors
//
// All errors can be tested with errors.Is against the Err variables of this
// package, and those of contexts. What no request may have is ErrInvalid; ErrName,
// ErrMode, ErrFlags, ErrValue and more say of which kind it is, and the text says
// what is wrong and with which lock. It changes nothing. A deadlock of owners is a
// DeadlockError; the other errors need no text. After ErrSessionLost ask again, or see
// to it that nothing was done under the lock that is lost; after ErrClosed there is
// nothing more to be had from what was closed.
package lockify
