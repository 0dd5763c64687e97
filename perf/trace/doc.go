// Package trace reads recorded lock traffic of real file systems and turns it
// into programs that can be replayed against a real lock manager.
//
//	data/*.csv.gz     the recordings, embedded (format: data/README.md)
//	     | Load, Read          one Event per row, strictly checked
//	     v
//	   Trace
//	     | timeline            recv paired with send, clocks aligned: one order
//	     | history             locks, operations, where the master decided them,
//	     |                     checked against the kernel's grant rules (kResource)
//	     | draft               steps, and which waits for which
//	     v
//	   Plan -> a Program per node: Steps, Locks    (NewPlan)
//
// The package performs no I/O but reading trace files, and imports nothing of
// this module. Plans and traces are not changed once made and may be shared.
//
// # Order
//
// The nodes' clocks differ by up to seconds, so the file's order of rows means
// nothing between nodes. Messages between two nodes arrive in the order they
// were sent; the k-th recv row therefore belongs to the k-th send row, and
// the quickest messages in both directions pin the offset of the clocks. An
// operation is decided where its resource's master takes it up: at its own
// row if its node is the master, else at the recv row of its request. Ordered
// that way, the recorded operations, put through the kernel's grant rules,
// give every recorded status and blocking ast; NewPlan refuses a trace for
// which they don't.
//
// # Contract of a plan
//
// A driver runs each program in order, one step after the other, without
// waiting for a step's completion but where it is told to. Before it issues a
// step it waits for
//
//   - Own: completions of earlier steps of the same program: those whose ast
//     row lies before the step's row, listed once, at the first step behind it;
//   - Basts: so many blocking asts of the step's own lock, counted from the
//     lock's first request: the conversion or unlock was the reaction to them;
//   - After: steps of other nodes, issued or completed. These keep each
//     resource's operations in the order in which its master decided them, and
//     a phase behind the phases that had ended before it began. What follows
//     from other references, from blocking asts and from grants is left out,
//     so that operations on names which only one node uses never wait for
//     another node.
//
// Done so, no interleaving can deadlock: all that a step waits for comes
// before it in one order of all steps. In the few places where two nodes'
// requests crossed on the wire and the order of decision can't be kept without
// a circle, the pair is in Plan.Loose. "Completed" means that the completion
// was delivered at its node; an unlock or a conversion downwards of a remote
// lock may complete there before its master has heard of it.
//
// When a first request fails (NOQUEUE, status EAGAIN) its lock has ended. A
// replay in which it succeeds must unlock it, since the program won't.
//
// # Copies
//
// Options.Repeat K makes the run longer. The trace is cut into stretches, one
// per phase (phases of one name that overlap on several nodes are one
// stretch), and each stretch is run K times before the next one starts. The
// first copy is the trace itself. The others hold only the steps on names that
// the trace creates (those with a Creation step: files, directories), each
// copy under names of its own, of the same length. Journals, resource groups,
// the superblock and the directories that existed before are locked as often
// as in the trace. So each copy of a file goes through exactly the file's
// recorded history, and the copies are independent of each other.
package trace
